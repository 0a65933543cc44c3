"""Clients of either era in front of targets of either era: every cell does what the cells of one era do.

Raw HTTP on both sides. Whatever the gateway says is checked against a schema: to its client against the revision that
the client speaks, to the target against the revision that was agreed with it.
"""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from gateway.house import LEGACY, MODERN, legacy_request, modern_request, until
from gateway.test_gateway_cancel import raw_post
from portico.targets.discovery import discover
from support import schemas
from targets import servers
from targets.servers import legacy_server, modern_server, tool

SERVERS = {"legacy": legacy_server, "modern": modern_server}
VERSIONS = {"legacy": LEGACY, "modern": MODERN}
STREAMING = {"streamingConfiguration": {"enableResponseStreaming": True}}

pytestmark = pytest.mark.parametrize(
    ("client", "target"),
    [(client, target) for client in SERVERS for target in SERVERS],
    ids=lambda era: era,
)


class Cell:
    """A client of one era, the gateway, and a target of one era."""

    def __init__(self, house, client, server, target):
        self.house = house
        self.client = client
        self.target = target
        self.server = server
        self.url = ""

    async def say(self, method, params=None, *, number=1, token=None):
        """Say something as the client, and check every message of the answer."""
        if self.client == "modern":
            meta = None if token is None else {"progressToken": token}
            heard = await self.house.modern(self.url, method, params, number=number, meta=meta)
        else:
            meta = {} if token is None else {"_meta": {"progressToken": token}}
            given = {**(params or {}), **meta} or None
            heard = await self.house.legacy(self.url, method, given, number=number)
        said = heard.events if "event-stream" in heard.headers.get("Content-Type", "") else [heard.body and heard.json]
        for message in filter(None, said):
            schemas.check(VERSIONS[self.client], message, method)
        return heard

    async def call(self, name, arguments=None, *, number=1, token=None):
        params = {"name": f"one___{name}", "arguments": arguments or {}}
        return await self.say("tools/call", params, number=number, token=token)

    def begin(self, name, number):
        """Return the message and headers of a call that a test sends by itself."""
        params = {"name": f"one___{name}", "arguments": {}}
        if self.client == "modern":
            return modern_request("tools/call", params, number=number)
        return legacy_request("tools/call", params, number=number), {"mcp-protocol-version": LEGACY}

    def outcomes(self):
        return [(record.outcome, record.era) for record in self.house.records()]


@asynccontextmanager
async def cell_of(house, client, target, *, server=None, page_size=200, **extension):
    async with SERVERS[target](**(server or {})) as running:
        cell = Cell(house, client, running, target)
        cell.url = await house.add_gateway(protocolConfiguration={"mcp": STREAMING}, extension={"pageSize": page_size})
        await house.add_target(running.url, **extension)
        yield cell
    version = VERSIONS[target]
    for message in running.requests:
        schemas.check_sent(version, message)


async def test_a_list_is_shown_as_the_clients_revision_has_it(house, client, target):
    tools = [tool("echo", title="Echo", outputSchema={"type": "object"}, annotations={"readOnlyHint": True})]
    async with cell_of(house, client, target, server={"tools": tools}) as cell:
        result = (await cell.say("tools/list")).result
        [listed] = result["tools"]
        assert listed == tools[0] | {"name": "one___echo"}
        assert ("ttlMs" in result) == ("cacheScope" in result) == (client == "modern")
        assert "unavailableTargets" not in json.dumps(result)


async def test_a_list_in_pages_holds_every_tool_once(house, client, target):
    tools = [tool(f"t{n}") for n in range(7)]
    async with cell_of(house, client, target, server={"tools": tools, "page_size": 3}, page_size=2) as cell:
        names, params = [], None
        while params != {}:
            result = (await cell.say("tools/list", params)).result
            names += [listed["name"] for listed in result["tools"]]
            params = {"cursor": result["nextCursor"]} if "nextCursor" in result else {}
        assert names == [f"one___t{n}" for n in range(7)]


async def test_a_call_brings_its_arguments_there_and_its_result_back(house, client, target):
    async with cell_of(house, client, target) as cell:
        heard = await cell.call("echo", {"text": "grüße", "n": 1.5})
        assert json.loads(heard.result["content"][0]["text"]) == {"text": "grüße", "n": 1.5}
        assert ("resultType" in heard.result) == (client == "modern")
        assert cell.server.calls[0]["arguments"] == {"text": "grüße", "n": 1.5}
        assert cell.outcomes() == [("ok", client)]


async def test_a_call_streams_its_progress_under_the_clients_token(house, client, target):
    async with cell_of(house, client, target, server={"answers": "sse"}) as cell:
        heard = await cell.call("progress", {"steps": 3}, token="mine")
        *told, answer = heard.events
        assert [message["params"]["progressToken"] for message in told] == ["mine"] * 3
        assert [message["params"]["progress"] for message in told] == [1, 2, 3]
        assert answer["result"]["content"][0]["text"] == "done"
        assert cell.server.calls[0]["_meta"]["progressToken"] != "mine"


async def test_closing_the_connection_cancels_a_modern_call_and_no_legacy_one(house, client, target):
    async with cell_of(house, client, target) as cell:
        _, writer = await raw_post(house, cell.url, *cell.begin("wait", 1))
        await until(lambda: cell.server.running)
        writer.close()
        if client == "modern":
            await until(lambda: cell.server.cancelled)
        else:
            await until(lambda: not house.server.server_state.connections)
            assert cell.server.running
            cell.server.proceed.set()
        await until(house.records)
        assert cell.outcomes() == [("cancelled" if client == "modern" else "ok", client)]
        assert bool(cell.server.cancelled) == (client == "modern")


async def test_a_cancelled_notification_cancels_a_legacy_call_and_no_modern_one(house, client, target):
    async with cell_of(house, client, target) as cell:
        call = asyncio.create_task(cell.call("wait", number=7))
        await until(lambda: cell.server.running)
        assert (await cell.say("notifications/cancelled", {"requestId": 7}, number=None)).status == 202
        if client == "legacy":
            await until(lambda: cell.server.cancelled)
            assert (await call).status == 202
        else:
            assert cell.server.running
            cell.server.proceed.set()
            assert (await call).result["content"][0]["text"] == "waited"
        assert cell.outcomes() == [("cancelled" if client == "legacy" else "ok", client)]


async def test_a_tool_error_is_a_result_that_says_so(house, client, target):
    async with cell_of(house, client, target) as cell:
        result = (await cell.call("fail")).result
        assert result["isError"]
        assert result["content"][0]["text"] == "it failed"
        assert cell.outcomes() == [("tool_error", client)]


async def test_a_protocol_error_keeps_its_code_and_data(house, client, target):
    async with cell_of(house, client, target) as cell:
        heard = await cell.call("broken")
        assert heard.error == {"code": -32603, "message": "it is broken", "data": {"why": "test"}}
        assert cell.outcomes() == [("protocol_error", client)]


@pytest.mark.parametrize(
    ("code", "legacy_hears", "modern_hears"),
    [(-32002, -32002, -32602), (-32602, -32602, -32602), (-32020, None, None), (-32022, None, None), (7, 7, 7)],
)
async def test_codes_mean_to_the_client_what_its_revision_says(
    house, client, target, code, legacy_hears, modern_hears, monkeypatch
):
    async def answer(recorder, request, tell):
        return servers.failure(request, code, "no")

    monkeypatch.setattr(servers, "_run_tool", answer)
    async with cell_of(house, client, target) as cell:
        heard = await cell.call("echo")
        expected = modern_hears if client == "modern" else legacy_hears
        if expected is None:
            assert heard.result["isError"]
        else:
            assert heard.error["code"] == expected


async def test_a_call_past_its_deadline_is_given_up_on_both_sides(house, client, target):
    async with cell_of(house, client, target, callTimeout=0.3) as cell:
        async with asyncio.timeout(30):
            while not cell.server.cancelled:  # on a slow machine a call may not even arrive in its time
                heard = await cell.call("wait")
                assert heard.result["isError"]
        assert {record.code for record in house.records()} == {"upstream_timeout"}


async def test_a_target_that_was_restarted_in_between_is_called_again(house, client, target):
    async with cell_of(house, client, target) as cell:
        assert (await cell.call("echo", {"n": 1})).result
        cell.server.restart()
        assert (await cell.call("echo", {"n": 2})).result["structuredContent"] == {"n": 2}
        assert [call["arguments"]["n"] for call in cell.server.calls] == [1, 2]


async def test_a_structured_result_arrives_as_an_object(house, client, target):
    async with cell_of(house, client, target) as cell:
        result = (await cell.call("echo", {"a": [1, {"b": None}]})).result
        assert result["structuredContent"] == {"a": [1, {"b": None}]}


async def test_an_unknown_tool_is_refused_without_asking_the_target(house, client, target):
    async with cell_of(house, client, target) as cell:
        heard = await cell.call("nothing")
        assert heard.error["code"] == -32602
        assert heard.status == (400 if client == "modern" else 200)
        assert not cell.server.calls


async def test_a_tool_that_the_target_no_longer_knows_is_its_own_error(house, client, target):
    async with cell_of(house, client, target, server={"tools": [tool("gone")]}) as cell:
        heard = await cell.call("gone")
        assert heard.error["code"] == -32602


async def test_a_target_that_asks_something_back_is_refused_in_good_order(house, client, target):
    async with cell_of(house, client, target, server={"answers": "sse"}) as cell:
        async with asyncio.timeout(30):
            result = (await cell.call("ask")).result
        if target == "legacy":  # which was told no, and went on
            assert json.loads(result["content"][0]["text"]) == [-32601, -32601, "ok"]
        else:
            assert result["isError"]


async def test_headers_that_a_modern_target_wants_are_there_whoever_calls(house, client, target):
    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    async with cell_of(house, client, target, server={"tools": [tool("echo", inputSchema=schema)]}) as cell:
        params = {"name": "one___echo", "arguments": {"region": "süd"}}
        encoded = "=?base64?c8O8ZA==?="
        if client == "modern":
            await house.modern(cell.url, "tools/call", params, headers={"mcp-param-region": encoded})
        else:
            await house.legacy(cell.url, "tools/call", params)
        assert cell.server.heads[-1].get("mcp-param-region") == (encoded if target == "modern" else None)


async def test_a_target_that_was_restarted_with_the_other_era_is_called_in_it_and_healed(house, client, target):
    other = "legacy" if target == "modern" else "modern"
    async with cell_of(house, client, target) as cell, SERVERS[other]() as changed:
        assert (await cell.call("echo", {"n": 1})).result
        cell.server.handle = cell.server.http.handler = changed.handle
        for number in (2, 3):
            assert (await cell.call("echo", {"n": number})).result["structuredContent"] == {"n": number}
        assert [call["arguments"]["n"] for call in changed.calls] == [2, 3]
        assert [call["arguments"]["n"] for call in cell.server.calls] == [1]
        assert house.stale == [house.snapshots.get("shop").targets["one"].target.id]
        found = await discover(house.snapshots.get("shop").targets["one"].target, relay=house.relay)
        assert [entry.era for entry in found.eras] == [other]


async def test_an_era_that_is_fixed_is_not_left(house, client, target):
    other = "legacy" if target == "modern" else "modern"
    async with cell_of(house, client, target, era=target) as cell, SERVERS[other]() as changed:
        assert (await cell.call("echo", {"n": 1})).result
        cell.server.http.handler = changed.handle
        heard = await cell.call("echo", {"n": 2})
        assert "error" in heard.json or heard.result["isError"]
        assert not changed.calls
        assert house.stale == []


async def test_a_call_that_may_have_had_an_effect_is_not_made_again(house, client, target):
    async with cell_of(house, client, target) as cell:
        assert (await cell.call("echo", {"n": 1})).result

        for status in (401, 403, 429, 500, 502, 503):
            asked = len(cell.server.requests)

            async def refuse(exchange, status=status):
                cell.server.requests.append(exchange.json())
                await exchange.reply(status, b"")

            handler, cell.server.http.handler = cell.server.http.handler, refuse
            assert (await cell.call("echo", {"n": status})).result["isError"]
            assert len(cell.server.requests) == asked + 1
            cell.server.http.handler = handler
        assert house.stale == []
