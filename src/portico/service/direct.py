"""An exchange directly on the HTTP parser: no ASGI messages, one write for a whole answer, no timer of its own.

Head and body of an answer leave in one piece: two would be two system calls and two packets. Headers that repeat from
answer to answer are checked and encoded once.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, Protocol

from portico.web.asgi import BODY_SECONDS, ClientDisconnected, Header, new_request_id, too_large, too_slow
from portico.web.exchange import SEND_SECONDS, Headers

HIGH_WATER: Final = 64 * 1024  #: bytes of a body that nobody has asked for yet, until the sender is held back
#: Bytes of a body that are read and dropped after its request was refused, so that the refusal is not lost in a
#: connection that breaks; more than any request may have.
MAX_DROPPED: Final = 8 * 1024 * 1024
COPIED: Final = 64 * 1024  #: bytes of an answer up to which head and body are joined into one piece
MAX_BLOCKS: Final = 64  #: sets of headers that are remembered in their encoded form

#: On every answer that does not say otherwise itself. RFC 6797 is for whoever speaks https, which is not us.
SECURITY_HEADERS: Final[Sequence[Header]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)

_STATUS_LINES: Final[Mapping[int, bytes]] = MappingProxyType(
    {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
)
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")  # RFC 9110 section 5.6.2
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")  # RFC 9110 section 5.5


class InvalidHeader(ValueError):
    """An answer's header that could be read as more than one; our own fault."""


class HeaderBlocks:
    """Encodes the headers of answers, and remembers sets of them that repeat."""

    def __init__(self) -> None:
        self._known: dict[Headers, bytes] = {}
        self._date_from: Headers = ()
        self._date = b""

    def date_line(self, defaults: Headers) -> bytes:
        """Return the lines of the headers that the server renews every second: ``date``."""
        if defaults is not self._date_from:
            self._date_from = defaults
            self._date = b"".join(b"%b: %b\r\n" % entry for entry in defaults)
        return self._date

    def encode(self, headers: Headers) -> bytes:
        """Return the lines of ``headers`` and of the security headers that they leave out.

        Raises:
            InvalidHeader: a name or a value would split the answer (CWE-113).
        """
        if not isinstance(headers, tuple):
            return _encoded(headers)
        block = self._known.get(headers)
        if block is None:
            block = _encoded(headers)
            if len(self._known) >= MAX_BLOCKS:  # values that never repeat must not push out those that do for good
                self._known.clear()
            self._known[headers] = block
        return block


class Connection(Protocol):
    """What an exchange needs of its connection."""

    blocks: HeaderBlocks
    transport: asyncio.Transport

    @property
    def write_paused(self) -> bool:
        """Whether the client does not read."""
        ...

    def date_line(self) -> bytes:
        """Return the ``date`` header's line, empty for none."""
        ...

    def hold_back(self) -> None:
        """Read no more for now."""
        ...

    def read_on(self) -> None:
        """Read again."""
        ...

    async def drained(self) -> None:
        """Wait until the client has read enough of what was written."""
        ...

    def answered(self, exchange: "DirectExchange") -> None:
        """Take note that the answer is complete."""
        ...


class DirectExchange:
    """See :class:`portico.web.exchange.Exchange`; made and fed by the connection's protocol."""

    __slots__ = (
        "_begun",
        "_chunks",
        "_complete",
        "_connection",
        "_dropped",
        "_gone",
        "_limit",
        "_size",
        "_waiter",
        "_watcher",
        "answered",
        "client_host",
        "headers",
        "id",
        "keep_alive",
        "method",
        "path",
        "query",
        "raw_path",
        "task",
    )

    def __init__(
        self,
        connection: Connection,
        *,
        method: str,
        path: str,
        raw_path: bytes,
        query: bytes,
        headers: Sequence[Header],
        client_host: str,
        keep_alive: bool,
    ) -> None:
        self.id = new_request_id()
        self.method = method
        self.path = path
        self.raw_path = raw_path
        self.query = query
        self.headers = headers
        self.client_host = client_host
        self.keep_alive = keep_alive
        self.answered = False  #: completely
        self.task: asyncio.Task[None] | None = None  #: that serves it
        self._connection = connection
        self._begun = False  # the head of the answer is out
        self._chunks: list[bytes] = []
        self._size = self._dropped = 0
        self._limit: int | None = None  # of the body; None while nobody has asked for it
        self._complete = False  # the request is
        self._gone = False  # the client is
        self._waiter: asyncio.Future[None] | None = None
        self._watcher: Callable[[], None] | None = None

    # ---- for who answers

    async def body(self, limit: int) -> bytes:
        """Return the whole request body."""
        if not self._complete and self._size <= limit:
            await self._arrive(limit)
        if self._size > limit:
            self._drop()
            raise too_large(limit)
        chunks = self._chunks
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def watch(self, gone: Callable[[], None]) -> None:
        """Have ``gone`` called when the client goes away."""
        self._watcher = gone
        if self._gone:
            asyncio.get_running_loop().call_soon(gone)

    def unwatch(self) -> None:
        """Watch no longer."""
        self._watcher = None

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer, in one piece if it is small."""
        if self._connection.write_paused:
            await self._drained()
        if self._gone:
            return
        head = self._head(status, headers, b"content-length: %d\r\n\r\n" % len(body))
        self._begun = True
        transport = self._connection.transport
        if self.method == "HEAD":
            transport.write(head)
        elif len(body) <= COPIED:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        self._finish()

    async def begin(self, status: int, headers: Headers) -> None:
        """Begin an answer that is sent in pieces."""
        if self._connection.write_paused:
            await self._drained()
        if not self._gone:
            head = self._head(status, headers, b"transfer-encoding: chunked\r\n\r\n")
            self._begun = True
            self._connection.transport.write(head)

    async def push(self, data: bytes, *, last: bool = False) -> None:
        """Send a piece of the answer that was begun."""
        if self._connection.write_paused:
            await self._drained()
        if self._gone:
            return
        end = b"0\r\n\r\n" if last else b""
        chunk = b"%x\r\n%b\r\n%b" % (len(data), data, end) if data else end
        if chunk:
            self._connection.transport.write(chunk)
        if last:
            self._finish()

    @property
    def begun(self) -> bool:
        """Whether the head of the answer is out."""
        return self._begun

    # ---- for the connection

    def feed(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._size += len(data)
        if self.answered or (self._limit is not None and self._size > self._limit):
            self._drop()
            self._dropped += len(data)
            if self._dropped > MAX_DROPPED:
                self._connection.transport.close()
            return
        self._chunks.append(data)
        if self._limit is None and self._size > HIGH_WATER:
            self._connection.hold_back()

    def complete(self) -> None:
        """The request is complete."""
        self._complete = True
        self._wake()

    def lost(self) -> None:
        """The client went away."""
        self._gone = True
        self._wake()
        if self._watcher is not None and not self.answered:
            self._watcher()

    # ----

    async def _arrive(self, limit: int) -> None:
        self._limit = limit
        if self._gone:
            raise ClientDisconnected
        if expects_continue(self.headers):
            self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._connection.read_on()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                await self._waiter
        except TimeoutError as error:
            raise too_slow() from error
        finally:
            self._waiter = None
        if not self._complete and self._size <= limit:
            raise ClientDisconnected

    def _drop(self) -> None:
        """Keep nothing of the body, and read what is left of it."""
        self._chunks.clear()
        self._limit = -1
        self._wake()
        if not self._complete:  # else what is read on are the requests behind it
            self._connection.read_on()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _drained(self) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._connection.drained()
        except TimeoutError as error:
            raise ClientDisconnected from error

    def _head(self, status: int, headers: Headers, framing: bytes) -> bytes:
        connection = self._connection
        return b"%b%b%bx-request-id: %b\r\n%b%b" % (
            _STATUS_LINES[status],
            connection.date_line(),
            connection.blocks.encode(headers),
            self.id.encode(),
            b"" if self.keep_alive else b"connection: close\r\n",
            framing,
        )

    def _finish(self) -> None:
        self.answered = True
        self._watcher = None
        self._chunks.clear()
        self._connection.answered(self)


def expects_continue(headers: Headers) -> bool:
    """Say whether the client waits for leave to send its body (RFC 9110 section 10.1.1)."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def _encoded(headers: Headers) -> bytes:
    lines: list[bytes] = []
    named: set[bytes] = set()
    for name, value in headers:
        if _NAME.match(name) is None or _VALUE.match(value) is None:
            raise InvalidHeader(repr(name))
        named.add(name)
        lines.append(b"%b: %b\r\n" % (name, value))
    lines.extend(b"%b: %b\r\n" % entry for entry in SECURITY_HEADERS if entry[0] not in named)
    return b"".join(lines)
