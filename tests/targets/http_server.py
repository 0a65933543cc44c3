"""A small HTTP/1.1 server for tests, on 127.0.0.1 and a port of its own. It notices when its peer goes away.

A handler is ``async def handler(exchange)``. It may answer at once (``await exchange.reply(...)``) or piece by piece
(``start``, ``write``, ``finish``), or cut the connection (``abort``). When the peer closes the connection while a
handler runs, ``exchange.gone`` is set and the handler is cancelled.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import httptools


class Exchange:
    """One request and the answer to it."""

    def __init__(self, connection: "_Connection", method: str, path: str, headers: dict[str, str], body: bytes):
        self._connection = connection
        self.method = method
        self.path = path
        self.headers = headers  # names in lower case; of a repeated one the last
        self.body = body
        self.gone = asyncio.Event()
        self.finished = False

    def json(self):
        return json.loads(self.body)

    async def reply(self, status: int, body: bytes | dict | list = b"", content_type="application/json", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"content-length": str(len(data)), **({"content-type": content_type} if data else {})}
        self._head(status, lines | {name.replace("_", "-"): value for name, value in headers.items()})
        await self._send(data)
        self.finished = True

    async def start(self, status: int = 200, content_type="text/event-stream", **headers):
        lines = {"content-type": content_type, "transfer-encoding": "chunked"}
        self._head(status, lines | {name.replace("_", "-"): value for name, value in headers.items()})
        await self._send(b"")

    async def write(self, data: bytes):
        if data:
            await self._send(b"%x\r\n%b\r\n" % (len(data), data))

    async def event(self, message: dict):
        await self.write(b"event: message\r\ndata: " + json.dumps(message).encode() + b"\r\n\r\n")

    async def finish(self):
        await self._send(b"0\r\n\r\n")
        self.finished = True

    def raw(self, data: bytes):
        """Write bytes past all framing."""
        self._connection.transport.write(data)

    def abort(self):
        """Cut the connection as a dying process would."""
        self._connection.transport.abort()

    def close(self):
        """Close the connection after what was written, in mid-answer."""
        self._connection.transport.close()

    def _head(self, status: int, headers: dict[str, str]):
        phrase = HTTPStatus(status).phrase
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        self._connection.transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def _send(self, data: bytes):
        if data:
            self._connection.transport.write(data)
        await self._connection.drained.wait()


Handler = Callable[[Exchange], Awaitable[None]]


class HttpServer:
    """The server: where it is, and how many connections are open."""

    def __init__(self, handler: Handler):
        self.handler = handler
        self.connections: set[_Connection] = set()
        self.accepted = 0
        self.failures: list[Exception] = []
        self.port = 0

    def drop_connections(self):
        for connection in list(self.connections):
            connection.transport.abort()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Connection(asyncio.Protocol):
    def __init__(self, server: HttpServer):
        self.server = server
        self.drained = asyncio.Event()
        self.drained.set()
        self.parser = httptools.HttpRequestParser(self)
        self.exchange: Exchange | None = None
        self.task: asyncio.Task | None = None

    def connection_made(self, transport):
        self.transport = transport
        self.server.connections.add(self)
        self.server.accepted += 1

    def data_received(self, data):
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.server.failures.append(error)
            self.transport.abort()

    def on_message_begin(self):
        self.url, self.headers, self.body = b"", {}, bytearray()

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        self.headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        method = self.parser.get_method().decode()
        self.exchange = Exchange(self, method, self.url.decode(), self.headers, bytes(self.body))
        self.task = asyncio.ensure_future(self._serve(self.exchange))

    async def _serve(self, exchange: Exchange):
        try:
            await self.server.handler(exchange)
        except Exception as error:  # noqa: BLE001  # the outermost handler: the test that owns the server sees it
            self.server.failures.append(error)
            self.transport.abort()

    def pause_writing(self):
        self.drained.clear()

    def resume_writing(self):
        self.drained.set()

    def connection_lost(self, error):
        self.server.connections.discard(self)
        self.drained.set()
        if self.exchange is not None and not self.exchange.finished:
            self.exchange.gone.set()
            if self.task is not None:
                self.task.cancel()


@asynccontextmanager
async def serve_http(handler: Handler) -> AsyncIterator[HttpServer]:
    """Serve until the block ends; connections that are open then are cut."""
    server = HttpServer(handler)
    listener = await asyncio.get_running_loop().create_server(lambda: _Connection(server), "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        tasks = [connection.task for connection in server.connections if connection.task is not None]
        for connection in list(server.connections):
            connection.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], object], *, seconds: float = 30.0) -> None:
    """Wait for a condition, with a bound; a failure shows the condition's name."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not true within {seconds} s: {condition}")
        await asyncio.sleep(0.005)
