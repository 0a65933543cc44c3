"""The authorization request that we send a person to a provider with, and the way out there. Pure."""

from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

from portico.oauth.connector_settings import ConnectorSettings
from portico.oauth.provider_adapters import Adapter
from portico.oauth.provider_metadata import ProviderMetadata
from portico.oauth.scope import OFFLINE_ACCESS
from portico.oauth.upstream import ProviderRequest


def authorization_url(
    adapter: Adapter,
    settings: ConnectorSettings,
    metadata: ProviderMetadata,
    asked: ProviderRequest,
    *,
    redirect_uri: str,
) -> str:
    """Return the URL for the person's browser (RFC 6749 section 4.1.1, OpenID Connect Core section 3.1.2.1).

    PKCE is our own and S256 whatever the provider advertises: one that knows none ignores it.
    """
    scopes = asked_scopes(adapter, settings, metadata, asked.scopes, offline=asked.offline)
    parameters = {
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": asked.state,
    }
    if adapter.metadata is None:
        parameters["nonce"] = asked.nonce
    if settings.pkce is not False:
        parameters |= {"code_challenge": asked.code_challenge, "code_challenge_method": "S256"}
    parameters |= told_resource(adapter, settings, asked.resource)
    if asked.offline and adapter.offline == "access_type":
        parameters["access_type"] = "offline"
    prompt = _prompt(adapter, settings, asked, scopes)
    if prompt:
        parameters["prompt"] = prompt
    return with_query(metadata.authorization_endpoint, parameters)


def asked_scopes(
    adapter: Adapter,
    settings: ConnectorSettings,
    metadata: ProviderMetadata,
    ours: Sequence[str],
    *,
    offline: bool,
) -> tuple[str, ...]:
    """Return the provider's scopes for some of ours. What the map does not name stays with us."""
    openid = ("openid",) if adapter.metadata is None else ()
    mapped = [theirs for scope in ours for theirs in settings.scope_map.get(scope, ())]
    # A provider that lists its scopes without this one refuses it or does without it.
    unknown = bool(metadata.scopes) and OFFLINE_ACCESS not in metadata.scopes
    more = (OFFLINE_ACCESS,) if offline and adapter.offline == "scope" and not unknown else ()
    return tuple(dict.fromkeys((*openid, *(settings.scopes or adapter.scopes), *mapped, *more)))


def told_resource(adapter: Adapter, settings: ConnectorSettings, resource: str) -> dict[str, str]:
    """Return the parameter that names the resource to this provider, if it is told at all."""
    forward = adapter.forward_resource if settings.forward_resource is None else settings.forward_resource
    value = settings.audience or (resource if forward else "")
    return {settings.resource_parameter or adapter.resource_parameter: value} if value else {}


def logout_url(adapter: Adapter, settings: ConnectorSettings, metadata: ProviderMetadata, *, after: str) -> str:
    """Return where a browser logs out, empty where that needs an ID token or does not exist."""
    match adapter.logout:
        case "none":
            return ""
        case "cognito":  # beside the other endpoints of the pool's domain, whether it is advertised or not
            parts = urlsplit(metadata.authorization_endpoint)
            endpoint = f"{parts.scheme}://{parts.netloc}/logout"
            return with_query(endpoint, {"client_id": settings.client_id, "logout_uri": after})
        case "oidc":  # OpenID Connect RP-Initiated Logout 1.0 section 2
            if not metadata.end_session_endpoint:
                return ""
            parameters = {"client_id": settings.client_id, "post_logout_redirect_uri": after}
            return with_query(metadata.end_session_endpoint, parameters)


def with_query(endpoint: str, parameters: dict[str, str]) -> str:
    """Append parameters; a query that the endpoint has stays (RFC 6749 section 3.1)."""
    return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(parameters)}"


def _prompt(adapter: Adapter, settings: ConnectorSettings, asked: ProviderRequest, scopes: Sequence[str]) -> str:
    offline = OFFLINE_ACCESS in scopes or (asked.offline and adapter.offline == "access_type")
    wanted = [
        *(["login"] if asked.login else []),
        *settings.prompt.split(),
        *(["consent"] if offline and adapter.offline_consent else []),  # OpenID Connect Core section 11
    ]
    most = {"all": len(wanted), "one": 1, "none": 0}[adapter.prompts]
    return " ".join(tuple(dict.fromkeys(wanted))[:most])
