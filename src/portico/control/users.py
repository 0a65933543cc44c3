"""Use cases on the users of an issuer: its local directory, and the people whom its providers sent."""

import asyncio
import os
from dataclasses import asdict, dataclass
from dataclasses import replace as changed
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control.arns import own_arn
from portico.control.changes import BY_PROCESS
from portico.control.issuers import require_issuer
from portico.control.operations.context import Changes
from portico.control.relaxations import Ground
from portico.control.revocation import end_grants, end_tokens
from portico.control.secrets import MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS, Random, new_subject
from portico.crypto.passwords import hash_password
from portico.model.errors import Conflict, InputError, NotFound
from portico.model.secret import Secret
from portico.storage import users
from portico.storage.engine import Database
from portico.storage.users import UserRow

MAX_NAME_CHARS = 255  #: of a login name; the column's width


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSummary:
    """What is told of a user. Times are seconds since the epoch."""

    issuer: str
    name: str
    subject: str
    display_name: str
    email: str
    connector: str  #: where they log in; empty: here
    disabled_at: int | None
    managed_by: str
    created_at: int


async def list_all(database: Database, *, issuer: str | None = None) -> list[UserSummary]:
    """Return every user, or those of one issuer, by name."""
    async with database.read() as conn:
        return [summary(row) for row in await users.list_all(conn, issuer=issuer)]


async def add(
    database: Database,
    *,
    issuer: str,
    name: str,
    password: Secret,
    now: int,
    display_name: str = "",
    email: str = "",
    random: Random = os.urandom,
    changes: Changes = BY_PROCESS,
) -> UserSummary:
    """Add a user.

    Raises:
        InputError: the name or the password cannot be used.
        NotFound: there is no such issuer.
        Conflict: the name is taken.
    """
    check_name(name)
    row = UserRow(
        issuer=issuer,
        subject=new_subject(random),
        name=name,
        display_name=display_name,
        email=email,
        password_hash=await hashed(password),
        password_changed_at=now,
        created_at=now,
    )
    async with database.write() as conn:
        await require_issuer(conn, issuer)
        await create(conn, row, changes)
    return summary(row)


async def set_password(
    database: Database,
    *,
    ground: Ground,
    issuer: str,
    name: str,
    password: Secret,
    now: int,
    changes: Changes = BY_PROCESS,
) -> None:
    """Give a user a new password; everyone who was logged in with the old one has to log in again (C11).

    Raises:
        InputError: the password cannot be used.
        NotFound: there is no such user.
        Conflict: a file declares the user's password, or an identity provider has it.
    """
    new_hash = await hashed(password)
    async with database.write() as conn:
        row = await _unmanaged(conn, issuer, name)
        if row.connector:
            raise Conflict(f"The user {name!r} logs in at the provider {row.connector!r} and has no password here.")
        await change_password(conn, row, new_hash, ground=ground, now=now, changes=changes)


async def disable(
    database: Database, *, ground: Ground, issuer: str, name: str, now: int, changes: Changes = BY_PROCESS
) -> None:
    """Lock a user out: no login, no refresh, and live access tokens end at the next poll.

    Raises:
        NotFound: there is no such user.
    """
    async with database.write() as conn:
        row = await _found(conn, issuer, name)
        await users.set_disabled(conn, row.subject, now)
        await end_grants(conn, issuer, ground.issuer_url(issuer), now, subject=row.subject)
        await end_tokens(conn, "subject", ground.issuer_url(issuer), row.subject, now)
        await _record(conn, "DisableUser", row, changed(row, disabled_at=now), changes)


async def enable(database: Database, *, issuer: str, name: str, changes: Changes = BY_PROCESS) -> None:
    """Let a disabled user log in again; what was ended stays ended.

    Raises:
        NotFound: there is no such user.
    """
    async with database.write() as conn:
        row = await _found(conn, issuer, name)
        await users.set_disabled(conn, row.subject, None)
        await _record(conn, "EnableUser", row, changed(row, disabled_at=None), changes)


async def delete(
    database: Database, *, ground: Ground, issuer: str, name: str, now: int, changes: Changes = BY_PROCESS
) -> None:
    """Delete a user with all that they allowed.

    Raises:
        NotFound: there is no such user.
        Conflict: a file declares the user, and would bring them back.
    """
    async with database.write() as conn:
        row = await _unmanaged(conn, issuer, name)
        await remove(conn, row, ground=ground, now=now, changes=changes)


# Steps that applying a file shares; they run in the caller's transaction.


async def create(conn: AsyncConnection, row: UserRow, changes: Changes) -> None:
    """Add a user as a whole.

    Raises:
        Conflict: the name is taken.
    """
    await users.add(conn, row)
    await _record(conn, "CreateUser", None, row, changes)


async def set_profile(conn: AsyncConnection, row: UserRow, *, display_name: str, email: str, changes: Changes) -> None:
    """Change what is told of a user."""
    await users.set_profile(conn, row.subject, display_name=display_name, email=email)
    await _record(conn, "UpdateUser", row, changed(row, display_name=display_name, email=email), changes)


async def remove(conn: AsyncConnection, row: UserRow, *, ground: Ground, now: int, changes: Changes) -> None:
    """Delete a user; grants are revoked and live tokens end."""
    await end_grants(conn, row.issuer, ground.issuer_url(row.issuer), now, subject=row.subject)
    await users.delete(conn, row.subject)
    await end_tokens(conn, "subject", ground.issuer_url(row.issuer), row.subject, now)
    await _record(conn, "DeleteUser", row, None, changes)


async def change_password(
    conn: AsyncConnection, row: UserRow, new_hash: str, *, ground: Ground, now: int, changes: Changes
) -> None:
    """Store a new hash and end what the old password had opened."""
    await users.set_password(conn, row.subject, new_hash, now)
    await end_grants(conn, row.issuer, ground.issuer_url(row.issuer), now, subject=row.subject)
    await end_tokens(conn, "subject", ground.issuer_url(row.issuer), row.subject, now)
    await _record(conn, "ChangePassword", row, changed(row, password_changed_at=now), changes)


async def hashed(password: Secret) -> str:
    """Hash a password in a thread (150 ms): never inside a transaction.

    Raises:
        InputError: it is too short or too long.
    """
    check_password(password)
    return await asyncio.to_thread(hash_password, password.reveal())


def check_password(password: Secret) -> None:
    """Refuse a password that is too short to be one, or long enough to be an attack."""
    if not MIN_PASSWORD_CHARS <= len(password.reveal()) <= MAX_PASSWORD_CHARS:
        raise InputError(f"A password must have {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters.")


def check_name(name: str) -> None:
    """Refuse login names that nobody could type or that would not show what they are."""
    if not 0 < len(name) <= MAX_NAME_CHARS or name != name.strip() or not name.isprintable():
        raise InputError(f"A user name must have 1 to {MAX_NAME_CHARS} printable characters and no space at its ends.")


def summary(row: UserRow) -> UserSummary:
    """Leave out what is secret."""
    return UserSummary(
        issuer=row.issuer,
        name=row.name,
        subject=row.subject,
        display_name=row.display_name,
        email=row.email,
        connector=row.connector,
        disabled_at=row.disabled_at,
        managed_by=row.managed_by,
        created_at=row.created_at,
    )


async def _record(
    conn: AsyncConnection, action: str, before: UserRow | None, after: UserRow | None, changes: Changes
) -> None:
    row = after or before
    assert row is not None
    arn = own_arn("issuer", row.issuer, "user", row.name)
    await changes.record(conn, action, arn, _shown(before), _shown(after))


def _shown(row: UserRow | None) -> dict[str, Any] | None:
    """Return what the audit trail shows of a user: of the password, when it was set."""
    return None if row is None else asdict(summary(row)) | {"password_changed_at": row.password_changed_at}


async def _found(conn: AsyncConnection, issuer: str, name: str) -> UserRow:
    row = await users.by_any_name(conn, issuer, name)
    if row is None:
        raise NotFound(f"The issuer {issuer!r} has no user {name!r}.")
    return row


async def _unmanaged(conn: AsyncConnection, issuer: str, name: str) -> UserRow:
    row = await _found(conn, issuer, name)
    if row.managed_by:
        raise Conflict(f"The user {name!r} is declared in {row.managed_by}; change it there.")
    return row
