"""An identity provider as the issuer uses it: one connector of one issuer, over the network.

What is judged is judged by the rules in :mod:`portico.oauth`; here is what is fetched, in which order, how long it may
take and how large it may be. Nothing is fetched before it is needed, so that Portico starts while a provider is down.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog

from portico.issuer.provider_documents import ProviderDocument, provider_fault
from portico.model.errors import UpstreamError, UpstreamUnreachable
from portico.model.oauth_errors import InvalidGrant, OAuthError, ServerError, TemporarilyUnavailable
from portico.model.secret import Secret
from portico.net.fetch import Fetched, Fetcher
from portico.oauth import upstream_authorize, upstream_callback, upstream_tokens
from portico.oauth.connector_settings import ConnectorSettings
from portico.oauth.id_token import judge_id_token, parse_id_token
from portico.oauth.jwk import VerificationKey, load_keys
from portico.oauth.jwt import UnverifiedToken
from portico.oauth.parameters import Parameters
from portico.oauth.provider_adapters import TENANT_TEMPLATE, adapter_of, many_tenants
from portico.oauth.provider_metadata import ProviderMetadata, read_provider
from portico.oauth.strict_json import parse_object
from portico.oauth.upstream import Person, ProviderLogin, ProviderRequest, ProviderTokens
from portico.oauth.upstream_person import lacks, merged_claims, person_of, primary_email

METADATA_FRESH: Final = 3600.0  #: seconds
KEYS_FRESH: Final = 600.0  #: seconds: how long a key lives on that the provider dropped in an emergency
STALE_LIMIT: Final = 24 * 3600.0  #: seconds, of both
DOCUMENT_TIMEOUT: Final = 5.0  #: seconds for metadata, keys and userinfo, each
TOKEN_TIMEOUT: Final = 10.0  #: seconds for an answer of the token endpoint
REVOKE_TIMEOUT: Final = 5.0  #: seconds
MAX_DOCUMENT_BYTES: Final = 256 * 1024  #: bytes of metadata and of keys
MAX_ANSWER_BYTES: Final = 128 * 1024  #: bytes of tokens or of userinfo

_OK: Final = 200
_NO_CONTENT: Final = 204
_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401  #: not 403, which is also GitHub's word for too many requests
_TOO_MANY: Final = 429
_SERVER_FAULTS: Final = 500

_log = structlog.stdlib.get_logger("portico.issuer")


class Provider:
    """One provider. Everything it says is judged; nothing that it says reaches a client as it stands."""

    def __init__(
        self,
        settings: ConnectorSettings,
        *,
        secret: Secret,
        fetcher: Fetcher,
        redirect_uri: str,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the connector, its secret in clear (empty: none), and our own callback's URL.

        ``clock`` judges tokens (seconds since the epoch), ``monotonic`` ages what is cached. Nothing is fetched yet.
        """
        self.settings = settings
        self.redirect_uri = redirect_uri  #: our own callback, as this provider knows it
        self._adapter = adapter_of(settings)
        self._secret = secret
        self._fetcher = fetcher
        self._clock = clock
        self._metadata = ProviderDocument(
            self._load_metadata, fresh=METADATA_FRESH, stale=STALE_LIMIT, monotonic=monotonic
        )
        self._keys = ProviderDocument(self._load_keys, fresh=KEYS_FRESH, stale=STALE_LIMIT, monotonic=monotonic)

    @property
    def verifies(self) -> bool:
        """Whether its access tokens live on, so that :meth:`verify` says whether a login still holds (GitHub)."""
        return self._adapter.metadata is not None

    @property
    def ends_all(self) -> bool:
        """Whether revoking one token of a person ends all that they have with us there."""
        return self._adapter.ends_all

    async def authorization_url(self, asked: ProviderRequest) -> str:
        """Return where the person's browser goes.

        Raises:
            TemporarilyUnavailable: the provider's metadata cannot be had.
            ServerError: they are not usable.
        """
        metadata = await self._metadata.get()
        return upstream_authorize.authorization_url(
            self._adapter, self.settings, metadata, asked, redirect_uri=self.redirect_uri
        )

    async def judge_callback(self, parameters: Parameters) -> str:
        """Return the provider's code; ``state`` was judged by the caller.

        Raises:
            Forbidden: ``iss`` is wrong, or missing although the provider sends it (RFC 9207): show a page.
            AccessDenied, ServerError, TemporarilyUnavailable: the provider's error, in our words: tell the client.
        """
        return upstream_callback.judge_callback(parameters, await self._metadata.get())

    async def exchange(self, code: str, *, verifier: str, nonce: str, resource: str = "") -> ProviderLogin:
        """Redeem a code and judge who it is; ``resource`` is the one of the authorization request.

        Raises:
            InvalidGrant: the provider says that the code is over, used or not for this verifier.
            AccessDenied: this account may not log in here.
            ServerError, TemporarilyUnavailable: the provider is at fault, or how it is set up.
        """
        if self._adapter.metadata is None:
            await self._keys.get()  # before the code is spent: without keys it would be for nothing
        form = upstream_tokens.code_request(
            self.settings, code=code, verifier=verifier, redirect_uri=self.redirect_uri, resource=self._told(resource)
        )
        answer = await self._ask_for_tokens(form)
        claims: Mapping[str, Any] = {}
        if self._adapter.metadata is None:
            claims = await self._id_claims(answer.unverified_id_token, nonce)
        person = await self._person(claims, answer.tokens.access_token)
        return ProviderLogin(person=person, tokens=answer.tokens)

    async def refresh(self, refresh_token: Secret, *, scopes: Sequence[str] = (), resource: str = "") -> ProviderTokens:
        """Return new tokens; ``scopes`` (ours) and ``resource`` are those that were granted.

        Raises:
            InvalidGrant: the provider says so: the login is over. Nothing else forgets it.
            ServerError, TemporarilyUnavailable: the provider is at fault, or how it is set up.
        """
        scope = ""
        if self._adapter.scopes_at_refresh:
            metadata = await self._metadata.get()
            asked = upstream_authorize.asked_scopes(self._adapter, self.settings, metadata, scopes, offline=True)
            scope = " ".join(asked)
        form = upstream_tokens.refresh_request(refresh_token, scope=scope, resource=self._told(resource))
        return (await self._ask_for_tokens(form, kept=refresh_token)).tokens

    async def verify(self, access_token: Secret) -> Person:
        """Ask the provider whose token this is now: for providers that give no refresh tokens (GitHub).

        Raises:
            InvalidGrant: the provider refuses the token.
            AccessDenied: this account may not log in here (any more).
            ServerError, TemporarilyUnavailable: the provider is at fault.
        """
        claims = await self._userinfo(access_token)
        return person_of(claims, self._adapter, self.settings)

    async def revoke(self, token: Secret) -> bool:
        """Revoke a refresh token where the provider can (RFC 7009): best effort, bounded, raises nothing of it.

        False: the provider could not be told, and later it may. What it answers with 400 it will always answer so.
        """
        try:
            metadata = await self._metadata.get()
            if not metadata.revocation_endpoint:
                return True
            form = {"token": token.reveal(), "token_type_hint": "refresh_token"}
            answer = await self._post(metadata.revocation_endpoint, form, metadata, REVOKE_TIMEOUT)
        except (OAuthError, UpstreamError) as error:
            reason = str(error)
        else:
            if answer.status in {_OK, _NO_CONTENT}:
                return True
            reason = f"HTTP status {answer.status}"
            if answer.status == _BAD_REQUEST:
                _log.info("provider_refused_revocation", connector=self.settings.name, detail=reason)
                return True
        _log.warning("provider_not_told", connector=self.settings.name, detail=reason)
        return False

    async def logout_url(self, *, after: str) -> str:
        """Return where a browser goes to log out at the provider and come back to ``after``; empty: nowhere."""
        try:
            metadata = await self._metadata.get()
        except OAuthError:
            return ""  # we have logged out; a provider that is down must not keep us from saying so
        return upstream_authorize.logout_url(self._adapter, self.settings, metadata, after=after)

    async def aclose(self) -> None:
        """Stop what is on its way."""
        await self._metadata.aclose()
        await self._keys.aclose()

    def _told(self, resource: str) -> dict[str, str]:
        return upstream_authorize.told_resource(self._adapter, self.settings, resource)

    async def _ask_for_tokens(
        self, form: Mapping[str, str], *, kept: Secret | None = None
    ) -> upstream_tokens.TokenAnswer:
        metadata = await self._metadata.get()
        try:
            fetched = await self._post(metadata.token_endpoint, form, metadata, TOKEN_TIMEOUT)
        except UpstreamError as error:
            raise ServerError("The identity provider gave no tokens; try again.", detail=str(error)) from error
        kind = fetched.headers.get("content-type", "")
        hidden = [self._secret.reveal(), *(form.get(name, "") for name in upstream_tokens.SECRET_PARAMETERS)]
        return upstream_tokens.judge_token_answer(fetched.status, kind, fetched.body, kept=kept, hidden=hidden)

    async def _post(self, url: str, form: Mapping[str, str], metadata: ProviderMetadata, seconds: float) -> Fetched:
        request = upstream_tokens.authenticated(form, self._adapter, self.settings, metadata, self._secret)
        return await self._fetcher.post_form(
            url,
            request.form,
            headers=request.headers,
            max_bytes=MAX_ANSWER_BYTES,
            timeout=seconds,
            allow_private=self.settings.allow_private,
        )

    async def _id_claims(self, text: str, nonce: str) -> Mapping[str, Any]:
        unverified = parse_id_token(text)
        metadata = await self._metadata.get()
        return judge_id_token(
            unverified,
            await self._key(unverified),
            adapter=self._adapter,
            issuer=metadata.issuer,
            client_id=self.settings.client_id,
            nonce=nonce,
            now=self._clock(),
        )

    async def _key(self, unverified: UnverifiedToken) -> VerificationKey | None:
        found = _find(await self._keys.get(), unverified)
        return found or _find(await self._keys.renewed(), unverified)

    async def _person(self, claims: Mapping[str, Any], access_token: Secret) -> Person:
        """Ask userinfo for what an ID token leaves open. With one, its absence costs no more than a missing name."""
        if claims and not (self._adapter.userinfo and lacks(claims, self._adapter, self.settings)):
            return person_of(claims, self._adapter, self.settings)
        more: Mapping[str, Any] = {}
        try:
            more = await self._userinfo(access_token)
        except OAuthError as error:
            if not claims or (isinstance(error, TemporarilyUnavailable) and self.settings.judges_accounts):
                raise
        return person_of(merged_claims(claims, more), self._adapter, self.settings)

    async def _userinfo(self, access_token: Secret) -> Mapping[str, Any]:
        metadata = await self._metadata.get()
        if not metadata.userinfo_endpoint:
            raise ServerError("The identity provider does not say who logged in.", detail="it has no userinfo")
        claims = await self._read(metadata.userinfo_endpoint, access_token)
        if metadata.emails_endpoint and (self.settings.allowed_domains or self.settings.allowed_emails):
            listed = await self._read(metadata.emails_endpoint, access_token, member="emails")
            return {**claims, **primary_email(listed["emails"])}
        return claims

    async def _read(self, url: str, access_token: Secret, *, member: str = "") -> dict[str, Any]:
        """Fetch JSON with a person's token; with ``member`` any JSON, as that member of an object."""
        try:
            fetched = await self._fetcher.get(
                url,
                max_bytes=MAX_ANSWER_BYTES,
                timeout=DOCUMENT_TIMEOUT,
                allow_private=self.settings.allow_private,
                headers={"Authorization": f"Bearer {access_token.reveal()}"},
            )
            if fetched.status == _UNAUTHORIZED:
                raise InvalidGrant("The identity provider says that this login is over; log in again.", detail=url)
            return _object(fetched, member)
        except (UpstreamError, ValueError) as error:
            raise provider_fault(error) from error

    async def _load_metadata(self) -> ProviderMetadata:
        if self._adapter.metadata is not None:
            return self._adapter.metadata
        url = self.settings.discovery_url or self._adapter.discovery_url
        template = TENANT_TEMPLATE if many_tenants(url) else ""
        return read_provider(await self._document(url), url, plain=self.settings.allow_private, template=template)

    async def _load_keys(self) -> Mapping[str, VerificationKey]:
        loaded = load_keys(await self._document((await self._metadata.get()).jwks_uri))
        if not loaded.keys:
            raise ValueError(f"no usable key in the key set ({'; '.join(loaded.ignored[:3]) or 'it is empty'})")
        return loaded.keys

    async def _document(self, url: str) -> dict[str, Any]:
        fetched = await self._fetcher.get(
            url,
            max_bytes=MAX_DOCUMENT_BYTES,
            timeout=DOCUMENT_TIMEOUT,
            allow_private=self.settings.allow_private,
            accept="application/json, application/jwk-set+json",
        )
        return _object(fetched, "")


def _object(fetched: Fetched, member: str) -> dict[str, Any]:
    if fetched.status == _TOO_MANY or fetched.status >= _SERVER_FAULTS:
        raise UpstreamUnreachable("The identity provider is out of order.", detail=f"HTTP status {fetched.status}")
    if fetched.status != _OK:  # redirects are not followed
        raise ValueError(f"HTTP status {fetched.status}")
    return parse_object(b'{"%s":%s}' % (member.encode(), fetched.body) if member else fetched.body)


def _find(keys: Mapping[str, VerificationKey], unverified: UnverifiedToken) -> VerificationKey | None:
    """Return the key that a token's header points at; without ``kid`` the only one of the algorithm, if any."""
    if unverified.kid:
        return keys.get(unverified.kid)
    fitting = [key for key in keys.values() if unverified.alg in key.algorithms]
    return fitting[0] if len(fitting) == 1 else None
