"""Forgetting what is over and nothing depends on: codes, tokens, grants, revocations, sessions, client tokens."""

import time
from collections.abc import Callable
from typing import Final

from portico.control.jobs import Again
from portico.oauth.issuer_settings import MAX_ACCESS_TOKEN_SECONDS
from portico.storage import (
    authorization_codes,
    client_tokens,
    ended_grants,
    ended_sessions,
    grants,
    jobs,
    outbound_tokens,
    refresh_tokens,
    revocations,
    spent,
)
from portico.storage.engine import Database
from portico.storage.jobs import JobRow

PRUNE_JOB: Final = "prune"
PRUNE_SECONDS: Final = 3600.0  #: between two runs
REMEMBERED_SECONDS: Final = MAX_ACCESS_TOKEN_SECONDS  #: after its end; a code that is used again must be noticed


class Pruner:
    """Runs the ``prune`` job, for ever."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def run(self, _job: JobRow) -> Again | None:
        """Delete what is over and ask for the next run."""
        now = int(self._clock())
        async with self._database.write() as conn:
            await authorization_codes.prune(conn, now - REMEMBERED_SECONDS)
            await refresh_tokens.prune(conn, now - REMEMBERED_SECONDS)
            await grants.prune(conn, now - REMEMBERED_SECONDS)
            await revocations.prune(conn, now)
            await ended_sessions.prune(conn, now)
            await ended_grants.prune(conn, now - REMEMBERED_SECONDS)
            await spent.prune(conn, now - REMEMBERED_SECONDS)
            await client_tokens.prune(conn, now)
            await outbound_tokens.prune(conn, now)
        return Again(seconds=PRUNE_SECONDS)


async def arm(database: Database, *, now: float) -> None:
    """Ask for the first run; at a start there is most to forget."""
    async with database.write() as conn:
        await jobs.put(conn, PRUNE_JOB, "all", now)
