"""The worker for background work: rows of ``jobs``, leased, run, finished or put off.

Several replicas may run workers, and any of them may die at any point: the lease runs out and the job is done again.
So each handler's steps are idempotent.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from portico.model.errors import StorageUnavailable
from portico.storage import jobs
from portico.storage.engine import Database
from portico.storage.jobs import JobRow

POLL_SECONDS: Final = 1.0  #: between looks for due jobs
LEASE_SECONDS: Final = 150.0  #: longer than any job takes
MAX_AT_ONCE: Final = 8  #: jobs of this process

_log = structlog.stdlib.get_logger("portico.jobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A job that has to be run once more."""

    seconds: float  #: from now
    reason: str = ""


Handler = Callable[[JobRow], Awaitable[Again | None]]


class JobWorker:
    """Leases jobs and runs them until it is cancelled. A database that is away is waited for."""

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, Handler],
        *,
        owner: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take a handler for each kind of job."""
        self._database = database
        self._handlers = handlers
        self._owner = owner
        self._clock = clock
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look for jobs now instead of at the next poll."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                for job in await self._lease(MAX_AT_ONCE - len(self._running)):
                    task = group.create_task(self._run(job), name=f"job {job.kind} {job.key}")
                    self._running.add(task)
                    task.add_done_callback(self._done)
                try:
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def _lease(self, places: int) -> list[JobRow]:
        if places <= 0:
            return []
        try:
            async with self._database.read() as conn:  # most looks find nothing and must not take the write lock
                due = await jobs.next_due(conn)
            if due is None or due > self._clock():
                return []
            async with self._database.write(shared=True) as conn:
                return await jobs.lease(conn, self._owner, self._clock(), LEASE_SECONDS, places)
        except StorageUnavailable as error:
            _log.debug("jobs_wait_for_storage", detail=error.detail)  # the refresher says it aloud
            return []

    async def _run(self, job: JobRow) -> None:
        """Run one job; whatever happens in it, the worker goes on and the lease brings the job back."""
        handler = self._handlers.get(job.kind)
        if handler is None:
            return  # a newer version's; it will lease it
        try:
            again = await handler(job)
            async with self._database.write(shared=True) as conn:
                if again is None:
                    await jobs.finish(conn, job)
                else:
                    await jobs.retry_later(conn, job, self._clock() + again.seconds, again.reason)
        except StorageUnavailable as error:
            _log.warning("job_not_stored", kind=job.kind, key=job.key, detail=error.detail)
        except Exception:  # noqa: BLE001 - the outermost handler of a job; the worker must survive it
            _log.exception("job_failed", kind=job.kind, key=job.key)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()  # a place is free
