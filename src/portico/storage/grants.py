"""Grants: what a user allowed a client; the root of a family of codes and tokens."""

from dataclasses import dataclass

from sqlalchemy import delete as delete_from
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import affects, fetch_all, fetch_one, insert_row
from portico.storage.schema import DEFAULT_ACCOUNT, grants


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
    upstream_lease: int = 0  #: until when one process asks the provider on behalf of all
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


async def revoke(conn: AsyncConnection, grant_id: str, at: int) -> bool:
    """Revoke a grant and forget the provider's tokens; says whether it was there and not revoked before."""
    statement = update(grants).where(grants.c.id == grant_id, grants.c.revoked_at.is_(None))
    return await affects(conn, statement.values(revoked_at=at, upstream=""))


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
    """Keep what the provider gave and give the lease back, unless the grant was revoked meanwhile.

    With ``lease`` (the ``until`` that it was taken for) only while that lease is still the caller's: what was fetched
    under a lost one is older than what its next holder stored. Says whether it was written.
    """
    statement = update(grants).where(grants.c.id == grant_id, grants.c.revoked_at.is_(None))
    if lease is not None:
        statement = statement.where(grants.c.upstream_lease == lease)
    values = {"upstream": sealed, "upstream_checked_at": checked_at, "upstream_lease": 0}
    return await affects(conn, statement.values(values))


async def prune(conn: AsyncConnection, before: int) -> None:
    """Delete grants that were over before a time, with their codes and refresh tokens."""
    await conn.execute(delete_from(grants).where(grants.c.expires_at < before))
