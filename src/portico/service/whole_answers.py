"""Answers in one piece, for a place that cannot stream: bounded in time and size, streams refused with a reason.

A server that answers in one piece holds every answer until it is complete. What never completes (the event stream of
a GET, ``subscriptions/listen``) is refused at once rather than held until somebody's patience ends; an answer that
comes as an event stream is collected whole, which is the same document, only later.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from portico.model.errors import TooLarge
from portico.protocol import jsonrpc
from portico.protocol.errors import INTERNAL_ERROR, METHOD_NOT_FOUND, MODERN_STATUS, RpcRefused, encode_error
from portico.web.asgi import (
    ASGIApp,
    ClientDisconnected,
    Header,
    Message,
    Receive,
    Scope,
    Send,
    header,
    read_body,
    request_id,
    send_response,
)
from portico.web.cors import Cors

MCP_PATH: Final = "/mcp"  #: of the façade's one resource
LISTEN: Final = "subscriptions/listen"
MAX_QUESTION_BYTES: Final = 6 * 1024**2  #: of a request's body that is looked into

_METHODS: Final = b"POST, DELETE, OPTIONS"
_NO_STREAMS: Final = "This deployment answers in one piece and has no event streams"

_log = structlog.stdlib.get_logger("portico.service")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """An answer of our own instead of the application's."""

    status: int
    code: str
    public: str
    rpc_code: int = INTERNAL_ERROR
    headers: tuple[Header, ...] = ()


class WholeAnswers:
    """ASGI middleware: everything that ``app`` sends arrives as one answer, or as an error that says why not."""

    def __init__(self, app: ASGIApp, *, limit: int, seconds: Callable[[Scope], float]) -> None:
        """Take the application, the bytes that an answer may have, and how many seconds a request has left."""
        self._app = app
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        asked = _Question(receive)
        refusal = await _judge(scope, asked)
        answer = _Answer(self._limit)
        if refusal is None:
            refusal = await self._answered(scope, asked, answer)
        if refusal is None:
            await answer.deliver(send)
        else:
            # No credentials travel with it and it says nothing about anybody: any page may read why.
            await Cors(_Refused(refusal, asked), methods=_METHODS)(scope, receive, send)

    async def _answered(self, scope: Scope, asked: "_Question", answer: "_Answer") -> _Refusal | None:
        """Let the application answer; return what is wrong with the answer."""
        seconds = self._seconds(scope)
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                await self._app(scope, asked.receive, answer.send)
        except ClientDisconnected:
            pass  # it was told so by the answer that is over the limit
        except TimeoutError:
            if not deadline.expired():
                raise
            return _gave_up(scope, 504, "upstream_timeout", f"The answer was not complete within {seconds:.0f} s.")
        if answer.over:
            public = f"The answer is over {self._limit} bytes, more than this deployment can return."
            return _gave_up(scope, 502, "upstream_too_large", public)
        if not answer.complete:
            return _gave_up(scope, 502, "upstream_invalid", "The answer broke off before its end.")
        return None


class _Question:
    """The request's body, which may be read here and again by the application."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._body: bytes | None = None
        self.message: jsonrpc.Message | None = None  #: None: not read, or nothing that is judged here

    async def read(self) -> None:
        """Read the body; what is wrong with its JSON is for the application to say.

        Raises:
            TooLarge: it is over :data:`MAX_QUESTION_BYTES`.
        """
        self._body = await read_body(self._receive, MAX_QUESTION_BYTES)
        try:
            self.message = jsonrpc.decode(self._body)
        except RpcRefused:
            return

    async def receive(self) -> Message:
        """Hand the body to the application."""
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Answer:
    """What the application sends, held until it is complete."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._start: Message | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self.complete = False
        self.over = False  #: it is more than can be returned

    async def send(self, message: Message) -> None:
        """Keep one message.

        Raises:
            ClientDisconnected: nobody will read any more of it.
        """
        if message["type"] == "http.response.start":
            self._start = message
            return
        chunk: bytes = message.get("body", b"")
        self._size += len(chunk)
        if self._size > self._limit:
            self.over = True
            self._chunks.clear()
            raise ClientDisconnected
        self._chunks.append(chunk)
        self.complete = self._start is not None and not message.get("more_body", False)

    async def deliver(self, send: Send) -> None:
        """Send the whole."""
        assert self._start is not None
        await send(self._start)
        await send({"type": "http.response.body", "body": b"".join(self._chunks)})


class _Refused:
    """A refusal as an application: a JSON-RPC error where a JSON-RPC request was made."""

    def __init__(self, refusal: _Refusal, asked: _Question) -> None:
        self._refusal = refusal
        self._message = asked.message

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        refusal = self._refusal
        if self._message is not None and self._message.raw_id is not None:
            body = encode_error(self._message.raw_id, refusal.rpc_code, refusal.public)
        else:
            known_as = request_id(scope)
            body = msgspec.json.encode(
                {"error": refusal.code, "error_description": refusal.public, "request_id": known_as}
            )
        headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (b"x-request-id", request_id(scope).encode()),
            *refusal.headers,
        ]
        await send_response(send, refusal.status, headers, body)


async def _judge(scope: Scope, asked: _Question) -> _Refusal | None:
    """Refuse what never completes.

    Whoever sends no token gets the application's 401 first: clients open with a bare GET to find the way to log in.
    """
    if scope["path"] != MCP_PATH or header(scope["headers"], b"authorization") is None:
        return None
    if scope["method"] == "POST":
        try:
            await asked.read()
        except TooLarge as error:
            return _Refusal(status=error.status, code=error.code, public=error.public)
    if scope["method"] == "GET":
        public = f"{_NO_STREAMS}; send requests with POST."
        return _Refusal(status=405, code="method_not_allowed", public=public, headers=((b"allow", b"POST"),))
    if asked.message is not None and asked.message.method == LISTEN:
        public = f"{_NO_STREAMS}, so {LISTEN} cannot be answered; ask for lists again instead."
        status = MODERN_STATUS[METHOD_NOT_FOUND]
        return _Refusal(status=status, code="not_offered", public=public, rpc_code=METHOD_NOT_FOUND)
    return None


def _gave_up(scope: Scope, status: int, code: str, public: str) -> _Refusal:
    _log.warning("answer_not_delivered", request_id=request_id(scope), path=scope["path"], error=code, detail=public)
    return _Refusal(status=status, code=code, public=public)
