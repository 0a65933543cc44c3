"""Credential providers as values: rows with their secrets opened. Pure.

A document is the request by which the provider was made, without its secrets (the API checked it when it was saved),
and our ``x-portico`` beside AWS's members.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from portico.model.secret import Secret
from portico.oauth.vendors import DEFAULT_TENANT, TENANT, VENDORS, Authentication, Endpoints

EXTENSION_KEY: Final = "x-portico"
CONFIG_KEY: Final = "oauth2ProviderConfigInput"
#: Of AWS's client authentication methods those that are built.
AUTHENTICATION: Final[Mapping[str, Authentication]] = {
    "CLIENT_SECRET_BASIC": "client_secret_basic",
    "CLIENT_SECRET_POST": "client_secret_post",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthProvider:
    """Where tokens come from, and as whom they are asked for."""

    name: str
    version: str  #: another one after every change
    client_id: str
    client_secret: Secret
    token_endpoint: str = ""  #: empty: the metadata at ``discovery_url`` names it
    discovery_url: str = ""
    authentication: Authentication | None = None  #: None: as the metadata says
    allow_private: bool = False  #: it may be at a private or loopback address


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyProvider:
    """An API key."""

    name: str
    version: str
    api_key: Secret


def parse_oauth_provider(
    name: str, version: str, document: Mapping[str, Any], secrets: Mapping[str, Secret]
) -> OAuthProvider:
    """Compile a provider's row."""
    vendor = VENDORS[document["credentialProviderVendor"]]
    config: dict[str, Any] = document[CONFIG_KEY][vendor.member]
    discovery: dict[str, Any] = config.get("oauthDiscovery", {})
    endpoints = endpoints_of(document)
    return OAuthProvider(
        name=name,
        version=version,
        client_id=config["clientId"],
        client_secret=secrets["clientSecret"],
        token_endpoint="" if endpoints is None else endpoints.token_endpoint,
        discovery_url=discovery.get("discoveryUrl", ""),
        authentication=vendor.authentication if not discovery else _custom_authentication(config, discovery),
        allow_private=bool(document.get(EXTENSION_KEY, {}).get("allowPrivateAddresses")),
    )


def endpoints_of(document: Mapping[str, Any]) -> Endpoints | None:
    """Return where a provider's server is: what its document gives, else the vendor's; None when it is discovered."""
    vendor = VENDORS[document["credentialProviderVendor"]]
    config: dict[str, Any] = document[CONFIG_KEY][vendor.member]
    given: dict[str, Any] = config
    if "oauthDiscovery" in config:
        if "discoveryUrl" in config["oauthDiscovery"]:
            return None
        given = config["oauthDiscovery"]["authorizationServerMetadata"]
    usual = vendor.endpoints or Endpoints("", "", "")
    tenant = config.get("tenantId", DEFAULT_TENANT)
    return Endpoints(
        given.get("issuer") or usual.issuer.replace(TENANT, tenant),
        given.get("authorizationEndpoint") or usual.authorization_endpoint.replace(TENANT, tenant),
        given.get("tokenEndpoint") or usual.token_endpoint.replace(TENANT, tenant),
    )


def _custom_authentication(config: Mapping[str, Any], discovery: Mapping[str, Any]) -> Authentication | None:
    method = config.get("clientAuthenticationMethod")
    if method is not None:
        return AUTHENTICATION[method]
    metadata: dict[str, Any] | None = discovery.get("authorizationServerMetadata")
    return None if metadata is None else preferred(metadata.get("tokenEndpointAuthMethods"))


def preferred(supported: object) -> Authentication:
    """Return how a client with a secret proves itself at a server that supports these methods.

    Basic when nothing is said (RFC 8414 section 2) or when both are possible (RFC 6749 section 2.3.1).
    """
    if isinstance(supported, list) and "client_secret_basic" not in supported and "client_secret_post" in supported:
        return "client_secret_post"
    return "client_secret_basic"
