"""What the vendors of identity providers do differently: one table, one row for each. Pure.

A row is chosen by the connector's ``type``; for ``oidc`` it is recognised by the discovery URL. What a connector's
settings say goes before its row.
"""

from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from portico.oauth.connector_settings import ConnectorSettings, ConnectorType
from portico.oauth.provider_metadata import ProviderMetadata

#: How a refresh token is asked for: by the scope of OpenID Connect Core section 11, by Google's parameter, or not at
#: all because it comes by itself (Cognito) or never (GitHub).
Offline = Literal["scope", "access_type", "none"]
#: Where a browser logs out: RP-initiated Logout 1.0, Cognito's own form, or nowhere without an ID token to show.
Logout = Literal["oidc", "cognito", "none"]

TENANT_TEMPLATE: Final = "{tenantid}"  #: in Entra's issuer for several tenants; the token's ``tid`` belongs there


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """One vendor."""

    type: ConnectorType
    discovery_url: str = ""  #: where every customer has the same
    metadata: ProviderMetadata | None = None  #: of a provider without discovery and without ID tokens
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    offline: Offline = "scope"
    offline_consent: bool = True  #: whether offline access needs ``prompt=consent``
    prompts: Literal["all", "one", "none"] = "all"  #: how many values ``prompt`` may have
    scopes_at_refresh: bool = False  #: whether a refresh without ``scope`` could be for another resource
    forward_resource: bool = False
    resource_parameter: str = "resource"
    token_auth: Literal["basic", "post"] | None = None  #: None: as the metadata say, else basic
    secret_required: bool = False
    subject_claim: str = "sub"
    name_claim: str = "name"
    email_claim: str = "email"
    verified_claim: str = "email_verified"  #: says whether the e-mail address is this person's
    domain_claim: str = ""  #: says whose account it is where an address does not
    issuer_aliases: tuple[str, ...] = ()  #: what ``iss`` may also be, in ID tokens only
    userinfo: bool = True  #: whether the login's own access token opens it
    logout: Logout = "oidc"
    ends_all: bool = False  #: whether revoking one token ends every login of the person at this client
    anyone: str = ""  #: why everybody may have an account there; empty: accounts are given by somebody


_GENERIC: Final = Adapter(type="oidc")
#: Vendors by how a host name begins and ends.
_HOSTS: Final[tuple[tuple[ConnectorType, str, tuple[str, ...]], ...]] = (
    ("cognito", "cognito-idp.", (".amazonaws.com", ".amazonaws.com.cn")),
    ("entra", "login.", (".microsoftonline.com", ".microsoftonline.us", ".partner.microsoftonline.cn")),
    ("entra", "sts.windows.net", ("sts.windows.net",)),
    ("entra", "", (".ciamlogin.com",)),
    ("okta", "", (".okta.com", ".oktapreview.com", ".okta-emea.com", ".okta-gov.com")),
    ("auth0", "", (".auth0.com",)),
    ("google", "accounts.google.com", ("accounts.google.com",)),
)
_TENANTS_OF_MANY: Final = frozenset({"common", "organizations", "consumers"})

_ROWS: Final = (
    _GENERIC,
    Adapter(
        # No offline_access: it is refused as an unknown scope, and refresh tokens come without. S256 works and is not
        # advertised (developer guide, "The redirect and authorization endpoint"). Logout: "Logout endpoint".
        type="cognito",
        scopes=("openid", "email", "profile"),
        offline="none",
        prompts="one",
        logout="cognito",
    ),
    Adapter(
        # `resource` is refused (AADSTS9010010): scopes name it (api://.../x). `sub` differs per application, `oid`
        # within `tid` does not; an address is nobody's proof without xms_edov (optional claims reference). Its
        # userinfo is Microsoft Graph's and takes no other resource's token. prompt=consent would ask administrators
        # each time, and offline_access does without.
        type="entra",
        offline_consent=False,
        prompts="one",
        scopes_at_refresh=True,
        token_auth="post",  # noqa: S106 - a method's name
        subject_claim="oid+tid",
        verified_claim="xms_edov",
        userinfo=False,
    ),
    # Its logout demands `id_token_hint`, and ID tokens are not kept (docs/providers.md).
    Adapter(type="okta", logout="none"),
    # An API is chosen by `audience`; without one the access token is opaque and good for userinfo only.
    Adapter(type="auth0", resource_parameter="audience", forward_resource=True),
    # It knows no RFC 8707: audiences come from its client scopes. Its revocation endpoint takes away the person's
    # consent, sessions and offline tokens of the client (TokenRevocationEndpoint).
    Adapter(type="keycloak", ends_all=True),
    Adapter(
        # Refresh tokens: access_type=offline, and only with prompt=consent each time. `iss` may lack its scheme
        # ("OpenID Connect", validating an ID token). Whose account it is says `hd`: a personal account may have an
        # address of a company's domain. What is revoked is what the account allows the client, whichever token names
        # it ("Using OAuth 2.0 for Web Server Applications", revoking a token). It has no end_session endpoint.
        type="google",
        discovery_url="https://accounts.google.com/.well-known/openid-configuration",
        offline="access_type",
        token_auth="post",  # noqa: S106 - a method's name
        secret_required=True,
        domain_claim="hd",
        issuer_aliases=("accounts.google.com",),
        logout="none",
        ends_all=True,
        anyone="everybody can have a Google account",
    ),
    Adapter(
        # OAuth without OpenID Connect ("Authorizing OAuth apps"): no discovery, no ID token, errors with HTTP 200.
        type="github",
        metadata=ProviderMetadata(
            issuer="https://github.com/login/oauth",
            authorization_endpoint="https://github.com/login/oauth/authorize",
            token_endpoint="https://github.com/login/oauth/access_token",  # noqa: S106 - a URL
            userinfo_endpoint="https://api.github.com/user",
            emails_endpoint="https://api.github.com/user/emails",
        ),
        scopes=("read:user", "user:email"),
        offline="none",
        prompts="none",
        token_auth="post",  # noqa: S106 - a method's name
        secret_required=True,
        subject_claim="id",
        logout="none",
        anyone="everybody can have a GitHub account",
    ),
)
_BY_TYPE: Final = {row.type: row for row in _ROWS}


def adapter_of(settings: ConnectorSettings) -> Adapter:
    """Return the row for a connector that is not ``local``."""
    kind = recognise(settings.discovery_url) if settings.type == "oidc" else settings.type
    return _BY_TYPE[kind]


def recognise(discovery_url: str) -> ConnectorType:
    """Return whose discovery URL it is, ``oidc`` for nobody's in particular."""
    try:
        parts = urlsplit(discovery_url)
        host = parts.hostname or ""
    except ValueError:
        return "oidc"
    for kind, prefix, suffixes in _HOSTS:
        if host.startswith(prefix) and host.endswith(suffixes):
            return kind
    return "keycloak" if "/realms/" in parts.path else "oidc"


def why_anyone(settings: ConnectorSettings) -> str:
    """Return why everybody may have an account at this provider, empty when somebody gives them out.

    Whatever the type is called: what lies behind the URL counts too.
    """
    recognised = _BY_TYPE[recognise(settings.discovery_url)]
    if many_tenants(settings.discovery_url):
        return "every organisation's and every personal Microsoft account is let in"
    return adapter_of(settings).anyone or recognised.anyone


def many_tenants(discovery_url: str) -> bool:
    """Tell whether it is Entra's server for accounts of more than one tenant."""
    if recognise(discovery_url) != "entra":
        return False
    return urlsplit(discovery_url).path.strip("/").partition("/")[0].lower() in _TENANTS_OF_MANY
