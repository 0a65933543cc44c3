"""Sessions that ended before their time, told to every replica.

By rows that replicas follow as they follow everything else, not by a hop: a replica that starts later, or that could
not be reached for a while, must refuse them too.
"""

import time
from collections.abc import Callable, Sequence

from portico.storage import ended_sessions
from portico.storage.ended_sessions import EndedSessionRow
from portico.storage.engine import Database


class SessionEnds:
    """Writes that a session ended, and reads which ones others ended."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._seen = 0

    async def publish(self, number: str, *, expires_at: int) -> None:
        """Tell every replica; ``expires_at`` is when the session would have ended by itself.

        Raises:
            StorageUnavailable: nobody was told.
        """
        # Shared: a counter and a row of its own, each taken by one statement.
        async with self._database.write(shared=True) as conn:
            await ended_sessions.add(conn, number, expires_at=expires_at)

    async def news(self) -> Sequence[EndedSessionRow]:
        """Return the sessions that ended since the last look; at the first look all that still matter.

        Raises:
            StorageUnavailable: the database cannot be read.
        """
        async with self._database.read() as conn:
            rows = await ended_sessions.list_after(conn, self._seen, now=int(self._clock()))
        self._seen = max((row.sequence for row in rows), default=self._seen)
        return rows
