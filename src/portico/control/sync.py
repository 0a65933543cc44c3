"""The worker that reads targets' tools: jobs of kind ``sync`` become statuses and tool tables.

Each step is idempotent and belongs to one revision of the target, so that several replicas may run workers and any
of them may die at any point: the lease runs out and the job is done again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from portico.control.targets import SYNC_JOB
from portico.model.documents import dump_eras, load_eras, parse_target
from portico.model.errors import StorageUnavailable
from portico.model.target import EraTools, Target
from portico.storage import counters, jobs, targets
from portico.storage.engine import Database
from portico.storage.jobs import JobRow
from portico.storage.targets import TargetRow
from portico.targets.discovery import DISCOVERY_SECONDS, Discovery

Discover = Callable[[Target], Awaitable[Discovery]]

POLL_SECONDS: Final = 1.0  #: between looks for due jobs
LEASE_SECONDS: Final = DISCOVERY_SECONDS + 30.0  #: a discovery ends before its lease does
MAX_AT_ONCE: Final = 8  #: discoveries of this process
FIRST_RETRY_SECONDS: Final = 1.0
MAX_RETRY_SECONDS: Final = 300.0

_log = structlog.stdlib.get_logger("portico.sync")


class SyncWorker:
    """Leases jobs and runs them until it is cancelled. A database that is away is waited for."""

    def __init__(
        self, database: Database, discover: Discover, *, owner: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._discover = discover
        self._owner = owner
        self._clock = clock
        self._wake = asyncio.Event()
        self._free = asyncio.Semaphore(MAX_AT_ONCE)

    def wake(self) -> None:
        """Look for jobs now instead of at the next poll."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                for job in await self._lease():
                    group.create_task(self._run_job(job), name=f"sync {job.key}")
                try:
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def _lease(self) -> list[JobRow]:
        try:
            async with self._database.read() as conn:  # most looks find nothing and must not take the write lock
                due = await jobs.next_due(conn)
            if due is None or due > self._clock():
                return []
            async with self._database.write() as conn:
                return await jobs.lease(conn, self._owner, self._clock(), LEASE_SECONDS, MAX_AT_ONCE)
        except StorageUnavailable as error:
            _log.warning("sync_waits_for_storage", detail=error.detail)
            return []

    async def _run_job(self, job: JobRow) -> None:
        """Run one job; whatever happens in it, the worker goes on and the lease brings the job back."""
        try:
            async with self._free:
                await self._synchronize(job)
        except StorageUnavailable as error:
            _log.warning("sync_not_stored", target=job.key, detail=error.detail)
        except Exception:  # noqa: BLE001 - the outermost handler of a job; the worker must survive it
            _log.exception("sync_failed", target=job.key)

    async def _synchronize(self, job: JobRow) -> None:
        async with self._database.read() as conn:
            row = await targets.get(conn, job.key) if job.kind == SYNC_JOB else None
        if row is None:
            async with self._database.write() as conn:
                await jobs.finish(conn, job)
            return
        found = await self._discover(_target(row))
        await self._store(job, row, found)

    async def _store(self, job: JobRow, row: TargetRow, found: Discovery) -> None:
        eras = _merged(found, row)
        status = _status(found, row)
        async with self._database.write() as conn:
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
            if found.eras and not found.undecided:
                await jobs.finish(conn, job)
            else:
                reason = "; ".join(found.reasons)
                await jobs.retry_later(conn, job, self._clock() + _pause(job.attempts), reason)
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
