"""Listing records, from the database and from the journal's lines that are not there yet."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from portico.audit.record import CallRecord, decode_record, searched
from portico.audit.segments import journal_directories, lines_after, read_writer
from portico.storage import audit
from portico.storage.audit import Filters
from portico.storage.engine import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One recorded call and its place."""

    writer: str
    sequence: int
    record: CallRecord


async def list_records(
    database: Database, filters: Filters, *, limit: int, directory: Path | None = None
) -> list[Entry]:
    """Return the newest calls that match, newest first.

    With the ``directory`` of the journals nothing that was recorded is missing, shipped or not, whether its process
    lives, ended or was killed. Needs no lock and changes nothing.

    Raises:
        StorageUnavailable: the database cannot be read.
    """
    unshipped: list[Entry] = []
    for journal in [] if directory is None else journal_directories(directory):
        unshipped += await _unshipped(database, journal, filters, limit)
    # The database comes second: what is shipped between the two looks is seen twice, not never.
    async with database.read() as conn:
        rows = await audit.list_records(conn, filters, limit=limit)
    entries = {(entry.writer, entry.sequence): entry for entry in unshipped}
    for row in rows:
        record = decode_record(row.line)
        if isinstance(record, CallRecord):
            entries[row.writer, row.sequence] = Entry(writer=row.writer, sequence=row.sequence, record=record)
    return _newest(iter(entries.values()), limit)


async def _unshipped(database: Database, directory: Path, filters: Filters, limit: int) -> list[Entry]:
    writer = read_writer(directory)
    if writer is None:
        return []
    async with database.read() as conn:
        last = await audit.last_record(conn, writer)
    return _newest(_matching(directory, writer, 0 if last is None else last.sequence, filters), limit)


def _matching(directory: Path, writer: str, after: int, filters: Filters) -> Iterator[Entry]:
    for link, line in lines_after(directory, after):
        record = decode_record(line)
        if link is not None and isinstance(record, CallRecord) and _matches(record, filters):
            yield Entry(writer=writer, sequence=link.seq, record=record)


def _matches(record: CallRecord, filters: Filters) -> bool:
    if filters.since is not None and record.time < filters.since:
        return False
    if filters.until is not None and record.time >= filters.until:
        return False
    return all(not (wanted := getattr(filters, name)) or value == wanted for name, value in searched(record).items())


def _newest(entries: Iterator[Entry], limit: int) -> list[Entry]:
    return heapq.nlargest(limit, entries, key=lambda entry: (entry.record.time, entry.writer, entry.sequence))
