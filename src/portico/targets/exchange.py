"""One request to a target over the relay, and the message that answers it: JSON, or the end of an event stream."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from portico.model.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from portico.model.target import Target
from portico.net.relay import Peer, Response, Timeouts
from portico.protocol.client_answers import (
    Message,
    check_response,
    judge_head,
    read_message,
    read_rejection,
)
from portico.protocol.sse import SseParser

_OK = 200

#: Gets every message of a stream that is not the answer, in order. What it raises ends the exchange.
Listener = Callable[[Message], Awaitable[None]]


#: Runs a bounded coroutine beside the caller.
Linger = Callable[[Coroutine[object, object, None]], object]

LINGER_SECONDS = 0.2  #: seconds that an answered stream may take to end
LINGER_BYTES = 64 * 1024  #: and what may come meanwhile
#: Connections to one origin. No bound of calls, which each target has for itself: a pool is shared by all targets at
#: one host, and a slow one must not keep the others waiting.
MAX_CONNECTIONS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How a target is reached, and within which bounds."""

    peer: Peer
    path: bytes  #: path and query
    timeouts: Timeouts
    max_bytes: int  #: of one JSON answer or one event


def route_to(target: Target) -> Route:
    """Return how ``target`` is reached. Whether it may be dialled is judged at the dial (``net.egress``)."""
    parts = urlsplit(target.kind.endpoint)
    path = parts.path or "/"
    return Route(
        peer=Peer(
            url=target.kind.endpoint,
            connect_timeout=target.connect_timeout,
            allow_private=target.allow_private,
            ca_file=target.ca_file,
            proxy=target.proxy,
            max_connections=MAX_CONNECTIONS,
        ),
        path=(f"{path}?{parts.query}" if parts.query else path).encode(),
        timeouts=Timeouts(
            connect=target.connect_timeout,
            first_byte=target.call_timeout,
            idle=target.idle_timeout,
            total=target.call_timeout,
        ),
        max_bytes=target.max_response_bytes,
    )


async def answer_of(
    response: Response,
    *,
    request_id: int,
    max_bytes: int,
    total: float,
    listener: Listener | None = None,
    linger: Linger | None = None,
) -> Message:
    """Read the response to one of our requests: a result, or a JSON-RPC error whatever its HTTP status.

    It closes the response in every case. Of an event stream it does not wait for the end: with ``linger`` the stream
    is given a moment to end by itself, which keeps the connection; without, the connection is closed.

    Args:
        response: what the relay returned.
        request_id: of our request.
        max_bytes: bound of one JSON answer or one event.
        total: seconds until the answer of a stream must be there, the listener's own time included.
        listener: gets notifications and requests of the stream; None to ignore them.
        linger: runs the wait for a stream's end beside the caller.

    Raises:
        UpstreamError: whatever is wrong with the answer; its text quotes nothing of it.
    """
    try:
        if judge_head(response.status, response.header(b"content-type")) == "json":
            return await _answer_in_body(response, request_id, max_bytes)
    except BaseException:
        await response.aclose()
        raise
    # An async generator that is left early must be closed by name, or the loop closes it in a task of its own.
    chunks = cast("AsyncGenerator[bytes]", response.chunks())
    answered = False
    try:
        async with asyncio.timeout(total):
            message = await _answer_in_stream(chunks, request_id, max_bytes, listener)
        answered = True
    except TimeoutError:
        raise UpstreamTimeout("The target did not finish its answer in time.") from None
    finally:
        if answered and linger is not None and not response.finished:
            linger(_read_to_end(chunks))
        else:
            await chunks.aclose()
            await response.aclose()
    return message


async def _answer_in_body(response: Response, request_id: int, max_bytes: int) -> Message:
    body = await response.read(max_bytes)
    if response.status != _OK:
        return read_rejection(response.status, body)
    return check_response(read_message(body), request_id)


async def _answer_in_stream(
    chunks: AsyncGenerator[bytes], request_id: int, max_bytes: int, listener: Listener | None
) -> Message:
    parser = SseParser(max_event_bytes=max_bytes)
    async for chunk in chunks:
        for event in parser.feed(chunk):
            if event.event != b"message" or not event.data:  # another vocabulary, or an event that only primes
                continue
            message = read_message(event.data)
            if message.method is None:
                return check_response(message, request_id)
            if listener is not None:
                await listener(message)
    raise UpstreamUnreachable("The target ended its answer stream without a result.")


async def _read_to_end(chunks: AsyncGenerator[bytes]) -> None:
    """Wait for the end of an answered stream, so that its connection can be used again.

    Servers send it as soon as the answer is out, but often in a packet of its own.
    """
    left = LINGER_BYTES
    async with aclosing(chunks):
        with suppress(UpstreamError, TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                async for chunk in chunks:
                    left -= len(chunk)
                    if left < 0:
                        return
