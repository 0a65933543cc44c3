"""The targets of the soak test, in a process of their own: one legacy, one modern, one that misbehaves at random.

They are the servers of the tests, with what they write down bounded. Prints their URLs as one line of JSON, then
serves until it is ended. Run: ``python bench/soak_targets.py [SEED]``.
"""

import asyncio
import json
import random
import sys
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from targets.http_server import Exchange, serve_http
from targets.servers import Fault, LegacyServer, Misbehaving, ModernServer, Recorder

REMEMBERED = 64  #: of what a server writes down for tests
FAULTY_SHARE = 0.5  #: of the calls
FAULTS: tuple[Fault, ...] = get_args(Fault)


@dataclass
class Moody(Misbehaving):
    """Answers well or with any of its faults, as chance has it."""

    chance: random.Random = field(default_factory=random.Random)
    behaving: ModernServer = field(default_factory=ModernServer)

    async def handle(self, exchange: Exchange) -> None:
        request = exchange.json() if exchange.body else {}
        if request.get("method") != "tools/call" or self.chance.random() < FAULTY_SHARE:
            await super().handle(exchange)
        elif "mcp-method" in exchange.headers:
            await self.behaving.handle(exchange)
        else:
            await LegacyServer.handle(self, exchange)

    async def _misbehave(self, exchange: Exchange, request: dict[str, Any]) -> None:
        self.fault = self.chance.choice(FAULTS)
        await super()._misbehave(exchange, request)


def forget(server: Recorder) -> None:
    """Bound everything that a server writes down."""
    for one in fields(server):
        value = getattr(server, one.name)
        if isinstance(value, list) and one.name != "tools":
            setattr(server, one.name, deque(value, maxlen=REMEMBERED))


async def main(seed: int) -> None:
    moody = Moody(fault="500", chance=random.Random(seed))
    servers: dict[str, Any] = {
        "legacy": LegacyServer(answers="sse"),
        "modern": ModernServer(answers="sse"),
        "moody": moody,
    }
    for server in (*servers.values(), moody.behaving):
        forget(server)
    async with AsyncExitStack() as stack:
        urls: dict[str, str] = {}
        for name, server in servers.items():
            http = await stack.enter_async_context(serve_http(server.handle))
            http.failures = deque(maxlen=REMEMBERED)  # type: ignore[assignment]  # read by nobody here
            urls[name] = f"{http.origin}/mcp"
        print(json.dumps(urls), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
