"""Counters by which replicas learn of changes; the scopes are listed in :mod:`portico.storage.schema`."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import insertion
from portico.storage.schema import counters


async def bump(conn: AsyncConnection, scope: str) -> int:
    """Raise the counter of ``scope`` in the transaction of the change; returns its new value."""
    statement = insertion(conn, counters).values(scope=scope, value=1)
    statement = statement.on_conflict_do_update(index_elements=["scope"], set_={"value": counters.c.value + 1})
    return (await conn.execute(statement.returning(counters.c.value))).scalar_one()


async def read_all(conn: AsyncConnection) -> dict[str, int]:
    """Return every counter, in one statement."""
    found = await conn.execute(select(counters.c.scope, counters.c.value))
    return {record.scope: record.value for record in found}
