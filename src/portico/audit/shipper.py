"""Copies the journal to the database, signs how far it got, and deletes segments that are there.

The database may be away for as long as the journal has room: the shipper tries again and loses nothing. After any
failure it asks the database where it stands, so a commit whose answer was lost is not repeated.

What the same process appended a moment ago is taken from memory (:mod:`portico.audit.recent`); everything else, and
whatever became too much to remember, is read from the segments. Either way they are synced before.
"""

import asyncio
import os
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from portico.audit.heads import sign_head
from portico.audit.recent import Appended, Recent
from portico.audit.record import Link, Record, decode_link, decode_record, digest, genesis, searched_values
from portico.audit.segments import Line, Segment, list_segments, read_lines, read_writer, segment_path
from portico.crypto.keyring import Keyring
from portico.model.errors import Conflict, InputError, Unavailable
from portico.storage import audit
from portico.storage.audit import NewRecord
from portico.storage.engine import Database
from portico.storage.schema import DEFAULT_ACCOUNT

BATCH_LINES: Final = 2000  #: lines per transaction
SLICE_LINES: Final = 50  #: understood at once, before others get their turn
REMEMBERED_SLICE_LINES: Final = 200  #: likewise of lines that need not be decoded
INTERVAL: Final = 0.25  #: seconds between looks for new lines; what waits meanwhile is in memory
HEAD_INTERVAL: Final = 60.0  #: seconds between signed heads
MAX_BACKOFF: Final = 30.0  #: seconds between tries while the database is away
CLOSE_TIMEOUT: Final = 5.0  #: seconds that shutdown waits for the last lines to be copied


@dataclass(frozen=True, slots=True, kw_only=True)
class _Position:
    """How far the copy got: the last line in the database, and where reading goes on."""

    sequence: int
    hash: str
    segment: int = 0  #: first sequence number of the segment that is being read; 0: to be looked up
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Lines that follow a position, synced and understood."""

    rows: list[NewRecord]
    lines: int  #: that were read for them, damaged ones included
    segment: int  #: in which the last of them stands
    offset: int  #: behind it


class Shipper:
    """Ships one journal directory; its journal must have been opened before (it names the writer)."""

    def __init__(
        self,
        directory: Path,
        database: Database,
        keyring: Keyring,
        *,
        recent: Recent | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what the journal of this process remembers; None for a directory that nobody writes."""
        self._directory = directory
        self._database = database
        self._keyring = keyring
        self._recent = recent
        self._clock = clock
        self._position: _Position | None = None
        self._signed = 0  # sequence number of the newest head
        self._signed_at = clock()
        self._turn = asyncio.Lock()  # close() may come while run() is in the middle of a batch
        self._log = structlog.stdlib.get_logger("portico.audit")

    async def run(self) -> None:
        """Ship until cancelled; then call :meth:`close`."""
        failures = 0
        while True:
            delay = INTERVAL
            try:
                if await self.ship() == BATCH_LINES:
                    delay = 0.0
                if self._clock() - self._signed_at >= HEAD_INTERVAL:
                    await self.sign()
                failures = 0
            except (Unavailable, Conflict, InputError, OSError) as error:
                failures += 1
                delay = min(MAX_BACKOFF, INTERVAL * 2 ** min(failures, 10))
                self._log.warning("audit_shipping_failed", reason=str(error), retry_in=delay)
            await asyncio.sleep(delay)

    async def ship(self) -> int:
        """Copy one batch and return how many lines were read for it: 0 when there are no more.

        Raises:
            StorageUnavailable: the database is away; nothing is lost.
            Conflict: the database holds another chain of this writer than the directory.
        """
        async with self._turn:
            position = self._position or await self._locate()
            self._position = None  # unknown until the commit was acknowledged
            batch = await self._batch_after(position)
            if batch is None:
                self._position = position
                return 0
            rows = batch.rows
            if rows:
                async with self._database.write(shared=True) as conn:
                    await audit.append_records(conn, rows)
                position = replace(position, sequence=rows[-1].sequence, hash=rows[-1].hash)
            if batch.segment != position.segment:
                await asyncio.to_thread(_delete_before, self._directory, batch.segment)
            self._position = replace(position, segment=batch.segment, offset=batch.offset)
            return batch.lines

    async def _batch_after(self, position: _Position) -> _Batch | None:
        """Take the next lines, from memory or from disk; None when there are no more."""
        recent = None if self._recent is None else self._recent.after(position.sequence, BATCH_LINES)
        if recent is not None:
            return await self._remembered(recent) if recent else None
        found = await asyncio.to_thread(_read_on, self._directory, position)
        return None if found is None else await self._understood(*found, after=position.sequence)

    async def _remembered(self, lines: list[Appended]) -> _Batch:
        writer, rows = self._writer(), list[NewRecord]()
        await asyncio.to_thread(_sync, self._directory, {line.segment for line in lines})
        for begin in range(0, len(lines), REMEMBERED_SLICE_LINES):
            rows += [
                _row(writer, line.sequence, line.record, line.hash, line.line)
                for line in lines[begin : begin + REMEMBERED_SLICE_LINES]
            ]
            await asyncio.sleep(0)
        return _Batch(rows=rows, lines=len(lines), segment=lines[-1].segment, offset=lines[-1].end)

    async def _understood(self, segment: int, lines: list[Line], *, after: int) -> _Batch:
        """Understand the lines, in slices: in a thread they would hold the interpreter's lock longer than in here."""
        writer, rows, damaged = self._writer(), list[NewRecord](), 0
        for begin in range(0, len(lines), SLICE_LINES):
            for line in lines[begin : begin + SLICE_LINES]:
                link, record = decode_link(line.text), decode_record(line.text)
                if link is None or record is None:
                    damaged += 1
                elif link.seq > after:
                    rows.append(_row(writer, link.seq, record, digest(line.text), line.text))
                    after = link.seq
            await asyncio.sleep(0)
        if damaged:
            self._log.error("audit_lines_damaged", lines=damaged, segment=segment)
        return _Batch(rows=rows, lines=len(lines), segment=segment, offset=lines[-1].end)

    async def sign(self, *, closed: bool = False) -> None:
        """Sign the head of what is in the database, unless that was done already.

        Raises:
            StorageUnavailable: the database is away.
        """
        async with self._turn:
            position = self._position or await self._locate()
            self._signed_at = self._clock()
            if position.sequence == self._signed and not closed:
                return
            if position.sequence:
                head = sign_head(
                    self._keyring,
                    writer=self._writer(),
                    sequence=position.sequence,
                    line_hash=position.hash,
                    now=int(self._clock()),
                    closed=closed,
                )
                async with self._database.write(shared=True) as conn:
                    await audit.put_head(conn, head)
                self._signed = position.sequence

    async def close(self) -> None:
        """Copy what is left and sign it as closed, if the database answers in time; else the next start does."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                while await self.ship():
                    pass
                await self.sign(closed=True)
        except (Unavailable, Conflict, InputError, OSError) as error:  # TimeoutError is an OSError
            self._log.warning("audit_left_to_ship", reason=type(error).__name__)

    def _writer(self) -> str:
        writer = read_writer(self._directory)
        assert writer is not None  # the journal was opened before
        return writer

    async def _locate(self) -> _Position:
        """Ask the database how far the copy got, and check that the directory holds the same chain."""
        writer = self._writer()
        async with self._database.read() as conn:
            last = await audit.last_record(conn, writer)
            head = await audit.last_head(conn, writer)
        self._signed = 0 if head is None else head.sequence
        if last is None:
            return _Position(sequence=0, hash=genesis(writer))
        if not await asyncio.to_thread(_holds, self._directory, last.sequence, last.hash):
            raise Conflict(
                "The database holds another audit chain of this writer than the journal.",
                detail=f"{self._directory} was restored from an old copy or changed: move it aside to begin a new one",
            )
        return _Position(sequence=last.sequence, hash=last.hash)


def _read_on(directory: Path, position: _Position) -> tuple[int, list[Line]] | None:
    """Read on, in one segment, and sync it; return its first number and its lines."""
    for segment in _from(directory, position):
        offset = position.offset if segment.first == position.segment else 0
        lines = list(read_lines(segment.path, offset=offset, limit=BATCH_LINES))
        if lines:
            _sync(directory, {segment.first})
            return segment.first, lines
        # Read to its end: when another one follows, nothing is added to this one.
    return None


def _from(directory: Path, position: _Position) -> list[Segment]:
    """Return the segment in which the next line stands, and those after it."""
    segments = list_segments(directory)
    first = position.segment or max((s.first for s in segments if s.first <= position.sequence + 1), default=0)
    return [segment for segment in segments if segment.first >= first]


def _row(writer: str, sequence: int, record: Record, line_hash: str, line: bytes) -> NewRecord:
    values = searched_values(record)
    return NewRecord(DEFAULT_ACCOUNT, writer, sequence, record.time, line_hash, line.decode(), *values)


def _holds(directory: Path, sequence: int, line_hash: str) -> bool:
    """Say whether the chain in ``directory`` has a line ``sequence`` with this hash, or goes on from it."""
    segments = list_segments(directory)
    before = [segment for segment in segments if segment.first <= sequence]
    if not before:
        lines = read_lines(segments[0].path, limit=1) if segments else ()
        return any(decode_link(line.text) == Link(seq=sequence + 1, prev=line_hash) for line in lines)
    return any(
        (link := decode_link(line.text)) is not None and link.seq == sequence and digest(line.text) == line_hash
        for line in read_lines(before[-1].path)
    )


def _sync(directory: Path, segments: AbstractSet[int]) -> None:
    """Sync segments: after a power cut the database must not know more than the disk."""
    # The directory too: the segments' names must survive with them.
    for name in (*(segment_path(directory, first) for first in segments), directory):
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # taken away by somebody; what is remembered of it is copied all the same
            continue
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _delete_before(directory: Path, first: int) -> None:
    for segment in list_segments(directory):
        if segment.first < first:
            segment.path.unlink(missing_ok=True)
