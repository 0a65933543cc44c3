"""The lines that this process wrote last, so that the shipper need not read back and decode what was just encoded."""

from typing import Final, NamedTuple

from portico.audit.record import Record

MAX_BYTES: Final = 8 * 1024**2  #: of lines; when more wait, all are dropped and the shipper reads the segments instead


class Appended(NamedTuple):
    """A line as it was appended."""

    sequence: int
    record: Record
    line: bytes  #: without its newline
    hash: str
    segment: int  #: number of the first line of the segment in which it stands
    end: int  #: offset in the segment behind its newline


class Recent:
    """Appended lines without a gap, up to the newest. Used from one thread."""

    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lines: list[Appended] = []
        self._bytes = 0
        self._newest = -1  # number of the line that came last

    def add(self, appended: Appended) -> None:
        """Take the next line."""
        if self._bytes > self._max_bytes:
            self._lines.clear()
            self._bytes = 0
        self._newest = appended.sequence
        self._lines.append(appended)
        self._bytes += len(appended.line)

    def after(self, sequence: int, limit: int) -> list[Appended] | None:
        """Return the lines that follow ``sequence``, at most ``limit``, and forget those up to it.

        None when they are not all here: they must be read from the segments.
        """
        lines = self._lines
        begin = len(lines) + sequence - self._newest
        if not 0 <= begin <= len(lines):
            return None
        if begin:
            self._bytes -= sum(len(one.line) for one in lines[:begin])
            del lines[:begin]
        return lines[:limit]
