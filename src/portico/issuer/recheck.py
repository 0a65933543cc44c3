"""Asking a person's provider, when a client refreshes, whether the person may still log in there.

What the provider is asked with lies sealed on the grant. Exactly one process asks about a grant at a time, under a
lease: providers that rotate their refresh tokens take a second use for theft. An answer holds for a minute, and only
``invalid_grant`` ends the grant; a provider that is down ends nothing and lets nobody on either.
"""

import asyncio
from typing import Final

import msgspec

from portico.issuer.provider import Provider
from portico.issuer.redeem import Means
from portico.issuer.store import Issuer
from portico.model.errors import Forbidden, SealError, StorageUnavailable, Unavailable
from portico.model.oauth_errors import AccessDenied, InvalidGrant
from portico.model.secret import Secret
from portico.oauth.token import token_digest
from portico.oauth.upstream import ProviderTokens
from portico.storage import grants, refresh_tokens, revocations
from portico.storage.engine import Database
from portico.storage.grants import GrantRow

RECHECK_SECONDS: Final = 60  #: that an answer of the provider holds
LEASE_SECONDS: Final = 30  #: longer than any question to a provider takes
KEEP_SECONDS: Final = 10  #: to store an answer; with the question itself still within the lease
POLL_SECONDS: Final = 0.1  #: between looks at whether another process has its answer, or the database is back

_PURPOSE: Final = "provider-login"  #: of the seal; the grant's id is its associated data


class KeptLogin(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a grant holds of the login at its provider."""

    connector: str
    rules: bytes  #: digest of who the connector lets in; when that changes, everybody is judged anew
    refresh_token: str
    access_token: str  #: kept only where the provider gives no refresh token and says whose it is


def seal_login(means: Means, provider: Provider, grant_id: str, tokens: ProviderTokens) -> str:
    """Return what the provider is asked again with, sealed for one grant; empty when it gave nothing."""
    refresh_token = tokens.refresh_token.reveal()
    by_access_token = provider.verifies and not refresh_token
    access_token = tokens.access_token.reveal() if by_access_token else ""
    if not (refresh_token or access_token):
        return ""
    settings = provider.settings
    login = KeptLogin(
        connector=settings.name, rules=settings.rules_digest(), refresh_token=refresh_token, access_token=access_token
    )
    return _seal(means, grant_id, login)


def open_login(means: Means, grant: GrantRow) -> KeptLogin:
    """Return what :func:`seal_login` sealed.

    Raises:
        SealError: its key was dropped, or it is another grant's.
        msgspec.DecodeError: it is another version's.
    """
    return msgspec.msgpack.decode(means.keyring.open(_PURPOSE, grant.upstream, aad=grant.id.encode()), type=KeptLogin)


def _seal(means: Means, grant_id: str, login: KeptLogin) -> str:
    return means.keyring.seal(_PURPOSE, msgspec.msgpack.encode(login), aad=grant_id.encode(), random=means.random)


class Rechecks:
    """Asks providers; one question per grant at a time."""

    def __init__(self, database: Database, means: Means) -> None:
        self._database = database
        self._means = means
        self._running: dict[str, asyncio.Task[None]] = {}  # by the grant's id: whoever asks meanwhile waits for it too

    async def ask(self, issuer: Issuer, client_id: str, refresh_token: str) -> None:
        """Ask about the grant of a refresh token of this client, unless that was done a moment ago.

        A grant that is over afterwards is found so by whoever exchanges the token.

        Raises:
            PorticoError: the provider cannot be asked; the client shall try again.
        """
        async with self._database.read() as conn:
            row = await refresh_tokens.find(conn, token_digest(refresh_token))
            if row is None or (row.issuer, row.client_id) != (issuer.name, client_id):
                return
            grant = await grants.get(conn, row.grant_id)
        if grant is None or not self._is_due(grant):
            return
        # Whoever asked may go away; a token that the provider rotated must not be lost with them.
        await asyncio.shield(self._running.get(grant.id) or self._begin(issuer, grant.id))

    async def aclose(self) -> None:
        """Wait for the questions that are under way; each has its deadlines."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _begin(self, issuer: Issuer, grant_id: str) -> asyncio.Task[None]:
        def ended(done: asyncio.Task[None]) -> None:
            del self._running[grant_id]
            if not done.cancelled():
                done.exception()  # seen, also when everybody who waited went away

        task = self._running[grant_id] = asyncio.create_task(
            self._settle(issuer, grant_id), name=f"recheck of grant {grant_id}"
        )
        task.add_done_callback(ended)
        return task

    def _is_due(self, grant: GrantRow) -> bool:
        now = int(self._means.clock())
        lives = grant.revoked_at is None and now < grant.expires_at
        return bool(grant.upstream) and lives and now >= grant.upstream_checked_at + RECHECK_SECONDS

    async def _settle(self, issuer: Issuer, grant_id: str) -> None:
        """Ask, or wait for the process that asks; whichever comes first."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + LEASE_SECONDS
        while loop.time() < give_up:
            now = int(self._means.clock())
            async with self._database.write(shared=True) as conn:
                taken = await grants.take_lease(conn, grant_id, now, now + LEASE_SECONDS)
                grant = await grants.get(conn, grant_id)
            if grant is None or not self._is_due(grant):
                if taken:
                    await self._give_back(grant_id, now + LEASE_SECONDS)
                return
            if taken:
                await self._ask_under_lease(issuer, grant, now + LEASE_SECONDS)
                return
            await asyncio.sleep(POLL_SECONDS)
        raise Unavailable("The identity provider is being asked by another process; try again.")

    async def _ask_under_lease(self, issuer: Issuer, grant: GrantRow, lease: int) -> None:
        try:
            sealed = await self._ask_provider(issuer, grant)
        except (InvalidGrant, AccessDenied, Forbidden, SealError) as error:  # Forbidden: the connector was taken away
            tell = not isinstance(error, InvalidGrant)  # which is the provider's own word
            async with self._database.write(shared=True) as conn:
                await revocations.end_grant(conn, issuer.url, grant.id, int(self._means.clock()), tell=tell)
        except BaseException:
            await asyncio.shield(self._give_back(grant.id, lease))
            raise
        else:
            await self._keep(grant.id, sealed, lease)

    async def _keep(self, grant_id: str, sealed: str, lease: int) -> None:
        """Store what the provider gave; where it rotates, what we have is the only token that still counts there.

        So a database that is away for a moment is tried again. Is it away for longer, or does this process die here,
        then the provider takes the next question for theft and the person logs in again.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + KEEP_SECONDS
        while True:
            try:
                async with self._database.write(shared=True) as conn:
                    await grants.set_upstream(conn, grant_id, sealed, int(self._means.clock()), lease=lease)
            except StorageUnavailable:
                if loop.time() >= give_up:
                    raise
                await asyncio.sleep(POLL_SECONDS)
            else:
                return

    async def _ask_provider(self, issuer: Issuer, grant: GrantRow) -> str:
        login = open_login(self._means, grant)
        provider = issuer.provider(login.connector)
        if provider.settings.rules_digest() != login.rules:
            raise AccessDenied("Who may log in was changed; log in again.")
        if not login.refresh_token:
            await provider.verify(Secret(login.access_token))
            return _seal(self._means, grant.id, login)  # anew: by the key that seals now
        tokens = await provider.refresh(Secret(login.refresh_token), scopes=grant.scopes, resource=grant.resource)
        return seal_login(self._means, provider, grant.id, tokens)

    async def _give_back(self, grant_id: str, lease: int) -> None:
        async with self._database.write(shared=True) as conn:
            await grants.release_lease(conn, grant_id, lease)
