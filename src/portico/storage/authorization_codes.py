"""Authorization codes, by digest; each is taken once (RFC 6749 section 4.1.2)."""

from dataclasses import dataclass

from sqlalchemy import delete as delete_from
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import fetch_one, insert_row
from portico.storage.schema import DEFAULT_ACCOUNT, authorization_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationCodeRow:
    """One row of ``authorization_codes``. Times are seconds since the epoch."""

    code_hash: str  #: SHA-256 hex
    issuer: str
    grant_id: str
    client_id: str
    redirect_uri: str
    code_challenge: str
    scopes: tuple[str, ...]
    resource: str
    nonce: str = ""
    expires_at: int
    used_at: int | None = None
    account: str = DEFAULT_ACCOUNT


async def add(conn: AsyncConnection, row: AuthorizationCodeRow) -> None:
    """Insert a code; its grant must be there."""
    await insert_row(conn, authorization_codes, row, conflict="The code exists already, or its grant is gone.")


async def find(conn: AsyncConnection, code_hash: str) -> AuthorizationCodeRow | None:
    """Return a code, also when it was used or is over: look at its times."""
    statement = select(authorization_codes).where(authorization_codes.c.code_hash == code_hash)
    return await fetch_one(conn, statement, AuthorizationCodeRow)


async def take(conn: AsyncConnection, code_hash: str, now: int) -> AuthorizationCodeRow | None:
    """Use a code up, by one conditional statement: of any number of takers exactly one gets the row.

    Returns None when it is unknown, over or used; :func:`find` then says which.
    """
    statement = (
        update(authorization_codes)
        .where(
            authorization_codes.c.code_hash == code_hash,
            authorization_codes.c.used_at.is_(None),
            authorization_codes.c.expires_at > now,
        )
        .values(used_at=now)
        .returning(authorization_codes)
    )
    return await fetch_one(conn, statement, AuthorizationCodeRow)


async def prune(conn: AsyncConnection, before: int) -> None:
    """Delete codes that were over before a time; keep them as long as a reuse must still be noticed."""
    await conn.execute(delete_from(authorization_codes).where(authorization_codes.c.expires_at < before))
