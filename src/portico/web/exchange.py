"""One HTTP request and its answer, as the data plane sees them.

The MCP endpoint is written against :class:`Exchange`, not against ASGI: on the call path the messages, closures and
wrappers of ASGI cost more than the call itself. Two things implement it: the HTTP parser's own
(:mod:`portico.service.direct`), which is what production runs, and :class:`AsgiExchange` for every other server.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from portico.web.asgi import ClientDisconnected, Header, Message, Receive, Scope, Send, read_body, request_id, too_large
from portico.web.deadline import within

#: Seconds after which a call is worth a task that watches for its client's end; most calls are over by then.
WATCH_AFTER: Final = 0.05

#: Seconds that a client may take to read what was sent before; a slower one counts as gone.
SEND_SECONDS: Final = 30.0

Headers = Sequence[Header]


class Exchange(Protocol):
    """One request, of which nothing is judged yet, and the one answer to it."""

    id: str  #: by which log and audit know the request
    method: str
    path: str  #: decoded, for routing
    raw_path: bytes  #: as it was sent, for signatures
    query: bytes  #: as it was sent
    headers: Sequence[Header]  #: names in lower case, in order of arrival
    client_host: str  #: the peer's address; never for authorization
    task: "asyncio.Task[None] | None"  #: that serves the request; None when only asyncio knows

    async def body(self, limit: int) -> bytes:
        """Return the whole request body of at most ``limit`` bytes. It may be asked for again.

        Raises:
            TooLarge: more than ``limit`` bytes came; the rest is not read.
            InputError: it was not complete within :data:`~portico.web.asgi.BODY_SECONDS`.
            ClientDisconnected: the client went away before the end.
        """
        ...

    def watch(self, gone: Callable[[], None]) -> None:
        """Have ``gone`` called when the client goes away before the answer is complete. Needs the whole body read."""
        ...

    def unwatch(self) -> None:
        """Watch no longer. Idempotent."""
        ...

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer; ``content-length`` is added, everything else is the caller's.

        Raises:
            ClientDisconnected: the client has not read what was sent before for :data:`SEND_SECONDS`.
        """
        ...

    async def begin(self, status: int, headers: Headers) -> None:
        """Begin an answer that is sent in pieces.

        Raises:
            ClientDisconnected: the client has not read what was sent before for :data:`SEND_SECONDS`.
        """
        ...

    async def push(self, data: bytes, *, last: bool = False) -> None:
        """Send a piece of the answer that was begun; waits while the client does not read.

        Raises:
            ClientDisconnected: it has not for :data:`SEND_SECONDS`.
        """
        ...


class AsgiExchange:
    """An exchange over ASGI."""

    __slots__ = (
        "_body",
        "_receive",
        "_send",
        "_task",
        "_timer",
        "client_host",
        "headers",
        "id",
        "method",
        "path",
        "query",
        "raw_path",
        "task",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.id = request_id(scope)
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: bytes = scope.get("raw_path") or self.path.encode()
        self.query: bytes = scope.get("query_string", b"")
        self.headers: Sequence[Header] = scope["headers"]
        self.client_host: str = (scope.get("client") or ("",))[0]
        self.task: asyncio.Task[None] | None = None
        self._body: bytes | None = None
        self._receive = receive
        self._send = send
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def body(self, limit: int) -> bytes:
        """Return the whole request body; see :meth:`Exchange.body`."""
        if self._body is None:
            self._body = await read_body(self._receive, limit)
        if len(self._body) > limit:
            raise too_large(limit)
        return self._body

    def watch(self, gone: Callable[[], None]) -> None:
        """Have ``gone`` called when the client goes away; costs a timer, and a task only when the call lasts."""
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._start, gone)

    def unwatch(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer."""
        await self.begin(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.push(body, last=True)

    async def begin(self, status: int, headers: Headers) -> None:
        """Begin an answer."""
        await self._sent({"type": "http.response.start", "status": status, "headers": headers})

    async def push(self, data: bytes, *, last: bool = False) -> None:
        """Send a piece of the answer."""
        await self._sent({"type": "http.response.body", "body": data, "more_body": not last})

    async def _sent(self, message: Message) -> None:
        try:
            await within(SEND_SECONDS, self._send(message))
        except TimeoutError as error:
            raise ClientDisconnected from error

    def _start(self, gone: Callable[[], None]) -> None:
        self._task = asyncio.ensure_future(self._watch(gone))

    async def _watch(self, gone: Callable[[], None]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        gone()
