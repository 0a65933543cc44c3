"""One exchange with a provider's token endpoint: found through its metadata where it is not given, asked, judged.

Whatever fails becomes a :class:`CredentialUnavailable` whose reason names the provider's error and what would mend it.
It quotes neither an address nor a secret: callers may see it.
"""

import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from portico.identity.providers import OAuthProvider, preferred
from portico.model.credential import ClientCredentialsUse
from portico.model.errors import CredentialUnavailable, EgressDenied, UpstreamError
from portico.model.secret import Secret
from portico.net.fetch import Fetched, Fetcher
from portico.oauth.client_credentials import Blame, IssuedToken, TokenRefused, judge_answer, token_request
from portico.oauth.discovery import DiscoveryFault, read_issuer, read_url
from portico.oauth.strict_json import parse_object
from portico.oauth.vendors import Authentication

FETCH_SECONDS: Final = 10.0  #: for each of the two documents
MAX_TOKEN_BYTES: Final = 64 * 1024  #: of a token endpoint's answer
MAX_METADATA_BYTES: Final = 256 * 1024
METADATA_SECONDS: Final = 3600.0  #: for which a server's metadata is believed
FAILED: Final = "Failed to fetch outbound oauth token"  #: how AgentCore begins such a failure

_OK: Final = 200


class GrantRefused(CredentialUnavailable):
    """The provider says ``invalid_grant``: what it gave before is void too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Endpoint:
    url: str
    authentication: Authentication
    found_at: float


class TokenEndpoints:
    """Asks providers for tokens. Keeps where their endpoints are, and nothing else."""

    def __init__(self, fetcher: Fetcher, *, clock: Callable[[], float] = time.time) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._found: dict[str, _Endpoint] = {}  # by the provider's version

    def keep_only(self, versions: AbstractSet[str]) -> None:
        """Forget what was found for providers that were changed."""
        self._found = {version: found for version, found in self._found.items() if version in versions}

    async def fetch(self, provider: OAuthProvider, use: ClientCredentialsUse) -> IssuedToken:
        """Fetch a token for the client itself.

        Raises:
            GrantRefused: the provider answers ``invalid_grant``.
            CredentialUnavailable: there is no token, for any other reason.
        """
        try:
            endpoint = await self._endpoint(provider)
            answer = await self._post(provider, use, endpoint)
        except UpstreamError as error:
            raise CredentialUnavailable(_network_reason(error, provider), detail=error.detail) from error
        except DiscoveryFault as error:
            raise CredentialUnavailable(_reason(str(error), "endpoint", provider, use)) from error
        try:
            return judge_answer(answer.status, answer.headers.get("content-type", ""), answer.body)
        except TokenRefused as refusal:
            self._found.pop(provider.version, None)  # the endpoint may have moved
            kind = GrantRefused if refusal.code == "invalid_grant" else CredentialUnavailable
            words = _without(provider.client_secret, str(refusal))
            raise kind(_reason(words, refusal.blame, provider, use)) from refusal

    async def _post(self, provider: OAuthProvider, use: ClientCredentialsUse, endpoint: _Endpoint) -> Fetched:
        request = token_request(
            client_id=provider.client_id,
            client_secret=provider.client_secret,
            authentication=endpoint.authentication,
            scopes=use.scopes,
            parameters={name: value.reveal() for name, value in use.parameters},
        )
        return await self._fetcher.post_form(
            endpoint.url,
            request.form,
            headers=request.headers,
            max_bytes=MAX_TOKEN_BYTES,
            timeout=FETCH_SECONDS,
            allow_private=provider.allow_private,
        )

    async def _endpoint(self, provider: OAuthProvider) -> _Endpoint:
        """Return where and how to ask.

        Raises:
            UpstreamError: the metadata cannot be had.
            DiscoveryFault: it cannot be used.
        """
        now = self._clock()
        if provider.token_endpoint:
            authentication = provider.authentication or "client_secret_basic"
            return _Endpoint(url=provider.token_endpoint, authentication=authentication, found_at=now)
        found = self._found.get(provider.version)
        if found is None or now >= found.found_at + METADATA_SECONDS:
            found = self._found[provider.version] = await self._discover(provider, now)
        return found

    async def _discover(self, provider: OAuthProvider, now: float) -> _Endpoint:
        url = provider.discovery_url
        answer = await self._fetcher.get(
            url, max_bytes=MAX_METADATA_BYTES, timeout=FETCH_SECONDS, allow_private=provider.allow_private
        )
        if answer.status != _OK:
            raise DiscoveryFault(f"the discoveryUrl answers with HTTP {answer.status}")
        try:
            document = parse_object(answer.body)
        except ValueError as error:
            raise DiscoveryFault("the discoveryUrl answers with something else than a JSON object") from error
        read_issuer(document, url)
        supported = document.get("token_endpoint_auth_methods_supported")
        return _Endpoint(
            url=read_url(document, "token_endpoint", url),
            authentication=provider.authentication or preferred(supported),
            found_at=now,
        )


def _without(secret: Secret, words: str) -> str:
    """Return a provider's words without the secret, in case it repeats what it was sent (H10)."""
    return words.replace(secret.reveal(), str(secret)) if secret else words


def _network_reason(error: UpstreamError, provider: OAuthProvider) -> str:
    """Say what a connection failed of; nothing of it was answered by the provider."""
    advice = f"Check the endpoints of credential provider {provider.name!r}, and that their server is up."
    if isinstance(error, EgressDenied):
        advice = (
            f"Check the endpoints of credential provider {provider.name!r}; "
            "private addresses need its x-portico.allowPrivateAddresses."
        )
    return f"{FAILED}: {error.public} {advice}"


def _reason(words: str, blame: Blame, provider: OAuthProvider, use: ClientCredentialsUse) -> str:
    name = repr(provider.name)
    scopes = " ".join(use.scopes) or "none"
    match blame:
        case "client":
            advice = f"Check clientId and clientSecret of credential provider {name}, and how it authenticates."
        case "scopes":
            advice = f"Check the target's scopes ({scopes}): the provider must know them and allow them to this client."
        case "grant":
            advice = f"Allow the client of credential provider {name} the client credentials grant at its server."
        case "parameters":
            advice = f"Check the target's scopes ({scopes}) and its customParameters, such as resource or audience."
        case "endpoint":
            advice = f"Check the token endpoint or discoveryUrl of credential provider {name}."
        case "provider":
            advice = f"If it lasts, ask who runs the server of credential provider {name}."
    return f"{FAILED}: {words.rstrip('.')}. {advice}"
