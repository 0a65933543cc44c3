"""Grants of a façade with a database that ended before their time: no replica may serve them any more."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage import counters
from portico.storage.rows import fetch_all, insertion
from portico.storage.schema import ended_grants

SCOPE: Final = "ended-grants"  #: of the counter


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedGrantRow:
    """One row of ``ended_grants``. Times are seconds since the epoch."""

    grant_id: str
    sequence: int  #: rises in the order of the commits
    ended_at: int
    expires_at: int  #: nothing that was issued under the grant lives longer


async def end(conn: AsyncConnection, grant_id: str, *, now: int, expires_at: int) -> bool:
    """Remember that a grant ended; False when it had ended before, and then nothing is written.

    The counter comes before the row: its row lock makes the sequence rise in the order of the commits, so that a
    reader who goes on behind the last row that it saw misses none.
    """
    if await has_ended(conn, grant_id):
        return False
    sequence = await counters.bump(conn, SCOPE)
    values = {"grant_id": grant_id, "sequence": sequence, "ended_at": now, "expires_at": expires_at}
    statement = insertion(conn, ended_grants).values(values).on_conflict_do_nothing(index_elements=["grant_id"])
    return (await conn.execute(statement.returning(ended_grants.c.grant_id))).one_or_none() is not None


async def has_ended(conn: AsyncConnection, grant_id: str) -> bool:
    """Say whether a grant ended."""
    found = await conn.execute(select(ended_grants.c.grant_id).where(ended_grants.c.grant_id == grant_id))
    return found.one_or_none() is not None


async def news(conn: AsyncConnection, since: int = 0) -> list[EndedGrantRow]:
    """Return the grants that ended later than the row whose sequence is ``since``, in order; 0 for all."""
    statement = select(ended_grants).where(ended_grants.c.sequence > since).order_by(ended_grants.c.sequence)
    return await fetch_all(conn, statement, EndedGrantRow)


async def prune(conn: AsyncConnection, before: int) -> None:
    """Forget the grants of which nothing lives since before a time."""
    await conn.execute(delete_from(ended_grants).where(ended_grants.c.expires_at < before))
