"""Grants: what a user allowed a client; the root of a family of codes and tokens.

A grant that was revoked while it held a provider's token is *untold*: the token stays, sealed, until the provider was
told of it, which is the job :data:`TELL_JOB` of its issuer. It is asked for in the transaction that revokes, whoever
does that, because the command line may have no way to the provider.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete as delete_from
from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage import jobs
from portico.storage.rows import affects, fetch_all, fetch_one, insert_row
from portico.storage.schema import DEFAULT_ACCOUNT, grants

TELL_JOB: Final = "tell-providers"  #: the kind of job; its key is the issuer's name


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRow:
    """One row of ``grants``. Times are seconds since the epoch."""

    id: str
    issuer: str
    subject: str
    client_id: str
    scopes: tuple[str, ...]
    resource: str
    created_at: int
    expires_at: int  #: absolute lifetime of the family
    revoked_at: int | None = None
    upstream: str = ""  #: the provider's tokens, sealed; empty: none are kept
    upstream_checked_at: int = 0  #: when the provider last said that the login still holds
    upstream_lease: int = 0  #: until when one process asks or tells the provider on behalf of all, or nobody does
    account: str = DEFAULT_ACCOUNT


async def add(conn: AsyncConnection, row: GrantRow) -> None:
    """Insert a grant."""
    await insert_row(conn, grants, row, conflict="The grant exists already.")


async def get(conn: AsyncConnection, grant_id: str) -> GrantRow | None:
    """Return one grant."""
    return await fetch_one(conn, select(grants).where(grants.c.id == grant_id), GrantRow)


async def list_all(
    conn: AsyncConnection,
    *,
    issuer: str | None = None,
    subject: str | None = None,
    client_id: str | None = None,
    live_at: int | None = None,
) -> list[GrantRow]:
    """Return the grants that match, newest first; with ``live_at`` only those that are neither over nor revoked."""
    statement = select(grants).order_by(grants.c.created_at.desc(), grants.c.id)
    for column, wanted in ((grants.c.issuer, issuer), (grants.c.subject, subject), (grants.c.client_id, client_id)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if live_at is not None:
        statement = statement.where(grants.c.revoked_at.is_(None), grants.c.expires_at > live_at)
    return await fetch_all(conn, statement, GrantRow)


async def revoke(conn: AsyncConnection, grant_id: str, at: int, *, tell: bool = True) -> bool:
    """Revoke a grant and have its provider told; says whether it was there and not revoked before.

    Without ``tell`` what the provider gave is forgotten at once: it knows already, or there is nobody to tell it.
    """
    statement = update(grants).where(grants.c.id == grant_id, grants.c.revoked_at.is_(None))
    values = {"revoked_at": at} if tell else {"revoked_at": at, "upstream": ""}
    row = await fetch_one(conn, statement.values(values).returning(grants), GrantRow)
    if row is not None and row.upstream:
        await jobs.put(conn, TELL_JOB, row.issuer, float(at))
    return row is not None


async def take_untold(conn: AsyncConnection, issuer: str, now: int, until: int, limit: int) -> list[GrantRow]:
    """Let the caller alone tell the provider about up to ``limit`` grants until ``until``."""
    due = (
        select(grants.c.id)
        .where(*_untold(issuer), grants.c.upstream_lease <= now)
        .order_by(grants.c.revoked_at, grants.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)  # SQLite has one writer and no such clause
        .cte("due")
    )
    statement = update(grants).where(grants.c.id.in_(select(due.c.id)), grants.c.upstream_lease <= now)
    return await fetch_all(conn, statement.values(upstream_lease=until).returning(grants), GrantRow)


async def next_untold(conn: AsyncConnection, issuer: str) -> int | None:
    """Return when the next provider can be told, None when all were."""
    return (await conn.execute(select(func.min(grants.c.upstream_lease)).where(*_untold(issuer)))).scalar_one()


async def put_off(conn: AsyncConnection, grant_id: str, lease: int, until: int) -> bool:
    """Have the provider told again at ``until``; False when somebody else holds the lease by now."""
    statement = update(grants).where(grants.c.id == grant_id, grants.c.upstream_lease == lease)
    return await affects(conn, statement.values(upstream_lease=until))


async def forget_untold(conn: AsyncConnection, issuer: str, grant_ids: Collection[str] | None = None) -> None:
    """Forget what the provider gave for these grants that were revoked, or (None) for all of the issuer."""
    statement = update(grants).where(*_untold(issuer))
    if grant_ids is not None:
        statement = statement.where(grants.c.id.in_(grant_ids))
    await conn.execute(statement.values(upstream="", upstream_lease=0))


async def take_lease(conn: AsyncConnection, grant_id: str, now: int, until: int) -> bool:
    """Let the caller alone ask the provider about a grant until ``until``; False while somebody else may."""
    statement = update(grants).where(
        grants.c.id == grant_id, grants.c.revoked_at.is_(None), grants.c.upstream_lease <= now
    )
    return await affects(conn, statement.values(upstream_lease=until))


async def release_lease(conn: AsyncConnection, grant_id: str, until: int) -> bool:
    """Give back the lease that was taken until ``until``; False when somebody else has one by now."""
    statement = update(grants).where(grants.c.id == grant_id, grants.c.upstream_lease == until)
    return await affects(conn, statement.values(upstream_lease=0))


async def set_upstream(
    conn: AsyncConnection, grant_id: str, sealed: str, checked_at: int, *, lease: int | None = None
) -> bool:
    """Keep what the provider gave and give the lease back; of a grant that was revoked only while it is untold.

    With ``lease`` (the ``until`` that it was taken for) only while that lease is still the caller's: what was fetched
    under a lost one is older than what its next holder stored. Says whether it was written.
    """
    # A provider that rotates knows only the newest token, so that is the one to tell it of.
    statement = update(grants).where(
        grants.c.id == grant_id, or_(grants.c.revoked_at.is_(None), grants.c.upstream != "")
    )
    if lease is not None:
        statement = statement.where(grants.c.upstream_lease == lease)
    values = {"upstream": sealed, "upstream_checked_at": checked_at, "upstream_lease": 0}
    return await affects(conn, statement.values(values))


async def prune(conn: AsyncConnection, before: int) -> None:
    """Delete grants that were over before a time, with their codes and refresh tokens."""
    await conn.execute(delete_from(grants).where(grants.c.expires_at < before))


def _untold(issuer: str):  # noqa: ANN202 - a tuple of SQLAlchemy's expressions, generic over their parts
    return (grants.c.issuer == issuer, grants.c.revoked_at.is_not(None), grants.c.upstream != "")
