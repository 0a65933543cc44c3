"""How rows become values and values become rows: dataclass fields bear the names of the columns."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Executable, Table, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.model.errors import Conflict, StorageUnavailable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    R = TypeVar("R", bound=DataclassInstance)
else:
    R = TypeVar("R")


def values_of(row: "DataclassInstance", *, without: Iterable[str] = ()) -> dict[str, Any]:
    """Return the columns of ``row``, shallowly."""
    left_out = frozenset(without)
    return {field.name: getattr(row, field.name) for field in fields(row) if field.name not in left_out}


async def fetch_all(conn: AsyncConnection, statement: Executable, kind: type[R]) -> list[R]:
    """Run ``statement`` and return its rows as ``kind``."""
    result = await conn.execute(statement)
    return [_read(record, kind) for record in result.mappings()]


async def fetch_one(conn: AsyncConnection, statement: Executable, kind: type[R]) -> R | None:
    """Run ``statement`` and return its only row as ``kind``, or None."""
    record = (await conn.execute(statement)).mappings().one_or_none()
    return None if record is None else _read(record, kind)


async def affects(conn: AsyncConnection, statement: Executable) -> bool:
    """Run an UPDATE or DELETE and say whether it found a row."""
    return (await conn.execute(statement)).rowcount > 0


async def insert_row(
    conn: AsyncConnection, table: Table, row: "DataclassInstance", *, conflict: str, without: Iterable[str] = ()
) -> None:
    """Insert ``row``.

    Raises:
        Conflict: with ``conflict`` as its sentence when a key is taken or a parent is missing.
    """
    try:
        async with _undone_alone(conn):
            await conn.execute(insert(table).values(values_of(row, without=without)))
    except IntegrityError as error:
        raise Conflict(conflict, detail=str(error.orig)) from error


def insertion(conn: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that can say what becomes of a conflict; both databases say it alike."""
    return postgresql.insert(table) if conn.dialect.name == "postgresql" else sqlite.insert(table)


def upsert(
    conn: AsyncConnection,
    table: Table,
    values: dict[str, Any],
    *,
    key: Sequence[str],
    keep: Sequence[str] = (),
    only: ColumnElement[bool] | None = None,
) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that writes over the row of the same ``key``.

    The columns of ``keep`` stay as they are there, and a row that ``only`` does not hold for is left alone.
    """
    written = {name: value for name, value in values.items() if name not in key and name not in keep}
    statement = insertion(conn, table).values(values)
    return statement.on_conflict_do_update(index_elements=list(key), set_=written, where=only)


@asynccontextmanager
async def _undone_alone(conn: AsyncConnection) -> AsyncGenerator[None]:
    """Undo one failed statement alone, as SQLite does: PostgreSQL gives up the whole transaction without a savepoint.

    A use case may go on after a :class:`Conflict` and collect more of them.
    """
    if conn.dialect.name != "postgresql":
        yield
        return
    async with conn.begin_nested():
        yield


def _read(record: Mapping[Any, Any], kind: type[R]) -> R:
    # Column names are a subclass of str, which msgspec takes for no key.
    try:
        return msgspec.convert({field.name: record[field.name] for field in fields(kind)}, kind)
    except msgspec.ValidationError as error:
        detail = f"{kind.__name__}: {error}"
        raise StorageUnavailable("The database holds a row that Portico did not write.", detail=detail) from error
