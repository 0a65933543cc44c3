"""Listing records, from the database and from the journal's lines that are not there yet."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from portico.audit.record import CHANGED, CallRecord, ChangeRecord, decode_record, searched
from portico.audit.segments import journal_directories, lines_after, read_writer
from portico.storage import audit, changes
from portico.storage.audit import Filters
from portico.storage.engine import Database

K = TypeVar("K", CallRecord, ChangeRecord)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place(Generic[K]):
    """One record and its place."""

    writer: str
    sequence: int
    record: K


Entry = _Place[CallRecord]  #: One recorded call and its place.
#: One recorded change and its place; with no writer and number 0 while it is in no journal yet.
ChangeEntry = _Place[ChangeRecord]


async def list_records(
    database: Database, filters: Filters, *, limit: int, directory: Path | None = None
) -> list[Entry]:
    """Return the newest calls that match, newest first.

    With the ``directory`` of the journals nothing that was recorded is missing, shipped or not, whether its process
    lives, ended or was killed. Needs no lock and changes nothing.

    Raises:
        StorageUnavailable: the database cannot be read.
    """
    return _newest(await _recorded(database, CallRecord, filters, limit, directory), limit)


async def list_changes(
    database: Database, filters: Filters, *, limit: int, directory: Path | None = None
) -> list[ChangeEntry]:
    """Return the newest changes that match, newest first; of ``filters``, ``tool`` is the operation's name.

    With the ``directory`` of the journals nothing is missing, as in :func:`list_records`. A change that was journaled
    twice, because a process died in between, is one.

    Raises:
        StorageUnavailable: the database cannot be read.
    """
    wanted = replace(filters, outcome=CHANGED)
    async with database.read() as conn:  # first: what is journaled between the looks is seen twice, not never
        waiting = [msgspec.convert(row.record, ChangeRecord) for row in await changes.list_all(conn)]
    found = {
        record.change: _Place(writer="", sequence=0, record=record) for record in waiting if _matches(record, wanted)
    }
    for entry in await _recorded(database, ChangeRecord, wanted, limit, directory):
        found[entry.record.change] = entry
    return _newest(list(found.values()), limit)


async def _recorded(
    database: Database, kind: type[K], filters: Filters, limit: int, directory: Path | None
) -> list[_Place[K]]:
    unshipped: list[_Place[K]] = []
    for journal in [] if directory is None else journal_directories(directory):
        unshipped += await _unshipped(database, kind, journal, filters, limit)
    # The database comes second: what is shipped between the two looks is seen twice, not never.
    async with database.read() as conn:
        rows = await audit.list_records(conn, filters, limit=limit)
    entries = {(entry.writer, entry.sequence): entry for entry in unshipped}
    for row in rows:
        record = decode_record(row.line)
        if isinstance(record, kind):
            entries[row.writer, row.sequence] = _Place(writer=row.writer, sequence=row.sequence, record=record)
    return list(entries.values())


async def _unshipped(
    database: Database, kind: type[K], directory: Path, filters: Filters, limit: int
) -> list[_Place[K]]:
    writer = read_writer(directory)
    if writer is None:
        return []
    async with database.read() as conn:
        last = await audit.last_record(conn, writer)
    after = 0 if last is None else last.sequence
    return _newest(_matching(kind, directory, writer, after, filters), limit)


def _matching(kind: type[K], directory: Path, writer: str, after: int, filters: Filters) -> Iterator[_Place[K]]:
    for link, line in lines_after(directory, after):
        record = decode_record(line)
        if link is not None and isinstance(record, kind) and _matches(record, filters):
            yield _Place(writer=writer, sequence=link.seq, record=record)


def _matches(record: CallRecord | ChangeRecord, filters: Filters) -> bool:
    if filters.since is not None and record.time < filters.since:
        return False
    if filters.until is not None and record.time >= filters.until:
        return False
    return all(not (wanted := getattr(filters, name)) or value == wanted for name, value in searched(record).items())


def _newest(entries: Iterator[_Place[K]] | list[_Place[K]], limit: int) -> list[_Place[K]]:
    return heapq.nlargest(limit, entries, key=lambda entry: (entry.record.time, entry.writer, entry.sequence))
