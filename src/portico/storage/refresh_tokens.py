"""Refresh tokens, by digest; each is rotated once (RFC 9700 section 4.14.2)."""

from dataclasses import dataclass

from sqlalchemy import delete as delete_from
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import fetch_one, insert_row
from portico.storage.schema import DEFAULT_ACCOUNT, refresh_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokenRow:
    """One row of ``refresh_tokens``. Times are seconds since the epoch."""

    token_hash: str  #: SHA-256 hex
    issuer: str
    grant_id: str
    client_id: str
    issued_at: int
    expires_at: int  #: idle lifetime; the grant's is the absolute one
    used_at: int | None = None
    successor: str = ""  #: sealed; given again within the grace window
    account: str = DEFAULT_ACCOUNT


async def add(conn: AsyncConnection, row: RefreshTokenRow) -> None:
    """Insert a token; its grant must be there."""
    await insert_row(conn, refresh_tokens, row, conflict="The token exists already, or its grant is gone.")


async def find(conn: AsyncConnection, token_hash: str) -> RefreshTokenRow | None:
    """Return a token, also when it was used or is over: look at its times."""
    statement = select(refresh_tokens).where(refresh_tokens.c.token_hash == token_hash)
    return await fetch_one(conn, statement, RefreshTokenRow)


async def take(conn: AsyncConnection, token_hash: str, now: int, successor: str) -> RefreshTokenRow | None:
    """Rotate a token, by one conditional statement: of any number of takers exactly one gets the row.

    ``successor`` is stored with it. Returns None when it is unknown, over or used; :func:`find` then says which.
    """
    statement = (
        update(refresh_tokens)
        .where(
            refresh_tokens.c.token_hash == token_hash,
            refresh_tokens.c.used_at.is_(None),
            refresh_tokens.c.expires_at > now,
        )
        .values(used_at=now, successor=successor)
        .returning(refresh_tokens)
    )
    return await fetch_one(conn, statement, RefreshTokenRow)


async def prune(conn: AsyncConnection, before: int) -> None:
    """Delete tokens that were over before a time; keep them as long as a reuse must still be noticed."""
    await conn.execute(delete_from(refresh_tokens).where(refresh_tokens.c.expires_at < before))
