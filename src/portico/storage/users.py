"""Users of an issuer: of its local directory, and people whom an identity provider knows."""

from dataclasses import dataclass

from sqlalchemy import delete as delete_from
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.model.errors import Conflict
from portico.storage.rows import affects, fetch_all, fetch_one, insert_row, insertion, values_of
from portico.storage.schema import DEFAULT_ACCOUNT, users


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """One row of ``users``. Times are seconds since the epoch."""

    issuer: str
    subject: str  #: random; the ``sub`` of tokens
    name: str  #: unique in the issuer; what a local user types at login
    display_name: str = ""
    email: str = ""
    connector: str = ""  #: empty: a local user
    provider_subject: str | None = None  #: who the provider of ``connector`` says that it is; None: a local user
    password_hash: str = ""  #: empty: no password fits
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


async def remember(conn: AsyncConnection, row: UserRow) -> UserRow:
    """Insert a person whom a provider knows unless they are there, and return the row that is there.

    The caller looks at ``disabled_at`` of what comes back.

    Raises:
        Conflict: somebody else of the issuer has that name.
    """
    assert row.connector
    assert row.provider_subject is not None
    await conn.execute(insertion(conn, users).values(values_of(row)).on_conflict_do_nothing())
    stored = await by_provider(conn, row.issuer, row.connector, row.provider_subject)
    if stored is None:
        raise Conflict(f"Another user named {row.name!r} exists already.")
    return stored


async def by_name(conn: AsyncConnection, issuer: str, name: str) -> UserRow | None:
    """Return the issuer's local user who logs in as ``name``; nobody whom a provider knows has a password of ours."""
    wanted = (users.c.issuer == issuer, users.c.name == name, users.c.connector == "")
    return await fetch_one(conn, select(users).where(*wanted), UserRow)


async def by_any_name(conn: AsyncConnection, issuer: str, name: str) -> UserRow | None:
    """Return the issuer's user of that name, wherever they log in: for administrators, never for a login."""
    return await fetch_one(conn, select(users).where(users.c.issuer == issuer, users.c.name == name), UserRow)


async def by_provider(conn: AsyncConnection, issuer: str, connector: str, provider_subject: str) -> UserRow | None:
    """Return the person whom the provider of ``connector`` calls ``provider_subject``."""
    columns = users.c
    wanted = (
        columns.issuer == issuer,
        columns.connector == connector,
        columns.provider_subject == provider_subject,
    )
    return await fetch_one(conn, select(users).where(*wanted), UserRow)


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
