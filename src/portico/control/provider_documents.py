"""Whether a credential provider's request may be saved, and its parting into a document and its secrets. Pure.

The service model was checked before. Here stand the rules that it cannot express: which member belongs to which
vendor, what is not built, and that every URL may be called.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from portico.control.not_built import lookup
from portico.identity.providers import AUTHENTICATION, CONFIG_KEY, EXTENSION_KEY, endpoints_of
from portico.model.errors import EgressDenied, Fault
from portico.model.secret import Secret
from portico.net.egress import Egress
from portico.oauth.discovery import DiscoveryFault, issuers_of
from portico.oauth.vendors import CUSTOM, MICROSOFT, VENDORS, Endpoints, Vendor

SECRET: Final = "clientSecret"  # noqa: S105 - the member's name
API_KEY: Final = "apiKey"
_BESIDE: Final = frozenset({"tags"})  # what of a request is kept elsewhere

_NOT_BUILT: Final[Mapping[str, str]] = {
    "clientSecretConfig": f"secrets in AWS Secrets Manager are not read; give {SECRET}, which is sealed here",
    "onBehalfOfTokenExchangeConfig": "token exchange is not built yet",
    "privateKeyJwtConfig": "private_key_jwt is not built yet; give a client secret",
    "privateEndpoint": f"is not built yet; a private address needs {EXTENSION_KEY}.allowPrivateAddresses",
    "privateEndpointOverrides": "is not built yet",
    "certificateConfigurations": "is not built yet; providers are reached with the system's CAs",
}
_EXTERNAL: Final = "EXTERNAL is not built: secrets in AWS Secrets Manager are not read; leave it out or write MANAGED"
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,255}\Z")
_SENDABLE = re.compile(r"[!-~]([ -~]*[!-~])?\Z")  # stands in a header as it is (CWE-113)
_ENDPOINTS: Final = ("issuer", "authorizationEndpoint", "tokenEndpoint")
_METADATA: Final = "oauthDiscovery.authorizationServerMetadata"

_Document = Mapping[str, Any]


def oauth_provider_faults(request: _Document, *, egress: Egress, allow_private: bool) -> list[Fault]:
    """Return everything for which the request of an OAuth provider is refused; its secret may be missing."""
    vendor = VENDORS[request["credentialProviderVendor"]]
    given: _Document = request[CONFIG_KEY]
    if vendor.member not in given:
        message = f"must be {vendor.member} for the vendor {vendor.name}, not {next(iter(given))}"
        return [Fault(path=CONFIG_KEY, message=message)]
    config: _Document = given[vendor.member]
    path = f"{CONFIG_KEY}.{vendor.member}"
    faults = [*_unbuilt(config), *_client_faults(config, vendor), *_discovery_faults(config, egress, allow_private)]
    if vendor.name != CUSTOM:
        faults += _endpoint_faults(request, config, vendor, egress, allow_private)
    return [Fault(path=f"{path}.{fault.path}", message=fault.message) for fault in faults]


def api_key_provider_faults(request: _Document) -> list[Fault]:
    """Return everything for which the request of an API key provider is refused; its key may be missing."""
    faults: list[Fault] = []
    if request.get("apiKeySecretSource") == "EXTERNAL":
        faults.append(Fault(path="apiKeySecretSource", message=_EXTERNAL))
    if "apiKeySecretConfig" in request:
        message = "secrets in AWS Secrets Manager are not read; give apiKey, which is sealed here"
        faults.append(Fault(path="apiKeySecretConfig", message=message))
    if API_KEY in request and _SENDABLE.match(request[API_KEY]) is None:
        message = "must be visible ASCII, without line breaks and without spaces at its ends"
        faults.append(Fault(path=API_KEY, message=message))
    return faults


def split_oauth_provider(request: _Document) -> tuple[dict[str, Any], dict[str, Secret]]:
    """Part the request of an OAuth provider into its document and its secret, if it has one."""
    member = VENDORS[request["credentialProviderVendor"]].member
    config = dict(request[CONFIG_KEY][member])
    secret: str | None = config.pop(SECRET, None)
    document = {name: value for name, value in request.items() if name not in _BESIDE}
    document[CONFIG_KEY] = {member: config}
    return document, {SECRET: Secret(secret)} if secret else {}


def split_api_key_provider(request: _Document) -> tuple[dict[str, Any], dict[str, Secret]]:
    """Part the request of an API key provider into its document and its key, if it has one."""
    document = {name: value for name, value in request.items() if name not in {*_BESIDE, API_KEY}}
    key: str | None = request.get(API_KEY)
    return document, {API_KEY: Secret(key)} if key else {}


def server_of(document: _Document) -> tuple[str, object, object]:
    """Return to whom a provider's secret goes: vendor, client and endpoints."""
    vendor = VENDORS[document["credentialProviderVendor"]]
    config: _Document = document[CONFIG_KEY][vendor.member]
    where = lookup(config, "oauthDiscovery.discoveryUrl") or endpoints_of(document)
    return vendor.name, config.get("clientId"), where


def _unbuilt(config: _Document) -> Iterator[Fault]:
    for name, message in _NOT_BUILT.items():
        if name in config:
            yield Fault(path=name, message=message)
    if config.get("clientSecretSource") == "EXTERNAL":
        yield Fault(path="clientSecretSource", message=_EXTERNAL)
    method = config.get("clientAuthenticationMethod", "CLIENT_SECRET_BASIC")
    if method not in AUTHENTICATION:
        message = f"{method} is not built yet; built are {' and '.join(AUTHENTICATION)}"
        yield Fault(path="clientAuthenticationMethod", message=message)


def _client_faults(config: _Document, vendor: Vendor) -> Iterator[Fault]:
    if not config.get("clientId"):
        yield Fault(path="clientId", message="is required: a client without an id proves nothing")
    tenant = config.get("tenantId")
    if vendor.name == MICROSOFT and tenant is not None and _TENANT.match(tenant) is None:
        yield Fault(path="tenantId", message="must be the directory's id or domain")
    metadata = lookup(config, _METADATA)
    methods = isinstance(metadata, Mapping) and "tokenEndpointAuthMethods" in metadata
    if methods and "clientAuthenticationMethod" in config:  # guide, client-auth-methods
        message = "says the same as clientAuthenticationMethod; leave it out"
        yield Fault(path=f"{_METADATA}.tokenEndpointAuthMethods", message=message)


def _discovery_faults(config: _Document, egress: Egress, allow_private: bool) -> Iterator[Fault]:  # noqa: FBT001 - internal
    url = lookup(config, "oauthDiscovery.discoveryUrl")
    if isinstance(url, str):
        try:
            issuers_of(url)
        except DiscoveryFault as error:
            yield Fault(path="oauthDiscovery.discoveryUrl", message=str(error))
        yield from _url_faults(url, "oauthDiscovery.discoveryUrl", egress, allow_private)
    found = lookup(config, _METADATA)
    if not isinstance(found, Mapping):
        return
    metadata = cast("_Document", found)
    for name in _ENDPOINTS:
        yield from _url_faults(metadata.get(name), f"{_METADATA}.{name}", egress, allow_private)
    if "code" not in metadata.get("responseTypes", ["code"]):
        message = "must hold code: no other response type is used (OAuth 2.1)"
        yield Fault(path=f"{_METADATA}.responseTypes", message=message)


def _endpoint_faults(
    request: _Document,
    config: _Document,
    vendor: Vendor,
    egress: Egress,
    allow_private: bool,  # noqa: FBT001 - internal
) -> Iterator[Fault]:
    endpoints = endpoints_of(request) or Endpoints("", "", "")
    for name, url in zip(_ENDPOINTS, endpoints, strict=True):
        if not url:
            message = f"is required for {vendor.name}: every customer has a server of their own there"
            yield Fault(path=name, message=message)
        elif name in config:
            yield from _url_faults(url, name, egress, allow_private)


def _url_faults(url: object, path: str, egress: Egress, allow_private: bool) -> Iterator[Fault]:  # noqa: FBT001 - internal
    if not isinstance(url, str):
        return
    try:
        egress.check_url(url, allow_private=allow_private)
    except EgressDenied as error:
        yield Fault(path=path, message=error.public)
