"""The HTTP of a walk: sends one request as it is told, follows nothing, bounds what it reads, records what it saw."""

import asyncio
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

import httpx2

from portico import __version__
from portico.model.errors import UpstreamTooLarge
from portico.protocol.sse import SseParser

MAX_BODY_BYTES: Final = 1024 * 1024  #: read of one answer
USER_AGENT: Final = f"portico-doctor/{__version__}"

Trouble = Literal["unreachable", "timeout", "tls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. Of a stream of events, the body is the one message that answers the request."""

    url: str
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """Return the first value of a header, empty when there is none."""
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def content_type(self) -> str:
        """The media type in lower case, without its parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> dict[str, Any] | None:
        """Return the JSON object in the body, None when it holds something else."""
        try:
            value: object = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return cast("dict[str, Any]", value) if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """Why nothing came back."""

    trouble: Trouble
    url: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and what became of it."""

    request: Request
    reply: Answer | NoAnswer


class Wire:
    """A client for an operator's own machine: any address may be asked, as by the clients that it stands for."""

    def __init__(self, *, timeout: float) -> None:
        """Take how many seconds one request may take."""
        self._timeout = timeout
        self._http = httpx2.AsyncClient(timeout=timeout, follow_redirects=False)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, request: Request) -> Exchange:
        """Send a request. Never raises: no answer is an outcome too."""
        try:
            async with asyncio.timeout(self._timeout):  # the library's bounds each read, which a drip never exceeds
                return Exchange(request=request, reply=await self._ask(request))
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            reply = NoAnswer(trouble=_trouble(error), url=request.url, text=_innermost(error))
            return Exchange(request=request, reply=reply)

    async def _ask(self, request: Request) -> Answer:
        headers = {"user-agent": USER_AGENT, **request.headers}
        async with self._http.stream(
            request.method, request.url, headers=headers, content=request.body or None
        ) as response:
            body = await _read(response)
        self._http.cookies.clear()  # no client of this kind keeps cookies
        raw = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw)
        return Answer(
            url=request.url, status=response.status_code, reason=response.reason_phrase, headers=raw, body=body
        )


async def _read(response: httpx2.Response) -> bytes:
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        return await _read_event(response)
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= MAX_BODY_BYTES:
            break
    return bytes(body[:MAX_BODY_BYTES])


async def _read_event(response: httpx2.Response) -> bytes:
    """Return the first message that is an answer; a stream may hold notifications before it and stay open after."""
    parser = SseParser(max_event_bytes=MAX_BODY_BYTES)
    async for chunk in response.aiter_bytes():
        try:
            events = parser.feed(chunk)
        except UpstreamTooLarge:
            return b""
        for event in events:
            if _is_answer(event.data):
                return event.data
    return b""


def _is_answer(data: bytes) -> bool:
    try:
        message: object = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and ("result" in message or "error" in message)


def _trouble(error: BaseException) -> Trouble:
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return "timeout"
    return (
        "tls" if any(isinstance(each, ssl.SSLError) or "SSL" in str(each) for each in _chain(error)) else "unreachable"
    )


def _innermost(error: BaseException) -> str:
    texts = [_text(each) for each in _chain(error) if str(each)]
    return texts[-1] if texts else type(error).__name__


def _text(error: BaseException) -> str:
    plain = isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and (error.errno or 0) > 0
    return os.strerror(error.errno) if plain and isinstance(error, OSError) and error.errno else str(error)


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
