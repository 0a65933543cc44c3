"""Nothing is left behind: no socket, no task, no timer that matters."""

import asyncio
import gc
import socket

import psutil
import pytest
from raw_server import OK, RawServer, answers, until

from portico.model.errors import UpstreamError
from portico.net.connection import Connection
from portico.net.egress import Egress
from portico.net.relay import Peer, Relay, RelayStats, Timeouts

TIMEOUTS = Timeouts(connect=60, first_byte=60, idle=60, total=60)
NOTHING = RelayStats(open=0, idle=0, in_flight=0, waiting=0)


def sockets():
    """TCP sockets that this process holds, in whatever state."""
    return len(psutil.Process().net_connections(kind="tcp"))


async def call(relay, peer):
    response = await relay.send(peer, b"POST", b"/", (), b"{}", timeouts=TIMEOUTS)
    try:
        return await response.read(1000)
    finally:
        await response.aclose()


async def _hang_at_once(line, request):
    await line.until_closed()


async def _hang_in_the_body(line, request):
    await line.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    await line.until_closed()


@pytest.mark.parametrize("script", [_hang_at_once, _hang_in_the_body], ids=["before the answer", "in the body"])
async def test_a_thousand_cancelled_calls_leave_nothing_behind(relay, server, script):
    server.script = script
    peer = Peer(url=server.url, allow_private=True, max_connections=100)
    before_tasks, before_sockets = len(asyncio.all_tasks()), sockets()
    for _ in range(2):
        calls = [asyncio.create_task(call(relay, peer)) for _ in range(500)]
        arrived = len(server.requests) + 100
        await server.wait_until(lambda arrived=arrived: len(server.requests) >= arrived)
        assert relay.stats() == RelayStats(open=100, idle=0, in_flight=100, waiting=400)
        for task in calls:
            task.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(result) for result in results} == {asyncio.CancelledError}
        await until(lambda: relay.stats() == NOTHING)
        await server.wait_until(lambda: server.open == 0)
    await until(lambda: len(asyncio.all_tasks()) == before_tasks)
    await until(lambda: sockets() == before_sockets)


async def test_calls_cancelled_at_every_moment_leave_nothing_behind_and_harm_nobody(relay, server):
    peer = Peer(url=server.url, allow_private=True, max_connections=5)
    before_sockets = sockets()

    async def cancelled_after(steps):
        task = asyncio.create_task(call(relay, peer))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            return None

    for steps in range(40):
        outcomes = await asyncio.gather(
            *(cancelled_after(steps) for _ in range(10)), *(call(relay, peer) for _ in range(5))
        )
        assert set(outcomes[:10]) <= {b"hi", None}
        assert set(outcomes[10:]) == {b"hi"}
        assert relay.stats().in_flight == relay.stats().waiting == 0
    await relay.aclose()
    await server.wait_until(lambda: server.open == 0)
    await until(lambda: sockets() == before_sockets)


async def test_dials_that_are_cancelled_leave_nothing_behind(relay):
    """A listener that never accepts: plain connections hang in the answer, TLS ones in the handshake."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        port = listener.getsockname()[1]
        before = sockets()
        for scheme in ("http", "https"):
            peer = Peer(url=f"{scheme}://127.0.0.1:{port}", allow_private=True)
            calls = [asyncio.create_task(call(relay, peer)) for _ in range(50)]
            await until(lambda: relay.stats().open == 50)
            await asyncio.sleep(0.05)
            for task in calls:
                task.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            await until(lambda: relay.stats() == NOTHING)
        await until(lambda: sockets() == before)


async def test_connections_are_freed_without_the_cycle_collector(server, peer):
    server.script = answers(OK, close=True)
    relay = Relay(egress=Egress())
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await call(relay, peer)
            await until(lambda: relay.stats() == NOTHING)
            await until(lambda: not any(type(thing) is Connection for thing in gc.get_objects()))
    finally:
        gc.enable()
    await relay.aclose()


async def test_failing_calls_leave_nothing_behind(relay):
    server = RawServer(answers(b"nonsense\r\n\r\n"))
    await server.start()
    peer = Peer(url=server.url, allow_private=True, max_connections=20)
    before = sockets()
    results = await asyncio.gather(*(call(relay, peer) for _ in range(300)), return_exceptions=True)
    assert all(isinstance(result, UpstreamError) for result in results)
    await until(lambda: relay.stats() == NOTHING)
    await server.wait_until(lambda: server.open == 0)
    await until(lambda: sockets() <= before)
    await server.stop()
