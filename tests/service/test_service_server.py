"""The HTTP protocol's own bounds, over real sockets."""

import asyncio
import contextlib

import pytest

from portico.model.errors import ConfigError
from portico.service import http_protocol
from portico.service.process_settings import Listen
from portico.service.server import Server, bind
from portico.web.asgi import read_body, send_response

BOUND = 30.0  #: seconds


class Echo:
    def __init__(self):
        self.requests = []
        self.hold = None
        self.cancelled = 0

    async def __call__(self, scope, receive, send):
        body = await read_body(receive, 10_000_000)
        self.requests.append((scope, body))
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        await send_response(send, 200, [], b"%d" % len(body))


@pytest.fixture
def echo():
    return Echo()


@contextlib.asynccontextmanager
async def serving(app, drain=BOUND):
    sock = bind(Listen(host="127.0.0.1", port=0), setting="listen")
    server = Server(app, drain_seconds=drain)
    port = sock.getsockname()[1]
    task = asyncio.create_task(server.serve(sockets=[sock]))
    await server.listening.wait()
    try:
        yield server, port
    finally:
        server.should_exit = True
        async with asyncio.timeout(BOUND):
            await task


async def talk(port, *pieces):
    """Send the pieces and return everything until the server closes, or its first answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        async with asyncio.timeout(BOUND):
            for piece in pieces:
                writer.write(piece)
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
            while piece := await reader.read(65536):
                answer += piece
                if b"connection: close" not in answer and b"\r\n\r\n" in answer:
                    break
    except ConnectionError:
        pass
    finally:
        writer.close()
    return answer


HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.case("T28")
@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"x-big: " + b"a" * 200_000 + b"\r\n\r\n"],
        [HEAD, *([b"x-part: " + b"a" * 8_000 + b"\r\n"] * 12), b"\r\n"],
        [b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"],
        [HEAD + b"x-endless: ", *([b"a" * 30_000] * 6)],
    ],
)
async def test_heads_that_are_too_large_are_refused_whether_they_end_or_not(echo, pieces):
    async with serving(echo) as (_, port):
        assert b" 431 " in (await talk(port, *pieces)).split(b"\r\n")[0]
    assert echo.requests == []


async def test_large_bodies_are_no_large_heads(echo):
    async with serving(echo) as (_, port):
        body = b"b" * 1_000_000
        answer = await talk(port, HEAD + b"content-length: 1000000\r\n\r\n", body)
        chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n"
        second = await talk(port, chunked, *([b"10000\r\n" + b"c" * 0x10000 + b"\r\n"] * 5), b"0\r\n\r\n")
    assert answer.endswith(b"1000000")
    assert second.endswith(b"%d" % (5 * 0x10000))


async def test_trailers_do_not_become_headers(echo):
    async with serving(echo) as (_, port):
        chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nauthorization: Bearer x\r\n\r\n"
        assert b" 200 " in await talk(port, chunked)
    [(scope, body)] = echo.requests
    assert body == b"hi"
    assert b"authorization" not in dict(scope["headers"])


@pytest.mark.case("T28")
@pytest.mark.parametrize("pieces", [[b""], [b"GET / HTT"], [b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: "]])
async def test_heads_that_take_too_long_are_refused(echo, pieces, monkeypatch):
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    async with serving(echo) as (_, port):
        assert b" 408 " in await talk(port, *pieces)


async def test_what_is_no_http_is_400(echo):
    async with serving(echo) as (_, port):
        assert b" 400 " in await talk(port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n")


async def test_draining_lets_a_call_end_and_takes_no_new_connection(echo):
    echo.hold = asyncio.Event()
    async with serving(echo) as (server, port):
        asking = asyncio.create_task(talk(port, HEAD + b"content-length: 0\r\nconnection: close\r\n\r\n"))
        async with asyncio.timeout(BOUND):
            while not echo.requests:
                await asyncio.sleep(0.01)
            server.should_exit = True
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    await asyncio.sleep(0.01)
                except ConnectionError:
                    break
        assert not asking.done()
        echo.hold.set()
        assert b" 200 " in await asking


async def exchange(reader, writer):
    writer.write(HEAD + b"content-length: 0\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(1)
    return head.lower()


async def test_a_connection_that_rests_is_served_once_more_while_draining_and_then_closed(echo, monkeypatch):
    monkeypatch.setattr(http_protocol, "DRAIN_IDLE_SECONDS", 3.0)
    async with asyncio.timeout(BOUND), serving(echo) as (server, port):
        busy, silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for talking in (busy, silent):
            assert b"connection: close" not in await exchange(*talking)
        server.should_exit = True
        while server.servers[0].is_serving():
            await asyncio.sleep(0.01)
        assert b"connection: close" in await exchange(*busy)
        for reader, writer in (busy, silent):
            assert await reader.read() == b""
            writer.close()


async def test_an_accepted_connection_can_be_handed_over(echo):
    lost = asyncio.Event()
    async with asyncio.timeout(BOUND), serving(echo) as (server, _):
        with bind(Listen(host="127.0.0.1", port=0), setting="listen") as listening:
            listening.listen()
            client = await asyncio.open_connection(*listening.getsockname())
            accepted, _ = listening.accept()
            await server.adopt(accepted, lost=lost.set)
        assert b" 200 " in await exchange(*client)
        assert not lost.is_set()
        client[1].close()
        await lost.wait()


async def test_a_call_that_outlives_the_drain_is_cancelled_and_waited_for(echo):
    echo.hold = asyncio.Event()
    async with serving(echo, drain=1) as (server, port):
        asking = asyncio.create_task(talk(port, HEAD + b"content-length: 0\r\n\r\n"))
        async with asyncio.timeout(BOUND):
            while not echo.requests:
                await asyncio.sleep(0.01)
        server.should_exit = True
    assert echo.cancelled == 1
    await asking


def test_an_address_in_use_names_its_setting_and_what_to_do():
    with bind(Listen(host="127.0.0.1", port=0), setting="listen") as taken:
        taken.listen()
        listen = Listen(host="127.0.0.1", port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match=r"admin_listen: .*in use"):
            bind(listen, setting="admin_listen")
