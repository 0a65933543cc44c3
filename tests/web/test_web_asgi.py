"""Bodies with a bound, headers, and one way to answer."""

import asyncio

import pytest

from portico.model.errors import InputError, TooLarge
from portico.web.asgi import (
    ClientDisconnected,
    header,
    header_values,
    media_type,
    read_body,
    request_id,
    send_response,
)


def receiving(*chunks, disconnect=False):
    messages = [
        {"type": "http.request", "body": chunk, "more_body": n < len(chunks) - 1 or disconnect}
        for n, chunk in enumerate(chunks)
    ]
    if disconnect:
        messages.append({"type": "http.disconnect"})
    taken = iter(messages)

    async def receive():
        return next(taken)

    return receive


async def test_a_body_is_joined_from_its_chunks():
    assert await read_body(receiving(b"abc"), 3) == b"abc"
    assert await read_body(receiving(b"a", b"", b"bc"), 3) == b"abc"
    assert await read_body(receiving(b""), 0) == b""


@pytest.mark.parametrize("chunks", [(b"abcd",), (b"ab", b"cd"), (b"ab", b"cd", b"ef")])
async def test_a_body_over_the_limit_is_not_read_on(chunks):
    with pytest.raises(TooLarge):
        await read_body(receiving(*chunks), 3)


@pytest.mark.parametrize("chunks", [(), (b"ab",)])
async def test_a_client_that_leaves_is_told_apart_from_a_short_body(chunks):
    with pytest.raises(ClientDisconnected):
        await read_body(receiving(*chunks, disconnect=True), 10)


@pytest.mark.parametrize("chunks", [[], [{"type": "http.request", "body": b"a", "more_body": True}]])
async def test_a_body_that_never_ends_is_given_up(chunks):
    async def receive():
        return chunks.pop() if chunks else await asyncio.Event().wait()

    with pytest.raises(InputError):
        await read_body(receive, 10, seconds=0.01)


def test_headers_are_found_by_their_lower_case_names():
    scope = {"headers": [(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"content-type", b"Text/HTML; charset=x")]}
    assert header(scope["headers"], b"a") == b"1"
    assert header(scope["headers"], b"c") is None
    assert header_values(scope["headers"], b"a") == [b"1", b"3"]
    assert media_type(scope) == b"text/html"
    assert media_type({"headers": []}) == b""


def test_a_request_keeps_its_id():
    scope = {}
    assert request_id(scope) == request_id(scope)
    assert request_id({}) != request_id({})


async def test_an_answer_says_its_length():
    sent = []

    async def send(message):
        sent.append(message)

    await send_response(send, 418, [(b"a", b"b")], b"tea")
    assert sent == [
        {"type": "http.response.start", "status": 418, "headers": [(b"a", b"b"), (b"content-length", b"3")]},
        {"type": "http.response.body", "body": b"tea"},
    ]
