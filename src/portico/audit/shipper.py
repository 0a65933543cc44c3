"""Copies the journal to the database, signs how far it got, and deletes segments that are there.

The database may be away for as long as the journal has room: the shipper tries again and loses nothing. After any
failure it asks the database where it stands, so a commit whose answer was lost is not repeated.
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from portico.audit.heads import sign_head
from portico.audit.record import Link, decode_link, decode_record, digest, genesis, searched
from portico.audit.segments import Line, Segment, list_segments, read_lines, read_writer
from portico.crypto.keyring import Keyring
from portico.model.errors import Conflict, InputError, Unavailable
from portico.storage import audit
from portico.storage.audit import AuditRecordRow
from portico.storage.engine import Database

BATCH_LINES: Final = 1000  #: lines per transaction
SLICE_LINES: Final = 50  #: understood at once, before others get their turn
INTERVAL: Final = 1.0  #: seconds between looks for new lines
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
class _Lines:
    """What was read of one segment."""

    segment: int
    lines: list[Line]


class Shipper:
    """Ships one journal directory; its journal must have been opened before (it names the writer)."""

    def __init__(
        self, directory: Path, database: Database, keyring: Keyring, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._database = database
        self._keyring = keyring
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
            found = await asyncio.to_thread(_read_on, self._directory, position)
            if found is None:
                self._position = position
                return 0
            rows = await self._rows(found, position.sequence)
            if rows:
                async with self._database.write(shared=True) as conn:
                    await audit.append_records(conn, rows)
                position = replace(position, sequence=rows[-1].sequence, hash=rows[-1].hash)
            self._position = replace(position, segment=found.segment, offset=found.lines[-1].end)
            await asyncio.to_thread(_delete_before, self._directory, found.segment)
            return len(found.lines)

    async def _rows(self, found: _Lines, after: int) -> list[AuditRecordRow]:
        """Understand the lines, in slices: in a thread they would hold the interpreter's lock longer than in here."""
        writer, rows, damaged = self._writer(), list[AuditRecordRow](), 0
        for begin in range(0, len(found.lines), SLICE_LINES):
            for line in found.lines[begin : begin + SLICE_LINES]:
                row = _row(writer, line.text)
                if row is None:
                    damaged += 1
                elif row.sequence > after:
                    rows.append(row)
                    after = row.sequence
            await asyncio.sleep(0)
        if damaged:
            self._log.error("audit_lines_damaged", lines=damaged, segment=found.segment)
        return rows

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


def _read_on(directory: Path, position: _Position) -> _Lines | None:
    """Read on, in one segment, and sync it: after a power cut the database must not know more than the disk."""
    for segment in _from(directory, position):
        offset = position.offset if segment.first == position.segment else 0
        lines = list(read_lines(segment.path, offset=offset, limit=BATCH_LINES))
        if lines:
            _sync(segment.path)
            return _Lines(segment=segment.first, lines=lines)
        # Read to its end: when another one follows, nothing is added to this one.
    return None


def _from(directory: Path, position: _Position) -> list[Segment]:
    """Return the segment in which the next line stands, and those after it."""
    segments = list_segments(directory)
    first = position.segment or max((s.first for s in segments if s.first <= position.sequence + 1), default=0)
    return [segment for segment in segments if segment.first >= first]


def _row(writer: str, line: bytes) -> AuditRecordRow | None:
    link, record = decode_link(line), decode_record(line)
    if link is None or record is None:
        return None
    return AuditRecordRow(
        writer=writer,
        sequence=link.seq,
        time=record.time,
        hash=digest(line),
        line=line.decode(),
        **searched(record),
    )


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


def _sync(path: Path) -> None:
    for name in (path, path.parent):  # the directory too: the segment's name must survive with it
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _delete_before(directory: Path, first: int) -> None:
    for segment in list_segments(directory):
        if segment.first < first:
            segment.path.unlink(missing_ok=True)
