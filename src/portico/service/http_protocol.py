"""One connection on the wire: llhttp's parser (through httptools), our bounds, and two ways to the application.

Requests of the data plane become a :class:`~portico.service.direct.DirectExchange`; everything else goes through ASGI
with uvicorn's cycle. Both are answered in the order in which they came.

Bounds: the bytes of a head, the time that it may take, a rest of a body that nobody reads, and the rest between two
requests. Trailers are dropped: they come after what was authenticated and would join the request's headers.

Draining costs no call. A connection that rests when draining begins is not closed at once: its client may just be
sending the next request, and a POST that meets a closed connection is not repeated by careful clients. So it is
served once more, told ``connection: close``, and closed only after it stayed silent.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, cast
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from portico.service.direct import DirectExchange, HeaderBlocks
from portico.service.page import Page, address_of, page_over
from portico.service.patience import Patience
from portico.web.asgi import Header
from portico.web.exchange import SEND_SECONDS

MAX_HEAD_BYTES: Final = 64 * 1024  #: request line and headers, or anything else between two pieces of a body
#: That a connection which rests is still served while draining; far longer than the pauses of a client under load.
DRAIN_IDLE_SECONDS: Final = 1.0
HEAD_SECONDS: Final = 20.0  #: from the connection, or the first byte of a further request, to the end of the head
MAX_UPGRADES: Final = 8  #: heads of one connection that ask for another protocol; each is read twice
REST_SECONDS: Final = 30.0  #: that the rest of a body may take whose request was answered before its end

_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_BAD: Final = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

_ASKING: Final = (b"upgrade", b"http2-settings")  # headers that ask for another protocol

_logger = logging.getLogger("uvicorn.error")


class DirectApp(Protocol):
    """What serves the data plane."""

    def takes(self, target: bytes) -> bool:
        """Say whether a request target is the data plane's."""
        ...

    async def serve(self, exchange: DirectExchange) -> None:
        """Serve one request."""
        ...


class HttpProtocol(asyncio.Protocol):
    """One connection; uvicorn's server makes it and ends it."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # uvicorn's; nothing is kept in it
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        direct: DirectApp | None = None,
        blocks: HeaderBlocks | None = None,
        lost: Callable[[], None] | None = None,
    ) -> None:
        """Take what serves the data plane, the headers that all connections share, and who is told of the end."""
        if not config.loaded:
            config.load()
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._direct = direct
        self._on_lost = lost  # told when the connection ends
        self._loop = _loop or asyncio.get_running_loop()
        self._parser: httptools.HttpRequestParser | None = self._new_parser()
        self._flow: FlowControl = cast("FlowControl", None)  # until the connection is made
        self._client: tuple[str, int] | None = None
        self._server: tuple[str, int | None] | None = None
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.blocks = blocks or HeaderBlocks()
        # The request that is being read
        self._url = b""
        self._headers: list[Header] = []
        self._unparsed = 0  # bytes since the parser last reported something finished
        self._fed = 0  # bytes of the piece that the parser is at
        self._in_head = True
        self._head_begun = False
        self._upgrade = False  # the head asks for another protocol
        self._upgrades = 0  # heads that asked
        self._reading: DirectExchange | Page | None = None
        # The request that is being answered, and those behind it
        self._current: DirectExchange | Page | None = None
        self._waiting: deque[DirectExchange | Page] = deque()
        self._refused = False
        self._draining = False
        self._resting = False  # between two requests
        self._patience = Patience(self._loop)

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock of the first head."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's has the methods, not the base class
        self._flow = FlowControl(self.transport)
        self._client = address_of(transport.get_extra_info("peername"))
        self._server = address_of(transport.get_extra_info("sockname"))
        self._state.connections.add(cast("Any", self))
        self._patience.expect(HEAD_SECONDS, self._head_too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever is still at work for this client."""
        self._state.connections.discard(cast("Any", self))
        self._patience.close()
        self._flow.resume_writing()
        for cycle in {self._current, self._reading, *self._waiting} - {None}:
            assert cycle is not None
            cycle.lost()
        self._waiting.clear()
        self._parser = None
        if exc is None:
            self.transport.close()
        if self._on_lost is not None:
            self._on_lost()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; refuse what does not come to an end."""
        parser = self._parser
        if parser is None or self._refused:
            return
        if self._resting:
            self._resting = False
            self._patience.forget()
        self._fed = len(data)
        self._unparsed += self._fed
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_without_upgrade(parser, data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            _logger.warning("Invalid HTTP request received.")
            self._refuse(_BAD)
            return
        if self._head_begun and self._current is None and not self._patience.waits:
            self._patience.expect(HEAD_SECONDS, self._head_too_slow)
        if self._unparsed > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)

    def eof_received(self) -> None:
        """Let the transport close."""

    def pause_writing(self) -> None:
        """Hold answers back: the client does not read."""
        self._flow.pause_writing()

    def resume_writing(self) -> None:
        """Go on."""
        self._flow.resume_writing()

    # ---- httptools

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._head_begun = True
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are dropped."""
        if self._in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Judge the size and hand the request over."""
        self._in_head = self._head_begun = False
        # Counted only where so much arrived that the head may be too large.
        if self._unparsed + self._fed > MAX_HEAD_BYTES and self._head_bytes() > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)
        self._unparsed = 0
        parser = self._parser
        assert parser is not None
        self._upgrade = parser.should_upgrade()
        if self._refused or self._upgrade:
            return
        keep_alive = not self._draining and parser.should_keep_alive() and parser.get_http_version() == "1.1"
        if self._direct is not None and self._direct.takes(self._url):
            cycle = self._exchange(parser, keep_alive=keep_alive)
        else:
            cycle = self._page(parser, keep_alive=keep_alive)
        self._reading = cycle
        if self._current is None:
            self._begin(cycle)
        else:
            self._flow.pause_reading()
            self._waiting.append(cycle)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body and count anew."""
        self._unparsed = 0
        if self._reading is not None and not self._refused:
            self._reading.feed(body)

    def on_message_complete(self) -> None:
        """Await the next head."""
        self._in_head = True
        self._unparsed = 0
        if self._upgrade:  # its body is still to come
            return
        reading, self._reading = self._reading, None
        if reading is not None and not self._refused:
            reading.complete()
            if self._current is None:  # answered before it was complete
                self._rest()

    # ---- for exchanges

    @property
    def write_paused(self) -> bool:
        """Whether the client does not read."""
        return self._flow.write_paused

    async def drained(self) -> None:
        """Wait until the client has read enough."""
        await self._flow.drain()

    def hold_back(self) -> None:
        """Read no more for now."""
        self._flow.pause_reading()

    def read_on(self) -> None:
        """Read again."""
        self._flow.resume_reading()

    def date_line(self) -> bytes:
        """Return the line of the ``date`` header, which the server renews every second."""
        return self.blocks.date_line(self._state.default_headers)

    def answered(self, exchange: "DirectExchange | Page") -> None:
        """Serve who waits, or rest."""
        self._state.total_requests += 1
        if not exchange.keep_alive:
            self.transport.close()
            self._patience.expect(SEND_SECONDS, self.transport.abort)  # a client that never reads holds no memory
        if self.transport.is_closing():
            return
        self._current = None
        if self._waiting:  # nothing more is read before they are answered: each answer would let in thousands
            self._begin(self._waiting.popleft())
            return
        self._flow.resume_reading()
        if self._reading is exchange:
            self._patience.expect(REST_SECONDS, self._close)
        elif self._head_begun:
            self._patience.expect(HEAD_SECONDS, self._head_too_slow)
        else:
            self._rest()

    # ---- for the server

    def shutdown(self) -> None:
        """Begin to drain: the answer that is due says that it is the last one."""
        self._draining = True
        if self._current is None:
            self._rest()
        elif isinstance(self._current, DirectExchange):
            self._current.keep_alive = self._current.keep_alive and self._current.begun
        elif not self._current.response_started:
            self._current.keep_alive = False

    # ----

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # What follows a request that says `connection: close` is no fault of that request.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _read_without_upgrade(self, parser: httptools.HttpRequestParser, rest: bytes) -> None:
        """Read a request that asks for another protocol as the HTTP/1.1 request that it also is (RFC 9110 7.8).

        The parser stops behind such a head, also before a body: Java's HTTP client asks for h2c with its first POST.
        So the head is read again without what asks; its parts were parsed, they cannot hold a line end.
        """
        method = parser.get_method()
        self._upgrades += 1
        if method == b"CONNECT" or self._upgrades > MAX_UPGRADES:
            self._refuse(_BAD)
            return
        lines = [b"%b %b HTTP/1.1" % (method, self._url)]
        lines += [
            b"%b: %b" % (name, b"close" if name == b"connection" else value)
            for name, value in self._headers
            if name not in _ASKING and (name != b"connection" or b"close" in value.lower())
        ]
        self._parser = self._new_parser()
        self._upgrade, self._in_head = False, True
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def _head_bytes(self) -> int:
        return len(self._url) + sum(len(name) + len(value) for name, value in self._headers)

    def _exchange(self, parser: httptools.HttpRequestParser, *, keep_alive: bool) -> DirectExchange:
        raw_path, _, query = self._url.partition(b"?")
        path = raw_path.decode("ascii")
        return DirectExchange(
            self,
            method=parser.get_method().decode("ascii"),
            path=unquote(path) if "%" in path else path,
            raw_path=raw_path,
            query=query,
            headers=self._headers,
            client_host="" if self._client is None else self._client[0],
            keep_alive=keep_alive,
        )

    def _page(self, parser: httptools.HttpRequestParser, *, keep_alive: bool) -> Page:
        url = httptools.parse_url(self._url)
        path = url.path.decode("ascii")
        scope = {
            "type": "http",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.3"},
            "http_version": parser.get_http_version(),
            "server": self._server,
            "client": self._client,
            "scheme": "http",
            "method": parser.get_method().decode("ascii"),
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "headers": self._headers,
            "state": self._app_state.copy(),
        }
        return page_over(
            scope,
            self.transport,
            self._flow,
            default_headers=self._state.default_headers,
            keep_alive=keep_alive,
            answered=self.answered,
        )

    def _begin(self, cycle: "DirectExchange | Page") -> None:
        self._current = cycle
        self._patience.forget()
        if isinstance(cycle, DirectExchange):
            task = self._loop.create_task(self._serve(cycle))
        else:
            task = self._loop.create_task(cycle.run_asgi(cast("Any", self._config).loaded_app))
            task.add_done_callback(self._state.tasks.discard)
        cycle.task = task
        self._state.tasks.add(task)

    async def _serve(self, exchange: DirectExchange) -> None:
        assert self._direct is not None
        try:
            await self._direct.serve(exchange)
        finally:
            if exchange.task is not None:
                self._state.tasks.discard(exchange.task)
            if not exchange.answered:  # its client does not read, or it was cancelled: nobody waits for an end
                self.transport.abort()

    def _rest(self) -> None:
        self._resting = True
        idle = DRAIN_IDLE_SECONDS if self._draining else self._config.timeout_keep_alive
        self._patience.expect(idle, self._close)

    def _head_too_slow(self) -> None:
        self._refuse(_TOO_SLOW)

    def _refuse(self, answer: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        if self._current is None:  # an answer under way must not be mixed with ours
            self.transport.write(answer)
        self.transport.close()

    def _close(self) -> None:
        if self.transport.get_write_buffer_size():  # whoever has not read until now will not
            self.transport.abort()
        else:
            self.transport.close()
