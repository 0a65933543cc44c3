"""Answers that arrive in pieces, and clients that go away."""

import asyncio

import pytest

from facade.front import BOUND, GOOD
from net.raw_server import until

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_each_event_arrives_before_the_next_one_is_sent(house):
    turn = asyncio.Queue()

    async def script(line, request):
        await line.write(EVENTS)
        while event := await turn.get():
            await line.write(chunk(event))
        await line.write(b"0\r\n\r\n")

    house.upstream.script = script
    async with house.asked(data=b"{}") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["X-Accel-Buffering"] == "no"
        for number in range(3):
            event = b"data: %d\n\n" % number
            turn.put_nowait(event)
            assert await answer.content.readany() == event
        turn.put_nowait(b"")
        assert await answer.content.read() == b""


async def test_a_stream_is_open_before_its_first_event(house):
    async def script(line, request):
        await line.write(EVENTS)
        await line.until_closed()

    house.upstream.script = script
    async with house.asked("GET") as answer:
        assert answer.status == 200
    await house.upstream.wait_until(lambda: house.upstream.open == 0)


async def test_a_client_that_goes_away_takes_a_stream_along(house):
    async def script(line, request):
        await line.write(EVENTS, chunk(b": open\n\n"))
        await line.until_closed()

    house.upstream.script = script
    async with house.asked("GET") as answer:
        assert await answer.content.readany() == b": open\n\n"
        answer.close()
        await house.upstream.wait_until(lambda: house.upstream.open == 0)
    assert house.relay.stats().in_flight == 0


async def test_a_client_that_goes_away_before_any_answer_ends_the_call(house):
    async def script(line, request):
        await line.until_closed()

    house.upstream.script = script
    _reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(
        b"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: %b\r\ncontent-length: 2\r\n\r\n{}"
        % GOOD["Authorization"].encode()
    )
    await house.upstream.wait_until(lambda: len(house.upstream.requests) == 1)
    writer.close()
    await house.upstream.wait_until(lambda: house.upstream.open == 0)
    await until(lambda: not house.server.server_state.tasks)


async def test_a_slow_reader_holds_the_server_back(house):
    sent = 0

    async def script(line, request):
        nonlocal sent
        await line.write(EVENTS)
        for _ in range(1000):
            await line.write(chunk(b"x" * 65536))
            sent += 1
        await line.write(b"0\r\n\r\n")

    house.upstream.script = script
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=1024)
    writer.write(b"GET /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: %b\r\n\r\n" % GOOD["Authorization"].encode())
    async with asyncio.timeout(BOUND):
        former = -1
        while former != sent or not sent:
            former = sent
            await asyncio.sleep(0.2)  # whether it goes on can only be seen by looking twice
        assert sent < 1000
        total = 0
        while total < 1000 * 65536:
            total += len(await reader.read(2**20))
    assert sent == 1000
    writer.close()


async def test_an_answer_that_breaks_off_does_not_look_complete(house):
    async def script(line, request):
        await line.write(EVENTS, chunk(b"data: 1\n\n"))
        line.close()

    house.upstream.script = script
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(b"GET /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: %b\r\n\r\n" % GOOD["Authorization"].encode())
    async with asyncio.timeout(BOUND):
        whole = await reader.read()
    assert b"data: 1" in whole
    assert not whole.endswith(b"0\r\n\r\n")
    writer.close()


@pytest.mark.parametrize("pieces", [1, 7, 300])
async def test_a_large_answer_passes_whole(house, pieces):
    body = bytes(range(256)) * 4 * pieces

    async def script(line, request):
        await line.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 1024):
            await line.write(body[at : at + 1024])

    house.upstream.script = script
    assert (await house.ask()).whole == body


async def test_draining_ends_a_stream_that_has_no_end(house):
    async def script(line, request):
        await line.write(EVENTS)
        await line.until_closed()

    house.upstream.script = script
    async with house.asked("GET"):
        house.server.force_exit = True
        house.server.should_exit = True
        await house.upstream.wait_until(lambda: house.upstream.open == 0)
