"""Tokens that client credentials gave: in memory, sealed in the database, fetched by one process for all.

Ages of a token that is good for an hour, in seconds::

    0 ................ refresh_at (2880) ........ useful_until (3595) ... expires_at (3600)
    from memory        from memory, and one       wait for a new one
                       process fetches behind

Who fetches takes the lease of the token's row, reads the row again (another process may have fetched meanwhile),
fetches, stores, and gives the lease back; the others read what it stored. A call whose token is in memory waits for
nothing. A failure is remembered for a while, so that a provider that refuses is not asked again by every call; what
it gave before serves until it is over. A database that is away costs only the sharing.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from portico.crypto.keyring import Keyring
from portico.identity.exchange import FAILED, GrantRefused, TokenEndpoints
from portico.identity.providers import OAuthProvider
from portico.identity.sealing import SealedToken, open_token, seal_token
from portico.model.credential import ClientCredentialsUse
from portico.model.errors import CredentialUnavailable, SealError, StorageUnavailable
from portico.model.secret import Secret
from portico.oauth.client_credentials import IssuedToken
from portico.storage import outbound_tokens
from portico.storage.engine import Database
from portico.storage.outbound_tokens import OutboundTokenRow

AHEAD_SHARE: Final = 0.2  #: of a lifetime: so long before its end a token is fetched anew
MIN_AHEAD_SECONDS: Final = 60.0  #: and at least so long before, but never before half of it is over
LEEWAY_SECONDS: Final = 5.0  #: before its end a token is no longer sent: it would be over when it arrives
DEFAULT_SECONDS: Final = 3600.0  #: of a token whose server does not say; if that is too long, the target's 401 ends it
LEASE_SECONDS: Final = 30.0  #: longer than one fetch takes, its discovery included
POLL_SECONDS: Final = 0.1  #: between looks at what another process is fetching
OBTAIN_SECONDS: Final = 40.0  #: until a wait for another process is given up
RETRY_SECONDS: Final = 10.0  #: for which a failure is remembered
YOUNG_SECONDS: Final = 30.0  #: a target that refuses so young a token has another reason than its age
MAX_ENTRIES: Final = 10_000  #: tokens in memory

_log = structlog.stdlib.get_logger("portico.identity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bearer token. Times are seconds since the epoch."""

    value: Secret
    issued_at: float
    refresh_at: float
    expires_at: float
    granted: str | None = None  #: scopes, as the provider said; None when it did not
    sealed: str = field(default="", repr=False)  #: as it stands in its row; empty when it could not be stored

    def useful_at(self, now: float) -> bool:
        """Say whether it may still be sent."""
        return now < self.expires_at - min(LEEWAY_SECONDS, (self.expires_at - self.issued_at) / 10)


@dataclass(slots=True, kw_only=True, eq=False)
class _Entry:
    key: str  #: of the row
    provider: OAuthProvider
    use: ClientCredentialsUse
    token: Token | None = None
    flight: asyncio.Task[Token] | None = None
    reason: str = ""  #: of the last failure, empty when it succeeded
    retry_at: float = 0.0


class ClientTokens:
    """The tokens of the process. Its own tasks, one for each token that is being fetched, end with :meth:`aclose`."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        endpoints: TokenEndpoints,
        *,
        owner: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the name of this process, which is that of its leases."""
        self._database = database
        self._keyring = keyring
        self._endpoints = endpoints
        self._owner = owner
        self._clock = clock
        self._entries: dict[tuple[str, ClientCredentialsUse], _Entry] = {}

    async def get(self, provider: OAuthProvider, use: ClientCredentialsUse, *, insist: bool = False) -> Token:
        """Return a token, from memory when it is good.

        With ``insist`` a failure that is remembered does not count.

        Raises:
            CredentialUnavailable: there is none, and why.
        """
        entry = self._entry(provider, use)
        now = self._clock()
        token = entry.token
        rests = now < entry.retry_at and not insist
        if token is not None and token.useful_at(now):
            if now >= token.refresh_at and not rests:
                self._fetch(entry)
            return token
        if entry.reason and rests:
            raise CredentialUnavailable(entry.reason)
        flight = self._fetch(entry)
        await asyncio.wait({flight})  # cancels nothing: others wait for it too
        if flight.cancelled():
            raise CredentialUnavailable(f"{FAILED}: the gateway is shutting down.")
        return flight.result()

    async def forget(self, provider: OAuthProvider, use: ClientCredentialsUse, token: Token) -> bool:
        """Forget a token that its target refused; False when it is too young for that to help."""
        if self._clock() < token.issued_at + YOUNG_SECONDS:
            return False
        entry = self._entry(provider, use)
        if entry.token is token:
            entry.token = None
        if token.sealed:
            try:
                async with self._database.write(shared=True) as conn:
                    await outbound_tokens.forget(conn, entry.key, token.sealed)
            except StorageUnavailable as error:
                _log.warning("outbound_token_not_forgotten", provider=provider.name, detail=error.detail)
        return True

    def keep_only(self, versions: AbstractSet[str]) -> None:
        """Forget the tokens and failures of providers that were changed; their rows went with the change."""
        for key in [key for key in self._entries if key[0] not in versions]:
            del self._entries[key]

    async def aclose(self) -> None:
        """Stop what is being fetched."""
        flights = [entry.flight for entry in self._entries.values() if entry.flight is not None]
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _entry(self, provider: OAuthProvider, use: ClientCredentialsUse) -> _Entry:
        entry = self._entries.get((provider.version, use))
        if entry is None:
            if len(self._entries) >= MAX_ENTRIES:
                self._make_room()
            entry = _Entry(key=token_key(provider, use), provider=provider, use=use)
            self._entries[provider.version, use] = entry
        return entry

    def _make_room(self) -> None:
        now = self._clock()
        for key, entry in list(self._entries.items()):
            if entry.flight is None and (entry.token is None or not entry.token.useful_at(now)):
                del self._entries[key]

    def _fetch(self, entry: _Entry) -> asyncio.Task[Token]:
        if entry.flight is None:
            entry.flight = asyncio.create_task(self._obtain(entry), name=f"token of {entry.provider.name}")
            entry.flight.add_done_callback(lambda flight: self._landed(entry, flight))
        return entry.flight

    def _landed(self, entry: _Entry, flight: asyncio.Task[Token]) -> None:
        entry.flight = None
        error = None if flight.cancelled() else flight.exception()
        if isinstance(error, CredentialUnavailable):
            entry.reason = error.reason
            entry.retry_at = self._clock() + RETRY_SECONDS
            if isinstance(error, GrantRefused):
                entry.token = None
            name, reason, detail = entry.provider.name, error.reason, error.detail
            _log.warning("outbound_token_failed", provider=name, reason=reason, detail=detail)
        elif not flight.cancelled() and error is None:
            entry.token, entry.reason, entry.retry_at = flight.result(), "", 0.0

    async def _obtain(self, entry: _Entry) -> Token:
        """Return the token that another process stored, or fetch one.

        Raises:
            CredentialUnavailable: there is none, and why.
        """
        try:
            async with asyncio.timeout(OBTAIN_SECONDS):
                return await self._fetch_or_wait(entry)
        except TimeoutError:
            reason = f"{FAILED}: another process has been fetching it for too long. Try again."
            raise CredentialUnavailable(reason) from None

    async def _fetch_or_wait(self, entry: _Entry) -> Token:
        while True:
            try:
                row = await self._lease(entry)
                stored = await self._stored(entry) if row is None else self._fresh(row)
            except StorageUnavailable as error:
                _log.warning("outbound_token_not_shared", provider=entry.provider.name, detail=error.detail)
                return await self._fetched(entry)
            if row is None:
                if stored is not None:
                    return stored
                await asyncio.sleep(POLL_SECONDS)
            elif stored is not None:
                await self._release(row)
                return stored
            else:
                return await self._fetch_under(row, entry)

    async def _fetch_under(self, row: OutboundTokenRow, entry: _Entry) -> Token:
        """Fetch a token under the lease and store it."""
        try:
            token = await self._fetched(entry)
        except CredentialUnavailable as error:
            await self._release(row, error=error.reason, forget=isinstance(error, GrantRefused))
            raise
        except asyncio.CancelledError:
            await asyncio.shield(self._release(row))
            raise
        return await self._store(row, token)

    async def _fetched(self, entry: _Entry) -> Token:
        before = self._clock()
        issued = await self._endpoints.fetch(entry.provider, entry.use)
        token = token_of(issued, before)
        _log.info("outbound_token_fetched", provider=entry.provider.name, seconds=round(token.expires_at - before))
        return token

    async def _lease(self, entry: _Entry) -> OutboundTokenRow | None:
        async with self._database.write(shared=True) as conn:
            return await outbound_tokens.lease(
                conn,
                entry.key,
                provider=entry.provider.name,
                owner=self._owner,
                now=self._clock(),
                lease_seconds=LEASE_SECONDS,
            )

    async def _stored(self, entry: _Entry) -> Token | None:
        """Return what another process stored, as long as it is of use: that one fetches anew already."""
        async with self._database.read() as conn:
            row = await outbound_tokens.get(conn, entry.key)
        token = None if row is None else self._opened(row)
        return token if token is not None and token.useful_at(self._clock()) else None

    def _fresh(self, row: OutboundTokenRow) -> Token | None:
        token = self._opened(row)
        return token if token is not None and self._clock() < token.refresh_at else None

    def _opened(self, row: OutboundTokenRow) -> Token | None:
        if not row.sealed:
            return None
        try:
            plain = open_token(self._keyring, row.sealed, account=row.account, key=row.key)
        except SealError:  # its key left the keyring: another token will do
            return None
        return Token(
            value=Secret(plain.token),
            issued_at=plain.issued_at,
            refresh_at=row.refresh_at,
            expires_at=row.expires_at,
            granted=plain.granted,
            sealed=row.sealed,
        )

    async def _store(self, row: OutboundTokenRow, token: Token) -> Token:
        plain = SealedToken(token=token.value.reveal(), issued_at=token.issued_at, granted=token.granted)
        sealed = seal_token(self._keyring, plain, account=row.account, key=row.key)
        new = replace(row, sealed=sealed, expires_at=token.expires_at, refresh_at=token.refresh_at)
        try:
            async with self._database.write(shared=True) as conn:
                stored = await outbound_tokens.store(conn, new)
        except StorageUnavailable as error:
            _log.warning("outbound_token_not_shared", provider=row.provider, detail=error.detail)
            stored = False
        return replace(token, sealed=sealed) if stored else token

    async def _release(self, row: OutboundTokenRow, *, error: str = "", forget: bool = False) -> None:
        try:
            async with self._database.write(shared=True) as conn:
                await outbound_tokens.release(conn, row, error=error, forget=forget)
        except StorageUnavailable as failure:
            _log.warning("outbound_token_lease_kept", provider=row.provider, detail=failure.detail)


def token_key(provider: OAuthProvider, use: ClientCredentialsUse) -> str:
    """Return the key of a token's row: a digest of all that it depends on."""
    parts = [provider.version, list(use.scopes), [[name, value.reveal()] for name, value in use.parameters]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def token_of(issued: IssuedToken, asked_at: float) -> Token:
    """Return a token with its times; its life is counted from before it was asked for."""
    seconds = DEFAULT_SECONDS if issued.expires_in is None else issued.expires_in
    ahead = min(max(seconds * AHEAD_SHARE, MIN_AHEAD_SECONDS), seconds / 2)
    return Token(
        value=issued.access_token,
        issued_at=asked_at,
        refresh_at=asked_at + seconds - ahead,
        expires_at=asked_at + seconds,
        granted=issued.scope,
    )
