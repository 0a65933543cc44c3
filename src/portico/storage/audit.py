"""Audit records and signed heads as the shipper copied them; the chain's rules live in :mod:`portico.audit`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import fetch_all, fetch_one, upsert, values_of
from portico.storage.schema import DEFAULT_ACCOUNT, audit_heads, audit_records


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecordRow:
    """One line of a journal, and what is searched for in it."""

    writer: str
    sequence: int
    time: float  #: seconds since the epoch
    hash: str  #: SHA-256 hex of ``line``
    line: str  #: the journal's line, byte for byte, without its newline
    outcome: str = ""
    gateway: str = ""
    target: str = ""
    tool: str = ""
    user: str = ""
    client: str = ""
    account: str = DEFAULT_ACCOUNT


class NewRecord(NamedTuple):
    """What is inserted of a line, in the order of :data:`_INSERTED`: one is made for every call, so that it is cheap.

    The last six are what :func:`portico.audit.record.searched_values` returns.
    """

    account: str
    writer: str
    sequence: int
    time: float
    hash: str
    line: str
    outcome: str
    gateway: str
    target: str
    tool: str
    user: str
    client: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHeadRow:
    """A signed statement: this writer had got as far as ``sequence``, whose line has this hash."""

    writer: str
    sequence: int
    hash: str
    signed_at: int
    signature: str
    closed: bool = False  #: the writer ended in order: nothing follows until it is opened again
    account: str = DEFAULT_ACCOUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What to look for; None and empty match everything."""

    since: float | None = None  #: seconds since the epoch, inclusive
    until: float | None = None  #: exclusive
    user: str = ""
    client: str = ""
    gateway: str = ""
    target: str = ""
    tool: str = ""
    outcome: str = ""


_INSERTED: Final = NewRecord._fields
#: Of twelve values each. SQLite takes 32,766 values (3.32 and later), and takes longer over each of very many.
ROWS_PER_STATEMENT: Final = 500

#: Outcomes of what is no call: lines about the journal itself have none, changes have their own.
_NO_CALLS = frozenset({"", "changed"})


async def append_records(conn: AsyncConnection, rows: Sequence[NewRecord]) -> None:
    """Insert a batch, past SQLAlchemy's processing of parameters: that would cost more than the insertion.

    SQLite gets many rows in one statement: while it runs others have the interpreter, where a statement for each row
    would take it back after each of them.

    Raises:
        IntegrityError: one of them is there already (Conflict outside of the transaction).
    """
    statement = str(insert(audit_records).compile(dialect=conn.dialect, column_keys=_INSERTED))
    single = 0
    if conn.dialect.name == "sqlite":
        head, values = statement.split(" VALUES ")
        many = f"{head} VALUES {', '.join([values] * ROWS_PER_STATEMENT)}"
        while len(rows) - single >= ROWS_PER_STATEMENT:
            part = rows[single : single + ROWS_PER_STATEMENT]
            await conn.exec_driver_sql(many, tuple(chain.from_iterable(part)))
            single += ROWS_PER_STATEMENT
    if single < len(rows):
        await conn.exec_driver_sql(statement, list(rows[single:]))


async def list_records(conn: AsyncConnection, filters: Filters, *, limit: int) -> list[AuditRecordRow]:
    """Return the newest records that match, newest first: calls, unless another outcome is asked for by name."""
    columns = audit_records.c
    statement = select(audit_records).where(columns.outcome.not_in(_NO_CALLS - {filters.outcome}))
    statement = statement.order_by(columns.time.desc(), columns.writer, columns.sequence.desc())
    if filters.since is not None:
        statement = statement.where(columns.time >= filters.since)
    if filters.until is not None:
        statement = statement.where(columns.time < filters.until)
    for name in ("user", "client", "gateway", "target", "tool", "outcome"):
        if wanted := getattr(filters, name):
            statement = statement.where(columns[name] == wanted)
    return await fetch_all(conn, statement.limit(limit), AuditRecordRow)


async def chain_after(conn: AsyncConnection, writer: str, sequence: int, *, limit: int) -> list[AuditRecordRow]:
    """Return a writer's records after ``sequence``, in order."""
    columns = audit_records.c
    statement = select(audit_records).where(columns.writer == writer, columns.sequence > sequence)
    return await fetch_all(conn, statement.order_by(columns.sequence).limit(limit), AuditRecordRow)


async def last_record(conn: AsyncConnection, writer: str) -> AuditRecordRow | None:
    """Return the record that a writer's shipper got to."""
    columns = audit_records.c
    statement = select(audit_records).where(columns.writer == writer).order_by(columns.sequence.desc()).limit(1)
    return await fetch_one(conn, statement, AuditRecordRow)


async def writers(conn: AsyncConnection) -> list[str]:
    """Return every writer that has records or heads."""
    statement = select(audit_records.c.writer).union(select(audit_heads.c.writer))
    return sorted((await conn.execute(statement)).scalars())


async def put_head(conn: AsyncConnection, row: AuditHeadRow) -> None:
    """Store a signed head; one of the same sequence is written over."""
    await conn.execute(upsert(conn, audit_heads, values_of(row), key=("writer", "sequence")))


async def heads(conn: AsyncConnection, writer: str | None = None) -> list[AuditHeadRow]:
    """Return the signed heads in order, all or one writer's."""
    statement = select(audit_heads).order_by(audit_heads.c.writer, audit_heads.c.sequence)
    if writer is not None:
        statement = statement.where(audit_heads.c.writer == writer)
    return await fetch_all(conn, statement, AuditHeadRow)


async def last_head(conn: AsyncConnection, writer: str) -> AuditHeadRow | None:
    """Return the newest signed head of a writer."""
    statement = select(audit_heads).where(audit_heads.c.writer == writer)
    return await fetch_one(conn, statement.order_by(audit_heads.c.sequence.desc()).limit(1), AuditHeadRow)


async def count_records(conn: AsyncConnection) -> int:
    """Return how many records there are."""
    return (await conn.execute(select(func.count()).select_from(audit_records))).scalar_one()
