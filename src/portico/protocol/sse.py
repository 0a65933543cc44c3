"""Server-sent events: an incremental parser and an encoder (WHATWG HTML, 9.2 "Server-sent events").

Bytes in, events out; no I/O. The parser gives the same events however the bytes are cut into chunks, and holds
at most ``max_event_bytes`` of an event that is not complete yet.
"""

import msgspec

from portico.model.errors import UpstreamTooLarge

_BOM = b"\xef\xbb\xbf"
_CR = 0x0D
_LF = 0x0A

#: A comment line, which every client ignores and every proxy counts as traffic.
KEEP_ALIVE = b": keep-alive\n\n"


class SseEvent(msgspec.Struct, frozen=True):
    """One dispatched event. ``data`` is empty for an event that only carries an id (a priming event)."""

    data: bytes
    event: bytes = b"message"
    id: bytes = b""  #: the last event id that was seen, this event's own included


class SseParser:
    """Turns chunks of a ``text/event-stream`` body into events.

    An event that the stream's end leaves incomplete is not dispatched, as the standard says.
    """

    __slots__ = ("_after_cr", "_data", "_event", "_first_line", "_has_data", "_id", "_line", "_max")

    def __init__(self, *, max_event_bytes: int) -> None:
        self._max = max_event_bytes
        self._line = bytearray()  # a line whose end has not come yet
        self._data = bytearray()
        self._has_data = False
        self._event = b""
        self._id = b""
        self._after_cr = False
        self._first_line = True

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Take the next bytes and return the events that they complete.

        Raises:
            UpstreamTooLarge: an event, or one line of it, is over ``max_event_bytes``.
        """
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == _LF:  # the second half of a CRLF that was cut in two
                chunk = chunk[1:]
        if b"\n" not in chunk and b"\r" not in chunk:
            self._keep(chunk)
            return []
        if self._line:
            chunk = bytes(self._line) + chunk
            self._line.clear()
        events: list[SseEvent] = []
        lines = chunk.splitlines(keepends=True)
        if lines[-1][-1] not in (_CR, _LF):
            self._keep(lines.pop())
        else:
            self._after_cr = lines[-1][-1] == _CR
        for line in lines:
            self._take(line.rstrip(b"\r\n"), events)
        return events

    def _keep(self, piece: bytes) -> None:
        self._line += piece
        self._check_size()

    def _check_size(self, extra: int = 0) -> None:
        if len(self._line) + len(self._data) + extra > self._max:
            raise UpstreamTooLarge(f"The target sent an event of more than {self._max} bytes.")

    def _take(self, line: bytes, events: list[SseEvent]) -> None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(events)
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._check_size(len(value) + 1)
            self._has_data = True
            self._data += value
            self._data += b"\n"
        elif field == b"event":
            self._check_size(len(value))
            self._event = value
        elif field == b"id" and b"\0" not in value:
            self._check_size(len(value))
            self._id = value

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._has_data:
            data = bytes(memoryview(self._data)[:-1])
            events.append(SseEvent(data, self._event or b"message", self._id))
            self._data.clear()
            self._has_data = False
        self._event = b""


def encode(data: bytes, *, event: bytes = b"message") -> bytes:
    """Encode one event. Line ends inside ``data`` (white space of raw JSON) become several ``data`` lines."""
    if b"\n" in data or b"\r" in data:
        # An empty last line is a line too: splitlines would swallow it.
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        data = b"\ndata: ".join(lines)
    return b"event: " + event + b"\ndata: " + data + b"\n\n"
