"""Signing keys of our issuers; the private half is sealed by the caller."""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete as delete_from
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import affects, fetch_all, insert_row
from portico.storage.schema import DEFAULT_ACCOUNT, signing_keys

KeyState = Literal["next", "current", "previous"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyRow:
    """One row of ``signing_keys``. Times are seconds since the epoch."""

    issuer: str
    kid: str
    sealed: str  #: private JWK; purpose "signing-key", associated data ``issuer|kid``
    public_jwk: dict[str, Any]
    state: KeyState
    created_at: int
    changed_at: int
    account: str = DEFAULT_ACCOUNT


async def add(conn: AsyncConnection, row: SigningKeyRow) -> None:
    """Insert a key."""
    await insert_row(conn, signing_keys, row, conflict=f"A signing key {row.kid!r} exists already.")


async def list_all(conn: AsyncConnection, *, issuer: str | None = None) -> list[SigningKeyRow]:
    """Return every key, or those of one issuer, oldest first."""
    statement = select(signing_keys).order_by(signing_keys.c.issuer, signing_keys.c.created_at, signing_keys.c.kid)
    if issuer is not None:
        statement = statement.where(signing_keys.c.issuer == issuer)
    return await fetch_all(conn, statement, SigningKeyRow)


async def set_state(conn: AsyncConnection, kid: str, state: KeyState, at: int) -> bool:
    """Move a key on; says whether it was there."""
    statement = update(signing_keys).where(signing_keys.c.kid == kid)
    return await affects(conn, statement.values(state=state, changed_at=at))


async def set_sealed(conn: AsyncConnection, kid: str, sealed: str) -> bool:
    """Store the private half under another sealing key; says whether the key was there."""
    return await affects(conn, update(signing_keys).where(signing_keys.c.kid == kid).values(sealed=sealed))


async def drop(conn: AsyncConnection, kid: str) -> bool:
    """Delete a key, and with it the validity of what it signed; says whether it was there."""
    return await affects(conn, delete_from(signing_keys).where(signing_keys.c.kid == kid))
