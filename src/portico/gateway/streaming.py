"""The answer of one call: a JSON body, or a stream of events as soon as something is worth telling early.

The stream begins with the first notification, or after 15 s of silence so that no proxy on the way gives up; until
then an error keeps its HTTP status.
"""

import asyncio
from contextlib import suppress
from typing import Final

from portico.gateway.request import Reply
from portico.protocol import sse
from portico.web.asgi import ClientDisconnected, Header
from portico.web.exchange import Exchange

KEEP_ALIVE_SECONDS: Final = 15.0
EVENT_HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
_COMMENT: Final = b":\n\n"


class AnswerStream:
    """Sends one answer that turns into events when needed."""

    __slots__ = ("_begun", "_cors", "_exchange", "_keep_alive", "_lock", "_timer")

    def __init__(self, exchange: Exchange, cors: tuple[Header, ...], *, keep_alive: float = KEEP_ALIVE_SECONDS) -> None:
        self._exchange = exchange
        self._cors = cors
        self._begun = False
        self._lock = asyncio.Lock()
        self._keep_alive: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(keep_alive, self._start_keep_alive, keep_alive)

    async def event(self, message: bytes) -> None:
        """Send a notification as an event.

        Raises:
            ClientDisconnected: the client does not read.
        """
        await self._chunk(sse.encode(message))

    async def finish(self, reply: Reply) -> None:
        """Send the final response and end the answer: as the last event, or plainly.

        Raises:
            ClientDisconnected: the client does not read.
        """
        await self.aclose()
        if self._begun:
            await self._exchange.push(sse.encode(reply.body) if reply.body else b"", last=True)
        else:
            await self._exchange.respond(reply.status, (*reply.headers, *self._cors), reply.body)

    async def aclose(self) -> None:
        """Stop what this answer started. Alone, it is for an answer that nobody reads any more."""
        self._timer.cancel()
        task, self._keep_alive = self._keep_alive, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _chunk(self, data: bytes) -> None:
        async with self._lock:  # a comment and a notification must not begin the stream twice
            if not self._begun:
                self._begun = True
                await self._exchange.begin(200, (*EVENT_HEADERS, *self._cors))
            await self._exchange.push(data)

    def _start_keep_alive(self, seconds: float) -> None:
        self._keep_alive = asyncio.ensure_future(self._comment(seconds))

    async def _comment(self, seconds: float) -> None:
        with suppress(ClientDisconnected):  # whoever sends the next event learns it too
            while True:
                await self._chunk(_COMMENT)
                await asyncio.sleep(seconds)
