"""One connection to one origin: a request goes out, an answer is parsed, never two at a time.

The bytes that arrive here are untrusted. They are parsed by llhttp (through httptools) without leniencies; what the
parser lets pass and HTTP does not is refused here: framing that two parsers could read differently, answers before
or beside the question, endless heads, trailers and interim answers (RFC 9112 section 11).
"""

import asyncio
import select
from collections.abc import Callable
from typing import Final, cast

import httptools

from portico.model.errors import UpstreamError, UpstreamInvalid, UpstreamTimeout, UpstreamTooLarge, UpstreamUnreachable
from portico.net.patience import CLOCK_GRAIN, KEEP_ALIVE, Timeouts, keep_alive_of
from portico.net.response import Response

MAX_HEADERS: Final = 128  #: of one answer
MAX_INTERIM: Final = 8  #: 1xx answers before the real one
HIGH_WATER: Final = 256 * 1024  #: bytes of a body that wait for a slow reader before the sender is held back
LOW_WATER: Final = 64 * 1024  #: bytes that are left when it may go on
JOINED: Final = 16 * 1024  #: bytes of a body up to which copying it to its head costs less than sending two pieces

_WATCHED: Final = frozenset((b"content-length", b"transfer-encoding", b"content-encoding", b"keep-alive"))
_BODILESS: Final = frozenset((204, 304))


class _Refused(Exception):
    """Raised out of a parser callback to stop the parser; what is wrong is noted beside."""


class Connection(asyncio.Protocol):
    """The protocol of one connection; ``on_free`` and ``on_lost`` tell the pool."""

    __slots__ = (
        "_begun",
        "_close_delimited",
        "_content_length",
        "_deadline",
        "_done",
        "_fault",
        "_framing",
        "_head",
        "_headers",
        "_idle_timeout",
        "_interim",
        "_loop",
        "_max_header_bytes",
        "_on_free",
        "_on_lost",
        "_parser",
        "_paused",
        "_poller",
        "_response",
        "_reusable",
        "_timer",
        "_timer_at",
        "_total_at",
        "_transfer_encoding",
        "_transport",
        "_waiter",
        "closed",
        "idle_since",
        "keep_for",
        "used",
    )

    def __init__(self, on_free: "Callable[[Connection], None]", on_lost: "Callable[[Connection], None]") -> None:
        self._loop = asyncio.get_running_loop()
        self._on_free = on_free
        self._on_lost = on_lost
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._poller: select.poll | None = None  # of its socket; nobody asks it once the connection is closed
        self._response: Response | None = None  # of the request in flight, None when idle
        self._waiter: asyncio.Future[None] | None = None  # somebody waits for the head
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._deadline = self._total_at = self._idle_timeout = 0.0
        self._max_header_bytes = 0
        self._paused = False
        self._reset()
        self.closed = False  #: it will not be used again
        self.used = 0  #: requests that were sent on it
        self.idle_since = 0.0  #: event loop's clock
        self.keep_for = KEEP_ALIVE  #: seconds it may idle

    def _reset(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._framing = 0  # bytes that arrived since the last byte of a body
        self._interim = 0
        self._begun = self._head = self._done = False  # first byte, complete head, complete message
        self._reusable = self._close_delimited = False
        self._content_length: bytes | None = None
        self._transfer_encoding: bytes | None = None
        self._fault: UpstreamError | None = None

    # ---- one exchange

    async def exchange(
        self, head: bytes, body: bytes, *, timeouts: Timeouts, total_at: float, max_header_bytes: int
    ) -> Response:
        """Send a request and return its answer once the head is complete.

        Raises:
            StaleConnection: the connection had been used before and was closed before any byte of an answer.
            UpstreamError: no answer, none in time, or one that is not HTTP.
        """
        response = self._send(head, body, timeouts, total_at, max_header_bytes)
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        except asyncio.CancelledError:
            self._end(response)
            raise
        return response

    def _send(self, head: bytes, body: bytes, timeouts: Timeouts, total_at: float, max_header_bytes: int) -> Response:
        transport = self._transport
        if self.closed or transport is None or self._response is not None:
            raise UpstreamUnreachable("The connection was closed by the server.", detail="before the request")
        self._reset()
        self.used += 1
        self._total_at = total_at
        self._idle_timeout = timeouts.idle
        self._max_header_bytes = max_header_bytes
        response = self._response = Response(resume=self._resume, close=self._end)
        self._arm(min(self._loop.time() + timeouts.first_byte, total_at))
        if len(body) <= JOINED:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        return response

    def _end(self, response: Response) -> None:
        """Close because nobody wants the rest of ``response``, unless the connection already serves another one."""
        if self._response is response:
            self.abort()

    @property
    def busy(self) -> bool:
        """A request is in flight."""
        return self._response is not None

    def is_quiet(self) -> bool:
        """Say whether an idle connection is still open and has nothing to read; asks the kernel, not the loop."""
        poller = self._poller
        if poller is None:
            sock = None if self._transport is None else self._transport.get_extra_info("socket")
            if sock is None:
                return False
            poller = self._poller = select.poll()
            poller.register(sock.fileno(), select.POLLIN | select.POLLPRI)
        return not self.closed and not poller.poll(0)

    def abort(self) -> None:
        """Close now, without a TLS farewell; whatever is in flight ends for the caller as it decides. Idempotent."""
        self.closed = True
        self._response = None
        self._disarm()
        if self._transport is not None:
            self._transport.abort()

    def fail(self, error: UpstreamError) -> None:
        """Close because of ``error``, which whoever waits gets to see."""
        response, waiter = self._response, self._waiter
        self.abort()
        if response is not None:
            response.fail(error)
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has the methods, not the base class
        if self.closed:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; hand on what can be handed on."""
        response, parser = self._response, self._parser
        if response is None or parser is None:
            # Bytes that nobody asked for: the next request must not take them for its answer.
            self.abort()
            return
        self._begun = True
        self._framing += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._done:
                fault = self._fault or UpstreamInvalid("The answer is not valid HTTP.", detail=str(error))
                self.fail(fault)
                return
            self._reusable = False
        if self._done:
            self._finish(response)
        elif self._framing > self._max_header_bytes:
            self.fail(_head_too_large(self._max_header_bytes))
        elif self._head:
            self._stream(response)

    def eof_received(self) -> None:
        """The server closed: the end of a close-delimited body, or the end of everything."""
        response = self._response
        if response is not None and self._head and self._close_delimited:
            self._reusable = False
            self._finish(response)
        else:
            self._break("closed by the server")

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing will arrive any more."""
        self._break(str(exc) if exc is not None else "closed")
        self._transport = None
        self._parser = None  # it holds our bound methods: without this the two live until the cycle collector
        self._on_lost(self)

    # ---- httptools callbacks

    def on_message_begin(self) -> None:
        """A status line begins; after the answer it would be a second one."""
        if self._done:
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; trailers are dropped (RFC 9110 section 6.5: never merged)."""
        if self._head:
            self._reusable = False
            return
        name = name.lower()
        if name in _WATCHED:
            self._watch(name, value)
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Judge the head."""
        parser, response = self._parser, self._response
        assert parser is not None
        status = parser.get_status_code()
        if status < 200:  # noqa: PLR2004 - RFC 9110 section 15.2
            self._judge_interim(status)
            return
        self._judge_size()
        if response is None or status > 599:  # noqa: PLR2004 - RFC 9110 section 15
            self._refuse("has no valid status code")
        bodiless = status in _BODILESS
        if self._transfer_encoding is not None and self._transfer_encoding != b"chunked":
            self._refuse("uses a transfer coding that was not asked for")
        unframed = self._transfer_encoding is None and self._content_length is None
        self._close_delimited = unframed and not bodiless
        # A 204 that announces a body may be followed by one (RFC 9110 section 8.6): do not wait for it here.
        self._reusable = parser.should_keep_alive() and (status != 204 or unframed)  # noqa: PLR2004
        self._head = True
        assert response is not None
        response.status = status
        response.headers = tuple(self._headers)

    def on_body(self, body: bytes) -> None:
        """Collect a piece of the body."""
        response = self._response
        if response is not None:
            self._framing = 0
            response.push(body)

    def on_message_complete(self) -> None:
        """End of an interim answer or of the answer."""
        if self._head:
            self._done = True
        else:
            self._headers.clear()

    # ----

    def _watch(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            self._content_length = value
        elif name == b"transfer-encoding":
            if self._transfer_encoding is not None:
                self._refuse("repeats Transfer-Encoding")
            self._transfer_encoding = value.strip().lower()
        elif name == b"content-encoding":
            if value.strip().lower() not in (b"identity", b""):
                self._refuse("is compressed although that was not asked for")
        else:
            self.keep_for = keep_alive_of(value)

    def _judge_interim(self, status: int) -> None:
        self._interim += 1
        if status < 100 or status == 101:  # noqa: PLR2004 - RFC 9110 section 15.2.2
            self._refuse("has no valid status code or switches protocols")
        if self._interim > MAX_INTERIM:
            self._refuse("is preceded by too many interim ones")
        if self._content_length is not None or self._transfer_encoding is not None:
            self._refuse("is preceded by an interim one with a body")
        self._judge_size()

    def _judge_size(self) -> None:
        """Bound the head also when it arrived in one piece with what follows it."""
        if len(self._headers) > MAX_HEADERS:
            self._fault = UpstreamTooLarge(f"The answer has more than {MAX_HEADERS} headers.")
            raise _Refused
        if self._framing > self._max_header_bytes:
            size = sum(len(name) + len(value) + 4 for name, value in self._headers)
            if size > self._max_header_bytes:
                self._fault = _head_too_large(self._max_header_bytes)
                raise _Refused

    def _refuse(self, what: str) -> None:
        self._fault = UpstreamInvalid(f"The answer {what}.")
        raise _Refused

    def _stream(self, response: Response) -> None:
        """A part of the body is here and more will come."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        if response.buffered > HIGH_WATER and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
            self._arm(self._total_at)  # the server is not to blame for a slow reader
        else:
            self._arm(min(self._loop.time() + self._idle_timeout, self._total_at))
        response.wake()

    def _resume(self) -> None:
        response = self._response
        if not self._paused or response is None or self._transport is None or response.buffered > LOW_WATER:
            return
        self._paused = False
        self._arm(min(self._loop.time() + self._idle_timeout, self._total_at))
        self._transport.resume_reading()

    def _finish(self, response: Response) -> None:
        """The answer is complete: free the connection before anyone has even read it."""
        self._response = None
        waiter, transport = self._waiter, self._transport
        response.complete()
        # An answer before the request was written out: what is left of it would be taken for the next request.
        if self._reusable and transport is not None and not transport.get_write_buffer_size():
            if self._paused:
                self._paused = False
                transport.resume_reading()
            self.idle_since = self._loop.time()
            self._on_free(self)
        else:
            self.abort()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        response.wake()

    def _break(self, detail: str) -> None:
        """The connection ended where no answer ends."""
        if self._response is None:
            self.abort()
        elif self.used > 1 and not self._begun:
            self.fail(StaleConnection("The server closed the connection.", detail=detail))
        else:
            self.fail(UpstreamUnreachable("The connection broke before the answer was complete.", detail=detail))

    # ---- deadlines: one lazy timer per connection, which mostly outlives many requests

    def _arm(self, deadline: float) -> None:
        self._deadline = deadline
        timer = self._timer
        if timer is None:
            self._timer_at = deadline
            self._timer = self._loop.call_at(deadline, self._on_timer)
        elif self._timer_at > deadline:
            timer.cancel()
            self._timer_at = deadline
            self._timer = self._loop.call_at(deadline, self._on_timer)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        if self._response is None:
            return
        if self._loop.time() + CLOCK_GRAIN < self._deadline:
            self._arm(self._deadline)
        elif self._deadline >= self._total_at:
            self.fail(UpstreamTimeout("The answer was not complete within the time of a call.", detail="total"))
        elif self._head:
            self.fail(UpstreamTimeout("The answer stopped arriving.", detail="idle"))
        else:
            self.fail(UpstreamTimeout("There was no answer in time.", detail="first byte"))


class StaleConnection(UpstreamUnreachable):
    """A kept-alive connection was closed before any byte of an answer; the request may or may not have been seen."""


def _head_too_large(limit: int) -> UpstreamTooLarge:
    return UpstreamTooLarge(f"The head or framing of the answer is larger than {limit} bytes.")
