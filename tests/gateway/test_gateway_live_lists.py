"""Targets whose lists are live: asked for their tools when a client asks, and called without any list."""

import asyncio

import pytest

from gateway.front import front
from gateway.house import until
from gateway.test_gateway_outbound import METADATA, OAUTH, api_key
from identity.house import House as Providers
from identity.house import token_server
from targets.servers import tool

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
SAY = pytest.mark.parametrize("say", ["modern", "legacy"])
UNAVAILABLE = "dev.portico/unavailableTargets"
ECHO = {"name": "one___echo", "arguments": {"a": 1}}


def names(heard):
    return [entry["name"] for entry in heard.result["tools"]]


def missing(heard):
    return {entry["target"]: entry["reason"] for entry in heard.result.get("_meta", {}).get(UNAVAILABLE, ())}


@ERAS
@SAY
async def test_the_target_is_asked_each_time_a_client_asks(house, era, say):
    async with front(era, tools=[tool("b"), tool("a")]) as server:
        url = await house.add_gateway()
        await house.add_target(server.url, live=True)
        assert server.seen == []
        assert names(await getattr(house, say)(url, "tools/list")) == ["one___a", "one___b"]
        server.server.tools.append(tool("c"))
        heard = await getattr(house, say)(url, "tools/list")
        assert names(heard) == ["one___a", "one___b", "one___c"]
        assert missing(heard) == {}
        assert heard.result["tools"][2] == tool("one___c") | {"description": "The tool c."}


@ERAS
@SAY
async def test_a_tool_that_nobody_listed_can_be_called(house, era, say):
    async with front(era) as server:
        url = await house.add_gateway()
        own = await house.add_target(server.url, live=True)
        assert (await getattr(house, say)(url, "tools/call", ECHO)).result["structuredContent"] == {"a": 1}
        heard = await getattr(house, say)(own, "tools/call", {"name": "echo", "arguments": {"b": 2}})
        assert heard.result["structuredContent"] == {"b": 2}
        assert [(record.target, record.tool, record.outcome) for record in house.records()] == [
            ("one", "echo", "ok")
        ] * 2
        assert server.methods.count("tools/list") == 0


@ERAS
async def test_what_the_target_does_not_know_is_its_own_error(house, era):
    async with front(era) as server:
        url = await house.add_gateway()
        await house.add_target(server.url, live=True)
        heard = await house.modern(url, "tools/call", {"name": "one___nothing"})
        assert heard.error == {"code": -32602, "message": "Unknown tool: nothing"}
        assert house.records()[0].outcome == "protocol_error"


@pytest.mark.parametrize("name", ["one___", "one___a b", "one___" + "a" * 129, "two___echo", "echo"])
async def test_a_name_that_no_tool_can_have_is_refused_here(house, name):
    async with front() as server:
        url = await house.add_gateway()
        await house.add_target(server.url, live=True)
        heard = await house.legacy(url, "tools/call", {"name": name})
        assert heard.error["code"] == -32602
        assert server.seen == []


async def test_the_era_is_learnt_once(house):
    async with front("legacy") as server:
        url = await house.add_gateway()
        await house.add_target(server.url, live=True)
        await house.modern(url, "tools/list")
        assert server.methods[-1] == "tools/list"
        server.forget()
        await house.modern(url, "tools/list")
        await house.modern(url, "tools/call", ECHO)
        assert server.methods == ["tools/list", "tools/call"]
        assert house.stale == []


async def test_an_era_that_the_setting_fixes_is_the_only_one_that_is_tried(house):
    async with front("legacy") as server:
        url = await house.add_gateway()
        await house.add_target(server.url, live=True, era="modern")
        heard = await house.modern(url, "tools/list")
        assert "one" in missing(heard)
        assert "initialize" not in server.methods


async def test_live_and_read_targets_stand_in_one_list_page_by_page(house):
    async with (
        front(tools=[tool("a"), tool("b"), tool("c")], server={"page_size": 2}) as live,
        front("legacy", tools=[tool("a"), tool("b")]) as other,
        front(tools=[tool("x")]) as read,
    ):
        url = await house.add_gateway(extension={"pageSize": 2})
        await house.add_target(live.url, name="m", live=True)
        await house.add_target(other.url, name="a", live=True)
        await house.add_target(read.url, name="c")
        read.forget()
        found, params = [], None
        while True:
            heard = await house.modern(url, "tools/list", params)
            found.append(names(heard))
            if "nextCursor" not in heard.result:
                break
            params = {"cursor": heard.result["nextCursor"]}
        assert found == [["a___a", "a___b"], ["c___x", "m___a"], ["m___b", "m___c"]]
        assert read.seen == []


async def test_targets_that_a_page_is_beyond_are_not_asked_again(house):
    async with front(tools=[tool("a")]) as first, front(tools=[tool("a"), tool("b")]) as second:
        url = await house.add_gateway(extension={"pageSize": 2})
        await house.add_target(first.url, name="a", live=True)
        await house.add_target(second.url, name="b", live=True)
        cursor = (await house.modern(url, "tools/list")).result["nextCursor"]
        assert names(await house.modern(url, "tools/list", {"cursor": cursor})) == ["b___b"]
        assert (first.methods, second.methods) == (["tools/list"], ["tools/list"] * 2)


@pytest.mark.parametrize("cursor", ["", "x", "é", 7])
async def test_a_bad_cursor_is_refused_and_nobody_is_asked(house, cursor):
    async with front() as server:
        url = await house.add_gateway()
        await house.add_target(server.url, live=True)
        heard = await house.modern(url, "tools/list", {"cursor": cursor})
        assert (heard.status, heard.error["code"]) == (400, -32602)
        assert server.seen == []


async def test_a_target_that_cannot_be_asked_is_named_and_leaves_the_others(house):
    async with front(tools=[tool("a")]) as good, front() as slow, front(accepts=set()) as shut:
        url = await house.add_gateway()
        await house.add_target(good.url, name="good", live=True)
        await house.add_target("http://127.0.0.1:1/mcp", name="gone", live=True)
        await house.add_target(shut.url, name="shut", live=True)
        held = asyncio.Event()

        async def hang(exchange):
            await held.wait()

        slow.server.handle = hang
        await house.add_target(slow.url, name="slow", live=True, callTimeout=0.3)
        heard = await house.modern(url, "tools/list")
        assert names(heard) == ["good___a"]
        told = missing(heard)
        assert set(told) == {"gone", "shut", "slow"}
        assert "cannot be reached" in told["gone"]
        assert "did not list its tools within 0.3 s" in told["slow"]
        assert "HTTP 401" in told["shut"]
        assert "127.0.0.1" not in str(told)
        assert "credentialProviderConfigurations" not in told["shut"]


async def test_under_debug_the_reason_says_how_to_mend_it(house):
    async with front(accepts=set()) as shut:
        url = await house.add_gateway(exceptionLevel="DEBUG")
        await house.add_target(shut.url, live=True)
        told = missing(await house.legacy(url, "tools/list"))
        assert "credentialProviderConfigurations" in told["one"]


@ERAS
async def test_a_list_is_asked_with_the_credential_and_with_what_is_passed_on(house, era):
    providers = Providers(house.database, house.keyring, house.fetcher, house.clock)
    await providers.provide_key("k3y")
    await house.credentials.reload()
    async with front(era, accepts={"Bearer k3y"}) as server:
        url = await house.add_gateway()
        await house.add_target(server.url, live=True, metadata=METADATA, credential=api_key())
        heard = await house.modern(f"{url}?v=1", "tools/list", headers={"x-tenant": "acme"})
        assert names(heard)[0] == "one___broken"
        assert server.sent("authorization") == {"Bearer k3y"}
        assert server.sent("x-tenant") == {"acme"}
        assert {entry.path for entry in server.seen} == {"/mcp?v=1"}


async def test_a_token_that_is_refused_to_a_list_is_fetched_anew_once(house):
    providers = Providers(house.database, house.keyring, house.fetcher, house.clock)
    async with token_server() as idp, front(accepts={"Bearer token-1"}) as server:
        await providers.provide(idp)
        await house.credentials.reload()
        url = await house.add_gateway()
        await house.add_target(server.url, live=True, credential=OAUTH)
        assert missing(await house.modern(url, "tools/list")) == {}
        server.accepts, house.clock.ahead = {"Bearer token-2"}, 60.0
        assert missing(await house.modern(url, "tools/list")) == {}
        idp.answers, house.clock.ahead = [(400, {"error": "invalid_scope"})], 8000.0
        assert "no credential" in missing(await house.modern(url, "tools/list"))["one"]


async def test_a_server_that_forgot_its_session_is_asked_in_another(house):
    async with front("legacy") as server:
        url = await house.add_gateway()
        await house.add_target(server.url, live=True)
        for forgotten in ((404, -32001), (400, -32000)):
            assert names(await house.legacy(url, "tools/list"))
            server.server.unknown_session = forgotten
            server.server.forget_sessions()
            heard = await house.legacy(url, "tools/list")
            assert missing(heard) == {}
            assert names(heard)


@pytest.mark.parametrize(
    ("members", "scope", "ttl"),
    [
        ({"server": {"hints": {"ttlMs": 500, "cacheScope": "public"}}}, "public", 500),
        ({"server": {"hints": {"ttlMs": 500, "cacheScope": "private"}}}, "private", 500),
        ({"era": "legacy"}, "private", 0),
    ],
)
async def test_a_client_may_keep_a_live_list_as_long_as_the_target_says(house, members, scope, ttl):
    async with front(**members) as server:
        url = await house.add_gateway()
        await house.add_target(server.url, live=True)
        result = (await house.modern(url, "tools/list")).result
        assert (result["cacheScope"], result["ttlMs"]) == (scope, ttl)


async def test_a_list_that_something_of_the_caller_went_along_with_is_nobody_elses(house):
    async with front(server={"hints": {"ttlMs": 500, "cacheScope": "public"}}) as server:
        url = await house.add_gateway()
        await house.add_target(server.url, live=True, metadata=METADATA)
        heard = await house.modern(url, "tools/list", headers={"x-tenant": "acme"})
        assert heard.result["cacheScope"] == "private"


async def test_bad_definitions_are_left_out_of_a_live_list_too(house):
    bad = tool("bad", inputSchema={"type": "object", "properties": {"a": {"type": "number", "x-mcp-header": "A"}}})
    async with front(tools=[bad, tool("a b"), tool("good")]) as server:
        url = await house.add_gateway()
        await house.add_target(server.url, live=True)
        assert names(await house.modern(url, "tools/list")) == ["one___good"]


async def test_a_legacy_caller_of_a_modern_target_needs_a_list_before_headers_can_be_made(house):
    schema = {"type": "object", "properties": {"city": {"type": "string", "x-mcp-header": "City"}}}
    async with front(tools=[tool("echo", inputSchema=schema)]) as server:
        url = await house.add_gateway()
        await house.add_target(server.url, live=True)
        await house.legacy(url, "tools/list")
        await house.legacy(url, "tools/call", {"name": "one___echo", "arguments": {"city": "Bern"}})
        assert server.seen[-1].headers["mcp-param-city"] == "Bern"


async def test_no_more_lists_than_calls_are_asked_of_a_target_at_once(house):
    async with front() as server:
        url = await house.add_gateway()
        await house.add_target(server.url, live=True, maxConcurrency=1)
        held = asyncio.create_task(house.modern(url, "tools/call", {"name": "one___wait"}))
        await until(lambda: server.server.running)
        heard = await house.modern(url, "tools/list")
        assert "as many as it may" in missing(heard)["one"]
        server.server.proceed.set()
        await held
