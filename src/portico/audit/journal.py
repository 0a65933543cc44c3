"""The journal: one append per call, on this replica's own disk.

What :meth:`Journal.append` returned from is in the kernel's page cache: killing the process loses none of it. A power
cut may lose what was not shipped yet, about the last second: an fsync per call would cost more than the call. The
shipper syncs a segment before it copies from it, so the database is never ahead of the disk.
"""

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from portico.audit.recent import Appended, Recent
from portico.audit.record import Record, TornRecord, decode_link, digest, encode_line, genesis
from portico.audit.segments import (
    LOCK_FILE,
    TORN_PREFIX,
    WRITER_FILE,
    last_line,
    list_segments,
    read_writer,
    segment_path,
)
from portico.model.errors import ConfigError, Fault, JournalFull

DEFAULT_MAX_BYTES: Final = 1024**3  #: bytes of all segments, setting ``audit.journal_max``
SEGMENT_BYTES: Final = 64 * 1024**2  #: bytes until the next segment begins
RESERVED_BYTES: Final = 1024**2  #: kept free for the records of calls that are under way
RETRY_SECONDS: Final = 1.0  #: between looks at the directory, or tries of the disk, while there is no room
NAME_CHARS: Final = 40  #: of a writer's name that go into its id

_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class Journal:
    """Appends records to the chain of one data directory. Used from one thread.

    Raises:
        ConfigError: another process writes this journal, or the directory cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        *,
        writer: str,
        max_bytes: int = DEFAULT_MAX_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        recent: Recent | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the journal in ``directory`` and continue its chain.

        ``writer`` is the replica's name; the directory's own id is made of it and a random part, so that an emptied
        directory begins a new chain instead of contradicting the old one.
        """
        self._directory = directory
        self._max_bytes = max_bytes
        self._reserved = min(RESERVED_BYTES, max_bytes // 10)
        self._segment_bytes = segment_bytes
        self._clock = clock
        self.recent = Recent() if recent is None else recent  #: what the shipper need not read back
        self._file = self._lock = -1
        self._segment = self._segment_size = self._total = self._sequence = 0
        self._refused_until = 0.0
        try:
            self._lock = lock_directory(directory)
            self.writer = read_writer(directory) or _name_writer(directory, writer)
            self._open_chain()
        except OSError as error:
            message = f"{directory} cannot be written to ({error.strerror}); mend its permissions or choose another"
            raise ConfigError([Fault(path="audit.journal", message=message)]) from error

    @property
    def sequence(self) -> int:
        """The number of the last line; 0 before the first."""
        return self._sequence

    @property
    def size(self) -> int:
        """Bytes of all segments, as far as known: what the shipper deleted counts until there is need to look."""
        return self._total

    def ensure_room(self) -> None:
        """Ask whether a call that begins now can be recorded when it ends.

        Raises:
            JournalFull: it cannot; do not make the call.
        """
        if self._total > self._max_bytes - self._reserved or self._refused_until:
            self._look_again()

    def append(self, record: Record) -> None:
        """Write one record. When this returns, killing the process does not lose it.

        Raises:
            JournalFull: there is no room in the limit or on the disk; nothing was written.
        """
        line = encode_line(self._sequence + 1, self._previous, record)
        size = len(line) + 1
        if self._total + size > self._max_bytes:
            self._measure()
            if self._total + size > self._max_bytes:
                raise self._full("the journal reached its limit")
        if self._file < 0 or self._segment_size + size > self._segment_bytes:
            self._begin_segment()
        self._write(line + b"\n")
        self._sequence += 1
        self._previous = digest(line)
        self._segment_size += size
        self._total += size
        self.recent.add(Appended(self._sequence, record, line, self._previous, self._segment, self._segment_size))

    def close(self) -> None:
        """Close the files and let another process write here."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _write(self, data: bytes) -> None:
        try:
            written = os.write(self._file, data)
        except OSError as error:
            self._refused_until = self._clock() + RETRY_SECONDS
            raise self._full(f"writing failed: {error.strerror}") from error
        if written < len(data):  # the disk is full: what stands of the line goes away again
            os.ftruncate(self._file, self._segment_size)
            self._refused_until = self._clock() + RETRY_SECONDS
            raise self._full("the disk is full")

    def _begin_segment(self) -> None:
        if self._segment_size == 0 and self._file >= 0:
            return  # a line longer than a segment
        try:
            opened = os.open(segment_path(self._directory, self._sequence + 1), _FLAGS, _FILE_MODE)
        except OSError as error:
            self._refused_until = self._clock() + RETRY_SECONDS
            raise self._full(f"no new segment: {error.strerror}") from error
        if self._file >= 0:
            os.close(self._file)
        self._file, self._segment, self._segment_size = opened, self._sequence + 1, 0

    def _look_again(self) -> None:
        """Refuse until a moment has passed since the last trouble, then find out anew."""
        now = self._clock()
        if now < self._refused_until:
            raise self._full("no room a moment ago")
        self._refused_until = 0.0
        self._measure()
        if self._total > self._max_bytes - self._reserved:
            self._refused_until = now + RETRY_SECONDS
            raise self._full("the journal reached its limit")

    def _measure(self) -> None:
        self._total = sum(_size(segment.path) for segment in list_segments(self._directory))

    def _full(self, why: str) -> JournalFull:
        return JournalFull(
            "Calls are refused because they cannot be recorded: the audit journal is full. Bring the database back,"
            " free disk space, or raise audit.journal_max.",
            detail=f"{why}; {self._total} of {self._max_bytes} bytes in {self._directory}",
        )

    def _open_chain(self) -> None:
        """Find the end of the chain; set aside what a crash left unfinished, and record that.

        Only the newest segment can be unfinished, and it may hold nothing else: then the chain ends in the one before.
        """
        self._sequence, self._previous = 0, genesis(self.writer)
        segments = list_segments(self._directory)
        found = [last_line(segment.path) for segment in segments[-2:]]
        ends = [line for line, _ in found if line is not None]
        if ends:
            self._sequence, self._previous = _number(ends[-1].text), digest(ends[-1].text)
        if segments:
            newest, torn = found[-1]
            self._file = os.open(segments[-1].path, _FLAGS, _FILE_MODE)
            self._segment = segments[-1].first
            self._segment_size = 0 if newest is None else newest.end
            if torn:
                self._set_aside(torn)
        self._measure()

    def _set_aside(self, torn: bytes) -> None:
        path = self._directory / f"{TORN_PREFIX}{self._sequence + 1}-{secrets.token_hex(4)}"
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        with os.fdopen(opened, "wb") as file:
            file.write(torn)
        os.ftruncate(self._file, self._segment_size)
        self._total = 0  # counted when the chain is open; a full journal must open too
        self.append(TornRecord(time=self._clock(), size=len(torn), sha256=hashlib.sha256(torn).hexdigest()))


def lock_directory(directory: Path) -> int:
    """Take the directory for this process; the kernel gives it back when the process ends, however it ends.

    Returns:
        The descriptor that holds it; whoever closes it gives it back.

    Raises:
        ConfigError: another process has it.
        OSError: it cannot be made or written to.
    """
    directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    opened = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(opened)
        message = f"another Portico uses {directory}; stop it, or give this one its own data directory"
        raise ConfigError([Fault(path="data_dir", message=message)]) from error
    return opened


def _name_writer(directory: Path, name: str) -> str:
    writer = f"{name[:NAME_CHARS]}-{secrets.token_hex(6)}"
    fresh = directory / f"{WRITER_FILE}.new"
    opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _FILE_MODE)
    with os.fdopen(opened, "w") as file:
        file.write(writer)
    fresh.rename(directory / WRITER_FILE)
    return writer


def _number(line: bytes) -> int:
    link = decode_link(line)
    assert link is not None  # last_line returns lines of a journal only
    return link.seq


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
