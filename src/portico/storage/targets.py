"""Targets of gateways, and what their last good synchronization found."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

from sqlalchemy import case, func, null, select, update
from sqlalchemy import delete as delete_from
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.model.errors import Conflict
from portico.storage.rows import affects, fetch_all, fetch_one, insert_row, values_of
from portico.storage.schema import DEFAULT_ACCOUNT, new_stamp, targets


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRow:
    """One row of ``targets``. Times are seconds since the epoch."""

    id: str
    gateway_id: str
    name: str
    document: dict[str, Any]
    extension: dict[str, Any]
    status: str
    status_reasons: tuple[str, ...] = ()
    eras: bytes | None = None  #: model.documents.dump_eras of the last good synchronization
    synchronized_at: int | None = None
    managed_by: str = ""
    revision: int = 1
    created_at: int
    updated_at: int
    account: str = DEFAULT_ACCOUNT


#: Every column but the tools, which may be megabytes.
_WITHOUT_TOOLS = tuple(null().label("eras") if column.name == "eras" else column for column in targets.c)


async def add(conn: AsyncConnection, row: TargetRow) -> None:
    """Insert a target.

    Raises:
        Conflict: its id is taken, its gateway has one of that name, or the gateway is gone.
    """
    conflict = f"The gateway has a target named {row.name!r} already, or is gone."
    await insert_row(conn, targets, row, conflict=conflict)


async def get(conn: AsyncConnection, target_id: str) -> TargetRow | None:
    """Return one target."""
    return await fetch_one(conn, select(targets).where(targets.c.id == target_id), TargetRow)


async def by_name(conn: AsyncConnection, gateway_id: str, name: str) -> TargetRow | None:
    """Return the gateway's target of that name."""
    statement = select(targets).where(targets.c.gateway_id == gateway_id, targets.c.name == name)
    return await fetch_one(conn, statement, TargetRow)


async def list_all(conn: AsyncConnection, *, gateway_id: str | None = None) -> list[TargetRow]:
    """Return every target, or those of one gateway, by name."""
    statement = select(targets).order_by(targets.c.gateway_id, targets.c.name)
    if gateway_id is not None:
        statement = statement.where(targets.c.gateway_id == gateway_id)
    return await fetch_all(conn, statement, TargetRow)


async def ids(conn: AsyncConnection) -> list[str]:
    """Return the id of every target."""
    return list((await conn.execute(select(targets.c.id).order_by(targets.c.id))).scalars())


async def stamps(conn: AsyncConnection, gateway_id: str) -> dict[str, int]:
    """Return a number for each target of a gateway, by id; it is another one after every write to its row."""
    found = await conn.execute(select(targets.c.id, targets.c.stamp).where(targets.c.gateway_id == gateway_id))
    return {target_id: stamp for target_id, stamp in found.all()}  # noqa: C416 - a row is no pair to a type checker


async def by_ids(conn: AsyncConnection, target_ids: Sequence[str]) -> list[TargetRow]:
    """Return those of the targets that there are."""
    return await fetch_all(conn, select(targets).where(targets.c.id.in_(list(target_ids))), TargetRow)


async def documents_of(conn: AsyncConnection, gateway_id: str) -> list[TargetRow]:
    """Return every target of a gateway, by name; without their tools."""
    statement = select(*_WITHOUT_TOOLS).where(targets.c.gateway_id == gateway_id)
    return await fetch_all(conn, statement.order_by(targets.c.name), TargetRow)


async def page(conn: AsyncConnection, gateway_id: str, *, after: str, limit: int) -> list[TargetRow]:
    """Return up to ``limit`` targets of a gateway whose names follow ``after``, by name; without their tools."""
    statement = select(*_WITHOUT_TOOLS).where(targets.c.gateway_id == gateway_id, targets.c.name > after)
    return await fetch_all(conn, statement.order_by(targets.c.name).limit(limit), TargetRow)


async def count(conn: AsyncConnection, gateway_id: str) -> int:
    """Return how many targets a gateway has."""
    return (await conn.execute(select(func.count()).where(targets.c.gateway_id == gateway_id))).scalar_one()


async def count_by_status(conn: AsyncConnection) -> dict[str, dict[str, int]]:
    """Return how many targets each gateway has in each status; gateways without any are left out."""
    statement = select(targets.c.gateway_id, targets.c.status, func.count()).group_by(
        targets.c.gateway_id, targets.c.status
    )
    counted: dict[str, dict[str, int]] = {}
    for gateway_id, status, number in (await conn.execute(statement)).all():
        counted.setdefault(gateway_id, {})[status] = number
    return counted


async def replace(conn: AsyncConnection, row: TargetRow, *, expected_revision: int) -> TargetRow:
    """Write ``row`` over the one of its id and return it with its new revision.

    Raises:
        Conflict: it is gone, or its revision is no longer ``expected_revision``.
    """
    new = changed(row, revision=expected_revision + 1)
    statement = (
        update(targets)
        .where(targets.c.id == row.id, targets.c.revision == expected_revision)
        .values(values_of(new, without=("id", "gateway_id", "account", "created_at")))
    )
    if not await affects(conn, statement):
        raise Conflict(f"The target {row.name!r} was changed or deleted meanwhile; read it again.")
    return new


async def set_status(
    conn: AsyncConnection,
    target_id: str,
    status: str,
    reasons: Sequence[str],
    *,
    eras: bytes | None = None,
    synchronized_at: int | None = None,
    revision: int | None = None,
    instead_of: str | None = None,
) -> bool:
    """Write what a synchronization found; says whether the row was there.

    Without ``eras`` the last good tools stay. With ``revision`` the row is left alone when it has another one: what
    was found belongs to an older document; with ``instead_of`` when its status is another: it was asked for anew. The
    row's own revision does not change, nor its stamp when neither status nor tools do: nobody has to read it again.
    """
    values: dict[str, Any] = {"status": status, "status_reasons": list(reasons)}
    if eras is not None:
        values["eras"] = eras
    else:
        values["stamp"] = case((targets.c.status == status, targets.c.stamp), else_=new_stamp())
    if synchronized_at is not None:
        values["synchronized_at"] = synchronized_at
    statement = update(targets).where(targets.c.id == target_id)
    if revision is not None:
        statement = statement.where(targets.c.revision == revision)
    if instead_of is not None:
        statement = statement.where(targets.c.status == instead_of)
    return await affects(conn, statement.values(values))


async def delete(conn: AsyncConnection, target_id: str) -> bool:
    """Delete a target; says whether it was there."""
    return await affects(conn, delete_from(targets).where(targets.c.id == target_id))
