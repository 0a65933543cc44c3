"""uvicorn's HTTP protocol with the bounds that it lacks: bytes of a head, and the time that it may take.

It also drains without a failed call. A connection that rests when draining begins is not closed at once: its client
may just be sending the next request, and a POST that meets a closed connection is not repeated by careful clients.
So it is served once more, told ``connection: close``, and closed only after it stayed silent.

httptools hands over headers only when they are complete and keeps what is not, so the bytes are counted where they
arrive. Trailers are dropped: they come after what was authenticated and would join the request's headers.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD_BYTES: Final = 64 * 1024  #: request line and headers, or anything else between two pieces of a body
#: That a connection which rests is still served while draining; far longer than the pauses of a client under load.
DRAIN_IDLE_SECONDS: Final = 1.0
HEAD_SECONDS: Final = 20.0  #: from the connection, or the first byte of a further request, to the end of the head

_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, lost: Callable[[], None] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lost = lost  # told when the connection ends
        self._unparsed = 0  # bytes since the parser last reported something finished
        self._head = 0  # bytes of headers in the head that is being read
        self._in_head = True
        self._refused = False
        self._draining = False
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn itself
        """Start the clock of the first head."""
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_head_timer()
        super().connection_lost(exc)
        if self._lost is not None:
            self._lost()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; refuse what does not come to an end."""
        if self._in_head and self._head_timer is None:
            self._start_head_timer()
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        self._head += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are dropped."""
        if self._in_head:
            self._head += len(name) + len(value)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the clock, judge the size, and hand the request over."""
        self._in_head = False
        self._unparsed = 0
        self._stop_head_timer()
        if self._head > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)
        if not self._refused:
            super().on_headers_complete()
            self.cycle.keep_alive = self.cycle.keep_alive and not self._draining

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body and count anew."""
        self._unparsed = 0
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Await the next head."""
        self._in_head = True
        self._unparsed = 0
        if not self._refused:
            super().on_message_complete()

    def shutdown(self) -> None:
        """Begin to drain: the answer that is due says that it is the last one."""
        self._draining = True
        self.timeout_keep_alive = DRAIN_IDLE_SECONDS  # also after an answer whose head is on its way already
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(DRAIN_IDLE_SECONDS, self.timeout_keep_alive_handler)
        elif not cycle.response_started:
            cycle.keep_alive = False

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_too_slow)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_too_slow(self) -> None:
        self._refuse(_TOO_SLOW)

    def _refuse(self, answer: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        # uvicorn types `cycle` as always there; before the first request it is None.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or cycle.response_complete:  # an answer under way must not be mixed with ours
            self.transport.write(answer)
        self.transport.close()
