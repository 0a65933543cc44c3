"""Access keys of the AgentCore API. SigV4 needs the secret itself, so it is sealed instead of hashed."""

from dataclasses import dataclass

from sqlalchemy import delete as delete_from
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.model.access_key import Role
from portico.storage.rows import affects, fetch_all, fetch_one, insert_row, values_of
from portico.storage.schema import DEFAULT_ACCOUNT, access_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKeyRow:
    """One row of ``access_keys``. Times are seconds since the epoch."""

    id: str
    sealed_secret: str  #: crypto.keyring, purpose "access-key", aad the id
    name: str
    role: Role
    gateways: tuple[str, ...] = ()  #: ids that it is confined to; empty: all
    disabled_at: int | None = None
    managed_by: str = ""
    created_at: int
    last_used_at: int | None = None
    account: str = DEFAULT_ACCOUNT


async def add(conn: AsyncConnection, row: AccessKeyRow) -> None:
    """Insert an access key.

    Raises:
        Conflict: its id is taken.
    """
    await insert_row(conn, access_keys, row, conflict=f"An access key {row.id!r} exists already.")


async def get(conn: AsyncConnection, key_id: str) -> AccessKeyRow | None:
    """Return one access key, also when it is disabled."""
    return await fetch_one(conn, select(access_keys).where(access_keys.c.id == key_id), AccessKeyRow)


async def list_all(conn: AsyncConnection) -> list[AccessKeyRow]:
    """Return every access key, oldest first."""
    statement = select(access_keys).order_by(access_keys.c.created_at, access_keys.c.id)
    return await fetch_all(conn, statement, AccessKeyRow)


async def replace(conn: AsyncConnection, row: AccessKeyRow) -> bool:
    """Write ``row`` over the one of its id; says whether it was there. When it was last used stays as it is."""
    values = values_of(row, without=("id", "account", "created_at", "last_used_at"))
    return await affects(conn, update(access_keys).where(access_keys.c.id == row.id).values(values))


async def set_disabled(conn: AsyncConnection, key_id: str, at: int | None) -> bool:
    """Disable an access key at a time, or enable it again (None); says whether it was there."""
    return await affects(conn, update(access_keys).where(access_keys.c.id == key_id).values(disabled_at=at))


async def set_used(conn: AsyncConnection, key_id: str, at: int) -> bool:
    """Note when an access key was used last; says whether it was there."""
    return await affects(conn, update(access_keys).where(access_keys.c.id == key_id).values(last_used_at=at))


async def delete(conn: AsyncConnection, key_id: str) -> bool:
    """Delete an access key; says whether it was there."""
    return await affects(conn, delete_from(access_keys).where(access_keys.c.id == key_id))
