"""An answer on its way from a connection to whoever asked."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from portico.model.errors import UpstreamError, UpstreamTooLarge

Headers = tuple[tuple[bytes, bytes], ...]


class Response:
    """One HTTP answer: its head is complete, its body may still be arriving.

    Either read it to the end (:meth:`read`, :meth:`chunks`) or call :meth:`aclose`; an answer that is dropped keeps
    its connection until the call's total deadline.
    """

    __slots__ = ("_buffered", "_chunks", "_close", "_complete", "_error", "_resume", "_waiter", "headers", "status")

    def __init__(self, *, resume: Callable[[], None], close: "Callable[[Response], None]") -> None:
        """Take what lets the connection read on, and what ends it. Made by the connection only."""
        self.status = 0
        self.headers: Headers = ()  #: in order of arrival, names in lower case
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._complete = False
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._resume = resume
        self._close = close

    # ---- for whoever asked

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header, ``name`` in lower case, or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    @property
    def finished(self) -> bool:
        """Whether the whole answer has arrived; its connection is free already then."""
        return self._complete

    async def read(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            UpstreamTooLarge: it is longer than ``limit`` bytes; the connection is closed.
            UpstreamError: the connection broke, a deadline passed, or the body is not HTTP.
        """
        if self._complete and len(self._chunks) <= 1 and self._buffered <= limit:
            self._buffered = 0
            return self._chunks.popleft() if self._chunks else b""
        parts: list[bytes] = []
        total = 0
        try:
            while chunk := await self._next():
                total += len(chunk)
                if total > limit:
                    raise UpstreamTooLarge(f"The answer is larger than {limit} bytes.")
                parts.append(chunk)
        finally:
            self._end()
        return b"".join(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; the sender is held back while the caller is slow.

        Raises:
            UpstreamError: the connection broke, a deadline passed, or the body is not HTTP.
        """
        try:
            while chunk := await self._next():
                yield chunk
        finally:
            self._end()

    async def aclose(self) -> None:
        """Close the connection if the answer is unfinished. Idempotent; awaits nothing, so it works when cancelled."""
        self._end()

    # ---- for the connection

    def push(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        self._chunks.append(chunk)
        self._buffered += len(chunk)

    @property
    def buffered(self) -> int:
        """Bytes that have arrived and were not taken yet."""
        return self._buffered

    def complete(self) -> None:
        """The whole answer has arrived; nothing of it needs the connection any more."""
        self._complete = True

    def fail(self, error: UpstreamError) -> None:
        """What is buffered is the last that arrives; then ``error``."""
        self._error = error
        self.wake()

    def wake(self) -> None:
        """Something changed: let whoever waits look again."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # ----

    async def _next(self) -> bytes:
        while not self._chunks:
            if self._complete:
                return b""
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        chunk = self._chunks.popleft()
        self._buffered -= len(chunk)
        if not self._complete and self._error is None:
            self._resume()
        return chunk

    def _end(self) -> None:
        if not self._complete and self._error is None:
            self._error = UpstreamError("The answer was closed before its end.")
            self._close(self)
        self._chunks.clear()
        self._buffered = 0
