"""The files of a journal's directory, and how their lines are read.

``writer`` holds the writer's id, ``lock`` is held by the process that writes, ``<first sequence>.jsonl`` are the
segments, ``torn-<sequence>`` are unfinished lines that were set aside. Readers need no lock: lines are only appended,
and segments disappear only after they were shipped.

A data directory has one journal for a process that serves alone, and for several workers one in each of the numbered
directories below it; whoever reads is given the upper directory and sees them all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from portico.audit.record import Link, decode_link

WRITER_FILE: Final = "writer"
LOCK_FILE: Final = "lock"
TORN_PREFIX: Final = "torn-"
SUFFIX: Final = ".jsonl"
TAIL_BYTES: Final = 64 * 1024  #: read at once when looking for the last line; a line is far shorter


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One file of the chain."""

    path: Path
    first: int  #: sequence number of its first line


class Line(NamedTuple):
    """One complete line and where the next one begins."""

    text: bytes  #: without its newline
    end: int  #: offset behind its newline


def read_writer(directory: Path) -> str | None:
    """Return the id of the writer whose journal ``directory`` holds, None when there is none."""
    try:
        return (directory / WRITER_FILE).read_text().strip() or None
    except FileNotFoundError:
        return None


def journal_directories(root: Path) -> list[Path]:
    """Return the directories at and below ``root`` that hold a journal: its own, and those of numbered workers."""
    numbered = [path for path in root.glob("*") if path.name.isdecimal() and path.is_dir()]
    found = [root, *sorted(numbered, key=lambda path: int(path.name))]
    return [directory for directory in found if read_writer(directory) is not None]


def segment_path(directory: Path, first: int) -> Path:
    """Return the path of the segment whose first line is number ``first``."""
    return directory / f"{first:020d}{SUFFIX}"


def list_segments(directory: Path) -> list[Segment]:
    """Return the segments in order."""
    found = [path for path in directory.glob(f"*{SUFFIX}") if path.stem.isdecimal()]
    return [Segment(path=path, first=int(path.stem)) for path in sorted(found)]


def read_lines(path: Path, *, offset: int = 0, limit: int | None = None) -> Iterator[Line]:
    """Yield complete lines from ``offset``; a line without a newline is still being written, or torn.

    A segment that disappears was shipped: it yields nothing.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        for raw in islice(file, limit):
            if not raw.endswith(b"\n"):
                return
            offset += len(raw)
            yield Line(text=raw[:-1], end=offset)


def last_line(path: Path) -> tuple[Line | None, bytes]:
    """Return the last complete line that is one of a journal, and the bytes after it (empty unless it was torn)."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        wanted = TAIL_BYTES
        while True:
            start = max(0, size - wanted)
            file.seek(start)
            found = _last_in(file.read(), start)
            if found is not None or start == 0:
                break
            wanted *= 2
        if found is None:
            file.seek(0)
            return None, file.read()
        file.seek(found.end)
        return found, file.read()


def lines_after(directory: Path, sequence: int) -> Iterator[tuple[Link | None, bytes]]:
    """Yield the lines whose number is over ``sequence``, and those that have none because they were damaged."""
    segments = list_segments(directory)
    for segment, following in zip(segments, [*segments[1:], None], strict=False):  # none at all is a journal too
        if following is not None and following.first <= sequence + 1:
            continue
        for line in read_lines(segment.path):
            link = decode_link(line.text)
            if link is None or link.seq > sequence:
                yield link, line.text


def _last_in(block: bytes, start: int) -> Line | None:
    """Return the last line that stands whole in ``block``; at its front a line may be cut."""
    end = block.rfind(b"\n") + 1
    while end > 0:
        begin = block.rfind(b"\n", 0, end - 1) + 1
        if begin == 0 and start > 0:
            return None
        text = block[begin : end - 1]
        if decode_link(text) is not None:
            return Line(text=text, end=start + end)
        end = begin
    return None
