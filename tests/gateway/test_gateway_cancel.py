"""Calls that their clients end: they end at the target, are recorded, and leave nothing behind."""

import asyncio
import json
from collections import Counter

import pytest

from gateway.house import LEGACY, endless_progress, initialize_params, legacy_request, modern_request, until
from targets import servers
from targets.servers import legacy_server, modern_server

pytestmark = pytest.mark.usefixtures("either_way")

STREAMING = {"streamingConfiguration": {"enableResponseStreaming": True}}
SESSIONS = {"sessionConfiguration": {"sessionTimeoutInSeconds": 900}}


async def raw_post(house, url, message, headers):
    """Send a request on a connection of its own and return the connection."""
    body = json.dumps(message).encode()
    head = {"host": "x", "content-type": "application/json", "content-length": len(body), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", int(house.public_url.rpartition(":")[2]))
    path = url.removeprefix(house.public_url)
    writer.write(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
    await writer.drain()
    return reader, writer


def wait_call(number, modern=True):
    params = {"name": "one___wait", "arguments": {}}
    if modern:
        return modern_request("tools/call", params, number=number)
    return legacy_request("tools/call", params, number=number), {"mcp-protocol-version": LEGACY}


def our_tasks():
    return {task for task in asyncio.all_tasks() if "portico" in repr(task.get_coro())}


async def assert_nothing_is_left(house, server):
    await until(lambda: not server.running)
    await until(lambda: house.relay.stats().in_flight == 0)
    await until(lambda: house.endpoint._calls.in_flight() == 0)
    await until(lambda: not our_tasks())
    live = house.snapshots.get("shop")
    await until(lambda: live._users == 0)
    assert all(target.in_flight == 0 for target in live.targets.values())
    await until(lambda: not house.server.server_state.connections)
    assert house.relay.stats().open == house.relay.stats().idle


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_thousand_modern_clients_that_go_away_leave_nothing(house, streaming):
    async with modern_server() as server:
        url = await house.add_gateway(protocolConfiguration={"mcp": STREAMING if streaming else {}})
        await house.add_target(server.url)
        for batch in range(10):
            sent = [await raw_post(house, url, *wait_call(batch * 100 + n)) for n in range(100)]
            await until(lambda: len(server.running) == 100)
            for _, writer in sent:
                writer.close()
            await until(lambda: not server.running)
        await until(lambda: len(house.records()) == 1000)
        assert Counter((r.outcome, r.code) for r in house.records()) == {("cancelled", "disconnected"): 1000}
        assert len(server.cancelled) == 1000
        await assert_nothing_is_left(house, server)
        heard = await house.modern(url, "tools/call", {"name": "one___echo"})
        assert heard.status == 200


async def test_a_thousand_cancelled_legacy_calls_leave_nothing(house):
    async with legacy_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        params = {"name": "one___wait"}
        for batch in range(20):
            numbers = [f"{batch}/{n}" for n in range(50)]
            calls = [asyncio.create_task(house.legacy(url, "tools/call", params, number=n)) for n in numbers]
            await until(lambda: len(server.running) == 50)
            for number in numbers:
                await house.legacy(url, "notifications/cancelled", {"requestId": number}, number=None)
            assert {heard.status for heard in await asyncio.gather(*calls)} == {202}
        await until(lambda: len(server.cancelled) == 1000)
        assert Counter((r.outcome, r.code) for r in house.records()) == {("cancelled", "cancelled"): 1000}
        assert house.upstream.count() == 1
        await house.http.close()
        await assert_nothing_is_left(house, server)


async def test_a_legacy_client_that_goes_away_does_not_end_its_call(house):
    async with legacy_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        _, writer = await raw_post(house, url, *wait_call(1, modern=False))
        await until(lambda: server.running)
        writer.close()
        await until(lambda: not house.server.server_state.connections)
        assert server.running
        server.proceed.set()
        await until(house.records)
        assert house.records()[0].outcome == "ok"
        await assert_nothing_is_left(house, server)


async def test_a_client_that_goes_away_in_the_middle_of_a_stream(house, monkeypatch):
    monkeypatch.setattr(servers, "_run_tool", endless_progress)
    async with modern_server(answers="sse") as server:
        url = await house.add_gateway(protocolConfiguration={"mcp": STREAMING})
        await house.add_target(server.url)
        message, headers = modern_request(
            "tools/call", {"name": "one___progress", "arguments": {}}, meta={"progressToken": 1}
        )
        reader, writer = await raw_post(house, url, message, {**headers, "accept": "text/event-stream"})
        await reader.readuntil(b"notifications/progress")
        writer.close()
        await until(house.records)
        assert house.records()[0].code == "disconnected"
        await assert_nothing_is_left(house, server)


async def test_nobody_cancels_the_call_of_another(house):
    async with legacy_server() as server:
        url = await house.add_gateway(jwt_rules={})
        other = await house.add_gateway("second", jwt_rules={})
        await house.add_target(server.url)
        alice, mallory = house.token([url, other]), house.token(url, sub="mallory")
        call = asyncio.create_task(house.legacy(url, "tools/call", {"name": "one___wait"}, number=7, token=alice))
        await until(lambda: server.running)

        async def cancel(place=url, token=alice, **params):
            heard = await house.legacy(place, "notifications/cancelled", params, number=None, token=token)
            assert heard.status == 202

        await cancel(token=mallory, requestId=7)
        await cancel(place=other, requestId=7)
        await cancel(requestId="7")
        await cancel(requestId=8)
        await cancel(requestId=None)
        await cancel(requestId={"a": 1})
        await cancel()
        assert server.running
        assert not call.done()
        await cancel(requestId=7)
        assert (await call).status == 202
        await until(lambda: server.cancelled)


async def test_two_calls_of_one_id_are_not_told_apart_so_neither_is_cancelled(house):
    async with legacy_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        calls = [asyncio.create_task(house.legacy(url, "tools/call", {"name": "one___wait"})) for _ in range(2)]
        await until(lambda: len(server.running) == 2)
        await house.legacy(url, "notifications/cancelled", {"requestId": 1}, number=None)
        assert len(server.running) == 2
        server.proceed.set()
        assert {heard.status for heard in await asyncio.gather(*calls)} == {200}


async def test_in_sessions_the_same_id_is_two_calls(house):
    async with legacy_server() as server:
        url = await house.add_gateway(protocolConfiguration={"mcp": SESSIONS})
        await house.add_target(server.url)
        first, second = [{"mcp-session-id": await house.open_session(url)} for _ in range(2)]
        params = {"name": "one___wait"}
        calls = [asyncio.create_task(house.legacy(url, "tools/call", params, headers=h)) for h in (first, second)]
        await until(lambda: len(server.running) == 2)
        await house.legacy(url, "notifications/cancelled", {"requestId": 1}, number=None, headers=first)
        assert (await calls[0]).status == 202
        server.proceed.set()
        assert (await calls[1]).status == 200


async def test_a_cancelled_call_that_already_streams_ends_without_a_response(house, monkeypatch):
    monkeypatch.setattr(servers, "_run_tool", endless_progress)
    async with legacy_server(answers="sse") as server:
        url = await house.add_gateway(protocolConfiguration={"mcp": STREAMING})
        await house.add_target(server.url)
        params = {
            "name": "one___progress",
            "arguments": {},
            "_meta": {"progressToken": 1},
        }
        message = legacy_request("tools/call", params, number="p")
        headers = {"mcp-protocol-version": LEGACY, "accept": "text/event-stream", "connection": "close"}
        reader, writer = await raw_post(house, url, message, headers)
        await reader.readuntil(b"notifications/progress")
        await house.legacy(url, "notifications/cancelled", {"requestId": "p"}, number=None)
        rest = await reader.read()
        assert rest.endswith(b"0\r\n\r\n")
        assert b'"result"' not in rest
        assert b'"error"' not in rest
        writer.close()
        await until(lambda: server.cancelled)


async def test_initialize_cannot_be_cancelled_and_unknown_notifications_are_taken(house):
    url = await house.add_gateway()
    assert (await house.legacy(url, "initialize", initialize_params(), version=None)).status == 200
    for method in ("notifications/cancelled", "notifications/roots/list_changed", "notifications/whatever"):
        assert (await house.legacy(url, method, {"requestId": 1}, number=None)).status == 202


async def test_a_modern_cancelled_notification_is_taken_and_means_nothing(house):
    async with modern_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        call = asyncio.create_task(house.modern(url, "tools/call", {"name": "one___wait"}))
        await until(lambda: server.running)
        assert (await house.modern(url, "notifications/cancelled", {"requestId": 1}, number=None)).status == 202
        assert server.running
        server.proceed.set()
        assert (await call).status == 200
