"""Load at a fixed rate, open loop: requests are sent when they are due, whether or not earlier ones were answered.

wrk is closed loop: a stall of the server also stops the load, and the calls that should have met the stall are never
made. Here every latency counts from the moment at which the request was due, so a stall is seen by all of them.
Requests become due in ticks of a millisecond (the event loop's timer), a handful at once. A request that finds no
free connection opens one, up to a bound; then it waits, and its waiting counts.

Run: ``python bench/rate.py URL RATE SECONDS`` with BENCH_ERA, BENCH_TOOLS (one), BENCH_TOKEN as for call.lua; prints
one line like call.lua's.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections import deque
from time import monotonic
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

MAX_CONNECTIONS = 256
TICK = 0.001  #: seconds
GRACE = 5.0  #: seconds that the last answers get

MODERN_META = (
    '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    '"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},'
    '"io.modelcontextprotocol/clientCapabilities":{}},'
)
ARGUMENTS = '"arguments":{"text":"0123456789 0123456789 0123456789 0123456789"}'


class Line(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None
        self.due: float | None = None
        self.parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def send(self, due: float, request: bytes) -> None:
        assert self.transport is not None
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        assert self.due is not None
        good = self.parser.get_status_code() == 200 and b'"isError":false' in b"".join(self.parts)
        self.parts.clear()
        due, self.due = self.due, None
        self.load.answered(self, due, good=good)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.load.lost(self)


class Load:
    """The requests of one run."""

    def __init__(self, url: str, rate: float) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.rate = rate
        self.loop = asyncio.get_running_loop()
        self.front, self.back = _request(parts.path, f"{self.host}:{self.port}")
        self.free: list[Line] = []
        self.open = 0
        self.waiting: deque[float] = deque()
        self.latencies: list[float] = []
        self.wrong = self.broken = self.sent = self.number = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self.last_sent = False
        self.all_answered = asyncio.Event()

    async def run(self, seconds: float) -> None:
        begin = monotonic()
        for tick in range(round(seconds / TICK)):
            due = begin + tick * TICK
            await asyncio.sleep(max(0.0, due - monotonic()))
            while self.sent < tick * TICK * self.rate:
                self.launch(due)
        self.last_sent = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                if len(self.latencies) < self.sent:
                    await self.all_answered.wait()
        self.broken = self.sent - len(self.latencies)

    def launch(self, due: float) -> None:
        self.sent += 1
        if self.free:
            self.free.pop().send(due, self.message())
            return
        self.waiting.append(due)
        if self.open < MAX_CONNECTIONS:
            self.open += 1
            task = asyncio.create_task(self.connect())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def connect(self) -> None:
        try:
            _, line = await self.loop.create_connection(lambda: Line(self), self.host, self.port)
        except OSError:  # the call stays unanswered, which is counted
            self.open -= 1
            return
        self.next(line)

    def next(self, line: Line) -> None:
        if self.waiting:
            line.send(self.waiting.popleft(), self.message())
        else:
            self.free.append(line)

    def message(self) -> bytes:
        self.number += 1
        body = b'{"jsonrpc":"2.0","id":%d%b' % (self.number, self.back)
        return b"%bContent-Length: %d\r\n\r\n%b" % (self.front, len(body), body)

    def answered(self, line: Line, due: float, *, good: bool) -> None:
        self.latencies.append(monotonic() - due)
        self.wrong += not good
        if self.last_sent and len(self.latencies) == self.sent:
            self.all_answered.set()
        self.next(line)

    def lost(self, line: Line) -> None:
        self.open -= 1
        if line in self.free:
            self.free.remove(line)

    def result(self, seconds: float) -> dict[str, float]:
        ranked = sorted(self.latencies) or [0.0]
        return {
            "requests": len(self.latencies),
            "seconds": seconds,
            "p50_ms": round(ranked[len(ranked) // 2] * 1e3, 3),
            "p99_ms": round(ranked[int(len(ranked) * 0.99)] * 1e3, 3),
            "max_ms": round(ranked[-1] * 1e3, 3),
            "not_2xx": 0,
            "wrong_bodies": self.wrong,
            "socket_errors": self.broken,
        }


def _request(path: str, host: str) -> tuple[bytes, bytes]:
    modern = os.environ["BENCH_ERA"] == "modern"
    tool, token = os.environ["BENCH_TOOLS"], os.environ.get("BENCH_TOKEN", "")
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"MCP-Protocol-Version: {'2026-07-28' if modern else '2025-11-25'}",
    ]
    if modern:
        lines += ["Mcp-Method: tools/call", f"Mcp-Name: {tool}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    meta = MODERN_META if modern else ""
    back = f',"method":"tools/call","params":{{"name":"{tool}",{meta}{ARGUMENTS}}}}}'
    return "\r\n".join([*lines, ""]).encode(), back.encode()


async def main(url: str, rate: float, seconds: float) -> None:
    load = Load(url, rate)
    await load.run(seconds)
    print("RAW", json.dumps(load.result(seconds)))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
