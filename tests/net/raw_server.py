"""A server that writes exactly the bytes a test wants, and notes what it saw."""

import asyncio
import re
from collections.abc import Awaitable, Callable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Line:
    """One accepted connection."""

    def __init__(self, server, reader, writer):
        self.server = server
        self.reader = reader
        self.writer = writer
        self.served = 0

    async def write(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    def close(self) -> None:
        self.writer.close()

    async def until_closed(self) -> None:
        """Wait until the client closes."""
        while await self.reader.read(65536):
            pass


class RawServer:
    """``script`` is awaited once per request; returning lets the connection read the next one."""

    def __init__(
        self, script: Callable[[Line, bytes], Awaitable[None]] | None = None, *, greeting: bytes = b""
    ) -> None:
        self.script = script or self.answer_ok
        self.greeting = greeting
        self.requests: list[bytes] = []
        self.accepted = 0
        self.open = 0
        self.tasks: set[asyncio.Task] = set()
        self.changed = asyncio.Condition()

    async def start(self, **tls) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20, backlog=2048, **tls)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        self.server.close()
        tasks = tuple(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something about this server is so; bounded."""
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(condition)

    @staticmethod
    async def answer_ok(line: Line, request: bytes) -> None:
        await line.write(OK)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        self.accepted += 1
        await self._note(1)
        try:
            await self._converse(Line(self, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self.tasks.discard(task)
            await self._note(-1)

    async def _converse(self, line):
        if self.greeting:
            await line.write(self.greeting)
        while not line.writer.is_closing():
            head = await line.reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            body = await line.reader.readexactly(int(found[1])) if found else b""
            self.requests.append(head + body)
            await self._note(0)
            await self.script(line, head + body)
            line.served += 1

    async def _note(self, opened: int) -> None:
        self.open += opened
        async with self.changed:
            self.changed.notify_all()


def answers(*pieces: bytes, close: bool = False):
    """A script that writes ``pieces`` for every request, and closes if told so."""

    async def script(line: Line, request: bytes) -> None:
        await line.write(*pieces)
        if close:
            line.close()

    return script


async def until(condition: Callable[[], bool]) -> None:
    """Wait, bounded, until something that nobody announces is so."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)
