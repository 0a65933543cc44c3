"""Use cases on access keys: who may sign requests of the AgentCore API and of gateways that ask for signatures."""

import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from dataclasses import replace as changed
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.authorizer.access_keys import SCOPE, open_key, sealed_secret
from portico.control.arns import own_arn
from portico.control.changes import BY_PROCESS, STARS
from portico.control.operations.context import Changes
from portico.control.secrets import MIN_SECRET_CHARS, Random, new_access_key_id, new_secret_access_key
from portico.crypto.keyring import Keyring
from portico.model.access_key import ROLES, Role
from portico.model.errors import Conflict, InputError, NotFound
from portico.model.secret import Secret
from portico.storage import access_keys, counters, gateways
from portico.storage.access_keys import AccessKeyRow
from portico.storage.engine import Database

MAX_SECRET_CHARS: Final = 128

_ID = re.compile(r"[A-Za-z0-9_]{16,128}")  # the shape of AWS's
_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")  # likewise, of IAM's user names: it stands in an ARN
_SECRET = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKeySummary:
    """What is told of an access key. Times are seconds since the epoch."""

    access_key_id: str
    name: str
    role: Role
    gateways: tuple[str, ...]  #: ids that it is confined to; empty: all
    disabled_at: int | None
    managed_by: str
    created_at: int
    last_used_at: int | None  #: to the minute


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccessKey:
    """An access key and its secret, which is told this once."""

    key: AccessKeySummary
    secret: Secret


async def list_all(database: Database) -> list[AccessKeySummary]:
    """Return every access key, oldest first."""
    async with database.read() as conn:
        return [summary(row) for row in await access_keys.list_all(conn)]


async def add(
    database: Database,
    keyring: Keyring,
    *,
    name: str,
    role: str,
    now: int,
    confined_to: Iterable[str] = (),
    random: Random = os.urandom,
    changes: Changes = BY_PROCESS,
) -> NewAccessKey:
    """Make an access key for ``name``, good for all gateways unless some are given, by id or name.

    Raises:
        InputError: the name or the role cannot be used.
        NotFound: there is no such gateway.
    """
    check_name(name)
    key_id, secret = new_access_key_id(random), new_secret_access_key(random)
    async with database.write() as conn:
        row = AccessKeyRow(
            id=key_id,
            sealed_secret=sealed_secret(keyring, key_id, secret),
            name=name,
            role=check_role(role),
            gateways=await gateway_ids(conn, confined_to),
            created_at=now,
        )
        await access_keys.add(conn, row)
        await counters.bump(conn, SCOPE)
        await changes.record(conn, "CreateAccessKey", _arn(key_id), None, _shown(row))
    return NewAccessKey(key=summary(row), secret=secret)


async def disable(database: Database, *, key_id: str, now: int, changes: Changes = BY_PROCESS) -> None:
    """Refuse what an access key signs, on every replica from the next poll on.

    Raises:
        NotFound: there is no such key.
    """
    await _set_disabled(database, key_id, now, "DisableAccessKey", changes)


async def enable(database: Database, *, key_id: str, changes: Changes = BY_PROCESS) -> None:
    """Take again what an access key signs.

    Raises:
        NotFound: there is no such key.
    """
    await _set_disabled(database, key_id, None, "EnableAccessKey", changes)


async def delete(database: Database, *, key_id: str, changes: Changes = BY_PROCESS) -> None:
    """Delete an access key for good.

    Raises:
        NotFound: there is no such key.
        Conflict: a file declares the key, and would bring it back.
    """
    async with database.write() as conn:
        row = await access_keys.get(conn, key_id)
        if row is None:
            raise _not_found(key_id)
        if row.managed_by:
            raise Conflict(f"The access key {key_id} is declared in {row.managed_by}; change it there.")
        await remove(conn, row, changes)


# Steps that applying a file shares; they run in the caller's transaction.


async def put(conn: AsyncConnection, keyring: Keyring, row: AccessKeyRow, secret: Secret, *, changes: Changes) -> None:
    """Make a key or replace the one of its id; an unchanged one changes nothing, and a disabled one stays so.

    ``row`` holds everything but the sealed secret.

    Raises:
        Conflict: the key is managed by somebody else.
    """
    stored = await access_keys.get(conn, row.id)
    if stored is None:
        await access_keys.add(conn, changed(row, sealed_secret=sealed_secret(keyring, row.id, secret)))
        await changes.record(conn, "CreateAccessKey", _arn(row.id), None, _shown(row))
    elif stored.managed_by != row.managed_by:
        raise Conflict(f"The access key {row.id} exists and is managed by {stored.managed_by or 'the command line'}.")
    else:
        wanted = changed(
            stored,
            name=row.name,
            role=row.role,
            gateways=row.gateways,
            sealed_secret=_kept_or_sealed(keyring, stored, secret),
        )
        if wanted == stored:
            return
        await access_keys.replace(conn, wanted)
        after = _shown(wanted) | ({"secret": STARS} if wanted.sealed_secret != stored.sealed_secret else {})
        await changes.record(conn, "UpdateAccessKey", _arn(row.id), _shown(stored), after)
    await counters.bump(conn, SCOPE)


async def remove(conn: AsyncConnection, row: AccessKeyRow, changes: Changes) -> None:
    """Delete a key; nothing that it signs counts any more."""
    await access_keys.delete(conn, row.id)
    await counters.bump(conn, SCOPE)
    await changes.record(conn, "DeleteAccessKey", _arn(row.id), _shown(row), None)


async def reseal(conn: AsyncConnection, keyring: Keyring) -> None:
    """Bring every key under the newest sealing key, so that the older ones can be retired."""
    newest = f"v1.{keyring.kids[0]}."
    for row in await access_keys.list_all(conn):
        key = None if row.sealed_secret.startswith(newest) else open_key(keyring, row)
        if key is not None:
            await access_keys.replace(conn, changed(row, sealed_secret=sealed_secret(keyring, row.id, key.secret)))


async def gateway_ids(conn: AsyncConnection, named: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of gateways that are given by id or by name.

    Raises:
        NotFound: one of them does not exist.
    """
    found: set[str] = set()
    for name in named:
        row = await gateways.get(conn, name) or await gateways.by_name(conn, name)
        if row is None:
            raise NotFound(f"There is no gateway {name!r}.")
        found.add(row.id)
    return tuple(sorted(found))


def check_id(key_id: str) -> None:
    """Refuse an access key id that AWS's tools would not take.

    Raises:
        InputError: says what is wrong.
    """
    if not _ID.fullmatch(key_id):
        raise InputError("An access key id must be 16 to 128 letters, digits and underscores.")


def check_name(name: str) -> None:
    """Refuse a name that could not stand in an ARN.

    Raises:
        InputError: says what is wrong.
    """
    if not _NAME.fullmatch(name):
        raise InputError("The name of an access key must be 1 to 64 letters, digits and any of _ + = , . @ -")


def check_role(role: str) -> Role:
    """Return a role that there is.

    Raises:
        InputError: names those that there are.
    """
    for known in ROLES:
        if role == known:
            return known
    raise InputError(f"The role of an access key must be one of: {', '.join(ROLES)}.")


def check_secret(secret: Secret) -> None:
    """Refuse a secret that was typed rather than generated: who sees one signature could guess it.

    Raises:
        InputError: says what is wrong.
    """
    text = secret.reveal()
    if not MIN_SECRET_CHARS <= len(text) <= MAX_SECRET_CHARS or not _SECRET.fullmatch(text):
        raise InputError(
            f"A secret access key must be {MIN_SECRET_CHARS} to {MAX_SECRET_CHARS} ASCII characters without spaces; "
            "generate it."
        )


def summary(row: AccessKeyRow) -> AccessKeySummary:
    """Leave out what is secret."""
    return AccessKeySummary(
        access_key_id=row.id,
        name=row.name,
        role=row.role,
        gateways=row.gateways,
        disabled_at=row.disabled_at,
        managed_by=row.managed_by,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )


async def _set_disabled(database: Database, key_id: str, at: int | None, action: str, changes: Changes) -> None:
    async with database.write() as conn:
        row = await access_keys.get(conn, key_id)
        if row is None:
            raise _not_found(key_id)
        await access_keys.set_disabled(conn, key_id, at)
        await counters.bump(conn, SCOPE)
        await changes.record(conn, action, _arn(key_id), _shown(row), _shown(changed(row, disabled_at=at)))


def _arn(key_id: str) -> str:
    return own_arn("access-key", key_id)


def _shown(row: AccessKeyRow) -> dict[str, Any]:
    """Return what the audit trail shows of a key."""
    told = asdict(summary(row))
    del told["last_used_at"]  # no change
    return told


def _kept_or_sealed(keyring: Keyring, stored: AccessKeyRow, secret: Secret) -> str:
    """Return the stored sealed secret as long as it holds ``secret``: sealing it anew would look like a change."""
    key = open_key(keyring, stored)
    return (
        stored.sealed_secret if key is not None and key.secret == secret else sealed_secret(keyring, stored.id, secret)
    )


def _not_found(key_id: str) -> NotFound:
    return NotFound(f"There is no access key {key_id!r}.")
