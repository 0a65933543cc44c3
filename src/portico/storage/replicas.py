"""The processes that serve over this database, and where each is reached by the others."""

from dataclasses import dataclass

from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import fetch_all, upsert, values_of
from portico.storage.schema import replicas


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaRow:
    """One row of ``replicas``. Times are seconds since the epoch, by the replica's own clock."""

    id: str
    url: str
    started_at: float
    seen_at: float


async def put(conn: AsyncConnection, row: ReplicaRow) -> None:
    """Say that a replica lives; at its first time bump the counter ``replicas`` in the same transaction."""
    await conn.execute(upsert(conn, replicas, values_of(row), key=("id",)))


async def list_all(conn: AsyncConnection) -> list[ReplicaRow]:
    """Return every replica that is known, dead ones too until they are pruned."""
    return await fetch_all(conn, select(replicas).order_by(replicas.c.id), ReplicaRow)


async def delete(conn: AsyncConnection, replica_id: str) -> None:
    """Forget a replica that ends; bump the counter ``replicas`` in the same transaction."""
    await conn.execute(delete_from(replicas).where(replicas.c.id == replica_id))


async def prune(conn: AsyncConnection, seen_before: float) -> None:
    """Forget the replicas that have not been seen for long: they were killed."""
    await conn.execute(delete_from(replicas).where(replicas.c.seen_at < seen_before))
