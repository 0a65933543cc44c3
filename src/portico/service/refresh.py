"""Following the counters: what others changed in the database reaches this process's memory.

Every poll is one statement. When the database is away everything that is in memory goes on being served, and the
first poll after it is back catches up. What may take seconds to load, a gateway with thousands of targets, is loaded
beside the polls: a revocation must not wait for it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

import structlog

from portico.model.errors import PorticoError, StorageUnavailable
from portico.storage import counters
from portico.storage.engine import Database

POLL_SECONDS: Final = 0.5
LOG_EVERY_SECONDS: Final = 30.0  #: between two lines about the same outage

#: Takes the scopes that changed, without their prefix.
Reload = Callable[[AbstractSet[str]], Awaitable[None]]

_log = structlog.stdlib.get_logger("portico.refresh")


class Refresher:
    """Polls the counters and calls whoever reloads what changed.

    ``reloaders`` are by the first part of a scope: ``gateway`` for ``gateway/<id>``, ``revocations`` for itself. Those
    of ``slow`` kinds are not waited for while it runs.
    """

    def __init__(
        self,
        database: Database,
        reloaders: Mapping[str, Reload],
        *,
        slow: AbstractSet[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._reloaders = reloaders
        self._slow = slow
        self._beside: set[str] = set()  # kinds that are being loaded beside the polls
        self._clock = clock
        self._seen: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._down_since: float | None = None
        self._logged_at = float("-inf")

    @property
    def down_seconds(self) -> float | None:
        """For how long the database has not been readable; None when it is."""
        return None if self._down_since is None else self._clock() - self._down_since

    def wake(self) -> None:
        """Poll now: this process itself has changed something."""
        self._wake.set()

    async def start(self) -> None:
        """Note where the counters stand; call it before everything is loaded for the first time.

        Raises:
            StorageUnavailable: the database cannot be read.
        """
        async with self._database.read() as conn:
            self._seen = await counters.read_all(conn)

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                await self.poll(group)
                try:
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def poll(self, group: asyncio.TaskGroup | None = None) -> None:
        """Reload what changed since the last poll. What could not be reloaded is tried again at the next one.

        With a ``group`` slow kinds are loaded in it, one load of a kind at a time.
        """
        try:
            async with self._database.read() as conn:
                now = await counters.read_all(conn)
            changed = {scope for scope, value in now.items() if self._seen.get(scope) != value}
            for kind in {scope.partition("/")[0] for scope in changed} - self._beside:
                counted = {scope: now[scope] for scope in changed if scope.partition("/")[0] == kind}
                if group is not None and kind in self._slow:
                    self._beside.add(kind)
                    group.create_task(self._follow_beside(kind, counted))
                else:
                    await self._follow(kind, counted)
        except StorageUnavailable as error:
            self._is_down(error)
        else:
            self._is_up()

    async def _follow(self, kind: str, counted: Mapping[str, int]) -> None:
        await self._reload(kind, counted.keys())
        self._seen |= counted

    async def _follow_beside(self, kind: str, counted: Mapping[str, int]) -> None:
        try:
            await self._follow(kind, counted)
        except StorageUnavailable as error:
            self._is_down(error)
        else:
            self.wake()  # for what changed meanwhile
        finally:
            self._beside.discard(kind)

    async def _reload(self, kind: str, scopes: AbstractSet[str]) -> None:
        reload = self._reloaders.get(kind)
        if reload is None:
            return  # a newer version's scope
        try:
            await reload({scope.partition("/")[2] for scope in scopes})
        except StorageUnavailable:
            raise
        except PorticoError as error:
            _log.error("reload_failed", scopes=sorted(scopes), error=error.code, detail=str(error))
        except Exception:  # noqa: BLE001 - one thing that cannot be loaded must not stop the following of others
            _log.exception("reload_failed", scopes=sorted(scopes))

    def _is_down(self, error: StorageUnavailable) -> None:
        now = self._clock()
        if self._down_since is None:
            self._down_since = now
        if now - self._logged_at >= LOG_EVERY_SECONDS:
            self._logged_at = now
            _log.error("storage_unavailable", seconds=round(now - self._down_since, 1), detail=error.detail)

    def _is_up(self) -> None:
        if self._down_since is not None:
            _log.info("storage_is_back", after_seconds=round(self._clock() - self._down_since, 1))
        self._down_since = None
        self._logged_at = float("-inf")
