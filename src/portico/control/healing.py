"""Targets that turned out to speak another era than they did: a synchronization is asked for, so that the row heals.

Calls notice it, and a call never waits for the database. So they only leave the target's id here.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from portico.control.targets import SYNC_JOB
from portico.model.errors import StorageUnavailable
from portico.storage import jobs
from portico.storage.engine import Database

RETRY_SECONDS: Final = 1.0  #: after which a database that was away is tried again

_log = structlog.stdlib.get_logger("portico.sync")


class Healer:
    """Turns what calls noticed into ``sync`` jobs."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._asked: set[str] = set()  # at most one entry per target
        self._event = asyncio.Event()

    def ask(self, target_id: str) -> None:
        """Ask for a target to be synchronized; returns at once."""
        self._asked.add(target_id)
        self._event.set()

    async def run(self) -> None:
        """Work until cancelled. A database that is away is waited for."""
        while True:
            await self._event.wait()
            try:
                await self._put()
            except StorageUnavailable as error:
                _log.warning("heal_waits_for_storage", targets=len(self._asked), detail=error.detail)
                await asyncio.sleep(RETRY_SECONDS)

    async def _put(self) -> None:
        self._event.clear()
        asked = set(self._asked)
        try:
            async with self._database.write() as conn:
                for target_id in sorted(asked):
                    await jobs.put(conn, SYNC_JOB, target_id, self._clock())
        except StorageUnavailable:
            self._event.set()
            raise
        self._asked -= asked
        _log.info("targets_speak_another_era", targets=sorted(asked))
