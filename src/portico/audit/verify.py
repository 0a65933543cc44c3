"""Checking the chains: every line follows from the one before, and every signed head is where it was signed.

What can be found: a line that was changed, taken out, put in or reordered; a cut tail, as far as a head was signed or
the journal still holds it; a head that our keyring did not sign. What cannot: lines after the newest head that someone
cut from both the journal and the database (up to a minute of them; none after an orderly shutdown).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.audit.heads import is_genuine
from portico.audit.record import TornRecord, decode_link, decode_record, digest, genesis, searched
from portico.audit.segments import Segment, journal_directories, lines_after, list_segments, read_writer
from portico.crypto.keyring import Keyring
from portico.storage import audit
from portico.storage.audit import AuditHeadRow, AuditRecordRow
from portico.storage.engine import Database

PAGE_LINES: Final = 1000  #: read from the database at once
MAX_FAULTS: Final = 100  #: reported per writer; a chain that is broken more often is broken

FaultKind = Literal["gap", "edit", "cut", "signature"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFault:
    """Something that an untouched chain does not have."""

    kind: FaultKind
    sequence: int  #: the line at or before which it was found
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterReport:
    """What was found about one writer."""

    writer: str
    lines: int  #: that were checked
    last: int  #: number of the last one
    signed: int  #: number of the line that the newest genuine head names; 0 without one
    torn: int  #: lines that a crash left unfinished, as the journal itself recorded
    faults: tuple[AuditFault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found about all writers."""

    writers: tuple[WriterReport, ...]

    @property
    def intact(self) -> bool:
        """Whether no chain has a fault."""
        return not any(writer.faults for writer in self.writers)


async def verify(database: Database, keyring: Keyring, *, directory: Path | None = None) -> Report:
    """Check every writer's chain in the database, and the lines of the journals in ``directory`` where they go on.

    Raises:
        StorageUnavailable: the database cannot be read.
    """
    while True:
        before = _first_segments(directory)
        report = await _verify(database, keyring, directory)
        if _first_segments(directory) == before:
            return report
        # What was shipped and deleted meanwhile would look like a gap: look again.


async def _verify(database: Database, keyring: Keyring, directory: Path | None) -> Report:
    local = _journals(directory)
    async with database.read() as conn:  # one transaction: heads and lines of the same moment
        writers = set(await audit.writers(conn)) | local.keys()
        reports: list[WriterReport] = []
        for writer in sorted(writers):
            chain = _Chain(writer=writer, heads={head.sequence: head for head in await audit.heads(conn, writer)})
            chain.check_signatures(keyring)
            last = await audit.last_record(conn, writer)
            shipped = 0 if last is None else last.sequence
            journal = local.get(writer)
            if journal is not None:
                chain.here = _shipped_lines(journal, shipped)
            async for row in _rows(conn, writer):
                chain.check_row(row)
            if journal is not None:
                chain.check_journal(journal, shipped)
            chain.check_tail()
            reports.append(chain.report())
    return Report(writers=tuple(reports))


def _journals(directory: Path | None) -> dict[str, Path]:
    """Return the journals of this machine, by writer."""
    found = [] if directory is None else journal_directories(directory)
    return {writer: journal for journal in found if (writer := read_writer(journal)) is not None}


def _first_segments(directory: Path | None) -> list[Segment]:
    return [segment for journal in _journals(directory).values() for segment in list_segments(journal)[:1]]


def _shipped_lines(directory: Path, shipped: int) -> dict[int, str]:
    """Return the hashes of the journal's lines that are in the database too; segments of them are deleted soon."""
    return {
        link.seq: digest(text) for link, text in lines_after(directory, 0) if link is not None and link.seq <= shipped
    }


async def _rows(conn: AsyncConnection, writer: str) -> AsyncIterator[AuditRecordRow]:
    after = -(2**63)  # numbers that no journal gives are found too
    while page := await audit.chain_after(conn, writer, after, limit=PAGE_LINES):
        for row in page:
            yield row
        after = page[-1].sequence


@dataclass(slots=True, kw_only=True)
class _Chain:
    """The state of checking one writer, line after line."""

    writer: str
    heads: dict[int, AuditHeadRow]
    here: dict[int, str] = field(default_factory=dict[int, str])  # hashes of lines that the local journal has too
    last: int = 0
    previous: str = ""
    lines: int = 0
    torn: int = 0
    signed: int = 0
    faults: list[AuditFault] = field(default_factory=list[AuditFault])

    def __post_init__(self) -> None:
        self.previous = genesis(self.writer)

    def fault(self, kind: FaultKind, sequence: int, message: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(AuditFault(kind=kind, sequence=sequence, message=message))

    def check_signatures(self, keyring: Keyring) -> None:
        for head in self.heads.values():
            if is_genuine(keyring, head):
                self.signed = max(self.signed, head.sequence)
            else:
                message = "the head was not signed with a key of this keyring, or was changed"
                self.fault("signature", head.sequence, message)

    def check_row(self, row: AuditRecordRow) -> None:
        text = row.line.encode("utf-8", "surrogatepass")
        link = decode_link(text)
        if link is None or link.seq != row.sequence:
            self.fault("edit", row.sequence, "the record is no line of a journal, or another line than its number says")
            self.last, self.previous, self.lines = row.sequence, row.hash, self.lines + 1
            return
        if digest(text) != row.hash:
            self.fault("edit", row.sequence, "the record does not have the hash that was stored with it")
        elif not _agrees(row):
            self.fault("edit", row.sequence, "the columns that are searched say something else than the record")
        elif self.here.get(row.sequence, row.hash) != row.hash:
            self.fault("edit", row.sequence, "the database and the journal disagree")
        self.check_line(link.seq, link.prev, text)

    def check_journal(self, directory: Path, shipped: int) -> None:
        """Go on with the lines that the database does not have yet."""
        for link, text in lines_after(directory, shipped):
            if link is None:
                self.fault("edit", self.last + 1, "a line of the journal cannot be read")
            else:
                self.check_line(link.seq, link.prev, text)
        if shipped and self.last == shipped and shipped not in self.here:  # the newest segment is never deleted
            self.fault(
                "cut", max(self.here, default=0) + 1, f"the journal ends before line {shipped}, which was shipped"
            )

    def check_line(self, sequence: int, previous: str, text: bytes) -> None:
        if sequence != self.last + 1:
            self.fault("gap", self.last + 1, f"line {sequence} follows line {self.last}")
        elif previous != self.previous:
            self.fault("edit", self.last, f"line {sequence} was written after another line {self.last} than this")
        self.last, self.previous, self.lines = sequence, digest(text), self.lines + 1
        head = self.heads.get(sequence)
        if head is not None and head.hash != self.previous:
            self.fault("edit", sequence, "the line is another than the one that was signed")
        self.torn += isinstance(decode_record(text), TornRecord)

    def check_tail(self) -> None:
        if self.signed > self.last:
            self.fault("cut", self.last + 1, f"line {self.signed} was signed, but the chain ends with line {self.last}")

    def report(self) -> WriterReport:
        return WriterReport(
            writer=self.writer,
            lines=self.lines,
            last=self.last,
            signed=self.signed,
            torn=self.torn,
            faults=tuple(self.faults),
        )


def _agrees(row: AuditRecordRow) -> bool:
    """Say whether the columns that are searched hold what the record says."""
    record = decode_record(row.line)
    if record is None or record.time != row.time:
        return False
    return all(getattr(row, name) == value for name, value in searched(record).items())
