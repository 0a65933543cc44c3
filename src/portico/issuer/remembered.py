"""What a façade remembers of one-time things: in this process, and in a database when it is given one.

Without a database replicas share nothing but their keys. Then a code is used once because the provider's code inside
it is, and a refresh token as often as the provider lets its own be; this process still notices what it saw itself.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from portico.model.errors import StorageUnavailable
from portico.storage import ended_grants, spent
from portico.storage.engine import Database
from portico.storage.spent import SpentRow

MAX_REMEMBERED: Final = 50_000  #: entries of each kind in memory; the oldest go first
POLL_SECONDS: Final = 1.0  #: between looks at the grants that other replicas ended
STALE_SECONDS: Final = 2.0  #: what was learnt before that is too old to let somebody in by, unless the store is away
PATIENCE_SECONDS: Final = 1.0  #: that a call waits for what is newer
PRUNE_SECONDS: Final = 3600.0  #: between two times that the store is swept


class Remembered:
    """Used codes and refresh tokens by digest, and grants that are over. Times are seconds since the epoch."""

    def __init__(
        self,
        database: Database | None = None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the store, if there is one."""
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._spent: OrderedDict[str, int] = OrderedDict()
        self._ended: OrderedDict[str, int] = OrderedDict()
        self._sequence = 0
        self._looked_at = float("-inf")
        self._learnt_at = float("-inf")
        self._away = False
        self._pruned_at = float("-inf")
        self._catching_up: asyncio.Task[None] | None = None

    @property
    def shared(self) -> bool:
        """Whether other replicas know what this one does."""
        return self._database is not None

    async def spend(self, digest: str, kind: str, expires_at: int) -> bool:
        """Use something up; False when it was used before.

        Raises:
            StorageUnavailable: it cannot be known.
        """
        if digest in self._spent:
            return False
        if self._database is not None:
            async with self._database.write(shared=True) as conn:
                if not await spent.spend(conn, digest, kind, expires_at, int(self._clock())):
                    return False
        _remember(self._spent, digest, expires_at)
        return True

    async def give_back(self, digest: str) -> None:
        """Let something be used again: whoever was to be asked could not be."""
        self._spent.pop(digest, None)
        if self._database is not None:
            async with self._database.write(shared=True) as conn:
                await spent.give_back(conn, digest)

    async def keep_outcome(self, digest: str, sealed: str) -> None:
        """Keep what came of a use, for other replicas that are asked for the same within a moment."""
        if self._database is not None:
            async with self._database.write(shared=True) as conn:
                await spent.keep_outcome(conn, digest, sealed)

    async def look_up(self, digest: str) -> SpentRow | None:
        """Return what the store knows of a use; None without a store."""
        if self._database is None:
            return None
        async with self._database.read() as conn:
            return await spent.find(conn, digest)

    async def was_spent(self, digest: str) -> bool:
        """Say whether something was used, here or on another replica that the store knows of.

        Raises:
            StorageUnavailable: it cannot be known.
        """
        return digest in self._spent or await self.look_up(digest) is not None

    async def end(self, grant_id: str, expires_at: int) -> bool:
        """End a grant; its access tokens are refused here at once, on other replicas when they look.

        Says whether it held until now, as far as that is known.

        Raises:
            StorageUnavailable: other replicas will not know of it.
        """
        held = grant_id not in self._ended
        _remember(self._ended, grant_id, expires_at)
        if self._database is not None:
            async with self._database.write(shared=True) as conn:
                return await ended_grants.end(conn, grant_id, now=int(self._clock()), expires_at=expires_at)
        return held

    async def has_ended(self, grant_id: str) -> bool:
        """Say whether a grant is over, asking the store itself.

        Raises:
            StorageUnavailable: it cannot be known.
        """
        if grant_id in self._ended:
            return True
        if self._database is None:
            return False
        async with self._database.read() as conn:
            return await ended_grants.has_ended(conn, grant_id)

    async def catch_up(self) -> None:
        """Learn which grants other replicas ended: beside the calls, or before one that comes after a while of none.

        The store is looked at once in :data:`POLL_SECONDS`. While it is away calls go on: the tokens of a grant that
        ended meanwhile live for minutes.
        """
        if self._database is None:
            return
        now = self._monotonic()
        if now - self._looked_at >= POLL_SECONDS and (self._catching_up is None or self._catching_up.done()):
            self._looked_at = now
            self._catching_up = asyncio.create_task(self._learn(self._database, now), name="grants that ended")
        if self._catching_up is not None and not self._away and now - self._learnt_at > STALE_SECONDS:
            await asyncio.wait({self._catching_up}, timeout=PATIENCE_SECONDS)

    async def aclose(self) -> None:
        """Wait for what is under way."""
        if self._catching_up is not None:
            await asyncio.wait({self._catching_up})

    async def _learn(self, database: Database, now: float) -> None:
        try:
            async with database.read() as conn:
                rows = await ended_grants.news(conn, self._sequence)
            for row in rows:
                self._sequence = row.sequence
                _remember(self._ended, row.grant_id, row.expires_at)
            self._learnt_at, self._away = now, False
            await self._prune(now)
        except StorageUnavailable:
            self._away = True

    async def _prune(self, now: float) -> None:
        if self._database is None or now - self._pruned_at < PRUNE_SECONDS:
            return
        self._pruned_at = now
        async with self._database.write(shared=True) as conn:
            await spent.prune(conn, int(self._clock()))
            await ended_grants.prune(conn, int(self._clock()))

    def revoked_by(self, _issuer: str, claims: Mapping[str, Any], /) -> str | None:
        """Return what ended an access token, None when nothing did; from memory."""
        return "grant" if claims.get("grant_id") in self._ended else None


def _remember(known: OrderedDict[str, int], key: str, expires_at: int) -> None:
    known[key] = expires_at
    while len(known) > MAX_REMEMBERED:
        known.popitem(last=False)
