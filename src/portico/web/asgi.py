"""The little that every raw ASGI callable of the house needs: bounded bodies, header look-up, one way to answer.

Nothing here routes or wraps. The data plane calls these functions directly, pages use Starlette beside them.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from portico.model.errors import InputError, TooLarge
from portico.web.deadline import within

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

REQUEST_ID: Final = "portico.request_id"  #: key of the scope
_ids = random.Random()  # noqa: S311 - ids tell requests apart and prove nothing; the system's source costs a call
BODY_SECONDS: Final = 30.0  #: seconds in which a body must be complete; a slower one holds a connection for nothing


class ClientDisconnected(Exception):
    """The client went away; nobody is left to answer."""


async def read_body(receive: Receive, limit: int, *, seconds: float = BODY_SECONDS) -> bytes:
    """Return the whole request body of at most ``limit`` bytes.

    Raises:
        TooLarge: more than ``limit`` bytes came; the rest is not read.
        InputError: it was not complete within ``seconds``.
        ClientDisconnected: the client went away before the end.
    """
    message = await _first(receive, seconds)
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):  # one chunk is the common case: no list, no join
        return _within(body, limit)
    chunks = [body]
    size = len(body)
    try:
        async with asyncio.timeout(seconds):
            while message.get("more_body", False):
                message = _request(await receive())
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > limit:
                    break
    except TimeoutError as error:
        raise too_slow(seconds) from error
    return _within(b"".join(chunks), limit)


def request_id(scope: Scope) -> str:
    """Return the id that log and audit know this request by; made here unless the application has made it."""
    known = scope.get(REQUEST_ID)
    if known is None:
        known = scope[REQUEST_ID] = new_request_id()
    return known


def new_request_id() -> str:
    """Return a new id of a request."""
    return f"{_ids.getrandbits(64):016x}"


def header(headers: Iterable[Header], name: bytes) -> bytes | None:
    """Return the value of the header ``name`` (lower case), None when it is absent.

    Of a repeated header the first value is returned; whoever must refuse repetition uses :func:`header_values`.
    """
    for key, value in headers:
        if key == name:
            return value
    return None


def header_values(headers: Iterable[Header], name: bytes) -> list[bytes]:
    """Return every value of the header ``name`` (lower case), in order."""
    return [value for key, value in headers if key == name]


def media_type(scope: Scope) -> bytes:
    """Return the request's media type in lower case without parameters; empty when none was sent (RFC 9110 8.3)."""
    value = header(scope["headers"], b"content-type")
    return b"" if value is None else value.partition(b";")[0].strip().lower()


async def send_response(send: Send, status: int, headers: Iterable[Header], body: bytes) -> None:
    """Send a whole answer; ``content-length`` is added, everything else is the caller's."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def _first(receive: Receive, seconds: float) -> Message:
    try:
        return _request(await within(seconds, receive()))
    except TimeoutError as error:
        raise too_slow(seconds) from error


def _request(message: Message) -> Message:
    if message["type"] == "http.disconnect":
        raise ClientDisconnected
    return message


def _within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise too_large(limit)
    return body


def too_large(limit: int) -> TooLarge:
    """Return the refusal of a body that is over ``limit`` bytes."""
    return TooLarge(f"The request body is over the limit of {limit} bytes.")


def too_slow(seconds: float = BODY_SECONDS) -> InputError:
    """Return the refusal of a body that was not complete within ``seconds``."""
    return InputError(f"The request body was not complete within {seconds:g} s.")
