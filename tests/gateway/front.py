"""A server in front of an MCP server for tests: it writes down every request, judges credentials, and adds headers."""

from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from targets.http_server import serve_http
from targets.servers import LegacyServer, ModernServer, tool

KINDS = {"modern": ModernServer, "legacy": LegacyServer}
TOOLS = [tool(name) for name in ("echo", "progress", "wait", "fail", "broken")]


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict


@dataclass
class Front:
    """``server`` behind it does the work."""

    server: object
    accepts: set | None = None  #: values of Authorization; None for any
    status: int = 401  #: for others
    answers: dict = field(default_factory=dict)  #: headers of every answer
    seen: list = field(default_factory=list)
    url: str = ""

    async def handle(self, exchange):
        self.seen.append(Seen(exchange.method, exchange.path, exchange.headers))
        exchange.path = exchange.path.partition("?")[0]
        if self.accepts is not None and exchange.headers.get("authorization") not in self.accepts:
            await exchange.reply(self.status, b"")
            return
        write = exchange._head
        exchange._head = lambda status, headers: write(status, headers | self.answers)
        await self.server.handle(exchange)

    def sent(self, name):
        """Every value that a header had, None where it was missing."""
        return {entry.headers.get(name) for entry in self.seen}

    def forget(self):
        self.seen.clear()
        self.server.requests.clear()

    @property
    def methods(self):
        return [request.get("method") for request in self.server.requests]


@asynccontextmanager
async def front(era="modern", **members):
    kind = {"tools": list(members.pop("tools", TOOLS)), **members.pop("server", {})}
    made = Front(KINDS[era](**kind), **members)
    async with serve_http(made.handle) as http:
        made.url = f"{http.origin}/mcp"
        yield made
    assert http.failures == []
