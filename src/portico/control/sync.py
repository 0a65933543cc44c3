"""Reading targets' tools: what a ``sync`` job finds becomes the target's status and tool tables."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from portico.control.jobs import Again
from portico.model.documents import dump_eras, load_eras, parse_target
from portico.model.target import EraTools, Target
from portico.storage import counters, targets
from portico.storage.engine import Database
from portico.storage.jobs import JobRow
from portico.storage.targets import TargetRow
from portico.targets.discovery import Discovery

Discover = Callable[[Target], Awaitable[Discovery]]

FIRST_RETRY_SECONDS: Final = 1.0
MAX_RETRY_SECONDS: Final = 300.0
#: What is known of a target expires: a server that learnt a newer era would be spoken to in the older one for ever.
KNOWN_SECONDS: Final = 3600.0

_log = structlog.stdlib.get_logger("portico.sync")


class Synchronizer:
    """Runs ``sync`` jobs. The last good tools stay until better ones are found."""

    def __init__(self, database: Database, discover: Discover, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._discover = discover
        self._clock = clock

    async def run(self, job: JobRow) -> Again | None:
        """Read one target's tools; its key is the target's id."""
        async with self._database.read() as conn:
            row = await targets.get(conn, job.key)
        if row is None:
            return None
        found = await self._discover(_target(row))
        await self._store(row, found)
        if found.eras and not found.undecided:
            return Again(seconds=KNOWN_SECONDS)
        return Again(seconds=_pause(job.attempts), reason="; ".join(found.reasons))

    async def _store(self, row: TargetRow, found: Discovery) -> None:
        """Write what was found, unless the target has another revision by now: then another job follows."""
        eras = _merged(found, row)
        status = _status(found, row)
        async with self._database.write(shared=True) as conn:
            written = await targets.set_status(
                conn,
                row.id,
                status,
                found.reasons,
                eras=dump_eras(eras) if found.eras else None,
                synchronized_at=int(self._clock()) if found.eras else None,
                revision=row.revision,
            )
            if written:
                await counters.bump(conn, f"gateway/{row.gateway_id}")
        tools = {entry.era: len(entry.tools) for entry in eras}
        _log.info("target_synchronized", target=row.name, status=status, tools=tools, reasons=found.reasons)


def _target(row: TargetRow) -> Target:
    return parse_target(
        target_id=row.id,
        gateway_id=row.gateway_id,
        document=row.document,
        extension=row.extension,
        status=row.status,
        eras=row.eras,
        revision=row.revision,
    )


def _merged(found: Discovery, row: TargetRow) -> tuple[EraTools, ...]:
    """Return what was found, with the last good tools of those eras that could not be judged this time."""
    known = load_eras(row.eras) if row.eras else ()
    return (*found.eras, *(entry for entry in known if entry.era in found.undecided))


def _status(found: Discovery, row: TargetRow) -> str:
    """Return AWS's status; SYNCHRONIZE_UNSUCCESSFUL says that the last good tools still serve."""
    if found.eras:
        return "READY"
    return "SYNCHRONIZE_UNSUCCESSFUL" if row.eras else "FAILED"


def _pause(attempts: int) -> float:
    """Return the seconds until the next try: doubling, bounded."""
    return min(FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 16), MAX_RETRY_SECONDS)
