"""Events as AWS makes them of HTTP requests, and the place in front of a function that does so for real clients.

Written from AWS's pages, not from the adapter under test: the payload format 2.0 of HTTP APIs
(apigateway/latest/developerguide/http-api-develop-integrations-lambda.html) and function URLs
(lambda/latest/dg/urls-invocation.html).
"""

import asyncio
import base64
import json
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

from support.ports import free_port

Kind = Literal["http-api", "function-url"]
KINDS: tuple[Kind, ...] = ("http-api", "function-url")

HEADER_BYTES = 10_240  #: request line and headers of an HTTP API, a quota that cannot be raised
PAYLOAD_BYTES = 6 * 1024**2
MAX_HEAD = 64 * 1024
FRONT_SECONDS = 30.0  #: for anything that the stand-in itself does
#: What a function URL renames in answers, as REST APIs do.
REMAPPED = {"www-authenticate": "x-amzn-remapped-www-authenticate"}
#: Bodies that arrive as text; all others arrive in base64, forms too.
TEXT = ("text/", "application/json", "application/xml", "application/javascript")


@dataclass
class Context:
    """What Lambda passes beside the event."""

    seconds: float = 29.0
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self):
        self._end = time.monotonic() + self.seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._end - time.monotonic()) * 1000))


def event_of(
    kind: Kind,
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    host: str = "",
    source_ip: str = "203.0.113.7",
    received: float | None = None,
) -> dict[str, Any]:
    """Return the event of one request; ``received`` is when the place got it, in seconds of the epoch."""
    listed = [(name.lower(), value) for name, value in headers]
    identifier = "a1b2c3d4e5" if kind == "http-api" else "qx7mexampleexampleexampleexample"
    suffix = "execute-api.eu-central-1.amazonaws.com" if kind == "http-api" else "lambda-url.eu-central-1.on.aws"
    domain = host or f"{identifier}.{suffix}"
    path, _, query = target.partition("?")
    decoded = unquote(path) if kind == "http-api" else path  # an HTTP API decodes it, also in rawPath
    cookies = [part.strip() for name, value in listed if name == "cookie" for part in value.split(";")]
    joined: dict[str, str] = {"host": domain}
    for name, value in listed:
        if name in {"cookie", "host", "connection", "transfer-encoding"}:
            continue
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    joined["x-forwarded-for"] = ", ".join(
        [*([joined["x-forwarded-for"]] if "x-forwarded-for" in joined else []), source_ip]
    )
    joined |= {"x-forwarded-port": "443", "x-forwarded-proto": "https", "x-amzn-trace-id": "Root=1-5e6722a7-cc56"}
    textual = joined.get("content-type", "text/plain").startswith(TEXT)
    about: dict[str, Any] = {
        "accountId": "123456789012" if kind == "http-api" else "anonymous",
        "apiId": identifier,
        "domainName": f"{identifier}.{suffix}",
        "domainPrefix": identifier,
        "http": {
            "method": method,
            "path": decoded,
            "protocol": "HTTP/1.1",
            "sourceIp": source_ip,
            "userAgent": joined.get("user-agent", ""),
        },
        "requestId": "JKJaXmPLvHcESHA=",
        "routeKey": "$default",
        "stage": "$default",
        "time": "21/Nov/2026:11:20:00 +0000",
        "timeEpoch": int((time.time() if received is None else received) * 1000),
    }
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": decoded,
        "rawQueryString": query,
        "headers": joined,
        "requestContext": about,
        "isBase64Encoded": bool(body) and not textual,
    }
    if cookies:
        event["cookies"] = cookies
    if body:
        event["body"] = body.decode() if textual else base64.b64encode(body).decode()
    return event


def body_of(result: dict[str, Any]) -> bytes:
    """Return the body of a result."""
    text = result.get("body", "")
    return base64.b64decode(text) if result.get("isBase64Encoded") else text.encode()


class Front:
    """An HTTP server that does what the place in front of the function does: one event per request, whole answers."""

    def __init__(self, kind: Kind, handler: Callable[[dict[str, Any], Any], dict[str, Any]], port: int) -> None:
        self.kind: Kind = kind
        self.handler = handler
        self.port = port
        self.served = 0
        self.connections: dict[asyncio.StreamWriter, asyncio.Task[Any] | None] = {}
        #: One environment serves one event at a time, always in the same thread.
        self.environment = ThreadPoolExecutor(max_workers=1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections[writer] = asyncio.current_task()
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            del self.connections[writer]
            writer.close()

    async def finish(self) -> None:
        """Close what clients hold open."""
        tasks = [task for task in self.connections.values() if task is not None]
        for writer in list(self.connections):
            writer.close()
        await asyncio.gather(*tasks)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")[:-2]
        method, target, _ = line.split(" ", 2)
        headers = [(name, value.strip()) for name, _, value in (entry.partition(":") for entry in fields)]
        lowered = {name.lower(): value for name, value in headers}
        if lowered.get("transfer-encoding", "").lower() == "chunked":
            body = await self._chunks(reader)
        else:
            body = await reader.readexactly(int(lowered.get("content-length", "0")))
        if self.kind == "http-api" and len(head) > HEADER_BYTES:
            await self._send(writer, 431, [], b'{"message":"Request Header Fields Too Large"}')
            return True
        event = event_of(self.kind, method, target, headers, body, host=lowered["host"], source_ip="127.0.0.1")
        event["headers"].pop("content-length", None)
        assert len(json.dumps(event)) <= PAYLOAD_BYTES
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self.environment, self.handler, event, Context())
        assert len(json.dumps(result)) <= PAYLOAD_BYTES
        self.served += 1
        answer = [(self._name(name), value) for name, value in result.get("headers", {}).items()]
        answer += [("set-cookie", cookie) for cookie in result.get("cookies", ())]
        await self._send(writer, result["statusCode"], answer, body_of(result), head_only=method == "HEAD")
        return True

    def _name(self, name: str) -> str:
        return REMAPPED.get(name.lower(), name) if self.kind == "function-url" else name

    async def _chunks(self, reader: asyncio.StreamReader) -> bytes:
        found = b""
        while size := int(await reader.readline(), 16):
            found += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return found

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        head_only: bool = False,
    ) -> None:
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in kept)]
        if status != 204:
            lines.append(f"content-length: {len(body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if head_only else body))
        await writer.drain()


@contextmanager
def front(
    kind: Kind, handler: Callable[[dict[str, Any], Any], dict[str, Any]], *, port: int | None = None
) -> Generator[Front]:
    """Serve a handler on 127.0.0.1 until the block ends, beside the caller's own loop."""
    place = Front(kind, handler, port or free_port())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="lambda-front", daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(FRONT_SECONDS)

    server = run(asyncio.start_server(place.serve, "127.0.0.1", place.port, limit=MAX_HEAD))
    try:
        yield place
    finally:
        loop.call_soon_threadsafe(server.close)
        run(place.finish())
        close = getattr(handler, "close", None)
        if close is not None:
            place.environment.submit(close).result(FRONT_SECONDS)
        place.environment.shutdown()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(FRONT_SECONDS)
        loop.close()
