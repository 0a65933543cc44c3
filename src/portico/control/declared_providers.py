"""``oauth2CredentialProviders[]``, ``apiKeyCredentialProviders[]`` and ``workloadIdentities[]`` of a file.

AWS's documents of Create..., with the secret in AWS's member or beside it as ``secret`` or ``secretFile``.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from portico.control.declarations import IdentityDeclaration, ProviderDeclaration
from portico.control.not_built import lookup
from portico.control.provider_documents import (
    API_KEY,
    SECRET,
    api_key_provider_faults,
    oauth_provider_faults,
    split_api_key_provider,
    split_oauth_provider,
)
from portico.control.providers import ProviderRequest
from portico.control.reader import Reader
from portico.control.relaxations import RELAXED
from portico.control.shapes import check_shape, member_path
from portico.control.tags import tag_faults
from portico.control.workload_identities import identity_faults
from portico.identity.providers import CONFIG_KEY, EXTENSION_KEY
from portico.model.errors import Fault
from portico.net.egress import Egress
from portico.oauth.vendors import VENDORS

PLAIN: Final = "secret"
FILE: Final = "secretFile"
ALLOW_PRIVATE: Final = "allowPrivateAddresses"
TAGS: Final = "tags"

_OURS: Final = frozenset({PLAIN, FILE, EXTENSION_KEY})


def read_oauth_provider(
    reader: Reader, entry: Mapping[str, Any], path: str, *, egress: Egress
) -> ProviderDeclaration | None:
    """Read one OAuth provider; None when something of it is wrong."""
    extension = _extension(reader, entry, path)
    member = secret_member(entry)
    request = {name: value for name, value in entry.items() if name not in _OURS}
    config = lookup(request, f"{CONFIG_KEY}.{member}")
    if member and isinstance(config, dict):
        given = _with_secret(reader, entry, cast("dict[str, Any]", config), SECRET, path)
        request[CONFIG_KEY] = {**request[CONFIG_KEY], member: given}
    faults = check_shape("CreateOauth2CredentialProviderRequest", request, relaxed=RELAXED)
    if not faults:
        faults = oauth_provider_faults(request, egress=egress, allow_private=extension.get(ALLOW_PRIVATE) is True)
    if not _in_order(reader, request, faults, path):
        return None
    document, secrets = split_oauth_provider(request)
    if extension:
        document[EXTENSION_KEY] = extension
    wanted = ProviderRequest(kind="oauth2", document=document, secrets=secrets, tags=request.get(TAGS, {}))
    return ProviderDeclaration(request=wanted, path=path)


def read_api_key_provider(reader: Reader, entry: Mapping[str, Any], path: str) -> ProviderDeclaration | None:
    """Read one API key provider; None when something of it is wrong."""
    if EXTENSION_KEY in entry:
        reader.fault(f"{path}.{EXTENSION_KEY}", "has no member for API keys; leave it out")
    document = {name: value for name, value in entry.items() if name not in _OURS}
    request = _with_secret(reader, entry, document, API_KEY, path)
    faults = check_shape("CreateApiKeyCredentialProviderRequest", request, relaxed=RELAXED)
    if not faults:
        faults = api_key_provider_faults(request)
    if not _in_order(reader, request, faults, path):
        return None
    document, secrets = split_api_key_provider(request)
    wanted = ProviderRequest(kind="api_key", document=document, secrets=secrets, tags=request.get(TAGS, {}))
    return ProviderDeclaration(request=wanted, path=path)


def read_identity(reader: Reader, entry: Mapping[str, Any], path: str) -> IdentityDeclaration | None:
    """Read one workload identity; None when something of it is wrong."""
    faults = check_shape("CreateWorkloadIdentityRequest", entry, relaxed=RELAXED)
    if not faults:
        faults = identity_faults(entry)
    if not _in_order(reader, entry, faults, path):
        return None
    document = {name: value for name, value in entry.items() if name != TAGS}
    return IdentityDeclaration(document=document, tags=entry.get(TAGS, {}), path=path)


def secret_member(entry: Mapping[str, Any]) -> str:
    """Return the member of ``oauth2ProviderConfigInput`` that the entry's vendor has; empty for no known vendor."""
    name: object = entry.get("credentialProviderVendor")
    vendor = VENDORS.get(name) if isinstance(name, str) else None
    return "" if vendor is None else vendor.member


def _in_order(reader: Reader, request: Mapping[str, Any], faults: list[Fault], path: str) -> bool:
    tags: object = request.get(TAGS)
    if isinstance(tags, dict):
        faults = faults + tag_faults(cast("dict[str, object]", tags))
    reader.faults += [Fault(path=member_path(path, fault.path), message=fault.message) for fault in faults]
    return not faults


def _with_secret(
    reader: Reader, entry: Mapping[str, Any], config: Mapping[str, Any], member: str, path: str
) -> dict[str, Any]:
    """Put the secret where AWS has it; exactly one of the ways to give it must be taken."""
    given = [name for name in (PLAIN, FILE) if name in entry] + [member] * (member in config)
    if len(given) != 1:
        reader.fault(path, f"needs exactly one of {PLAIN}, {FILE}, {member}")
        return dict(config)
    if given == [member]:
        return dict(config)
    value: object = entry[given[0]]
    if not isinstance(value, str) or not value:
        reader.fault(f"{path}.{given[0]}", "must be text that is not empty (quote what YAML reads as a number)")
        return dict(config)
    text = value if given == [PLAIN] else reader.file_text(value, f"{path}.{FILE}")
    return dict(config) if text is None else {**config, member: text.rstrip("\r\n")}


def _extension(reader: Reader, entry: Mapping[str, Any], path: str) -> dict[str, Any]:
    extension: object = entry.get(EXTENSION_KEY, {})
    where = f"{path}.{EXTENSION_KEY}"
    if not isinstance(extension, dict):
        reader.fault(where, "must be an object")
        return {}
    known = cast("dict[str, Any]", extension)
    for name, value in known.items():
        if name != ALLOW_PRIVATE:
            reader.fault(f"{where}.{name}", f"is not known here; known are: {ALLOW_PRIVATE}")
        elif not isinstance(value, bool):
            reader.fault(f"{where}.{name}", "must be true or false")
    return known
