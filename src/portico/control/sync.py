"""Reading targets' tools: what a ``sync`` job finds becomes the target's status and tool tables.

Of a target whose tools are stated in its document (``mcpToolSchema``) only the revisions that it speaks are taken from
what is found: what is not stated cannot be called, whatever the server lists. One whose lists are asked for live
(``listingMode`` DYNAMIC) is left alone.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from portico.control.jobs import Again
from portico.control.targets import is_dynamic, warnings_of
from portico.control.tool_schemas import has_schema, stated_tools
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
        if row is None or is_dynamic(row.document):
            return None
        found = await self._discover(_target(row))
        await self._store(row, _judged(row, found))
        if found.eras and not found.undecided:
            return Again(seconds=KNOWN_SECONDS)
        return Again(seconds=_pause(job.attempts), reason="; ".join(found.reasons))

    async def _store(self, row: TargetRow, outcome: "_Outcome") -> None:
        """Write what was found, unless the target changed or was asked for anew meanwhile: then another run follows."""
        eras = outcome.eras if outcome.eras != row.eras else None  # the same tools need not be written or read again
        async with self._database.write(shared=True) as conn:
            written = await targets.set_status(
                conn,
                row.id,
                outcome.status,
                outcome.reasons,
                eras=eras,
                synchronized_at=int(self._clock()) if outcome.synchronized else None,
                revision=row.revision,
                instead_of=row.status,
            )
            if written and (outcome.status != row.status or eras is not None):
                await counters.bump(conn, f"gateway/{row.gateway_id}")
        _log.info("target_synchronized", target=row.name, status=outcome.status, reasons=outcome.reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What a synchronization makes of a target."""

    status: str
    reasons: tuple[str, ...]
    eras: bytes | None  #: None: what is stored stays
    synchronized: bool


def _judged(row: TargetRow, found: Discovery) -> _Outcome:
    if has_schema(row.document):
        return _Outcome(
            status=row.status, reasons=row.status_reasons, eras=_stated_in(row, found.eras), synchronized=False
        )
    return _Outcome(
        status=_status(found, row),
        reasons=(*warnings_of(row.document), *found.reasons),
        eras=dump_eras(_merged(found, row)) if found.eras else None,
        synchronized=bool(found.eras),
    )


def _stated_in(row: TargetRow, spoken: tuple[EraTools, ...]) -> bytes | None:
    """Return the stated tools in the eras that the server was found to speak."""
    if not spoken:
        return None
    tools = stated_tools(row.document)
    return dump_eras(tuple(EraTools(era=entry.era, version=entry.version, tools=tools) for entry in spoken))


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
    """Return AWS's status: which operation failed, where one did. The last good tools serve in any case."""
    if found.eras:
        return "READY"
    match row.status:
        case "UPDATING" | "UPDATE_UNSUCCESSFUL":
            return "UPDATE_UNSUCCESSFUL"
        case "CREATING" | "FAILED":
            return "FAILED"
        case _:
            return "SYNCHRONIZE_UNSUCCESSFUL"


def _pause(attempts: int) -> float:
    """Return the seconds until the next try: doubling, bounded."""
    return min(FIRST_RETRY_SECONDS * 2 ** min(attempts - 1, 16), MAX_RETRY_SECONDS)
