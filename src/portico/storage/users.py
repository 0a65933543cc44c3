"""Users of an issuer's local directory."""

from dataclasses import dataclass

from sqlalchemy import delete as delete_from
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import affects, fetch_all, fetch_one, insert_row
from portico.storage.schema import DEFAULT_ACCOUNT, users


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """One row of ``users``. Times are seconds since the epoch."""

    issuer: str
    subject: str  #: random; the ``sub`` of tokens
    name: str  #: what the person types at login
    display_name: str = ""
    email: str = ""
    password_hash: str
    password_changed_at: int
    disabled_at: int | None = None
    managed_by: str = ""
    created_at: int
    account: str = DEFAULT_ACCOUNT


async def add(conn: AsyncConnection, row: UserRow) -> None:
    """Insert a user.

    Raises:
        Conflict: the issuer has one of that name.
    """
    await insert_row(conn, users, row, conflict=f"A user named {row.name!r} exists already.")


async def by_name(conn: AsyncConnection, issuer: str, name: str) -> UserRow | None:
    """Return the issuer's user who logs in as ``name``."""
    return await fetch_one(conn, select(users).where(users.c.issuer == issuer, users.c.name == name), UserRow)


async def by_subject(conn: AsyncConnection, subject: str) -> UserRow | None:
    """Return the user whose tokens have this ``sub``."""
    return await fetch_one(conn, select(users).where(users.c.subject == subject), UserRow)


async def list_all(conn: AsyncConnection, *, issuer: str | None = None) -> list[UserRow]:
    """Return every user, or those of one issuer, by name."""
    statement = select(users).order_by(users.c.issuer, users.c.name)
    if issuer is not None:
        statement = statement.where(users.c.issuer == issuer)
    return await fetch_all(conn, statement, UserRow)


async def set_disabled(conn: AsyncConnection, subject: str, at: int | None) -> bool:
    """Disable a user at a time, or enable them again (None); says whether they were there."""
    return await affects(conn, update(users).where(users.c.subject == subject).values(disabled_at=at))


async def set_password(conn: AsyncConnection, subject: str, password_hash: str, at: int) -> bool:
    """Store a new password hash; says whether the user was there."""
    values = {"password_hash": password_hash, "password_changed_at": at}
    return await affects(conn, update(users).where(users.c.subject == subject).values(values))


async def set_profile(conn: AsyncConnection, subject: str, *, display_name: str, email: str) -> bool:
    """Store how the user is shown; says whether they were there."""
    values = {"display_name": display_name, "email": email}
    return await affects(conn, update(users).where(users.c.subject == subject).values(values))


async def delete(conn: AsyncConnection, subject: str) -> bool:
    """Delete a user; says whether they were there. Grants and revocations are the use case's duty."""
    return await affects(conn, delete_from(users).where(users.c.subject == subject))
