"""A reverse proxy on 127.0.0.1 that sends each request to the next of several replicas.

It is the worst balancer there is: no two requests in a row reach the same replica, whatever cookie, connection or
session they belong to. One request per connection on both sides, bytes relayed as they come, so that streams stream.
"""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field

MAX_HEAD = 64 * 1024  #: bytes of a request's head
CHUNK = 64 * 1024  #: bytes relayed at once
CONNECT_SECONDS = 30.0
HEAD_SECONDS = 30.0


@dataclass
class Alternating:
    """Where it is, and which replica got which request."""

    port: int
    replicas: list[int]  #: ports; may be replaced while it runs
    seen: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])  #: port and request line, in order
    before: Callable[[str], None] = lambda _line: None  #: called with each request line before the request goes on
    _turn: Iterator[int] = field(default_factory=itertools.count)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set["asyncio.Task[None]"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def forget(self) -> None:
        """Forget what was seen."""
        self.seen.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one request and its answer."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)

    async def aclose(self) -> None:
        """Cut the connections that are open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            line, lines = _closing(head)
            port = self.replicas[next(self._turn) % len(self.replicas)]
            self.seen.append((port, line))
            await asyncio.to_thread(self.before, line)
            async with asyncio.timeout(CONNECT_SECONDS):
                upstream = await asyncio.open_connection("127.0.0.1", port)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n")
            writer.write(f"no replica answers: {error!r}".encode())
            await _close(writer)
            return
        await self._relay((reader, writer), upstream, lines)

    async def _relay(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        head: bytes,
    ) -> None:
        upstream[1].write(head)
        sending = asyncio.create_task(_copy(client[0], upstream[1]))
        receiving = asyncio.create_task(_copy(upstream[0], client[1]))
        try:  # an answer that is complete ends both, and so does a client that hangs up
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            if not client[0].at_eof():
                await receiving
        finally:
            for task in (sending, receiving):
                task.cancel()
            await asyncio.gather(sending, receiving, return_exceptions=True)
            await _close(upstream[1])
            await _close(client[1])


def _closing(head: bytes) -> tuple[str, bytes]:
    """Return the request line, and the head with ``Connection: close``."""
    first, *lines = head[:-4].split(b"\r\n")
    kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in (b"connection", b"keep-alive")]
    return first.decode("latin-1"), b"\r\n".join([first, *kept, b"connection: close", b"", b""])


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def alternating_async(port: int, replicas: Sequence[int]) -> AsyncGenerator[Alternating]:
    """Run it in this loop until the block ends."""
    made = Alternating(port=port, replicas=list(replicas))
    server = await asyncio.start_server(made.serve, "127.0.0.1", port, limit=MAX_HEAD)
    async with server:
        try:
            yield made
        finally:
            server.close()
            await made.aclose()


@contextlib.contextmanager
def alternating(port: int, replicas: Sequence[int]) -> Generator[Alternating]:
    """Run it in a thread of its own until the block ends, for tests that block or have loops of their own."""
    ready, done = threading.Event(), asyncio.Event()
    found: list[Alternating] = []
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with alternating_async(port, replicas) as made:
            found.append(made)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(CONNECT_SECONDS), "the proxy did not start"
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()
