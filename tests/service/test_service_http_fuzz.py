"""The HTTP protocol under arbitrary cuts and arbitrary bytes, without sockets."""

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.config import Config
from uvicorn.server import ServerState

from portico.model.errors import TooLarge
from portico.service import http_protocol
from portico.service.http_protocol import HttpProtocol
from portico.web.asgi import ClientDisconnected, read_body, send_response

STEPS = 50  #: turns of the event loop, more than any request here takes


class Transport(asyncio.Transport):
    """Keeps what was written; closing is at once."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.closed = self.ended_by_us = self.paused = False

    def write(self, data):
        assert not self.closed
        self.written += data

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    abort = close

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False

    def get_write_buffer_size(self):
        return 0


class Application:
    """Writes down every request that it serves, in whichever way it came."""

    def __init__(self):
        self.served = []

    async def __call__(self, scope, receive, send):
        body = await read_body(receive, 1000)
        self.served.append((scope["method"], scope["path"], body))
        await send_response(send, 200, [], b"page")

    def takes(self, target):
        return target.startswith(b"/g/")

    async def serve(self, exchange):
        try:
            body = await exchange.body(1000)
        except ClientDisconnected:
            return
        except TooLarge:
            await exchange.respond(413, (), b"")
            return
        self.served.append((exchange.method, exchange.path, body))
        await exchange.respond(200, (), b"direct")


REQUESTS = (
    b"POST /g/a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello",
    b"GET /page HTTP/1.1\r\nhost: x\r\n\r\n",
    (
        b"POST /g/b?q HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n1\r\nd\r\n0\r\nx-trailer: 1\r\n\r\n"
    ),
    b"POST /page HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi",
    b"POST /g/c HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 3\r\n\r\nabc",
    b"DELETE /g/d HTTP/1.1\r\nhost: x\r\n\r\n",
)
SERVED = (
    ("POST", "/g/a", b"hello"),
    ("GET", "/page", b""),
    ("POST", "/g/b", b"abcd"),
    ("POST", "/page", b"hi"),
    ("POST", "/g/c", b"abc"),
    ("DELETE", "/g/d", b""),
)


def talk(pieces):
    """Feed the pieces to one connection, with a turn of the loop between them, and end it."""

    async def run():
        app = Application()
        config = Config(app, interface="asgi3", ws="none", lifespan="off", loop="none", log_config=None)
        config.load()
        state = ServerState()
        protocol, transport = HttpProtocol(config, state, {}, direct=app), Transport()
        protocol.connection_made(transport)
        for piece in pieces:
            if not transport.closed:
                protocol.data_received(piece)
            await asyncio.sleep(0)
        for _ in range(STEPS):
            await asyncio.sleep(0)
        transport.ended_by_us = transport.closed
        protocol.connection_lost(None)
        for _ in range(STEPS):
            await asyncio.sleep(0)
        assert not state.tasks
        assert not state.connections
        return app, transport

    return asyncio.run(run())


def cut(data, places):
    bounds = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[begin:end] for begin, end in pairwise(bounds) if end > begin]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, len(REQUESTS) - 1), min_size=1, max_size=6), st.lists(st.integers(0, 2000), max_size=30))
def test_requests_are_the_same_wherever_their_bytes_are_cut(order, places):
    pieces = cut(b"".join(REQUESTS[index] for index in order), places)
    app, transport = talk(pieces)
    assert app.served == [SERVED[index] for index in order]
    assert transport.written.count(b"HTTP/1.1 200 OK") == len(order)
    assert not transport.ended_by_us


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(0, len(REQUESTS) - 1), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=6), st.integers(0, 4)), min_size=1, max_size=5),
    st.lists(st.integers(0, 2000), max_size=10),
)
def test_damaged_bytes_raise_nothing_and_leave_nothing_behind(order, damage, places):
    data = b"".join(REQUESTS[index] for index in order)
    for place, put, taken in damage:
        begin = place % (len(data) + 1)
        data = data[:begin] + put + data[begin + taken :]
    app, transport = talk(cut(data, places))
    assert transport.written.count(b"HTTP/1.1 200 OK") <= len(app.served)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_are_answered_or_refused(pieces):
    app, _ = talk(pieces)
    assert app.served == []


def test_a_flood_of_requests_in_one_piece_is_answered_before_more_is_read():
    async def run():
        app = Application()
        config = Config(app, interface="asgi3", ws="none", lifespan="off", loop="none", log_config=None)
        config.load()
        protocol, transport = HttpProtocol(config, ServerState(), {}, direct=app), Transport()
        protocol.connection_made(transport)
        protocol.data_received(REQUESTS[0] * 200)
        async with asyncio.timeout(30):
            while protocol._waiting:
                assert transport.paused
                await asyncio.sleep(0)
            while len(app.served) < 200 or transport.paused:
                await asyncio.sleep(0)
        protocol.connection_lost(None)

    asyncio.run(run())


def test_requests_that_ask_for_another_protocol_again_and_again_are_refused():
    app, transport = talk([REQUESTS[4] * 1000])
    assert len(app.served) <= http_protocol.MAX_UPGRADES
    assert transport.ended_by_us
