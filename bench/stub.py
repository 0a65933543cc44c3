"""A fast MCP server for benchmarks: one or both eras, two tools, some 500 bytes per answer.

An asyncio.Protocol over httptools on uvloop, so that what is in front of it is measured and not the stub itself.
It keeps no sessions and checks nothing. ``echo`` answers with JSON; ``progress`` with an event stream that holds one
progress event and the result. A path that ends in a number lists as many tools.

Run: ``python bench/stub.py [--era legacy|modern|both] PORT...``
"""

import argparse
import asyncio
from functools import cache, partial
from typing import Any, cast

import httptools
import msgspec
import uvloop

MODERN_VERSION = "2026-07-28"
LEGACY_VERSION = "2025-11-25"
TEXT = "The quick brown fox jumps over the lazy dog. " * 8
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}
TOOLS = [
    {"name": "echo", "description": "Answers with some 400 characters of text.", "inputSchema": SCHEMA},
    {"name": "progress", "description": "Tells of its progress once, then answers.", "inputSchema": SCHEMA},
]
COMPLETE: dict[str, Any] = {
    "resultType": "complete",
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "stub", "version": "1"}},
}
CACHED = {"ttlMs": 0, "cacheScope": "public"}
CONTENT = {"content": [{"type": "text", "text": TEXT}], "isError": False}
CAPABILITIES: dict[str, Any] = {"capabilities": {"tools": {}}}

MODERN = {
    "tools/call": COMPLETE | CONTENT,
    "server/discover": COMPLETE | CACHED | CAPABILITIES | {"supportedVersions": [MODERN_VERSION]},
}
LEGACY: dict[str, dict[str, Any]] = {
    "tools/call": CONTENT,
    "ping": {},
    "initialize": CAPABILITIES | {"protocolVersion": "?", "serverInfo": {"name": "stub", "version": "1"}},
}
RESULTS = [{method: msgspec.json.encode(result) for method, result in table.items()} for table in (LEGACY, MODERN)]

NOTHING = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
NO_STREAM = b"HTTP/1.1 405 Method Not Allowed\r\nAllow: POST\r\nContent-Length: 0\r\n\r\n"
UNKNOWN = b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32601,"message":"Unknown method"}}'
NOT_LEGACY = (
    b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32022,"message":"Unsupported protocol version",'
    b'"data":{"supported":["2026-07-28"],"requested":"2025-11-25"}}}'
)
NOT_MODERN = b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32000,"message":"Bad Request: Unsupported protocol version"}}'
ANSWER = b'{"jsonrpc":"2.0","id":%b,"result":%b}'
PROGRESS = (
    b'{"jsonrpc":"2.0","method":"notifications/progress",'
    b'"params":{"progressToken":%b,"progress":1,"total":2,"message":"half way"}}'
)
RESPONSE = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n%b%b0\r\n\r\n"
)
EVENT = b"event: message\ndata: %b\n\n"
CHUNK = b"%x\r\n%b\r\n"


class Request(msgspec.Struct):
    method: str = ""
    id: msgspec.Raw = msgspec.Raw(b"null")


class Params(msgspec.Struct):
    protocolVersion: str = LEGACY_VERSION  # noqa: N815 - the member's name


class Initialize(msgspec.Struct):
    params: Params


class Meta(msgspec.Struct):
    progressToken: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - the member's name


class CallParams(msgspec.Struct):
    name: str = ""
    meta: Meta = msgspec.field(default_factory=Meta, name="_meta")


class Call(msgspec.Struct):
    params: CallParams


decode = msgspec.json.Decoder(Request).decode
decode_initialize = msgspec.json.Decoder(Initialize).decode
decode_call = msgspec.json.Decoder(Call).decode


@cache
def tools_list(count: int, *, modern: bool) -> bytes:
    """Return the result of tools/list: the two tools, or ``count`` others."""
    numbered = [TOOLS[0] | {"name": f"tool_{number:05}"} for number in range(count)]
    listed = {"tools": numbered or TOOLS}
    return msgspec.json.encode(COMPLETE | CACHED | listed if modern else listed)


def answer(body: bytes, *, modern: bool, eras: str, tools: int) -> bytes:  # noqa: PLR0911 - one table
    """Return the whole HTTP response to one JSON-RPC message."""
    if not body:
        return NOTHING
    request = decode(body)
    if request.method.startswith("notifications/"):
        return ACCEPTED
    if eras != "both" and modern != (eras == "modern"):
        return _json(b"400 Bad Request", (NOT_MODERN if modern else NOT_LEGACY) % bytes(request.id))
    if request.method == "tools/list":
        return _json(b"200 OK", ANSWER % (bytes(request.id), tools_list(tools, modern=modern)))
    result = RESULTS[modern].get(request.method)
    if result is None:
        return _json(b"404 Not Found" if modern else b"200 OK", UNKNOWN % bytes(request.id))
    if request.method == "initialize":
        result = result.replace(b"?", decode_initialize(body).params.protocolVersion.encode())
    elif b"progress" in body:
        params = decode_call(body).params
        if params.name == "progress":
            return _stream(ANSWER % (bytes(request.id), result), bytes(params.meta.progressToken))
    return _json(b"200 OK", ANSWER % (bytes(request.id), result))


def _json(status: bytes, payload: bytes) -> bytes:
    return RESPONSE % (status, len(payload), payload)


def _stream(payload: bytes, token: bytes) -> bytes:
    progress = _chunk(PROGRESS % token) if token else b""
    return STREAM % (progress, _chunk(payload))


def _chunk(payload: bytes) -> bytes:
    event = EVENT % payload
    return CHUNK % (len(event), event)


class Stub(asyncio.Protocol):
    """One connection."""

    def __init__(self, eras: str) -> None:
        self.eras = eras
        self.parser = httptools.HttpRequestParser(self)
        self.parts: list[bytes] = []
        self.modern = False
        self.tools = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_url(self, url: bytes) -> None:
        last = url.rpartition(b"/")[2]
        self.tools = int(last) if last.isdigit() else 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"mcp-protocol-version":
            self.modern = value == b"2026-07-28"

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        body = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        if self.parser.get_method() == b"GET":
            self.transport.write(NO_STREAM)
        else:
            self.transport.write(answer(body, modern=self.modern, eras=self.eras, tools=self.tools))
        self.parts = []
        self.modern = False


async def main(eras: str, ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(partial(Stub, eras), "127.0.0.1", port, backlog=1024) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--era", choices=("legacy", "modern", "both"), default="both")
    parser.add_argument("ports", type=int, nargs="+")
    options = parser.parse_args()
    uvloop.run(main(options.era, options.ports))
