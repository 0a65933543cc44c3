"""MCP servers for tests, on 127.0.0.1: a well-behaved legacy one, a well-behaved modern one, and a misbehaving one.

They write down what they were asked, so that a test can see a conversation from the other end::

    from targets.servers import legacy_server

    async with legacy_server() as server:
        ... call server.url ...
        assert server.cancelled == [7]
"""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from uuid import uuid4

from targets.http_server import Exchange, HttpServer, serve_http

LEGACY_VERSIONS = ("2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSION = "2026-07-28"
_META = "io.modelcontextprotocol/"


def tool(name: str, **members) -> dict:
    return {"name": name, "description": f"The tool {name}.", "inputSchema": {"type": "object"}} | members


#: What both well-behaved servers offer. ``echo`` returns its arguments, ``progress`` reports ``steps`` steps first,
#: ``wait`` answers when ``server.proceed`` is set, ``fail`` returns isError, ``broken`` a JSON-RPC error, ``ask``
#: asks for elicitation.
TOOLS = [tool(name) for name in ("echo", "progress", "wait", "fail", "broken", "ask")]


@dataclass
class Recorder:
    """What a server saw."""

    answers: Literal["json", "sse"] = "json"
    tools: list[dict] = field(default_factory=lambda: list(TOOLS))
    page_size: int = 1000
    url: str = ""
    http: HttpServer | None = None
    requests: list[dict] = field(default_factory=list)  # JSON-RPC bodies in order
    heads: list[dict[str, str]] = field(default_factory=list)  # their HTTP headers
    paths: list[str] = field(default_factory=list)  # and paths
    calls: list[dict] = field(default_factory=list)  # ``params`` of every tools/call
    running: set[int | str] = field(default_factory=set)  # ids of calls that are under way
    cancelled: list[int | str] = field(default_factory=list)  # ids, by the era's own way of cancelling
    disconnected: list[int | str] = field(default_factory=list)  # ids whose stream the client closed
    replies: list[dict] = field(default_factory=list)  # responses that the client posted
    rejected: list[str] = field(default_factory=list)  # why requests were refused
    proceed: asyncio.Event = field(default_factory=asyncio.Event)

    def restart(self):
        """Forget what a process forgets when it ends: its connections and sessions."""
        self.http.drop_connections()
        self.forget_sessions()

    def forget_sessions(self):
        """Only a legacy server has some."""

    def page(self, cursor: str | None) -> dict:
        start = int(cursor or 0)
        end = start + self.page_size
        more = {"nextCursor": str(end)} if end < len(self.tools) else {}
        return {"tools": self.tools[start:end]} | more


def result(request: dict, value: dict) -> dict:
    return {"jsonrpc": "2.0", "id": request["id"], "result": value}


def failure(request: dict, code: int, message: str, data: object = None) -> dict:
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": request.get("id"), "error": error}


def text(value: str, **members) -> dict:
    return {"content": [{"type": "text", "text": value}], "isError": False} | members


async def _run_tool(server: Recorder, request: dict, tell: Callable) -> dict | None:  # noqa: PLR0911  # one table
    """Do a tools/call and return the response; ``tell`` sends a message before it."""
    params = request["params"]
    arguments = params.get("arguments", {})
    match params["name"]:
        case "echo":
            return result(request, text(json.dumps(arguments), structuredContent=arguments))
        case "progress":
            token = params.get("_meta", {}).get("progressToken")
            for step in range(arguments.get("steps", 3)):
                if token is not None:
                    progress = {"progressToken": token, "progress": step + 1, "message": f"step {step + 1}"}
                    await tell({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress})
            return result(request, text("done"))
        case "wait":
            await server.proceed.wait()
            return result(request, text("waited"))
        case "fail":
            return result(request, text("it failed", isError=True))
        case "broken":
            return failure(request, -32603, "it is broken", {"why": "test"})
        case "ask":
            return None
        case name:
            return failure(request, -32602, f"Unknown tool: {name}")


# The legacy era


@dataclass
class LegacyServer(Recorder):
    """A server of the legacy era with sessions."""

    versions: tuple[str, ...] = LEGACY_VERSIONS
    stateless: bool = False
    allow_delete: bool = True
    sessions: dict[str, dict] = field(default_factory=dict)
    opened: int = 0
    deleted: list[str] = field(default_factory=list)
    unknown_session: tuple[int, int] = (404, -32001)  # HTTP status and JSON-RPC code for a session it does not know

    def forget_sessions(self):
        self.sessions.clear()

    async def handle(self, exchange: Exchange):
        if exchange.method == "DELETE":
            await self._delete(exchange)
            return
        if exchange.method != "POST":
            await exchange.reply(405, b"", allow="POST, DELETE")
            return
        request = exchange.json()
        self.requests.append(request)
        self.heads.append(exchange.headers)
        self.paths.append(exchange.path)
        if request.get("method") == "initialize":
            await self._initialize(exchange, request)
            return
        session = self.sessions.get(exchange.headers.get("mcp-session-id", ""))
        if session is None and not self.stateless:
            status, code = self.unknown_session
            self.rejected.append("unknown session")
            await exchange.reply(status, failure(request, code, "Session not found"))
            return
        if exchange.headers.get("mcp-protocol-version") not in self.versions:
            self.rejected.append("version header")
            await exchange.reply(400, failure(request, -32600, "Bad MCP-Protocol-Version"))
            return
        await self._dispatch(exchange, request, session or {"ready": True})

    async def _delete(self, exchange: Exchange):
        number = exchange.headers.get("mcp-session-id", "")
        if not self.allow_delete:
            await exchange.reply(405, b"", allow="POST")
            return
        known = self.sessions.pop(number, None)
        if known is not None:
            self.deleted.append(number)
        await exchange.reply(200 if known is not None else 404)

    async def _initialize(self, exchange: Exchange, request: dict):
        asked = request["params"]["protocolVersion"]
        version = asked if asked in self.versions else self.versions[-1]
        self.opened += 1
        headers = {}
        if not self.stateless:
            number = uuid4().hex
            self.sessions[number] = {"version": version, "ready": False}
            headers = {"mcp_session_id": number}
        value = {
            "protocolVersion": version,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "legacy", "version": "1"},
        }
        if self.answers == "sse":
            await exchange.start(**headers)
            await exchange.event(result(request, value))
            await exchange.finish()
        else:
            await exchange.reply(200, result(request, value), **headers)

    async def _dispatch(self, exchange: Exchange, request: dict, session: dict):
        match request.get("method"):
            case None:
                self.replies.append(request)
                await exchange.reply(202)
            case "notifications/initialized":
                session["ready"] = True
                await exchange.reply(202)
            case "notifications/cancelled":
                self.cancelled.append(request["params"]["requestId"])
                await exchange.reply(202)
            case "ping":
                await exchange.reply(200, result(request, {}))
            case "tools/list":
                await self._answer(exchange, result(request, self.page(request["params"].get("cursor"))))
            case "tools/call":
                assert session["ready"], "tools/call before notifications/initialized"
                await self._call(exchange, request)
            case method:
                await exchange.reply(200, failure(request, -32601, f"Unknown method {method}"))

    async def _answer(self, exchange: Exchange, message: dict):
        if self.answers == "json":
            await exchange.reply(200, message)
            return
        await exchange.start()
        await exchange.event(message)
        await exchange.finish()

    async def _call(self, exchange: Exchange, request: dict):
        number = request["id"]
        self.calls.append(request["params"])
        self.running.add(number)
        streams = self.answers == "sse"
        try:
            if streams:
                await exchange.start()
            if streams and request["params"]["name"] == "ask":
                await self._ask(exchange, request)
                return

            async def tell(message: dict):
                if streams:
                    await exchange.event(message)

            answer = await _run_tool(self, request, tell)
            if streams:
                await exchange.event(answer)
                await exchange.finish()
            else:
                await exchange.reply(200, answer)
        except asyncio.CancelledError:
            self.disconnected.append(number)  # which is no cancellation in this era
            raise
        finally:
            self.running.discard(number)

    async def _ask(self, exchange: Exchange, request: dict):
        """Ask for elicitation, sampling and a ping, and answer the call with what came back."""
        before = len(self.replies)
        methods = ("elicitation/create", "sampling/createMessage", "ping")
        for index, method in enumerate(methods):
            await exchange.event({"jsonrpc": "2.0", "id": f"q{index}", "method": method, "params": {}})
        while len(self.replies) < before + len(methods):
            await asyncio.sleep(0.005)
        got = [reply.get("error", {}).get("code", "ok") for reply in self.replies[before:]]
        await exchange.event(result(request, text(json.dumps(got))))
        await exchange.finish()


# The modern era


@dataclass
class ModernServer(Recorder):
    """A server of 2026-07-28: no sessions, the Mcp-* headers are checked against the body."""

    hints: dict = field(default_factory=lambda: {"ttlMs": 60_000, "cacheScope": "private"})  # of its tools/list

    async def handle(self, exchange: Exchange):
        if exchange.method != "POST":
            await exchange.reply(405, b"", allow="POST")
            return
        request = exchange.json()
        self.requests.append(request)
        self.heads.append(exchange.headers)
        self.paths.append(exchange.path)
        refused = self._refuse(exchange.headers, request)
        if refused is not None:
            status, error = refused
            self.rejected.append(error["error"]["message"])
            await exchange.reply(status, error)
            return
        match request["method"]:
            case "server/discover":
                value = {"supportedVersions": [MODERN_VERSION], "capabilities": {"tools": {}}}
                await exchange.reply(200, result(request, self._complete(value | {"ttlMs": 0, "cacheScope": "public"})))
            case "tools/list":
                page = self.page(request["params"].get("cursor"))
                await exchange.reply(200, result(request, self._complete(page | self.hints)))
            case "tools/call":
                await self._call(exchange, request)
            case method:
                await exchange.reply(404, failure(request, -32601, f"Unknown method {method}"))

    def _refuse(self, headers, request: dict) -> tuple[int, dict] | None:  # noqa: PLR0911  # the checks in order
        meta = request.get("params", {}).get("_meta", {})
        version = meta.get(_META + "protocolVersion")
        if version is None:
            return 400, failure(request, -32602, "Missing protocolVersion")
        if headers.get("mcp-protocol-version") != version:
            return 400, failure(request, -32020, "Header mismatch: MCP-Protocol-Version")
        if version != MODERN_VERSION:
            data = {"supported": [MODERN_VERSION], "requested": version}
            return 400, failure(request, -32022, "Unsupported protocol version", data)
        if _META + "clientCapabilities" not in meta:
            return 400, failure(request, -32602, "Missing clientCapabilities")
        if headers.get("mcp-method") != request["method"]:
            return 400, failure(request, -32020, "Header mismatch: Mcp-Method")
        if request["method"] == "tools/call" and _decoded(headers.get("mcp-name")) != request["params"]["name"]:
            return 400, failure(request, -32020, "Header mismatch: Mcp-Name")
        if "text/event-stream" not in headers.get("accept", "") or "application/json" not in headers["accept"]:
            return 406, failure(request, -32600, "Not acceptable")
        return None

    @staticmethod
    def _complete(value: dict) -> dict:
        info = {_META + "serverInfo": {"name": "modern", "version": "1"}}
        return {"resultType": "complete", "_meta": info} | value

    async def _call(self, exchange: Exchange, request: dict):
        number = request["id"]
        self.calls.append(request["params"])
        self.running.add(number)
        streams = self.answers == "sse"
        try:
            if streams:
                await exchange.start(x_accel_buffering="no")

            async def tell(message: dict):
                if streams:
                    await exchange.event(message)

            answer = await _run_tool(self, request, tell)
            if answer is None:
                question = {"method": "elicitation/create", "params": {"message": "?", "requestedSchema": {}}}
                answer = result(
                    request, {"resultType": "input_required", "inputRequests": {"q": question}, "requestState": "s"}
                )
            elif "result" in answer:
                answer["result"] = self._complete(answer["result"])
            if streams:
                await exchange.event(answer)
                await exchange.finish()
            else:
                await exchange.reply(200, answer)
        except asyncio.CancelledError:
            self.disconnected.append(number)
            self.cancelled.append(number)  # closing the stream is cancelling
            raise
        finally:
            self.running.discard(number)


def _decoded(value: str | None) -> str | None:
    if value is not None and value.startswith("=?base64?") and value.endswith("?="):
        return base64.b64decode(value[9:-2]).decode()
    return value


# The misbehaving one

Fault = Literal[
    "hang",  # never answers
    "hang_in_stream",  # begins a stream and says nothing more
    "html",
    "no_content_type",
    "big",  # 10 MB of JSON
    "big_event",  # 10 MB in one event
    "die",  # cuts the connection before the answer's head
    "die_in_body",
    "die_in_stream",
    "end_in_stream",  # ends the stream in good order, without a result
    "500",
    "401",
    "redirect",
    "accepted",  # 202 without a body
    "invalid_json",
    "invalid_utf8",
    "deep_json",
    "batch",
    "wrong_id",
    "no_result",  # neither result nor error
    "bad_shape",  # a result that is no tool result
    "bad_sse",  # an event that is no JSON
    "garbage",  # no HTTP at all
    "gzip",
    "flood",  # requests without end on the stream
]


@dataclass
class Misbehaving(LegacyServer):
    """Answers a handshake of either era well, and ``tools/call`` with its fault. Set ``fault`` at any time.

    With ``always`` it answers everything with its fault, so that discovery meets it too.
    """

    fault: Fault = "hang"
    always: bool = False
    canary: str = "c4n4ry"  # stands in everything that a faulty answer contains

    async def handle(self, exchange: Exchange):
        request = exchange.json() if exchange.body else {}
        if self.always or request.get("method") == "tools/call":
            self.requests.append(request)
            self.running.add(request.get("id", 0))
            try:
                await self._misbehave(exchange, request)
            except asyncio.CancelledError:
                self.disconnected.append(request.get("id", 0))
                raise
            finally:
                self.running.discard(request.get("id", 0))
        elif "mcp-method" in exchange.headers:
            modern = ModernServer(tools=self.tools)
            await modern.handle(exchange)
        else:
            await super().handle(exchange)

    async def _misbehave(self, exchange: Exchange, request: dict):  # noqa: C901, PLR0912  # one table of faults
        good = result(request, text(self.canary) | {"resultType": "complete"}) if "id" in request else {}
        encoded = json.dumps(good).encode()
        match self.fault:
            case "hang":
                await self.proceed.wait()
            case "hang_in_stream":
                await exchange.start()
                await self.proceed.wait()
            case "html":
                await exchange.reply(200, f"<html>{self.canary}</html>".encode(), content_type="text/html; charset=x")
            case "no_content_type":
                exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                exchange.finished = True
            case "big":
                await exchange.reply(200, result(request, text(self.canary * (10 * 1024 * 1024 // 6))))
            case "big_event":
                await exchange.start()
                await exchange.event(result(request, text(self.canary * (10 * 1024 * 1024 // 6))))
                await exchange.finish()
            case "die":
                exchange.abort()
            case "die_in_body":
                exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{")
                exchange.abort()
            case "die_in_stream":
                await exchange.start()
                note = {"level": "info", "data": self.canary}
                await exchange.event({"jsonrpc": "2.0", "method": "notifications/message", "params": note})
                exchange.close()
            case "end_in_stream":
                await exchange.start()
                await exchange.finish()
            case "500":
                await exchange.reply(500, failure(request, -32603, self.canary))
            case "401":
                await exchange.reply(401, failure(request, -32001, self.canary), www_authenticate="Bearer")
            case "redirect":
                await exchange.reply(307, b"", location=f"http://127.0.0.1:1/{self.canary}")
            case "accepted":
                await exchange.reply(202)
            case "invalid_json":
                await exchange.reply(200, b'{"jsonrpc":"2.0",' + self.canary.encode())
            case "invalid_utf8":
                await exchange.reply(200, encoded.replace(b"c4n4ry", b"c4n4ry\xff"))
            case "deep_json":
                await exchange.reply(200, encoded.replace(b'"c4n4ry"', b"[" * 100_000 + b"]" * 100_000))
            case "batch":
                await exchange.reply(200, [good])
            case "wrong_id":
                await exchange.reply(200, good | {"id": 987654})
            case "no_result":
                await exchange.reply(200, {"jsonrpc": "2.0", "id": request["id"]})
            case "bad_shape":
                await exchange.reply(200, result(request, {"content": self.canary, "isError": self.canary}))
            case "bad_sse":
                await exchange.start()
                await exchange.write(f"data: {{{self.canary}\n\n".encode())
                await exchange.finish()
            case "garbage":
                exchange.raw(f"{self.canary}\r\n\r\n".encode())
                exchange.abort()
            case "gzip":
                await exchange.reply(200, encoded, content_encoding="gzip")
            case "flood":
                await exchange.start()
                for number in range(10_000):
                    await exchange.event({"jsonrpc": "2.0", "id": number, "method": "ping"})


@asynccontextmanager
async def _serving(server):
    async with serve_http(server.handle) as http:
        server.http = http
        server.url = f"{http.origin}/mcp"
        try:
            yield server
        finally:
            server.proceed.set()
    assert not http.failures, http.failures


def legacy_server(**settings) -> "AsyncIterator[LegacyServer]":
    return _serving(LegacyServer(**settings))


def modern_server(**settings) -> "AsyncIterator[ModernServer]":
    return _serving(ModernServer(**settings))


def misbehaving_server(fault: Fault, **settings) -> "AsyncIterator[Misbehaving]":
    return _serving(Misbehaving(fault=fault, **settings))


def closed_port() -> int:
    """Return a port that refuses connections."""
    with suppress(OSError), socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
    raise AssertionError("no port is free")
