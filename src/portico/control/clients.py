"""Use cases on the clients of an issuer: machines, those that people log in with, those that named themselves."""

import os
import re
from dataclasses import asdict, dataclass
from dataclasses import replace as changed
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control.arns import own_arn
from portico.control.changes import BY_PROCESS, STARS
from portico.control.issuers import require_issuer
from portico.control.operations.context import Changes
from portico.control.relaxations import Ground
from portico.control.revocation import end_grants, end_tokens
from portico.control.secrets import MIN_SECRET_CHARS, Random, new_client_secret, secret_hash
from portico.model.errors import Conflict, InputError, NotFound
from portico.model.secret import Secret
from portico.oauth.client import ClientKind
from portico.oauth.issuer_settings import IssuerSettings, parse_issuer_settings
from portico.oauth.redirect_uri import kind_of
from portico.oauth.resource import canonical_resource
from portico.oauth.scope import is_scope_token
from portico.storage import clients
from portico.storage.clients import ClientRow
from portico.storage.engine import Database

MAX_NAME_CHARS: Final = 255  #: the column's width
MAX_REDIRECT_URIS: Final = 100  #: of one client

_WITH_SECRET: Final = frozenset({"machine", "confidential"})
_CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSummary:
    """What is told of a client. Times are seconds since the epoch."""

    issuer: str
    client_id: str
    kind: ClientKind
    name: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    default_resource: str
    pkce_required: bool
    disabled_at: int | None
    managed_by: str
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClient:
    """A client that has a secret, which is told this once."""

    client: ClientSummary
    secret: Secret


async def list_all(database: Database, *, issuer: str | None = None) -> list[ClientSummary]:
    """Return every living client, or those of one issuer, oldest first."""
    async with database.read() as conn:
        return [summary(row) for row in await clients.list_all(conn, issuer=issuer)]


async def add_machine(
    database: Database,
    *,
    issuer: str,
    name: str,
    scopes: tuple[str, ...],
    now: int,
    client_id: str = "",
    default_resource: str = "",
    random: Random = os.urandom,
    changes: Changes = BY_PROCESS,
) -> NewClient:
    """Add a client that gets tokens for itself; its id is its name unless one is given.

    Raises:
        InputError: id, name or scopes cannot be used.
        NotFound: there is no such issuer.
        Conflict: the id is taken.
    """
    secret = new_client_secret(random)
    row = ClientRow(
        issuer=issuer,
        client_id=client_id or name,
        kind="machine",
        name=name,
        secret_hash=secret_hash(secret),
        scopes=scopes,
        default_resource=default_resource,
        created_at=now,
    )
    await add(database, row, changes)
    return NewClient(client=summary(row), secret=secret)


async def add_public(
    database: Database,
    *,
    issuer: str,
    client_id: str,
    name: str,
    redirect_uris: tuple[str, ...],
    now: int,
    scopes: tuple[str, ...] = (),
    default_resource: str = "",
    changes: Changes = BY_PROCESS,
) -> ClientSummary:
    """Add a client that people log in with; it has no secret.

    Raises:
        InputError: id, name, redirect URIs or scopes cannot be used.
        NotFound: there is no such issuer.
        Conflict: the id is taken.
    """
    row = ClientRow(
        issuer=issuer,
        client_id=client_id,
        kind="public",
        name=name,
        redirect_uris=redirect_uris,
        scopes=scopes,
        default_resource=default_resource,
        created_at=now,
    )
    await add(database, row, changes)
    return summary(row)


async def new_secret(
    database: Database,
    *,
    ground: Ground,
    issuer: str,
    client_id: str,
    now: int,
    random: Random = os.urandom,
    changes: Changes = BY_PROCESS,
) -> Secret:
    """Give a machine or a confidential client a new secret; the old one and every token it got end.

    Raises:
        NotFound: there is no such client, or it has no secret.
        Conflict: a file declares the client's secret.
    """
    secret = new_client_secret(random)
    async with database.write() as conn:
        row = await require_unmanaged(conn, issuer, client_id)
        if row.kind not in _WITH_SECRET:
            raise NotFound(f"The client {client_id!r} is {row.kind} and has no secret.")
        await replace(conn, row, changed(row, secret_hash=secret_hash(secret)), changes)
        await end_everything(conn, row, ground=ground, now=now)
    return secret


async def disable(
    database: Database, *, ground: Ground, issuer: str, client_id: str, now: int, changes: Changes = BY_PROCESS
) -> None:
    """Refuse a client from now on; its live access tokens end at the next poll.

    Raises:
        NotFound: there is no such client.
    """
    async with database.write() as conn:
        row = await require_client(conn, issuer, client_id)
        await clients.set_disabled(conn, issuer, client_id, now)
        await end_everything(conn, row, ground=ground, now=now)
        await _record(conn, "DisableClient", row, changed(row, disabled_at=now), changes)


async def enable(database: Database, *, issuer: str, client_id: str, changes: Changes = BY_PROCESS) -> None:
    """Serve a disabled client again; what was ended stays ended.

    Raises:
        NotFound: there is no such client.
    """
    async with database.write() as conn:
        row = await require_client(conn, issuer, client_id)
        await clients.set_disabled(conn, issuer, client_id, None)
        await _record(conn, "EnableClient", row, changed(row, disabled_at=None), changes)


async def delete(
    database: Database, *, ground: Ground, issuer: str, client_id: str, now: int, changes: Changes = BY_PROCESS
) -> None:
    """Delete a client; its grants and live tokens end, and a registered id stays refused for good.

    Raises:
        NotFound: there is no such client.
        Conflict: a file declares the client, and would bring it back.
    """
    async with database.write() as conn:
        row = await require_unmanaged(conn, issuer, client_id)
        await remove(conn, row, ground=ground, now=now, changes=changes)


async def add(database: Database, row: ClientRow, changes: Changes) -> None:
    """Add a client as a whole, in a transaction of its own.

    Raises:
        InputError: it cannot work, or its issuer would turn it away.
        NotFound: there is no such issuer.
        Conflict: the id is taken.
    """
    check_client(row)
    async with database.write() as conn:
        issuer = await require_issuer(conn, row.issuer)
        check_fits(row, parse_issuer_settings(row.issuer, issuer.document))
        await create(conn, row, changes)


# Steps that applying a file shares; they run in the caller's transaction.


async def create(conn: AsyncConnection, row: ClientRow, changes: Changes) -> None:
    """Add a client as a whole.

    Raises:
        Conflict: the id is taken, maybe by a client that was deleted.
    """
    await clients.add(conn, row)
    await _record(conn, "CreateClient", None, row, changes)


async def replace(conn: AsyncConnection, stored: ClientRow, row: ClientRow, changes: Changes) -> None:
    """Write a client over the one that was read."""
    await clients.replace(conn, row)
    await _record(conn, "UpdateClient", stored, row, changes)


async def remove(conn: AsyncConnection, row: ClientRow, *, ground: Ground, now: int, changes: Changes) -> None:
    """Mark a client as deleted; grants are revoked and live tokens end."""
    await clients.delete(conn, row.issuer, row.client_id, now)
    await end_everything(conn, row, ground=ground, now=now)
    await _record(conn, "DeleteClient", row, None, changes)


async def end_everything(conn: AsyncConnection, row: ClientRow, *, ground: Ground, now: int) -> None:
    """Revoke a client's grants and end its live tokens."""
    await end_grants(conn, row.issuer, ground.issuer_url(row.issuer), now, client_id=row.client_id)
    await end_tokens(conn, "client", ground.issuer_url(row.issuer), row.client_id, now)


def loses_something(old: ClientRow, new: ClientRow) -> bool:
    """Say whether a change takes something away, so that what was issued before must not outlive it."""
    return (
        (old.kind, old.secret_hash) != (new.kind, new.secret_hash)
        or not set(old.scopes) <= set(new.scopes)
        or not set(old.redirect_uris) <= set(new.redirect_uris)
        or (new.pkce_required and not old.pkce_required)
    )


def check_client(row: ClientRow) -> None:
    """Refuse a declared client that cannot work or should not.

    Raises:
        InputError: says what is wrong.
    """
    if row.kind != "registered" and not _CLIENT_ID.match(row.client_id):
        raise InputError("A client id must be 1 to 128 of A-Z a-z 0-9 . _ ~ - and begin with a letter or digit.")
    if not 0 < len(row.name) <= MAX_NAME_CHARS or not row.name.isprintable():
        raise InputError(f"A client name must have 1 to {MAX_NAME_CHARS} printable characters.")
    if not all(is_scope_token(scope) for scope in row.scopes):
        raise InputError("A scope must be printable ASCII without space, quote and backslash (RFC 6749 3.3).")
    if row.kind == "machine" and not row.scopes:
        raise InputError("A machine client needs at least one scope, for example mcp/invoke.")
    if row.kind == "public" and not row.redirect_uris:
        raise InputError("A public client needs at least one redirect URI.")
    if row.kind != "confidential" and not row.pkce_required:
        raise InputError("Only a confidential client may do without PKCE: others prove by nothing else who they are.")
    if len(row.redirect_uris) > MAX_REDIRECT_URIS:
        raise InputError(f"A client may have at most {MAX_REDIRECT_URIS} redirect URIs.")
    if row.default_resource:
        canonical_resource(row.default_resource)
    if any(kind_of(uri) == "refused" for uri in row.redirect_uris):
        raise InputError("A redirect URI must be loopback, https or of a private-use scheme, without fragment or `..`.")


def check_fits(row: ClientRow, issuer: IssuerSettings) -> None:
    """Refuse a client that its issuer would turn away at every request.

    Its redirect URIs are no matter of the issuer: whoever makes a client says where its codes may go.

    Raises:
        InputError: a scope that the issuer does not grant.
    """
    for scope in row.scopes:
        if scope not in issuer.scopes:
            raise InputError(f"The issuer does not grant the scope {scope}; it has: {', '.join(issuer.scopes)}.")


def check_secret(secret: Secret) -> None:
    """Refuse a secret that was typed rather than generated: it is stored under one plain SHA-256 (T13)."""
    if len(secret.reveal()) < MIN_SECRET_CHARS:
        raise InputError(f"A client's secret must have at least {MIN_SECRET_CHARS} characters; generate it.")


def summary(row: ClientRow) -> ClientSummary:
    """Leave out what is secret."""
    return ClientSummary(
        issuer=row.issuer,
        client_id=row.client_id,
        kind=row.kind,
        name=row.name,
        redirect_uris=row.redirect_uris,
        scopes=row.scopes,
        default_resource=row.default_resource,
        pkce_required=row.pkce_required,
        disabled_at=row.disabled_at,
        managed_by=row.managed_by,
        created_at=row.created_at,
    )


async def _record(
    conn: AsyncConnection, action: str, before: ClientRow | None, after: ClientRow | None, changes: Changes
) -> None:
    row = after or before
    assert row is not None
    told = None if after is None else _shown(after)
    if told is not None and before is not None and before.secret_hash != row.secret_hash:
        told["secret"] = STARS  # another one than before
    arn = own_arn("issuer", row.issuer, "client", row.client_id)
    await changes.record(conn, action, arn, None if before is None else _shown(before), told)


def _shown(row: ClientRow) -> dict[str, Any]:
    """Return what the audit trail shows of a client."""
    return asdict(summary(row))


async def require_client(conn: AsyncConnection, issuer: str, client_id: str) -> ClientRow:
    """Return a living client.

    Raises:
        NotFound: there is no such client.
    """
    row = await clients.get(conn, issuer, client_id)
    if row is None or row.deleted_at is not None:
        raise NotFound(f"The issuer {issuer!r} has no client {client_id!r}.")
    return row


async def require_unmanaged(conn: AsyncConnection, issuer: str, client_id: str) -> ClientRow:
    """Return a living client that no file declares.

    Raises:
        NotFound: there is no such client.
        Conflict: a file declares it.
    """
    row = await require_client(conn, issuer, client_id)
    if row.managed_by:
        raise Conflict(f"The client {client_id!r} is declared in {row.managed_by}; change it there.")
    return row
