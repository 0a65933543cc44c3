"""Requests and answers over the relay: reuse, limits, deadlines, backpressure, what is repeated and what is not."""

import asyncio
import contextlib
from dataclasses import replace

import pytest
from raw_server import OK, RawServer, answers, until

from portico.model.errors import (
    EgressDenied,
    InputError,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
)
from portico.net import connection as connection_module
from portico.net.egress import Egress
from portico.net.relay import Peer, Relay, Timeouts

PATIENT = Timeouts(connect=60, first_byte=60, idle=60, total=60)
SHORT = Timeouts(connect=0.5, first_byte=0.2, idle=0.2, total=5)  #: for what is to fail
SILENCE = Timeouts(connect=60, first_byte=0.2, idle=0.2, total=60)


async def post(relay, peer, body=b"{}", **options):
    options.setdefault("timeouts", PATIENT)
    return await relay.send(peer, b"POST", b"/mcp", ((b"content-type", b"application/json"),), body, **options)


async def test_a_request_arrives_as_written_and_its_answer_is_read(relay, server, peer):
    response = await post(relay, peer, b'{"a":1}')
    assert (response.status, await response.read(100)) == (200, b"hi")
    assert response.header(b"content-length") == b"2"
    assert response.header(b"x-none") is None
    assert server.requests == [
        b"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:%d\r\naccept-encoding: identity\r\n"
        b'content-type: application/json\r\ncontent-length: 7\r\n\r\n{"a":1}' % server.port
    ]


async def test_a_connection_is_used_again_and_one_request_at_a_time(relay, server, peer):
    for _ in range(5):
        await (await post(relay, peer)).read(10)
    assert server.accepted == 1
    first, second = await asyncio.gather(post(relay, peer), post(relay, peer))
    assert [await first.read(10), await second.read(10)] == [b"hi", b"hi"]
    assert server.accepted == 2
    assert relay.stats().idle == 2


async def test_a_complete_answer_frees_its_connection_before_it_is_read(relay, peer):
    response = await post(relay, peer)
    assert (relay.stats().idle, relay.stats().in_flight) == (1, 0)
    await response.aclose()
    await response.aclose()
    assert relay.stats().open == 1


async def test_peers_that_differ_in_trust_do_not_share_connections(relay, server, peer):
    await (await post(relay, peer)).read(10)
    with pytest.raises(EgressDenied):
        await post(relay, Peer(url=server.url))
    assert server.accepted == 1
    other_limits = Peer(url=server.url + "/other", allow_private=True, max_connections=3)
    await (await post(relay, other_limits)).read(10)
    assert server.accepted == 1


async def test_a_chunked_body_streams(relay, server, peer):
    server.script = answers(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n", b"2\r\nde\r\n", b"0\r\n\r\n"
    )
    response = await post(relay, peer)
    assert b"".join([chunk async for chunk in response.chunks()]) == b"abcde"
    assert relay.stats().idle == 1
    assert await (await post(relay, peer)).read(5) == b"abcde"


async def test_the_first_events_arrive_before_the_last_is_sent(relay, server, peer):
    go_on = asyncio.Event()

    async def script(line, request):
        await line.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n")
        await go_on.wait()
        await line.write(b"1\r\nb\r\n0\r\n\r\n")

    server.script = script
    response = await post(relay, peer)
    seen = []
    async for chunk in response.chunks():
        seen.append(chunk)
        go_on.set()
    assert seen == [b"a", b"b"]


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n", b"\r\n"]
)
async def test_a_body_over_the_limit_is_refused_and_its_connection_closed(relay, server, peer, framing):
    server.script = answers(b"HTTP/1.1 200 OK\r\n" + framing, b"x" * 900)
    response = await post(relay, peer)
    with pytest.raises(UpstreamTooLarge):
        await response.read(500)
    await server.wait_until(lambda: server.open == 0)
    assert relay.stats().open == 0


async def test_a_complete_body_over_the_limit_is_refused(relay, server, peer):
    with pytest.raises(UpstreamTooLarge):
        await (await post(relay, peer)).read(1)
    assert relay.stats().idle == 1


async def test_a_slow_reader_holds_the_sender_back(relay, server, peer):
    written = 0

    async def script(line, request):
        nonlocal written
        await line.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * 2**20))
        for _ in range(64):
            await line.write(b"x" * 2**20)
            written += 1

    server.script = script
    timeouts = replace(PATIENT, idle=2)
    response = await post(relay, peer, timeouts=timeouts)
    stream = response.chunks()
    total = len(await anext(stream))
    # Far longer than the idle timeout: a slow reader is not the server's fault.
    stalled = -1
    while stalled != written:
        stalled = written
        await asyncio.sleep(0.1)
    await asyncio.sleep(2.5)
    assert written < 40
    async for chunk in stream:
        total += len(chunk)
    assert total == 64 * 2**20
    assert relay.stats().idle == 1


async def test_an_answer_that_is_closed_unfinished_closes_its_connection(relay, server, peer):
    async def script(line, request):
        await line.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await line.until_closed()

    server.script = script
    response = await post(relay, peer)
    await response.aclose()
    await response.aclose()
    await server.wait_until(lambda: server.accepted == 1 and server.open == 0)
    assert relay.stats().open == 0


async def test_a_reader_that_is_cancelled_closes_the_connection(relay, server, peer):
    server.script = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    response = await post(relay, peer)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await response.read(100)
    await server.wait_until(lambda: server.open == 0)


# ---- deadlines


async def _hang(line, request):
    await line.until_closed()


async def test_no_answer_in_time_is_a_timeout(relay, server, peer):
    server.script = _hang
    with pytest.raises(UpstreamTimeout) as caught:
        await post(relay, peer, timeouts=SILENCE)
    assert (caught.value.detail, caught.value.status) == ("first byte", 504)
    await server.wait_until(lambda: server.open == 0)


async def test_a_head_that_trickles_is_bounded_by_the_same_time(relay, server, peer):
    async def script(line, request):
        await line.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            await line.write(b"X: y\r\n")
            await asyncio.sleep(0.05)

    server.script = script
    with pytest.raises(UpstreamTimeout):
        await post(relay, peer, timeouts=SHORT)


async def test_interim_answers_do_not_extend_the_time(relay, server, peer):
    async def script(line, request):
        for _ in range(6):
            await line.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await asyncio.sleep(0.05)
        await line.until_closed()

    server.script = script
    with pytest.raises(UpstreamTimeout):
        await post(relay, peer, timeouts=SHORT)


async def test_a_body_that_stops_arriving_is_a_timeout(relay, server, peer):
    server.script = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    response = await post(relay, peer, timeouts=replace(PATIENT, idle=0.2))
    with pytest.raises(UpstreamTimeout) as caught:
        await response.read(100)
    assert caught.value.detail == "idle"
    assert relay.stats().in_flight == 0


async def test_a_stream_that_goes_on_for_ever_ends_at_the_total_deadline(relay, server, peer):
    async def script(line, request):
        await line.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await line.write(b"1\r\na\r\n")
            await asyncio.sleep(0.02)

    await (await post(relay, peer)).read(10)
    server.script = script
    with pytest.raises(UpstreamTimeout) as caught:
        await (await post(relay, peer, timeouts=replace(PATIENT, total=0.3))).read(10000)
    assert caught.value.detail == "total"


async def test_an_abandoned_answer_ends_at_the_total_deadline(relay, server, peer):
    server.script = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    with contextlib.suppress(UpstreamTimeout):  # on a slow machine its time is over before it begins
        await post(relay, peer, timeouts=replace(PATIENT, total=0.2))
    await server.wait_until(lambda: server.accepted == 1 and server.open == 0)
    assert relay.stats().open == 0


async def test_a_later_shorter_deadline_is_kept_on_a_reused_connection(relay, server, peer):
    await (await post(relay, peer)).read(10)
    server.script = _hang
    async with asyncio.timeout(30):  # less than the first request was given
        with pytest.raises(UpstreamTimeout):
            await post(relay, peer, timeouts=SHORT)
    assert server.accepted == 1


async def test_the_name_counts_as_connecting(server):
    async def never(host, port):
        await asyncio.get_running_loop().create_future()

    relay = Relay(egress=Egress(lookup=never))
    with pytest.raises(UpstreamTimeout):
        await post(relay, Peer(url="http://slow.example", allow_private=True), timeouts=SHORT)
    with pytest.raises(UpstreamTimeout):
        await post(relay, Peer(url="http://slow.example", allow_private=True, connect_timeout=0.05))
    assert relay.stats().open == 0
    await relay.aclose()


# ---- connections: how many, how long, and what if they were closed


@pytest.mark.parametrize("limit", [1, 3])
async def test_more_callers_than_connections_wait_in_order(relay, server, limit):
    peer = Peer(url=server.url, allow_private=True, max_connections=limit)

    async def call(number):
        response = await post(relay, peer, b"%d" % number)
        return await response.read(10)

    assert await asyncio.gather(*(call(n) for n in range(50))) == [b"hi"] * 50
    assert server.accepted == limit
    if limit == 1:  # more race each other to the server
        assert [int(request.rpartition(b"\r\n")[2]) for request in server.requests] == list(range(50))


async def test_who_waits_too_long_for_a_connection_is_told(relay, server):
    server.script = _hang
    peer = Peer(url=server.url, allow_private=True, max_connections=1)
    first = asyncio.create_task(post(relay, peer))
    await server.wait_until(lambda: len(server.requests) == 1)
    with pytest.raises(UpstreamTimeout):
        await post(relay, peer, timeouts=SHORT)
    assert relay.stats().waiting == 0
    waiting = [asyncio.create_task(post(relay, peer)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    for task in waiting[:4]:
        task.cancel()
    await asyncio.gather(first, *waiting[:4], return_exceptions=True)
    await server.wait_until(lambda: len(server.requests) == 2)
    waiting[4].cancel()
    await asyncio.gather(waiting[4], return_exceptions=True)
    await server.wait_until(lambda: server.open == 0)


async def test_a_failed_dial_gives_its_place_to_the_next(relay, unused_tcp_port):
    peer = Peer(url=f"http://127.0.0.1:{unused_tcp_port}", allow_private=True, max_connections=1)
    results = await asyncio.gather(*(post(relay, peer) for _ in range(20)), return_exceptions=True)
    assert {type(result) for result in results} == {UpstreamUnreachable}
    assert all("127.0.0.1" not in result.public for result in results)


async def test_the_next_address_is_tried_when_one_refuses(server):
    async def lookup(host, port):
        return ["127.0.0.2", "::1", "127.0.0.1"]

    relay = Relay(egress=Egress(lookup=lookup))
    peer = Peer(url=f"http://many.example:{server.port}", allow_private=True)
    assert await (await post(relay, peer)).read(10) == b"hi"
    assert b"host: many.example:%d\r\n" % server.port in server.requests[0]
    await relay.aclose()


async def test_a_connection_closed_while_idle_is_not_used_again(relay, server, peer):
    server.script = answers(OK, close=True)
    for _ in range(3):
        assert await (await post(relay, peer)).read(10) == b"hi"
        await until(lambda: relay.stats().open == 0)
    assert server.accepted == 3


async def test_a_rested_connection_is_looked_at_before_it_is_used(relay, server, peer, monkeypatch):
    """The kernel knows of the close although the loop has not seen it yet."""
    monkeypatch.setattr("portico.net.pool.LOOK_AFTER", 0.0)
    server.script = answers(OK)
    await (await post(relay, peer)).read(10)
    (pool,) = relay._pools.values()
    (connection,) = pool._idle
    assert connection.is_quiet()
    connection._transport.pause_reading()  # stands for a loop that has not come round
    for task in tuple(server.tasks):
        task.cancel()
    await server.wait_until(lambda: server.open == 0)
    assert not connection.is_quiet()
    assert await (await post(relay, peer)).read(10) == b"hi"
    assert server.accepted == 2


async def test_idle_connections_are_closed_after_a_while(server, peer, monkeypatch):
    monkeypatch.setattr("portico.net.pool.KEEP_ALIVE", 0.1)
    monkeypatch.setattr(connection_module, "KEEP_ALIVE", 0.1)
    relay = Relay(egress=Egress())
    await asyncio.gather(*(post(relay, peer) for _ in range(3)))
    await server.wait_until(lambda: server.open == 0)
    await relay.aclose()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"timeout=5", 4.0),
        (b"timeout=3, max=100", 2.0),
        (b"max=1, Timeout=1", 0.0),
        (b"timeout=0", 0.0),
        (b"timeout=99999999", 4.0),
        (b"timeout=-1", 4.0),
        (b"x", 4.0),
        (b"", 4.0),
    ],
)
async def test_the_servers_keep_alive_time_is_honoured(relay, server, peer, value, seconds):
    server.script = answers(b"HTTP/1.1 200 OK\r\nKeep-Alive: %b\r\nContent-Length: 0\r\n\r\n" % value)
    await post(relay, peer)
    (pool,) = relay._pools.values()
    assert pool._idle[0].keep_for == seconds


def _closes_the_second_request():
    async def script(line, request):
        if line.served == 1:
            line.writer.transport.abort()
        else:
            await line.write(OK)

    return script


async def test_a_tool_call_is_never_sent_twice(relay, server, peer):
    server.script = _closes_the_second_request()
    await (await post(relay, peer)).read(10)
    with pytest.raises(UpstreamUnreachable):
        await post(relay, peer)
    assert len(server.requests) == 2


async def test_what_may_be_repeated_is_repeated_once(relay, server, peer):
    server.script = _closes_the_second_request()
    await (await post(relay, peer)).read(10)
    assert await (await post(relay, peer, repeatable=True)).read(10) == b"hi"
    assert (len(server.requests), server.accepted) == (3, 2)
    response = await relay.send(peer, b"GET", b"/", (), b"", timeouts=PATIENT)
    assert await response.read(10) == b"hi"
    assert (len(server.requests), server.accepted) == (5, 3)


async def test_what_broke_after_the_first_byte_is_not_repeated(relay, server, peer):
    async def script(line, request):
        await line.write(OK if line.served == 0 else b"HTTP/1.1 2")
        if line.served:
            line.close()

    server.script = script
    await (await post(relay, peer)).read(10)
    with pytest.raises(UpstreamUnreachable):
        await post(relay, peer, repeatable=True)
    assert len(server.requests) == 2


async def test_a_fresh_connection_that_is_closed_is_not_repeated(relay, server, peer):
    async def script(line, request):
        line.close()

    server.script = script
    with pytest.raises(UpstreamUnreachable):
        await post(relay, peer, repeatable=True)
    assert len(server.requests) == 1


@pytest.mark.case("T17")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_nothing_is_sent_to_its_location(relay, server, peer, status):
    elsewhere = RawServer()
    await elsewhere.start()
    location = elsewhere.url.encode()
    server.script = answers(
        b"HTTP/1.1 %d Moved\r\nLocation: %b/mcp\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n" % (status, location)
    )
    for _ in range(2):
        headers = ((b"authorization", b"Bearer canary"),)
        response = await relay.send(peer, b"POST", b"/mcp", headers, b"{}", timeouts=PATIENT)
        assert response.status == status
    assert elsewhere.accepted == 0
    assert not any(b"cookie" in request.lower() for request in server.requests)
    await elsewhere.stop()


@pytest.mark.case("T16", "F11")
async def test_a_name_is_checked_at_every_dial_and_what_was_checked_is_dialled(server):
    found = ["127.0.0.1"]

    async def lookup(host, port):
        return list(found)

    relay = Relay(egress=Egress(lookup=lookup))
    peer = Peer(url=f"http://rebinding.example:{server.port}", allow_private=True)
    response = await post(relay, peer)
    assert await response.read(10) == b"hi"
    await relay.aclose()
    relay = Relay(egress=Egress(lookup=lookup))
    found[:] = ["169.254.169.254"]
    with pytest.raises(EgressDenied):
        await post(relay, peer)
    assert server.accepted == 1
    await relay.aclose()


@pytest.mark.case("T16", "F11")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "10.0.0.1", "0.0.0.0"])
async def test_no_connection_is_made_to_a_forbidden_address(server, address):
    async def lookup(host, port):
        return [address]

    relay = Relay(egress=Egress(lookup=lookup))
    for url in (f"https://name.example:{server.port}", f"http://name.example:{server.port}"):
        with pytest.raises(EgressDenied) as caught:
            await post(relay, Peer(url=url))
        assert address not in caught.value.public
    assert server.accepted == 0
    assert relay.stats().open == 0


async def test_a_request_that_cannot_be_sent_takes_no_connection(relay, server, peer):
    with pytest.raises(InputError):
        await relay.send(peer, b"POST", b"/mcp", ((b"x", b"a\r\nb"),), b"", timeouts=SHORT)
    assert server.accepted == 0


async def test_after_closing_nothing_is_sent_and_calls_in_flight_fail(server, peer):
    server.script = _hang
    relay = Relay(egress=Egress())
    single = Peer(url=server.url, allow_private=True, max_connections=1)
    calls = [asyncio.create_task(post(relay, single)) for _ in range(3)]
    await server.wait_until(lambda: len(server.requests) == 1)
    await relay.aclose()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [UpstreamUnreachable] * 3
    with pytest.raises(UpstreamUnreachable):
        await post(relay, peer)
    await server.wait_until(lambda: server.open == 0)
    assert relay.stats().open == 0


async def test_peers_of_the_past_do_not_pile_up(relay, monkeypatch):
    monkeypatch.setattr("portico.net.relay.MAX_PEERS", 8)
    for number in range(40):
        with pytest.raises(EgressDenied):
            await post(relay, Peer(url=f"https://10.0.0.{number}"))
    assert len(relay._by_peer) <= 8
    assert len(relay._pools) <= 9
