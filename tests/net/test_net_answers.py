"""Answers that are not HTTP, or that two parsers could read differently: refused, and never mixed up with the next."""

import asyncio

import pytest
from raw_server import OK, RawServer, answers, until

from portico.model.errors import UpstreamError, UpstreamInvalid, UpstreamTooLarge, UpstreamUnreachable
from portico.net.connection import Connection
from portico.net.relay import Peer, Timeouts

TIMEOUTS = Timeouts(connect=60, first_byte=60, idle=60, total=60)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def ask(relay, peer, **options):
    response = await relay.send(peer, b"POST", b"/", (), b"{}", timeouts=TIMEOUTS, **options)
    return response.status, await response.read(100_000)


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>hello</html>",
        b"\x16\x03\x01\x02\x00",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        # Two lengths, or two readings of one (RFC 9112 section 6.3)
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        # Header lines
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
        # Compressed although it was not asked for: nothing here unpacks bombs
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi",
        # Protocol switches and interim answers that carry something
        b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nhi" + OK,
        b"HTTP/1.1 103 Early\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + OK,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + OK,
        # Chunks
        CHUNKED + b"zz\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nhix\r\n0\r\n\r\n",
        CHUNKED + b"2\nhi\n0\n\n",
        CHUNKED + b"-2\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"10000000000000000\r\nhi",
        CHUNKED + b"2 \r\nhi\r\n0\r\n\r\n",
    ],
)
async def test_an_answer_that_is_not_clean_http_is_invalid(relay, server, peer, answer):
    server.script = answers(answer, close=True)
    with pytest.raises(UpstreamInvalid) as caught:
        await ask(relay, peer)
    assert str(server.port) not in caught.value.public
    await until(lambda: relay.stats().open == 0)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        CHUNKED + b"3\r\nabc\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
async def test_an_answer_that_ends_too_early_is_a_broken_connection(relay, server, peer, answer):
    server.script = answers(answer, close=True)
    with pytest.raises(UpstreamUnreachable):
        await ask(relay, peer)
    await until(lambda: relay.stats().open == 0)


async def test_what_arrived_before_the_break_is_handed_on_first(relay, server, peer):
    server.script = answers(CHUNKED, b"3\r\nabc\r\n", close=True)
    response = await relay.send(peer, b"POST", b"/", (), b"{}", timeouts=TIMEOUTS)
    await until(lambda: relay.stats().open == 0)
    chunks = response.chunks()
    assert await anext(chunks) == b"abc"
    with pytest.raises(UpstreamUnreachable):
        await anext(chunks)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_body_that_ends_with_the_connection_is_read_and_the_connection_not_used_again(
    relay, server, peer, version
):
    server.script = answers(b"HTTP/%b 200 OK\r\n\r\n" % version, b"abc", b"def", close=True)
    for _ in range(2):
        assert await ask(relay, peer) == (200, b"abcdef")
    assert server.accepted == 2


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        # more than the answer: the second one must not be the answer to the next request
        (OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", b"hi"),
        (OK + b"H", b"hi"),
        (OK + b"\x00", b"hi"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison", b""),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\n\r\npoison", b""),
        # trailers could be taken for headers of the next answer
        (CHUNKED + b"2\r\nhi\r\n0\r\nX-Trailer: a\r\n\r\n", b"hi"),
    ],
)
async def test_after_an_odd_answer_the_connection_is_closed(relay, server, peer, answer, body):
    server.script = answers(answer)
    for _ in range(2):
        assert (await ask(relay, peer))[1] == body
        assert relay.stats().idle == 0
        await until(lambda: relay.stats().open == 0)
    assert server.accepted == 2


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK, (200, b"hi")),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", (200, b"hi")),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", (202, b"")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", (304, b"")),
        (b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", (599, b"")),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", (200, b"hi")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, (200, b"hi")),
        (CHUNKED + b"2;ext=1\r\nhi\r\n0\r\n\r\n", (200, b"hi")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding:  Chunked \r\n\r\n0\r\n\r\n", (200, b"")),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 0\r\n\r\n", (200, b"")),
        (b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nhi", (200, b"hi")),
    ],
)
async def test_after_a_clean_answer_the_connection_is_kept(relay, server, peer, answer, expected):
    server.script = answers(*(answer[n : n + 7] for n in range(0, len(answer), 7)))
    for _ in range(2):
        assert await ask(relay, peer) == expected
    assert server.accepted == 1


async def test_headers_of_interim_answers_are_not_those_of_the_answer(relay, server, peer):
    server.script = answers(
        b"HTTP/1.1 103 Early\r\nX-Early: 1\r\n\r\nHTTP/1.1 200 OK\r\nX-A:\r\nContent-Length: 0\r\n\r\n"
    )
    response = await relay.send(peer, b"POST", b"/", (), b"{}", timeouts=TIMEOUTS)
    assert response.headers == ((b"x-a", b""), (b"content-length", b"0"))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 " + b"a" * 70_000,
        b"\r\n" * 40_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 200,
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 200 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 103 Early\r\nLink: " + b"a" * 70_000 + b"\r\n\r\n" + OK,
        CHUNKED + b"2;" + b"a" * 900_000,
        CHUNKED + b"2\r\nhi\r\n0\r\nX: " + b"a" * 900_000,
        CHUNKED + b"2\r\nhi\r\n0\r\n" + b"X: a\r\n" * 200_000,
    ],
)
async def test_a_head_or_framing_without_end_is_too_large(relay, server, peer, answer):
    server.script = answers(*(answer[n : n + 3000] for n in range(0, len(answer), 3000)), close=True)
    with pytest.raises(UpstreamError) as caught:
        await ask(relay, peer)
    assert isinstance(caught.value, UpstreamTooLarge) or len(answer) < 3000
    await until(lambda: relay.stats().open == 0)


async def test_the_bound_of_a_head_is_the_callers(relay, server, peer):
    server.script = answers(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 2000 + b"\r\nContent-Length: 0\r\n\r\n")
    await ask(relay, peer)
    with pytest.raises(UpstreamTooLarge):
        await ask(relay, peer, max_header_bytes=1000)
    server.script = answers(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 129 + b"Content-Length: 0\r\n\r\n")
    with pytest.raises(UpstreamTooLarge):
        await ask(relay, peer)


async def test_many_small_chunks_are_not_taken_for_endless_framing(relay, server, peer):
    server.script = answers(CHUNKED, *[b"1;x=yyyyyyyyyyyyyyyy\r\na\r\n" * 400] * 20, b"0\r\n\r\n")
    assert await ask(relay, peer) == (200, b"a" * 8000)


async def test_bytes_on_an_idle_connection_close_it(relay, server, peer):
    go_on = asyncio.Event()

    async def script(line, request):
        await line.write(OK)
        if server.accepted == 1:
            await go_on.wait()
            await line.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")

    server.script = script
    await ask(relay, peer)
    assert relay.stats().idle == 1
    go_on.set()
    await until(lambda: relay.stats().open == 0)
    assert await ask(relay, peer) == (200, b"hi")


async def test_an_answer_before_the_request_was_written_out_ends_the_connection(relay):
    """What is left of the request must not be taken for the next one; the answer itself (413, say) is handed on."""
    accepted = 0

    async def answer_at_once(reader, writer):
        nonlocal accepted
        accepted += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.get_running_loop().create_future()

    server = await asyncio.start_server(answer_at_once, "127.0.0.1", 0, limit=1024)
    peer = Peer(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", allow_private=True)
    for _ in range(2):
        response = await relay.send(peer, b"POST", b"/", (), b"x" * 20_000_000, timeouts=TIMEOUTS)
        assert response.status == 413
        await until(lambda: relay.stats().open == 0)
    assert accepted == 2
    server.close()


async def test_a_server_that_speaks_first_is_not_listened_to(relay):
    greeter = RawServer(greeting=b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    await greeter.start()
    try:
        await ask(relay, Peer(url=greeter.url, allow_private=True))
    except UpstreamError:
        pass
    else:
        # The greeting crossed the request on the way: then its true answer was one too many.
        await until(lambda: relay.stats().open == 0)
    await greeter.stop()


class NotingTransport(asyncio.Transport):
    """Writes down what was asked of it."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.aborted = False

    def write(self, data):
        self.written += data

    def writelines(self, data):
        self.written += b"".join(data)

    def abort(self):
        self.aborted = True

    def get_write_buffer_size(self):
        return 0


async def test_an_answer_to_no_question_makes_a_fresh_connection_useless():
    connection = Connection(lambda _: None, lambda _: None)
    transport = NotingTransport()
    connection.connection_made(transport)
    connection.data_received(OK)
    assert transport.aborted
    with pytest.raises(UpstreamUnreachable):
        await connection.exchange(b"", b"", timeouts=TIMEOUTS, total_at=1e9, max_header_bytes=1000)
    assert transport.written == b""
