"""Legacy sessions that ended before their time: no replica may serve them any more."""

from dataclasses import dataclass

from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage import counters
from portico.storage.rows import fetch_all, insertion
from portico.storage.schema import ended_sessions

SCOPE = "sessions"  #: of the counter


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedSessionRow:
    """One row of ``ended_sessions``."""

    number: str
    sequence: int  #: rises in the order of the commits
    expires_at: int  #: seconds since the epoch; when the session would have ended by itself


async def add(conn: AsyncConnection, number: str, *, expires_at: int) -> None:
    """Remember that a session ended, once.

    The counter comes first: its row lock makes the sequence rise in the order of the commits, so that a reader who
    goes on behind the last row that it saw misses none.
    """
    sequence = await counters.bump(conn, SCOPE)
    values = {"number": number, "sequence": sequence, "expires_at": expires_at}
    await conn.execute(insertion(conn, ended_sessions).values(values).on_conflict_do_nothing())


async def list_after(conn: AsyncConnection, sequence: int, *, now: int) -> list[EndedSessionRow]:
    """Return the sessions that ended later than the row ``sequence`` and would still live, in order."""
    wanted = (ended_sessions.c.sequence > sequence, ended_sessions.c.expires_at >= now)
    return await fetch_all(
        conn, select(ended_sessions).where(*wanted).order_by(ended_sessions.c.sequence), EndedSessionRow
    )


async def prune(conn: AsyncConnection, now: int) -> None:
    """Delete the sessions that would have ended by now."""
    await conn.execute(delete_from(ended_sessions).where(ended_sessions.c.expires_at < now))
