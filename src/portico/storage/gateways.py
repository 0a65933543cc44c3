"""Gateways: the request documents as AWS shapes them, our extension, and computed columns."""

from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

from sqlalchemy import delete as delete_from
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.model.errors import Conflict
from portico.storage.rows import affects, fetch_all, fetch_one, insert_row, values_of
from portico.storage.schema import DEFAULT_ACCOUNT, gateways


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRow:
    """One row of ``gateways``. Times are seconds since the epoch."""

    id: str
    name: str
    document: dict[str, Any]
    extension: dict[str, Any]
    status: str
    status_reasons: tuple[str, ...] = ()
    managed_by: str = ""
    revision: int = 1
    created_at: int
    updated_at: int
    account: str = DEFAULT_ACCOUNT


async def add(conn: AsyncConnection, row: GatewayRow) -> None:
    """Insert a gateway.

    Raises:
        Conflict: its id or name is taken.
    """
    await insert_row(conn, gateways, row, conflict=f"A gateway named {row.name!r} exists already.")


async def get(conn: AsyncConnection, gateway_id: str) -> GatewayRow | None:
    """Return one gateway."""
    return await fetch_one(conn, select(gateways).where(gateways.c.id == gateway_id), GatewayRow)


async def by_name(conn: AsyncConnection, name: str, *, account: str = DEFAULT_ACCOUNT) -> GatewayRow | None:
    """Return the gateway of that name."""
    statement = select(gateways).where(gateways.c.account == account, gateways.c.name == name)
    return await fetch_one(conn, statement, GatewayRow)


async def list_all(conn: AsyncConnection) -> list[GatewayRow]:
    """Return every gateway, by name."""
    return await fetch_all(conn, select(gateways).order_by(gateways.c.name, gateways.c.id), GatewayRow)


async def page(conn: AsyncConnection, *, after: str, limit: int, account: str = DEFAULT_ACCOUNT) -> list[GatewayRow]:
    """Return up to ``limit`` gateways whose names follow ``after``, by name."""
    statement = select(gateways).where(gateways.c.account == account, gateways.c.name > after)
    return await fetch_all(conn, statement.order_by(gateways.c.name).limit(limit), GatewayRow)


async def count(conn: AsyncConnection, *, account: str = DEFAULT_ACCOUNT) -> int:
    """Return how many gateways there are."""
    return (await conn.execute(select(func.count()).where(gateways.c.account == account))).scalar_one()


async def replace(conn: AsyncConnection, row: GatewayRow, *, expected_revision: int) -> GatewayRow:
    """Write ``row`` over the one of its id and return it with its new revision.

    Raises:
        Conflict: it is gone, or its revision is no longer ``expected_revision``.
    """
    new = changed(row, revision=expected_revision + 1)
    statement = (
        update(gateways)
        .where(gateways.c.id == row.id, gateways.c.revision == expected_revision)
        .values(values_of(new, without=("id", "account", "created_at")))
    )
    if not await affects(conn, statement):
        raise Conflict(f"The gateway {row.name!r} was changed or deleted meanwhile; read it again.")
    return new


async def delete(conn: AsyncConnection, gateway_id: str) -> bool:
    """Delete a gateway with its targets; says whether it was there."""
    return await affects(conn, delete_from(gateways).where(gateways.c.id == gateway_id))
