"""A fast MCP server for benchmarks: both eras, one tool, some 500 bytes per answer.

An asyncio.Protocol over httptools on uvloop, so that what is in front of it is measured and not the stub itself.
It keeps no sessions and checks nothing. Run: ``python bench/stub.py PORT``.
"""

import asyncio
import sys
from typing import Any, cast

import httptools
import msgspec
import uvloop

MODERN_VERSION = "2026-07-28"
LEGACY_VERSION = "2025-11-25"
TEXT = "The quick brown fox jumps over the lazy dog. " * 8
TOOL = {
    "name": "echo",
    "description": "Answers with some 400 characters of text.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
}
COMPLETE: dict[str, Any] = {
    "resultType": "complete",
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "stub", "version": "1"}},
}
CACHED = {"ttlMs": 0, "cacheScope": "public"}
CONTENT = {"content": [{"type": "text", "text": TEXT}], "isError": False}
CAPABILITIES: dict[str, Any] = {"capabilities": {"tools": {}}}

MODERN = {
    "tools/call": COMPLETE | CONTENT,
    "tools/list": COMPLETE | CACHED | {"tools": [TOOL]},
    "server/discover": COMPLETE | CACHED | CAPABILITIES | {"supportedVersions": [MODERN_VERSION]},
}
LEGACY: dict[str, dict[str, Any]] = {
    "tools/call": CONTENT,
    "tools/list": {"tools": [TOOL]},
    "ping": {},
    "initialize": CAPABILITIES | {"protocolVersion": "?", "serverInfo": {"name": "stub", "version": "1"}},
}
RESULTS = [{method: msgspec.json.encode(result) for method, result in table.items()} for table in (LEGACY, MODERN)]

NOTHING = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
UNKNOWN = b'{"jsonrpc":"2.0","id":%b,"error":{"code":-32601,"message":"Unknown method"}}'
ANSWER = b'{"jsonrpc":"2.0","id":%b,"result":%b}'
RESPONSE = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


class Request(msgspec.Struct):
    method: str = ""
    id: msgspec.Raw = msgspec.Raw(b"null")


class Params(msgspec.Struct):
    protocolVersion: str = LEGACY_VERSION  # noqa: N815 - the member's name


class Initialize(msgspec.Struct):
    params: Params


decode = msgspec.json.Decoder(Request).decode
decode_initialize = msgspec.json.Decoder(Initialize).decode


def answer(body: bytes, *, modern: bool) -> bytes:
    """Return the whole HTTP response to one JSON-RPC message."""
    if not body:
        return NOTHING
    request = decode(body)
    if request.method.startswith("notifications/"):
        return ACCEPTED
    result = RESULTS[modern].get(request.method)
    if result is None:
        payload = UNKNOWN % bytes(request.id)
        return RESPONSE % (b"404 Not Found" if modern else b"200 OK", len(payload), payload)
    if request.method == "initialize":
        result = result.replace(b"?", decode_initialize(body).params.protocolVersion.encode())
    payload = ANSWER % (bytes(request.id), result)
    return RESPONSE % (b"200 OK", len(payload), payload)


class Stub(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.parts: list[bytes] = []
        self.modern = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"mcp-protocol-version":
            self.modern = value == b"2026-07-28"

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        body = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        self.transport.write(answer(body, modern=self.modern))
        self.parts = []
        self.modern = False


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
