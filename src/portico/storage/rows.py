"""How rows become values and values become rows: dataclass fields bear the names of the columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Executable, Table, insert
from sqlalchemy.dialects import sqlite
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
        await conn.execute(insert(table).values(values_of(row, without=without)))
    except IntegrityError as error:
        raise Conflict(conflict, detail=str(error.orig)) from error


def upsert(
    table: Table,
    values: dict[str, Any],
    *,
    key: Sequence[str],
    keep: Sequence[str] = (),
    only: ColumnElement[bool] | None = None,
) -> sqlite.Insert:
    """Return an INSERT that writes over the row of the same ``key``.

    The columns of ``keep`` stay as they are there, and a row that ``only`` does not hold for is left alone.
    """
    written = {name: value for name, value in values.items() if name not in key and name not in keep}
    return sqlite.insert(table).values(values).on_conflict_do_update(index_elements=list(key), set_=written, where=only)


def _read(record: Mapping[Any, Any], kind: type[R]) -> R:
    # Column names are a subclass of str, which msgspec takes for no key.
    try:
        return msgspec.convert({field.name: record[field.name] for field in fields(kind)}, kind)
    except msgspec.ValidationError as error:
        detail = f"{kind.__name__}: {error}"
        raise StorageUnavailable("The database holds a row that Portico did not write.", detail=detail) from error
