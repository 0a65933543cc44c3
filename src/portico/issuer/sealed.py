"""The ledger without a database: codes and refresh tokens hold what they stand for, sealed; replicas share only keys.

A code holds the provider's code, which is redeemed when ours is, so it is used once because the provider's is. A
refresh token holds the provider's and is refreshed with it, so it ends when the provider says so. Clients are those of
the configuration, those that registered and hold themselves in their ids, and those that describe themselves at a URL.
"""

import asyncio
import hmac
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from portico.issuer.client_documents import ClientDocuments
from portico.issuer.clients import client_digest, sealed_client, well_formed
from portico.issuer.ledger import Issued, LiveToken, Work
from portico.issuer.provider import Provider
from portico.issuer.redeem import Means
from portico.issuer.remembered import Remembered
from portico.issuer.rotations import Rotations
from portico.issuer.sealed_tokens import CODE, REFRESH, SealedCode, SealedRefresh, seal, unseal
from portico.issuer.store import Issuer
from portico.issuer.transaction import Transaction
from portico.model.errors import Forbidden
from portico.model.oauth_errors import AccessDenied, InvalidClient, InvalidClientMetadata, InvalidGrant
from portico.model.secret import Secret
from portico.oauth.access_token import AccessToken
from portico.oauth.client import Client
from portico.oauth.client_metadata import is_document_id
from portico.oauth.issuer_settings import MAX_ACCESS_TOKEN_SECONDS
from portico.oauth.resource_indicator import same_resource
from portico.oauth.token import (
    CODE_SECONDS,
    ClaimedClient,
    CodeExchange,
    CodeTerms,
    RefreshExchange,
    judge_code,
    judge_refresh_scopes,
    token_digest,
)
from portico.oauth.upstream import ProviderTokens

NUMBER_BYTES: Final = 16
FAREWELL_SECONDS: Final = 2.0  #: that a client waits, who gave a token back, for the provider to be told

_UNKNOWN: Final = "The code or token is unknown, over, or another client's."
_REUSED: Final = "It was used before; everything issued under this grant is revoked."


class SealedLedger:
    """A :class:`~portico.issuer.ledger.Ledger` of one issuer, without rows."""

    def __init__(
        self,
        means: Means,
        documents: ClientDocuments,
        remembered: Remembered,
        held: Mapping[str, Client],
        *,
        default_resource: str,
    ) -> None:
        """Take what tokens are made with, the clients of the configuration by id, and what is meant by no resource."""
        self._means = means
        self._documents = documents
        self._remembered = remembered
        self._held = held
        self._default_resource = default_resource
        self._rotations = Rotations(means, remembered)
        self._farewells: set[asyncio.Task[bool]] = set()

    async def find_client(self, issuer: Issuer, client_id: str) -> Client | None:
        """Return a living client; see :class:`~portico.issuer.ledger.Ledger`."""
        client = await self._found(issuer, client_id)
        if client is None or client.default_resource:
            return client
        return replace(client, default_resource=self._default_resource)

    async def _found(self, issuer: Issuer, client_id: str) -> Client | None:
        if not well_formed(client_id):
            return None
        held = self._held.get(client_id)
        if held is not None:
            return held
        if is_document_id(client_id):
            return await self._documents.get(client_id, issuer.settings)
        return sealed_client(self._means.keyring, issuer, client_id)

    async def admit(self, issuer: Issuer, transaction: Transaction, client: Client, provider_code: str) -> str:
        """Seal the provider's code into ours; the person is known when it is redeemed."""
        asked = transaction.request
        code = SealedCode(
            code=provider_code,
            verifier=transaction.verifier,
            nonce=transaction.nonce,
            connector=transaction.connector,
            client=client_digest(client.id),
            redirect_uri=asked.redirect_uri,
            code_challenge=asked.code_challenge,
            scopes=asked.scopes,
            resource=asked.resource,
            grant_id=transaction.grant_id,
            issued_at=int(self._means.clock()),
        )
        return seal(self._means, issuer, CODE, code)

    @asynccontextmanager
    async def work(
        self,
        issuer: Issuer,
        claimed: ClaimedClient,
        asked: CodeExchange | RefreshExchange | None,  # noqa: ARG002 - the ledger in a database prepares for it
    ) -> AsyncGenerator[Work]:
        """Begin the work on one request."""
        try:
            client = await self.find_client(issuer, claimed.client_id)
        except InvalidClientMetadata as error:
            raise InvalidClient(error.public) from error
        yield _SealedWork(
            issuer=issuer,
            client=client,
            means=self._means,
            remembered=self._remembered,
            rotations=self._rotations,
            farewells=self._farewells,
        )

    async def refresh_token(self, issuer: Issuer, token: str) -> LiveToken | None:
        """Return what is told of a refresh token that still holds."""
        try:
            refresh = unseal(self._means, issuer, REFRESH, token, SealedRefresh)
            check_age(issuer, refresh, self._means.clock())
        except InvalidGrant:
            return None
        if not _rules_stand(issuer, refresh) or await self._remembered.has_ended(refresh.grant_id):
            return None
        if await self._rotations.was_used(token):
            return None
        return LiveToken(
            client_digest=refresh.client,
            subject=refresh.subject,
            scopes=refresh.scopes,
            issued_at=refresh.issued_at,
            expires_at=min(refresh.expires_at, refresh.issued_at + issuer.settings.refresh_idle_seconds),
        )

    async def is_live(self, issuer: Issuer, access: AccessToken) -> bool:
        """Tell whether nothing that an access token stands on was revoked."""
        if await self._remembered.has_ended(str(access.claims.get("grant_id", ""))):
            return False
        try:
            return await self.find_client(issuer, access.client_id) is not None
        except InvalidClientMetadata:
            return False

    async def aclose(self) -> None:
        """Wait for what must not be given up half-way."""
        await self._rotations.aclose()
        await asyncio.gather(*self._farewells, return_exceptions=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SealedWork:
    """One request."""

    issuer: Issuer
    client: Client | None
    means: Means
    remembered: Remembered
    rotations: Rotations
    farewells: set[asyncio.Task[bool]]  #: providers that are being told of an end

    async def redeem(self, client: Client, asked: CodeExchange) -> Issued | InvalidGrant:
        """Judge the code before the provider hears of it: a wrong verifier must not use up somebody's login."""
        code = unseal(self.means, self.issuer, CODE, asked.code, SealedCode)
        _same_client(code.client, client)
        judge_code(asked, _terms(code, client), now=self.means.clock())
        provider = _provider(self.issuer, code.connector)
        digest = token_digest(asked.code)
        if not await self.remembered.spend(digest, "code", code.issued_at + CODE_SECONDS):
            await self._end(code.grant_id)
            return InvalidGrant(_REUSED)
        try:
            login = await provider.exchange(code.code, verifier=code.verifier, nonce=code.nonce, resource=code.resource)
        except AccessDenied as error:  # which the token endpoint has no word for (RFC 6749 section 5.2)
            raise InvalidGrant(error.public) from error
        now = int(self.means.clock())
        person = f"{login.person.connector}|{login.person.subject}"
        return Issued(
            subject=person,
            client_id=client.id,
            scopes=code.scopes,
            resource=code.resource,
            grant_id=code.grant_id,
            refresh_token=self._first_refresh(provider, code, person, login.tokens, now),
            provider=login.tokens,
        )

    async def rotate(self, client: Client, asked: RefreshExchange) -> Issued | InvalidGrant:
        """Refresh at the provider and seal what it gives; twice within a moment gives the same again."""
        refresh = unseal(self.means, self.issuer, REFRESH, asked.token, SealedRefresh)
        _same_client(refresh.client, client)
        check_age(self.issuer, refresh, self.means.clock())
        scopes = judge_refresh_scopes(asked.scope, refresh.scopes)
        same_resource(asked.resource, refresh.resource)
        if await self.remembered.has_ended(refresh.grant_id) or not _rules_stand(self.issuer, refresh):
            raise InvalidGrant("The grant was revoked or is over; log in again.")
        try:
            outcome = await self.rotations.rotate(self.issuer, asked.token, refresh)
        except InvalidGrant as error:  # the provider's word: access tokens that still live end too
            await self._end(refresh.grant_id)
            return error
        if outcome is None:
            await self._end(refresh.grant_id)
            return InvalidGrant(_REUSED)
        now = int(self.means.clock())
        return Issued(
            subject=refresh.subject,
            client_id=client.id,
            scopes=scopes,
            resource=refresh.resource,
            grant_id=refresh.grant_id,
            refresh_token=outcome.refresh_token,
            provider=ProviderTokens(
                access_token=Secret(outcome.access_token),
                refresh_token=Secret(""),
                expires_in=max(1, outcome.expires_at - now),
                scope="",
            ),
        )

    async def revoke(self, client: Client, token: str, access: AccessToken | None) -> None:
        """End the grant here, and the login at the provider where it can be told."""
        if access is not None:
            if access.client_id == client.id:
                await self._end(str(access.claims.get("grant_id", "")))
            return
        try:
            refresh = unseal(self.means, self.issuer, REFRESH, token, SealedRefresh)
            _same_client(refresh.client, client)
        except InvalidGrant:
            return
        first = await self._end(refresh.grant_id)
        # A connector whose rules are others may be another provider. Who gives it back often makes us ask but once.
        if first and not refresh.by_access_token and _rules_stand(self.issuer, refresh):
            await self._tell(self.issuer.provider(refresh.connector), Secret(refresh.token))

    async def _tell(self, provider: Provider, token: Secret) -> None:
        """Tell a provider; whoever asked waits a little for it, and may go away: nobody will ask again.

        A little, because where this is a function that exists only while it answers, nothing goes on afterwards.
        """
        task = asyncio.create_task(provider.revoke(token), name="revocation at a provider")
        self.farewells.add(task)
        task.add_done_callback(self.farewells.discard)
        await asyncio.wait({task}, timeout=FAREWELL_SECONDS)

    async def _end(self, grant_id: str) -> bool:
        """End a grant; says whether it held until now."""
        if not grant_id:
            return False
        longest = max(MAX_ACCESS_TOKEN_SECONDS, self.issuer.settings.refresh_absolute_seconds)
        return await self.remembered.end(grant_id, int(self.means.clock()) + longest)

    def _first_refresh(
        self, provider: Provider, code: SealedCode, subject: str, tokens: ProviderTokens, now: int
    ) -> str:
        """Return our refresh token; none where the provider could not be asked whether the person may still."""
        by_access_token = provider.verifies and not tokens.refresh_token
        token = tokens.access_token if by_access_token else tokens.refresh_token
        if not token:
            return ""
        refresh = SealedRefresh(
            token=token.reveal(),
            by_access_token=by_access_token,
            connector=code.connector,
            rules=provider.settings.rules_digest(),
            subject=subject,
            client=code.client,
            scopes=code.scopes,
            resource=code.resource,
            grant_id=code.grant_id,
            number=self.means.random(NUMBER_BYTES),
            issued_at=now,
            expires_at=now + self.issuer.settings.refresh_absolute_seconds,
        )
        return seal(self.means, self.issuer, REFRESH, refresh)


def check_age(issuer: Issuer, refresh: SealedRefresh, now: float) -> None:
    """Judge how long a refresh token rested and how old its grant is.

    Raises:
        InvalidGrant: too long, or too old.
    """
    if now >= min(refresh.expires_at, refresh.issued_at + issuer.settings.refresh_idle_seconds):
        raise InvalidGrant(_UNKNOWN)


def _rules_stand(issuer: Issuer, refresh: SealedRefresh) -> bool:
    """Say whether the connector is still there and lets in whom it let in when the grant was made."""
    found = [one for one in issuer.connectors if one.name == refresh.connector]
    return bool(found) and found[0].rules_digest() == refresh.rules


def _provider(issuer: Issuer, connector: str) -> Provider:
    try:
        return issuer.provider(connector)
    except Forbidden as error:  # which the token endpoint has no word for
        raise InvalidGrant(error.public) from error


def _terms(code: SealedCode, client: Client) -> CodeTerms:
    return CodeTerms(
        client_id=client.id,
        redirect_uri=code.redirect_uri,
        code_challenge=code.code_challenge,
        resource=code.resource,
        expires_at=code.issued_at + CODE_SECONDS,
        pkce_required=client.needs_pkce,
    )


def _same_client(sealed: bytes, client: Client) -> None:
    if not hmac.compare_digest(sealed, client_digest(client.id)):
        raise InvalidGrant(_UNKNOWN)
