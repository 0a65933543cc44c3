"""Answers of an AgentCore API as documents that can be created again, and what of ours such an API can hold. Pure.

What the API answers (Get...) is not what it takes (Create...): members are renamed, computed, or not told at all.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, cast

from portico.control import not_built
from portico.control.arns import parse_arn
from portico.control.documents import EXTENSION_KEY
from portico.control.not_built import lookup
from portico.control.outbound import MEMBER as CREDENTIALS
from portico.control.outbound import provider_of
from portico.control.provider_documents import SECRET
from portico.control.relaxations import split_url
from portico.control.shapes import check_shape, load_shapes
from portico.identity.providers import CONFIG_KEY
from portico.model.errors import Fault
from portico.oauth.vendors import CUSTOM, DEFAULT_TENANT, MICROSOFT, VENDORS, Vendor
from portico.storage.credential_providers import ProviderKind

TAGS: Final = "tags"
ROLE: Final = "roleArn"
OUTPUT_KEY: Final = "oauth2ProviderConfigOutput"

#: Members of a gateway whose loss protects nobody less. Without any other that is not built the gateway stays there.
DROPPABLE: Final = frozenset({"kmsKeyArn", "domainOverride", "protocolConfiguration.mcp.searchType"})
#: Members that only UpdateGateway takes, and one that it answers with.
_BESIDE_CREATE: Final = ("customTransformConfiguration", "wafConfiguration", "webAclArn")
_RESERVED_TAGS: Final = ("aws:", "portico:")
_SOURCES: Final = ("clientSecretSource", "apiKeySecretSource")
_TENANT = re.compile(r"https://login\.microsoftonline\.com/([^/?#]+)/")

_Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsProvider:
    """A credential provider of the other side; its secret is never told."""

    kind: ProviderKind
    arn: str
    document: _Document

    @property
    def name(self) -> str:
        """Its name."""
        return self.document["name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsIdentity:
    """A workload identity of the other side."""

    arn: str
    document: _Document


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsTarget:
    """A target of the other side."""

    id: str
    document: _Document


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsGateway:
    """A gateway of the other side."""

    id: str
    arn: str
    document: _Document
    targets: tuple[AwsTarget, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsState:
    """What an AgentCore endpoint holds of what can be moved."""

    providers: tuple[AwsProvider, ...] = ()
    identities: tuple[AwsIdentity, ...] = ()  #: without those of gateways
    gateways: tuple[AwsGateway, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = field(default=())  #: name and vendor of OAuth providers of unknown kind


def gateway_document(output: _Document, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the CreateGateway document of a GetGateway answer."""
    names = [*_members("CreateGatewayRequest"), *_BESIDE_CREATE]
    return _picked(output, names) | _tags(tags)


def target_document(output: _Document) -> dict[str, Any]:
    """Return the CreateGatewayTarget document of a GetGatewayTarget answer."""
    return _picked(output, _members("CreateGatewayTargetRequest"))


def identity_document(output: _Document, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the CreateWorkloadIdentity document of a GetWorkloadIdentity answer."""
    return _picked(output, _members("CreateWorkloadIdentityRequest")) | _tags(tags)


def api_key_document(output: _Document, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the CreateApiKeyCredentialProvider document of a Get... answer, without the key."""
    return {"name": output["name"]} | _tags(tags)


def oauth_document(output: _Document, tags: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the CreateOauth2CredentialProvider document of a Get... answer, without the secret; None if unknown."""
    vendor = VENDORS.get(output["credentialProviderVendor"])
    answered = None if vendor is None else output[OUTPUT_KEY].get(vendor.member)
    if vendor is None or answered is None:
        return None
    config = {CONFIG_KEY: {vendor.member: _configuration(vendor, answered)}}
    return _picked(output, ("name", "credentialProviderVendor")) | config | _tags(tags)


def _configuration(vendor: Vendor, answered: _Document) -> dict[str, Any]:
    config = {name: value for name, value in answered.items() if name != "oauthDiscovery" and value}
    if vendor.name == CUSTOM:
        return {"oauthDiscovery": answered["oauthDiscovery"], **config}
    metadata: _Document = answered["oauthDiscovery"].get("authorizationServerMetadata", {})
    if vendor.name == MICROSOFT:
        found = _TENANT.match(metadata.get("issuer") or answered["oauthDiscovery"].get("discoveryUrl", ""))
        return config | ({"tenantId": found[1]} if found and found[1] != DEFAULT_TENANT else {})
    usual = vendor.endpoints
    for index, name in enumerate(("issuer", "authorizationEndpoint", "tokenEndpoint")):
        if name in metadata and (usual is None or metadata[name] != usual[index]):
            config[name] = metadata[name]
    return config


def movable(document: _Document) -> dict[str, Any]:
    """Return one of our documents as both sides would write it: without ``x-portico`` and what goes without saying."""
    copied = deepcopy(dict(document))
    copied.pop(EXTENSION_KEY, None)
    if not copied.get(CREDENTIALS, True):
        del copied[CREDENTIALS]
    if not copied.get(TAGS, True):
        del copied[TAGS]
    configs: dict[str, dict[str, Any]] = copied.get(CONFIG_KEY, {})
    inner = next(iter(configs.values()), dict[str, Any]())
    for holder in (copied, inner):
        for name in _SOURCES:
            if holder.get(name) == "MANAGED":
                del holder[name]
    vendor = VENDORS.get(copied.get("credentialProviderVendor", ""))
    if vendor is not None and vendor.endpoints is not None and vendor.name not in {CUSTOM, MICROSOFT}:
        for index, name in enumerate(("issuer", "authorizationEndpoint", "tokenEndpoint")):
            if inner.get(name) == vendor.endpoints[index]:
                del inner[name]
    if inner.get("tenantId") == DEFAULT_TENANT:
        del inner["tenantId"]
    return copied


def with_secret(document: _Document, secret: str) -> dict[str, Any]:
    """Put an OAuth provider's secret where AWS has it."""
    [(member, config)] = document[CONFIG_KEY].items()
    return {**document, CONFIG_KEY: {member: {**config, SECRET: secret}}}


def with_provider(document: _Document, arn_of: Callable[[ProviderKind, str], str | None]) -> dict[str, Any] | None:
    """Return a target's document with the ARN that its credential provider has elsewhere; None if it is not there."""
    entries: list[dict[str, Any]] = deepcopy(list(document.get(CREDENTIALS, ())))
    for entry in entries:
        for settings in entry.get("credentialProvider", {}).values():
            arn = parse_arn(settings.get("providerArn", ""))
            kind: ProviderKind = "api_key" if arn is not None and arn.kind == "api-key-provider" else "oauth2"
            there = None if arn is None else arn_of(kind, arn.name)
            if there is None:
                return None
            settings["providerArn"] = there
    return dict(document) | ({CREDENTIALS: entries} if entries else {})


def provider_name(document: _Document) -> str:
    """Return the name of the provider that a target uses, for sentences."""
    found = provider_of(document)
    return "" if found is None else found[1]


def built_here(document: _Document) -> tuple[dict[str, Any], list[str], list[Fault]]:
    """Part a gateway's document: what can stay, the members that can be dropped, and why it cannot come at all."""
    faults = not_built.gateway_faults(document, "")
    dropped = [fault.path for fault in faults if fault.path in DROPPABLE]
    refused = [fault for fault in faults if fault.path not in DROPPABLE]
    kept: dict[str, Any] = deepcopy(dict(document))
    if kept.pop("webAclArn", None) is not None:
        refused.append(Fault(path="webAclArn", message="is not built yet"))
    for path in dropped:
        _drop(kept, path.split("."))
    return kept, dropped, refused


def refused_there(operation: str, document: _Document) -> list[Fault]:
    """Return for what AWS would refuse one of our documents: it takes no plain http."""
    request = {**document, "gatewayIdentifier": "any-0123456789"} if operation == "CreateGatewayTarget" else document
    faults = check_shape(f"{operation}Request", request)
    known = {fault.path for fault in faults}
    message = "AWS takes https alone"
    return faults + [Fault(path=path, message=message) for path in _plain_urls(document, "") if path not in known]


def _plain_urls(value: Any, path: str) -> Iterator[str]:
    match value:
        case str():
            parts = split_url(value) if value.startswith("http://") else None
            if parts is not None and path.rpartition(".")[2] in _URLS:
                yield path
        case Mapping():
            for name, entry in cast("Mapping[str, Any]", value).items():
                yield from _plain_urls(entry, f"{path}.{name}" if path else name)
        case _:
            return


#: Members that hold an URL which the other side itself calls.
_URLS: Final = frozenset({"discoveryUrl", "endpoint", "issuer", "authorizationEndpoint", "tokenEndpoint"})


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Leave out what a service sets by itself."""
    return {key: value for key, value in tags.items() if not key.lower().startswith(_RESERVED_TAGS)}


def _tags(tags: Mapping[str, str]) -> dict[str, Any]:
    own = own_tags(tags)
    return {TAGS: own} if own else {}


def _members(shape: str) -> list[str]:
    return [name for name in load_shapes()[shape]["members"] if name not in {"clientToken", "gatewayIdentifier", TAGS}]


def _picked(output: _Document, names: "list[str] | tuple[str, ...]") -> dict[str, Any]:
    """Take members; one that is empty says nothing."""
    return {name: output[name] for name in names if output.get(name) not in (None, "", [], {})}


def _drop(document: dict[str, Any], path: list[str]) -> None:
    """Take a member out, and objects that are empty without it."""
    inner: object = document.get(path[0])
    if len(path) > 1 and isinstance(inner, dict):
        _drop(cast("dict[str, Any]", inner), path[1:])
    if len(path) == 1 or not lookup(document, path[0]):
        document.pop(path[0], None)
