"""One request to a target over the relay, and the message that answers it: JSON, or the end of an event stream."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from portico.model.errors import UpstreamInvalid, UpstreamTimeout, UpstreamUnreachable
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
            max_connections=target.max_concurrency,
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
    response: Response, *, request_id: int, max_bytes: int, total: float, listener: Listener | None = None
) -> Message:
    """Read the response to one of our requests: a result, or a JSON-RPC error whatever its HTTP status.

    Args:
        response: what the relay returned; the caller closes it.
        request_id: of our request.
        max_bytes: bound of one JSON answer or one event.
        total: seconds until the answer of a stream must be there, the listener's own time included.
        listener: gets notifications and requests of the stream; None to ignore them.

    Raises:
        UpstreamError: whatever is wrong with the answer; its text quotes nothing of it.
    """
    kind = judge_head(response.status, response.header(b"content-type"))
    if response.header(b"content-encoding") not in (None, b"identity"):
        raise UpstreamInvalid("The target compressed its answer although it was asked not to.")
    if kind == "json":
        body = await response.read(max_bytes)
        if response.status != _OK:
            return read_rejection(response.status, body)
        return check_response(read_message(body), request_id)
    try:
        async with asyncio.timeout(total):
            return await _answer_in_stream(response, request_id, max_bytes, listener)
    except TimeoutError:
        raise UpstreamTimeout("The target did not finish its answer in time.") from None


async def _answer_in_stream(response: Response, request_id: int, max_bytes: int, listener: Listener | None) -> Message:
    parser = SseParser(max_event_bytes=max_bytes)
    # An async generator that is left early must be closed by name, or the loop closes it in a task of its own.
    async with aclosing(cast("AsyncGenerator[bytes]", response.chunks())) as chunks:
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
