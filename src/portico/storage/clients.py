"""Clients of an issuer: those that an administrator made, and the others after their first granted consent."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.model.errors import Conflict
from portico.oauth.client import ClientKind
from portico.storage.rows import affects, fetch_all, fetch_one, insertion, upsert, values_of
from portico.storage.schema import DEFAULT_ACCOUNT, clients

_KEY: Final = ("issuer", "client_id")
_NAMED_THEMSELVES: Final = ("registered", "document")  #: whose ids stay refused when they were deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRow:
    """One row of ``clients``. Times are seconds since the epoch."""

    issuer: str
    client_id: str
    kind: ClientKind
    name: str
    secret_hash: str = ""  #: SHA-256 hex of 32 random bytes; machines and confidential clients only
    redirect_uris: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    default_resource: str = ""
    pkce_required: bool = True
    disabled_at: int | None = None
    deleted_at: int | None = None  #: the row stays: a sealed client id must stay refused
    managed_by: str = ""
    created_at: int
    account: str = DEFAULT_ACCOUNT


async def add(conn: AsyncConnection, row: ClientRow) -> None:
    """Insert a client. A deleted one that an administrator made gives its id free; the others never do.

    Raises:
        Conflict: the id is taken.
    """
    statement = upsert(
        conn,
        clients,
        values_of(row),
        key=_KEY,
        only=clients.c.deleted_at.is_not(None) & clients.c.kind.not_in(_NAMED_THEMSELVES),
    )
    if (await conn.execute(statement.returning(clients.c.client_id))).one_or_none() is None:
        raise Conflict(f"A client with the id {row.client_id!r} exists already.")


async def remember_registered(conn: AsyncConnection, row: ClientRow) -> ClientRow:
    """Insert a client that named itself unless its row is there, and return the row that is there.

    The caller looks at ``disabled_at`` and ``deleted_at`` of what comes back.
    """
    statement = insertion(conn, clients).values(values_of(row)).on_conflict_do_nothing(index_elements=list(_KEY))
    await conn.execute(statement)
    stored = await get(conn, row.issuer, row.client_id)
    assert stored is not None
    return stored


async def replace(conn: AsyncConnection, row: ClientRow) -> bool:
    """Write ``row`` over the living client of its id; says whether there was one."""
    values = values_of(row, without=(*_KEY, "account", "created_at"))
    statement = update(clients).where(_is(row.issuer, row.client_id), clients.c.deleted_at.is_(None))
    return await affects(conn, statement.values(values))


async def get(conn: AsyncConnection, issuer: str, client_id: str) -> ClientRow | None:
    """Return one client, also when it is disabled or deleted: look at its times."""
    return await fetch_one(conn, select(clients).where(_is(issuer, client_id)), ClientRow)


async def list_all(conn: AsyncConnection, *, issuer: str | None = None, with_deleted: bool = False) -> list[ClientRow]:
    """Return every client, or those of one issuer, oldest first; deleted ones only when asked for."""
    statement = select(clients).order_by(clients.c.created_at, clients.c.client_id)
    if issuer is not None:
        statement = statement.where(clients.c.issuer == issuer)
    if not with_deleted:
        statement = statement.where(clients.c.deleted_at.is_(None))
    return await fetch_all(conn, statement, ClientRow)


async def set_disabled(conn: AsyncConnection, issuer: str, client_id: str, at: int | None) -> bool:
    """Disable a client at a time, or enable it again (None); says whether it was there."""
    statement = update(clients).where(_is(issuer, client_id), clients.c.deleted_at.is_(None))
    return await affects(conn, statement.values(disabled_at=at))


async def delete(conn: AsyncConnection, issuer: str, client_id: str, at: int) -> bool:
    """Mark a client as deleted; says whether it was there and alive."""
    statement = update(clients).where(_is(issuer, client_id), clients.c.deleted_at.is_(None))
    return await affects(conn, statement.values(deleted_at=at, secret_hash=""))


def _is(issuer: str, client_id: str):  # noqa: ANN202 - SQLAlchemy's expression type is generic over its parts
    return (clients.c.issuer == issuer) & (clients.c.client_id == client_id)
