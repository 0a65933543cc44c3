"""One-time things that were used: what a façade with a database notices a second use by."""

from sqlalchemy import delete as delete_from
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import insertion
from portico.storage.schema import spent


async def spend(conn: AsyncConnection, digest: str, kind: str, expires_at: int) -> bool:
    """Use something up, by one conditional statement: of any number of callers exactly one hears True.

    Args:
        conn: a write transaction.
        digest: SHA-256 hex of the thing, which is not stored itself.
        kind: what it is, for whoever looks at the table.
        expires_at: seconds since the epoch; from then on the thing is refused for its age.
    """
    values = {"digest": digest, "kind": kind, "expires_at": expires_at}
    statement = insertion(conn, spent).values(values).on_conflict_do_nothing(index_elements=["digest"])
    return (await conn.execute(statement.returning(spent.c.digest))).one_or_none() is not None


async def prune(conn: AsyncConnection, before: int) -> None:
    """Forget what is refused for its age since before a time."""
    await conn.execute(delete_from(spent).where(spent.c.expires_at < before))
