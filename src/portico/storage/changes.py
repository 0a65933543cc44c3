"""Records of changes on their way into the audit journal: put down in the transaction of the change itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import fetch_all, insert_row
from portico.storage.schema import DEFAULT_ACCOUNT, changes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """One row of ``changes``."""

    id: str  #: 32 hex digits; stands in the record too, so that one that is journaled twice counts once
    time: float  #: seconds since the epoch
    record: dict[str, Any]  #: audit.record.ChangeRecord
    account: str = DEFAULT_ACCOUNT


async def add(conn: AsyncConnection, row: ChangeRow) -> None:
    """Put a record down."""
    await insert_row(conn, changes, row, conflict="The change was recorded already.")


async def oldest(conn: AsyncConnection, *, limit: int) -> list[ChangeRow]:
    """Take up to ``limit`` records, the oldest first, and pass over those that another process is just taking."""
    statement = select(changes).order_by(changes.c.time, changes.c.id).limit(limit)
    return await fetch_all(conn, statement.with_for_update(skip_locked=True), ChangeRow)


async def list_all(conn: AsyncConnection) -> list[ChangeRow]:
    """Return every record that no journal holds yet, the oldest first."""
    return await fetch_all(conn, select(changes).order_by(changes.c.time, changes.c.id), ChangeRow)


async def remove(conn: AsyncConnection, ids: Sequence[str]) -> None:
    """Take records away that a journal holds now."""
    await conn.execute(delete_from(changes).where(changes.c.id.in_(list(ids))))
