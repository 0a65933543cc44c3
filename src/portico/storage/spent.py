"""One-time things that were used: what a façade with a database notices a second use by."""

from dataclasses import dataclass

from sqlalchemy import delete as delete_from
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import fetch_one, insertion
from portico.storage.schema import spent


@dataclass(frozen=True, slots=True, kw_only=True)
class SpentRow:
    """One row of ``spent``. Times are seconds since the epoch."""

    digest: str  #: SHA-256 hex of the thing, which is not stored itself
    kind: str
    spent_at: int
    expires_at: int  #: from then on the thing is refused for its age
    outcome: str = ""  #: what came of it, sealed; empty: nothing yet


async def spend(conn: AsyncConnection, digest: str, kind: str, expires_at: int, now: int) -> bool:
    """Use something up, by one conditional statement: of any number of callers exactly one hears True.

    Args:
        conn: a write transaction.
        digest: SHA-256 hex of the thing.
        kind: what it is, for whoever looks at the table.
        expires_at: when the thing would be refused for its age.
        now: when it is used.
    """
    values = {"digest": digest, "kind": kind, "expires_at": expires_at, "spent_at": now}
    statement = insertion(conn, spent).values(values).on_conflict_do_nothing(index_elements=["digest"])
    return (await conn.execute(statement.returning(spent.c.digest))).one_or_none() is not None


async def give_back(conn: AsyncConnection, digest: str) -> None:
    """Let a thing be used again that nothing came of."""
    await conn.execute(delete_from(spent).where(spent.c.digest == digest, spent.c.outcome == ""))


async def keep_outcome(conn: AsyncConnection, digest: str, outcome: str) -> None:
    """Keep what came of a thing's use."""
    await conn.execute(update(spent).where(spent.c.digest == digest).values(outcome=outcome))


async def find(conn: AsyncConnection, digest: str) -> SpentRow | None:
    """Return what is known of a thing's use, None when it was not used."""
    return await fetch_one(conn, select(spent).where(spent.c.digest == digest), SpentRow)


async def prune(conn: AsyncConnection, before: int) -> None:
    """Forget what is refused for its age since before a time."""
    await conn.execute(delete_from(spent).where(spent.c.expires_at < before))
