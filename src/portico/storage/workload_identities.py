"""Workload identities: on whose behalf outbound credentials are fetched. Every gateway has one of its own."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete as delete_from
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import affects, fetch_all, fetch_one, insert_row, values_of
from portico.storage.schema import DEFAULT_ACCOUNT, workload_identities


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadIdentityRow:
    """One row of ``workload_identities``. Times are seconds since the epoch."""

    name: str
    document: dict[str, Any]  #: CreateWorkloadIdentity as AWS shapes it
    owner: str = ""  #: the id of the gateway that it was made for
    managed_by: str = ""
    created_at: int
    updated_at: int
    account: str = DEFAULT_ACCOUNT


async def add(conn: AsyncConnection, row: WorkloadIdentityRow) -> None:
    """Insert a workload identity.

    Raises:
        Conflict: its name is taken.
    """
    conflict = f"A workload identity named {row.name!r} exists already."
    await insert_row(conn, workload_identities, row, conflict=conflict)


async def get(conn: AsyncConnection, name: str, *, account: str = DEFAULT_ACCOUNT) -> WorkloadIdentityRow | None:
    """Return one workload identity."""
    statement = select(workload_identities).where(_is(account, name))
    return await fetch_one(conn, statement, WorkloadIdentityRow)


async def list_all(conn: AsyncConnection) -> list[WorkloadIdentityRow]:
    """Return every workload identity, by name."""
    columns = workload_identities.c
    statement = select(workload_identities).order_by(columns.account, columns.name)
    return await fetch_all(conn, statement, WorkloadIdentityRow)


async def page(
    conn: AsyncConnection, *, after: str, limit: int, account: str = DEFAULT_ACCOUNT
) -> list[WorkloadIdentityRow]:
    """Return up to ``limit`` workload identities whose names follow ``after``, by name."""
    columns = workload_identities.c
    statement = (
        select(workload_identities)
        .where(columns.account == account, columns.name > after)
        .order_by(columns.name)
        .limit(limit)
    )
    return await fetch_all(conn, statement, WorkloadIdentityRow)


async def count(conn: AsyncConnection, *, account: str = DEFAULT_ACCOUNT) -> int:
    """Return how many workload identities there are, those of gateways not counted."""
    columns = workload_identities.c
    statement = select(func.count()).where(columns.account == account, columns.owner == "")
    return (await conn.execute(statement)).scalar_one()


async def replace(conn: AsyncConnection, row: WorkloadIdentityRow) -> bool:
    """Write ``row`` over the one of its name; says whether it was there."""
    values = values_of(row, without=("account", "name", "created_at"))
    return await affects(conn, update(workload_identities).where(_is(row.account, row.name)).values(values))


async def delete(conn: AsyncConnection, name: str, *, account: str = DEFAULT_ACCOUNT) -> bool:
    """Delete a workload identity; says whether it was there."""
    return await affects(conn, delete_from(workload_identities).where(_is(account, name)))


def _is(account: str, name: str):  # noqa: ANN202 - SQLAlchemy's expression type is generic over its parts
    return (workload_identities.c.account == account) & (workload_identities.c.name == name)
