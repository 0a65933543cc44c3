"""Exchanges on the parser: what HTTP asks of them, over real sockets."""

import asyncio
import contextlib

import pytest

from portico.model.errors import TooLarge
from portico.service import direct, http_protocol
from portico.service.direct import HeaderBlocks, InvalidHeader
from portico.service.process_settings import Listen
from portico.service.server import Server, bind
from portico.web.asgi import ClientDisconnected, read_body, send_response

BOUND = 30.0  #: seconds
LIMIT = 100_000  #: bytes of a body
HEAD = b"POST /g/x HTTP/1.1\r\nhost: x\r\n"
JSON = ((b"content-type", b"application/json"),)


class Scripted:
    """An application whose data plane does what a test says; everything else is echoed over ASGI."""

    def __init__(self):
        self.exchanges = []
        self.bodies = []
        self.gone = []
        self.errors = []
        self.script = self.echo

    async def __call__(self, scope, receive, send):
        body = await read_body(receive, LIMIT)
        await send_response(send, 200, [], b"page %d" % len(body))

    def takes(self, target):
        return target.startswith(b"/g/")

    async def serve(self, exchange):
        self.exchanges.append(exchange)
        try:
            await self.script(exchange)
        except (TooLarge, ClientDisconnected) as error:
            self.errors.append(error)
            if isinstance(error, TooLarge):
                await exchange.respond(413, JSON, b"large")

    async def echo(self, exchange):
        body = await exchange.body(LIMIT)
        self.bodies.append(body)
        await exchange.respond(200, JSON, b"%d" % len(body))


@pytest.fixture
async def app():
    return Scripted()


@pytest.fixture
async def port(app):
    sock = bind(Listen(host="127.0.0.1", port=0), setting="listen")
    server = Server(app, drain_seconds=5.0, direct=app)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    await server.listening.wait()
    app.server = server
    yield sock.getsockname()[1]
    server.should_exit = True
    async with asyncio.timeout(BOUND):
        await task


@contextlib.asynccontextmanager
async def connected(port, **options):
    async with asyncio.timeout(BOUND):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
        try:
            yield reader, writer
        finally:
            writer.close()


async def answer(reader):
    """Return status line, headers and body of one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
    if "content-length" in headers:
        return head[0], headers, await reader.readexactly(int(headers["content-length"]))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return head[0], headers, body


async def until(condition):
    async with asyncio.timeout(BOUND):
        while not condition():
            await asyncio.sleep(0.005)


async def test_an_answer_has_date_id_security_headers_and_its_length(port, app):
    async with connected(port) as (reader, writer):
        writer.write(HEAD + b"content-length: 2\r\n\r\nhi")
        status, headers, body = await answer(reader)
    assert (status, body) == ("HTTP/1.1 200 OK", b"2")
    assert headers["x-request-id"] == app.exchanges[0].id
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-type"] == "application/json"
    assert headers["date"].endswith("GMT")
    assert "connection" not in headers


async def test_target_and_query_are_told_decoded_for_routing_and_as_they_were_sent(port, app):
    async with connected(port) as (reader, writer):
        writer.write(b"GET /g/a%2Fb/%C3%A9?q=%20+&r HTTP/1.1\r\nhost: x\r\n\r\n")
        await answer(reader)
    [exchange] = app.exchanges
    assert (exchange.method, exchange.path) == ("GET", "/g/a/b/é")
    assert (exchange.raw_path, exchange.query) == (b"/g/a%2Fb/%C3%A9", b"q=%20+&r")
    assert exchange.client_host == "127.0.0.1"


async def test_bodies_arrive_whole_whatever_their_pieces(port, app):
    async with connected(port) as (reader, writer):
        writer.write(HEAD + b"content-length: 6\r\n\r\nab")
        await writer.drain()
        await until(lambda: app.exchanges)
        writer.write(b"cd")
        await writer.drain()
        writer.write(b"ef")
        assert (await answer(reader))[2] == b"6"
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert (await answer(reader))[2] == b"5"
    assert app.bodies == [b"abcdef", b"abcde"]


async def test_a_body_may_be_asked_for_again(port, app):
    async def twice(exchange):
        assert await exchange.body(LIMIT) == await exchange.body(LIMIT)
        await app.echo(exchange)

    app.script = twice
    async with connected(port) as (reader, writer):
        writer.write(HEAD + b"content-length: 3\r\n\r\nabc")
        assert (await answer(reader))[2] == b"3"


@pytest.mark.parametrize("framing", [b"content-length: 300000\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n493e0\r\n"])
async def test_a_body_over_the_limit_is_refused_and_its_rest_is_dropped(port, app, framing):
    async with connected(port) as (reader, writer):
        writer.write(HEAD + framing + b"x" * 200_000)
        status, _, body = await answer(reader)
        assert ("413" in status, body) == (True, b"large")
        writer.write(b"x" * 100_000 + (b"\r\n0\r\n\r\n" if b"chunked" in framing else b""))
        writer.write(HEAD + b"content-length: 2\r\n\r\nhi")
        assert (await answer(reader))[2] == b"2"  # the connection is still good
    assert app.exchanges[0]._chunks == []


async def test_a_rest_that_does_not_end_is_not_read_for_ever(port, app, monkeypatch):
    monkeypatch.setattr(direct, "MAX_DROPPED", 100_000)

    async def refuse(exchange):
        await exchange.respond(401, JSON, b"no")

    app.script = refuse
    async with connected(port) as (reader, writer):
        writer.write(HEAD + b"content-length: 100000000\r\n\r\n")
        assert "401" in (await answer(reader))[0]
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x" * 50_000)
                await writer.drain()
                await asyncio.sleep(0)


async def test_a_rest_that_takes_too_long_ends_the_connection(port, app, monkeypatch):
    monkeypatch.setattr(http_protocol, "REST_SECONDS", 0.1)

    async def refuse(exchange):
        await exchange.respond(401, JSON, b"no")

    app.script = refuse
    async with connected(port) as (reader, writer):
        writer.write(HEAD + b"content-length: 10\r\n\r\n")
        assert "401" in (await answer(reader))[0]
        writer.write(b"x")  # a byte now and then is not enough
        with contextlib.suppress(ConnectionError):  # when it is closed already
            assert await reader.read() == b""


async def test_a_body_that_takes_too_long_is_said_so(port, app, monkeypatch):
    monkeypatch.setattr(direct, "BODY_SECONDS", 0.1)

    async def tell(exchange):
        try:
            await exchange.body(LIMIT)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shall see it
            await exchange.respond(400, JSON, str(error).encode())

    app.script = tell
    async with connected(port) as (reader, writer):
        writer.write(HEAD + b"content-length: 10\r\n\r\nab")
        assert b"was not complete" in (await answer(reader))[2]


async def test_leave_to_send_a_body_is_given_when_somebody_wants_it(port, app):
    async with connected(port) as (reader, writer):
        writer.write(HEAD + b"content-length: 2\r\nexpect: 100-Continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        assert (await answer(reader))[2] == b"2"


async def test_a_head_request_gets_no_body(port, app):
    async with connected(port) as (reader, writer):
        writer.write(b"HEAD /g/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        everything = await reader.read()
    assert b"content-length: 1\r\n" in everything
    assert everything.endswith(b"connection: close\r\ncontent-length: 1\r\n\r\n")


async def test_pipelined_requests_are_answered_in_order_pages_among_them(port, app):
    page = b"POST /page HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"
    direct_request = HEAD + b"content-length: 1\r\n\r\na"
    async with connected(port) as (reader, writer):
        writer.write(direct_request + page + direct_request + page)
        assert [(await answer(reader))[2] for _ in range(4)] == [b"1", b"page 3", b"1", b"page 3"]


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
async def test_a_connection_that_is_to_be_closed_is(port, app, version):
    closing = b"" if version == b"HTTP/1.0" else b"connection: close\r\n"
    async with connected(port) as (reader, writer):
        writer.write(b"POST /g/x " + version + b"\r\nhost: x\r\n" + closing + b"content-length: 0\r\n\r\n")
        everything = await reader.read()
    assert b"connection: close" in everything
    assert everything.endswith(b"0")


@pytest.mark.parametrize("asking", [b"Upgrade, HTTP2-Settings", b"upgrade, close"])
async def test_a_request_that_asks_for_another_protocol_is_served_as_what_it_also_is(port, app, asking):
    upgrade = b"connection: " + asking + b"\r\nupgrade: h2c\r\nhttp2-settings: AAA\r\n"
    async with connected(port) as (reader, writer):
        writer.write(HEAD + upgrade + b"content-length: 4\r\n\r\nhi")
        await writer.drain()
        await until(lambda: app.exchanges)
        writer.write(b"ho")
        _, headers, body = await answer(reader)
        assert body == b"4"
        assert ("connection" in headers) == (b"close" in asking)
        if b"close" not in asking:
            writer.write(HEAD + b"content-length: 1\r\n\r\na")
            assert (await answer(reader))[2] == b"1"
    assert app.bodies[0] == b"hiho"
    assert b"upgrade" not in dict(app.exchanges[0].headers)


async def test_a_tunnel_is_not_opened(port, app):
    async with connected(port) as (reader, writer):
        writer.write(b"CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 400 " in await reader.read()
    assert app.exchanges == []


async def test_an_answer_in_pieces_is_chunked_and_the_connection_goes_on(port, app):
    async def stream(exchange):
        await exchange.begin(200, JSON)
        await exchange.push(b"one ")
        await exchange.push(b"")
        await exchange.push(b"two", last=True)

    app.script = stream
    async with connected(port) as (reader, writer):
        for _ in range(2):
            writer.write(HEAD + b"content-length: 0\r\n\r\n")
            status, headers, body = await answer(reader)
            assert (headers["transfer-encoding"], body) == ("chunked", b"one two")
            assert "200" in status


async def test_large_answers_arrive_whole(port, app):
    async def large(exchange):
        await exchange.respond(200, JSON, b"y" * 5_000_000)

    app.script = large
    async with connected(port) as (reader, writer):
        writer.write(HEAD + b"content-length: 0\r\n\r\n")
        assert (await answer(reader))[2] == b"y" * 5_000_000


async def test_whoever_watches_is_told_once_that_the_client_went_away(port, app):
    waiting, told = asyncio.Event(), []

    async def wait(exchange):
        await exchange.body(LIMIT)
        exchange.watch(lambda: told.append(exchange.id))
        waiting.set()
        await until(lambda: told)
        await exchange.respond(200, JSON, b"for nobody")

    app.script = wait
    async with connected(port) as (_, writer):
        writer.write(HEAD + b"content-length: 0\r\n\r\n")
        await waiting.wait()
    await until(lambda: told)
    await until(lambda: not app.server.server_state.tasks)
    assert told == [app.exchanges[0].id]


async def test_whoever_watches_too_late_is_told_too(port, app):
    gone, told = asyncio.Event(), []

    async def late(exchange):
        await until(lambda: exchange._gone)
        exchange.watch(lambda: told.append(True))
        gone.set()
        await until(lambda: told)

    app.script = late
    async with connected(port) as (_, writer):
        writer.write(HEAD + b"content-length: 0\r\n\r\n")
        await until(lambda: app.exchanges)
    await until(lambda: told)


async def test_whoever_watches_no_longer_is_told_nothing(port, app):
    told = []

    async def leave(exchange):
        exchange.watch(lambda: told.append(True))
        exchange.unwatch()
        await until(lambda: exchange._gone)

    app.script = leave
    async with connected(port) as (_, writer):
        writer.write(HEAD + b"content-length: 0\r\n\r\n")
        await until(lambda: app.exchanges)
    await until(lambda: not app.server.server_state.tasks)
    assert told == []


async def test_a_body_whose_sender_goes_away_is_no_body(port, app):
    async with connected(port) as (_, writer):
        writer.write(HEAD + b"content-length: 10\r\n\r\nab")
        await until(lambda: app.exchanges)
    await until(lambda: app.errors)
    assert isinstance(app.errors[0], ClientDisconnected)


async def test_a_client_that_does_not_read_counts_as_gone_and_its_connection_is_closed(port, app, monkeypatch):
    monkeypatch.setattr(direct, "SEND_SECONDS", 0.1)

    async def endless(exchange):
        await exchange.begin(200, JSON)
        while True:
            await exchange.push(b"z" * 100_000)

    app.script = endless
    async with connected(port, limit=1024) as (_, writer):
        writer.write(HEAD + b"content-length: 0\r\n\r\n")
        await until(lambda: app.errors)
        await until(lambda: not app.server.server_state.connections)
    assert isinstance(app.errors[0], ClientDisconnected)


@pytest.mark.parametrize("closing", [b"connection: close\r\n", b""])
async def test_an_answer_that_nobody_reads_does_not_hold_its_connection(port, app, monkeypatch, closing):
    monkeypatch.setattr(http_protocol, "SEND_SECONDS", 0.2)
    app.server.config.timeout_keep_alive = 0.2

    async def large(exchange):
        await exchange.respond(200, JSON, b"z" * 20_000_000)

    app.script = large
    async with connected(port, limit=1024) as (_, writer):
        writer.write(HEAD + closing + b"content-length: 0\r\n\r\n")
        await until(lambda: app.exchanges)
        await until(lambda: not app.server.server_state.connections)


async def test_an_application_that_answers_nothing_leaves_no_client_waiting(port, app):
    async def nothing(_):
        return

    app.script = nothing
    async with connected(port) as (reader, writer):
        writer.write(HEAD + b"content-length: 0\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""


@pytest.mark.parametrize(
    "headers", [((b"x-a", b"b\r\nx-c: d"),), ((b"x a", b"b"),), [(b"x-a", b"\x00")], ((b"", b""),), ((b"a:", b""),)]
)
def test_a_header_that_would_split_an_answer_is_not_sent(headers):
    with pytest.raises(InvalidHeader):
        HeaderBlocks().encode(headers)


def test_headers_that_repeat_are_remembered_within_bounds():
    blocks = HeaderBlocks()
    for number in range(3 * direct.MAX_BLOCKS):
        assert b"x-number: %d\r\n" % number in blocks.encode(((b"x-number", b"%d" % number),))
    assert len(blocks._known) <= direct.MAX_BLOCKS
    own = blocks.encode(((b"x-content-type-options", b"other"),))
    assert own.count(b"x-content-type-options") == 1
