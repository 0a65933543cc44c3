"""Issuers that Portico serves, by name."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import affects, fetch_all, fetch_one, upsert, values_of
from portico.storage.schema import DEFAULT_ACCOUNT, issuers


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerRow:
    """One row of ``issuers``. Times are seconds since the epoch."""

    name: str
    document: dict[str, Any]
    managed_by: str = ""
    created_at: int
    updated_at: int
    account: str = DEFAULT_ACCOUNT


async def put(conn: AsyncConnection, row: IssuerRow) -> None:
    """Insert an issuer or write over the one of its name, whose ``created_at`` stays."""
    statement = upsert(conn, issuers, values_of(row), key=("name",), keep=("account", "created_at"))
    await conn.execute(statement)


async def get(conn: AsyncConnection, name: str) -> IssuerRow | None:
    """Return one issuer."""
    return await fetch_one(conn, select(issuers).where(issuers.c.name == name), IssuerRow)


async def list_all(conn: AsyncConnection) -> list[IssuerRow]:
    """Return every issuer, by name."""
    return await fetch_all(conn, select(issuers).order_by(issuers.c.name), IssuerRow)


async def delete(conn: AsyncConnection, name: str) -> bool:
    """Delete an issuer; its users, clients, grants and keys are the use case's to delete."""
    return await affects(conn, delete_from(issuers).where(issuers.c.name == name))
