"""The other replicas: which there are, and one way to ask them something.

Each process writes where it is reached into one row and says every five seconds that it lives; the others hold all
rows in memory. Whether a row is fresh is judged by when its change was noticed here, so clocks need not agree.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import structlog

from portico.gateway.hop import HEADER, HopSeal
from portico.model.errors import Conflict, StorageUnavailable, UpstreamError
from portico.net.relay import Peer, Relay, Timeouts
from portico.storage import counters, replicas
from portico.storage.engine import Database
from portico.storage.replicas import ReplicaRow

SCOPE: Final = "replicas"  #: of the counter
BEAT_SECONDS: Final = 5.0
LIVE_SECONDS: Final = 20.0  #: without a beat, until a replica is asked nothing any more
FORGET_SECONDS: Final = 600.0  #: without a beat, until its row is deleted
ASK_SECONDS: Final = 2.0  #: until an answer is complete
MAX_ANSWER_BYTES: Final = 64 * 1024

_TIMEOUTS: Final = Timeouts(connect=1.0, first_byte=ASK_SECONDS, idle=ASK_SECONDS, total=ASK_SECONDS)
_JSON: Final = (b"content-type", b"application/json")

_log = structlog.stdlib.get_logger("portico.replicas")


@dataclass(slots=True, kw_only=True)
class _Known:
    row: ReplicaRow
    changed_at: float  #: by our own monotonic clock


class Peers:
    """The replicas beside this one."""

    def __init__(
        self,
        *,
        database: Database,
        relay: Relay,
        seal: HopSeal,
        replica: str,
        url: str,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``url`` is where the others reach this replica; empty when they do not."""
        self._database = database
        self._relay = relay
        self._seal = seal
        self._clock = clock
        self._monotonic = monotonic
        now = clock()
        self._own = ReplicaRow(id=replica, url=url, started_at=now, seen_at=now)
        self._known: dict[str, _Known] = {}

    def others(self) -> Sequence[ReplicaRow]:
        """Return the replicas that live, without this one."""
        bound = self._monotonic() - LIVE_SECONDS
        return [known.row for known in self._known.values() if known.changed_at >= bound]

    async def join(self) -> None:
        """Make this replica known to the others.

        Raises:
            StorageUnavailable: the database cannot be written to.
        """
        if self._own.url:
            async with self._database.write() as conn:
                await replicas.prune(conn, self._clock() - FORGET_SECONDS)
                await replicas.put(conn, self._own)
                await counters.bump(conn, SCOPE)
        await self.reload()

    async def leave(self) -> None:
        """Let the others ask this replica nothing more."""
        if not self._own.url:
            return
        try:
            async with self._database.write() as conn:
                await replicas.delete(conn, self._own.id)
                await counters.bump(conn, SCOPE)
        except (StorageUnavailable, Conflict) as error:
            _log.debug("replica_left_in_silence", detail=error.detail)  # its row grows old

    async def run(self) -> None:
        """Say that this replica lives, and learn of the others, until cancelled."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                if self._own.url:
                    async with self._database.write(shared=True) as conn:  # writes its own row alone
                        await replicas.put(conn, self._beat())
                await self.reload()
            except StorageUnavailable as error:
                _log.debug("replicas_wait_for_storage", detail=error.detail)  # the refresher says it aloud

    async def reload(self, _scopes: AbstractSet[str] = frozenset()) -> None:
        """Read which replicas there are.

        Raises:
            StorageUnavailable: the database cannot be read; what was known stays.
        """
        async with self._database.read() as conn:
            rows = await replicas.list_all(conn)
        now = self._monotonic()
        fresh: dict[str, _Known] = {}
        for row in rows:
            before = self._known.get(row.id)
            unchanged = before is not None and before.row.seen_at == row.seen_at
            fresh[row.id] = before if before is not None and unchanged else _Known(row=row, changed_at=now)
        fresh.pop(self._own.id, None)
        if fresh.keys() != self._known.keys():
            _log.info("replicas", others=sorted(fresh))
        self._known = fresh

    async def ask(self, other: ReplicaRow, path: str, body: bytes) -> bytes | None:
        """Send ``body`` to another replica's internal endpoint; None when there is no answer of status 200."""
        sealed = self._seal.seal(to=other.id, method="POST", path=path, body=body)
        peer = Peer(url=other.url, connect_timeout=_TIMEOUTS.connect, allow_private=True)
        try:
            answer = await self._relay.send(
                peer, b"POST", path.encode(), [_JSON, (HEADER, sealed)], body, timeouts=_TIMEOUTS
            )
            try:
                content = await answer.read(MAX_ANSWER_BYTES)
            finally:
                await answer.aclose()
        except UpstreamError as error:
            _log.info("replica_does_not_answer", other=other.id, error=error.code)
            return None
        if answer.status != 200:  # noqa: PLR2004 - HTTP statuses are their own names
            _log.warning("replica_refuses", other=other.id, status=answer.status)
            return None
        return content

    def _beat(self) -> ReplicaRow:
        own = self._own
        self._own = ReplicaRow(id=own.id, url=own.url, started_at=own.started_at, seen_at=self._clock())
        return self._own
