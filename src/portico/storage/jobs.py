"""Background work: rows with a lease, one per (kind, key), whose steps are idempotent."""

from dataclasses import dataclass

from sqlalchemy import case, func, select, update
from sqlalchemy import delete as delete_from
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import affects, fetch_all, upsert
from portico.storage.schema import DEFAULT_ACCOUNT, jobs

MAX_ERROR_CHARS = 2000  #: of ``last_error``


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One row of ``jobs``, as leased. Times are seconds since the epoch, with fractions."""

    id: int
    kind: str
    key: str
    run_at: float
    leased_until: float
    lease_owner: str
    attempts: int  #: leases so far, this one included
    last_error: str
    account: str


async def put(conn: AsyncConnection, kind: str, key: str, run_at: float, *, account: str = DEFAULT_ACCOUNT) -> None:
    """Ask for work at a time. Work that is asked for or under way already is asked for anew.

    A lease is taken from its holder: what it does may be about an older state, and its :func:`finish` must not take
    this request away.
    """
    values = {
        "account": account,
        "kind": kind,
        "key": key,
        "run_at": run_at,
        "leased_until": 0.0,
        "lease_owner": "",
        "attempts": 0,
        "last_error": "",
    }
    await conn.execute(upsert(conn, jobs, values, key=("kind", "key")))


async def lease(conn: AsyncConnection, owner: str, now: float, lease_seconds: float, limit: int) -> list[JobRow]:
    """Take up to ``limit`` jobs that are due and that nobody holds, the longest waiting first.

    Workers that look at once do not wait for each other: each passes over what another is just taking.
    """
    due = (
        select(jobs.c.id)
        .where(jobs.c.run_at <= now, jobs.c.leased_until <= now)
        .order_by(jobs.c.run_at, jobs.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)  # SQLite has one writer and no such clause
        .cte("due")  # not a subquery: PostgreSQL may run one more than once, and lock more than the limit
    )
    statement = (
        update(jobs)
        .where(jobs.c.id.in_(select(due.c.id)), jobs.c.leased_until <= now)
        .values(leased_until=now + lease_seconds, lease_owner=owner, attempts=jobs.c.attempts + 1)
        .returning(jobs)
    )
    taken = await fetch_all(conn, statement, JobRow)
    return sorted(taken, key=lambda job: (job.run_at, job.id))


async def finish(conn: AsyncConnection, job: JobRow) -> bool:
    """Delete a job that was done; False when the lease was lost, so that another run follows."""
    return await affects(conn, delete_from(jobs).where(*_held(job)))


async def retry_later(conn: AsyncConnection, job: JobRow, run_at: float, error: str) -> bool:
    """Give a job back to be run at ``run_at``; False when the lease was lost."""
    values = {"run_at": run_at, "leased_until": 0.0, "lease_owner": "", "last_error": error[:MAX_ERROR_CHARS]}
    return await affects(conn, update(jobs).where(*_held(job)).values(values))


async def next_due(conn: AsyncConnection) -> float | None:
    """Return when the next job can be leased, None when there is none."""
    due = case((jobs.c.run_at >= jobs.c.leased_until, jobs.c.run_at), else_=jobs.c.leased_until)
    return (await conn.execute(select(func.min(due)))).scalar_one()


def _held(job: JobRow):  # noqa: ANN202 - a tuple of SQLAlchemy's expressions, generic over their parts
    return (
        jobs.c.id == job.id,
        jobs.c.lease_owner == job.lease_owner,
        jobs.c.leased_until == job.leased_until,
    )
