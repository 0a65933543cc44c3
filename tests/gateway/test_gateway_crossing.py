"""What differs between the revisions of client and target: shapes, hints, log messages, knowledge of eras."""

import json

import pytest

from gateway.house import LEGACY, META, MODERN
from gateway.test_gateway_lists import eras
from portico.model.target import EraTools, Tool
from support import schemas
from targets import servers
from targets.servers import legacy_server, modern_server, tool

LEGACY_VERSIONS = schemas.VERSIONS[:3]
STREAMING = {"mcp": {"streamingConfiguration": {"enableResponseStreaming": True}}}
CALL = ("tools/call", {"name": "one___echo", "arguments": {}})
LINK = {"type": "resource_link", "name": "report", "uri": "https://a.example/r"}


@pytest.fixture
def answers(monkeypatch):
    """Let the tools of every server answer with one result."""

    def answers(value):
        async def answer(recorder, request, tell):
            return servers.result(request, value)

        monkeypatch.setattr(servers, "_run_tool", answer)

    return answers


@pytest.mark.parametrize("version", LEGACY_VERSIONS)
@pytest.mark.parametrize("value", [[1, 2], "text", 5, True, None])
async def test_a_structured_value_that_is_no_object_is_text_for_a_legacy_client(house, answers, version, value):
    answers({"content": [], "structuredContent": value})
    async with modern_server(tools=[tool("echo", outputSchema={"type": "array"})]) as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        [listed] = (await house.legacy(url, "tools/list", version=version)).result["tools"]
        heard = await house.legacy(url, *CALL, version=version)
        schemas.check(version, heard.json, "tools/call")
        assert "structuredContent" not in heard.result
        assert [json.loads(block["text"]) for block in heard.result["content"]] == [value]
        assert "outputSchema" not in listed
        assert (await house.modern(url, *CALL)).result["structuredContent"] == value


async def test_what_2025_03_26_does_not_have_reaches_its_clients_as_text(house, answers):
    said = {"type": "text", "text": '{"a": 1}'}
    answers({"content": [said, LINK], "structuredContent": {"a": 1}})
    async with modern_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        heard = await house.legacy(url, *CALL, version="2025-03-26")
        schemas.check("2025-03-26", heard.json, "tools/call")
        assert heard.result["content"] == [said, {"type": "text", "text": "report: https://a.example/r"}]
        assert "structuredContent" not in heard.result
        assert (await house.legacy(url, *CALL)).result["content"] == [said, LINK]


async def test_a_target_that_agreed_on_a_newer_legacy_revision_is_heard_in_the_clients(house, answers):
    answers({"content": [LINK], "structuredContent": {"a": 1}})
    async with legacy_server(versions=("2025-03-26", LEGACY)) as server:
        server.versions = (LEGACY,)
        url = await house.add_gateway()
        await house.add_target(server.url)
        heard = await house.legacy(url, *CALL, version="2025-03-26")
        schemas.check("2025-03-26", heard.json, "tools/call")
        assert {block["type"] for block in heard.result["content"]} == {"text"}


@pytest.mark.parametrize("version", schemas.VERSIONS)
@pytest.mark.parametrize("spoken", ["legacy", "modern"])
async def test_definitions_are_valid_at_every_revision(house, version, spoken):
    members = {
        "title": "T",
        "icons": [{"src": "https://a.example/i.png"}],
        "annotations": {"readOnlyHint": True},
        "_meta": {"a.example/b": 1},
        "inputSchema": {"type": "object", "properties": {"a": True, "b": {"type": "string"}}, "required": ["b"]},
        "outputSchema": {"type": "object", "properties": {"c": False}},
    }
    url = await house.add_gateway()
    await house.add_target("http://127.0.0.1:1/mcp", eras=eras("a", era=spoken, **members))
    say = house.modern if version == MODERN else house.legacy
    heard = await say(url, "tools/list", **({} if version == MODERN else {"version": version}))
    schemas.check(version, heard.json, "tools/list")
    [listed] = heard.result["tools"]
    since = {"title": "2025-06-18", "_meta": "2025-06-18", "outputSchema": "2025-06-18", "icons": LEGACY}
    assert {name for name in since if name in listed} == {name for name, first in since.items() if first <= version}
    assert listed["annotations"].get("title") == ("T" if version == "2025-03-26" else None)


async def test_the_result_of_a_legacy_target_says_to_a_modern_client_that_it_is_complete(house, answers):
    odd = {"resultType": "input_required", "_meta": {"a.example/b": 1, META + "serverInfo": 5}, "content": []}
    answers(odd)
    async with legacy_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        heard = await house.modern(url, *CALL)
        schemas.check(MODERN, heard.json, "tools/call")
        assert heard.result["resultType"] == "complete"
        assert heard.result["_meta"]["a.example/b"] == 1
        assert heard.result["_meta"][META + "serverInfo"]["name"] == "portico"


async def test_values_are_handed_on_as_the_bytes_they_are(house, answers, monkeypatch):
    answers({"content": [], "structuredContent": {"n": 12345678901234567890, "x": 1.0}})
    async with legacy_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        heard = await house.modern(url, *CALL)
        assert b'"structuredContent": {"n": 12345678901234567890, "x": 1.0}' in heard.body


# Caching hints


@pytest.mark.parametrize(
    ("hints", "ttl", "scope"),
    [
        ([{"ttlMs": 500, "cacheScope": "public"}, {"ttlMs": 9000, "cacheScope": "public"}], 500, "public"),
        ([{"ttlMs": 500, "cacheScope": "public"}, {"ttlMs": 9000, "cacheScope": "private"}], 500, "private"),
        ([{"ttlMs": 10**9, "cacheScope": "public"}], 30000, "public"),
        ([{"ttlMs": -1, "cacheScope": "public"}], 0, "public"),
        ([{}], 0, "private"),
        ([{"ttlMs": "x", "cacheScope": 5}], 0, "private"),
    ],
)
async def test_the_smallest_time_counts_and_private_wins(house, hints, ttl, scope):
    url = await house.add_gateway()
    for number, given in enumerate(hints):
        async with modern_server(hints=given) as server:
            await house.add_target(server.url, name=f"t{number}")
    result = (await house.modern(url, "tools/list")).result
    assert (result["ttlMs"], result["cacheScope"]) == (ttl, scope)


async def test_a_list_that_needs_authorization_is_private_whatever_the_target_says(house):
    async with modern_server(hints={"ttlMs": 500, "cacheScope": "public"}) as server:
        url = await house.add_gateway(jwt_rules={})
        await house.add_target(server.url)
        result = (await house.modern(url, "tools/list", token=house.token(url))).result
        assert (result["ttlMs"], result["cacheScope"]) == (500, "private")


# Log messages


@pytest.mark.parametrize("server_of", [legacy_server, modern_server])
@pytest.mark.parametrize(
    ("asked", "heard_levels"), [(None, []), ("debug", ["debug", "error"]), ("warning", ["error"]), ("alert", [])]
)
async def test_log_messages_reach_a_modern_client_from_the_level_it_asked_for(
    house, server_of, asked, heard_levels, monkeypatch
):
    async def answer(recorder, request, tell):
        for level in ("debug", "error"):
            params = {"level": level, "logger": "l", "data": {"said": level}}
            await tell({"jsonrpc": "2.0", "method": "notifications/message", "params": params})
        return servers.result(request, servers.text("done"))

    monkeypatch.setattr(servers, "_run_tool", answer)
    async with server_of(answers="sse") as server:
        url = await house.add_gateway(protocolConfiguration=STREAMING)
        await house.add_target(server.url)
        meta = {} if asked is None else {META + "logLevel": asked}
        heard = await house.modern(url, *CALL, meta=meta)
        events = heard.events[:-1] if heard.headers["Content-Type"] == "text/event-stream" else []
        assert [event["params"]["level"] for event in events] == heard_levels
        heard = await house.legacy(url, *CALL)
        assert heard.result["content"][0]["text"] == "done"


async def test_a_level_that_does_not_exist_is_refused(house):
    async with modern_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        heard = await house.modern(url, *CALL, meta={META + "logLevel": "loud"})
        assert (heard.status, heard.error["code"]) == (400, -32602)


@pytest.mark.parametrize("streaming", [False, True])
async def test_logging_is_declared_where_messages_can_travel(house, streaming):
    url = await house.add_gateway(protocolConfiguration=STREAMING if streaming else {})
    capabilities = (await house.modern(url, "server/discover")).result["capabilities"]
    assert ("logging" in capabilities) == streaming


# Eras


async def test_a_target_of_both_eras_is_asked_in_the_clients_own(house):
    tools = (Tool(name="echo", definition=json.dumps(tool("echo")).encode()),)
    both = tuple(
        EraTools(era=era, version=version, tools=tools) for era, version in (("modern", MODERN), ("legacy", LEGACY))
    )
    async with modern_server() as new, legacy_server() as old:
        url = await house.add_gateway()
        await house.add_target(new.url, eras=both)

        async def either(exchange):
            await (new if "mcp-method" in exchange.headers else old).handle(exchange)

        new.http.handler = either
        await house.modern(url, *CALL)
        await house.legacy(url, *CALL)
        assert (len(new.calls), len(old.calls)) == (1, 1)
        assert house.stale == []


async def test_a_setting_that_was_not_found_true_leaves_the_target_out_and_says_so(house):
    url = await house.add_gateway()
    await house.add_target("http://127.0.0.1:1/mcp", eras=eras("a", era="legacy"), era="modern")
    heard = await house.modern(url, "tools/list")
    [told] = heard.result["_meta"]["dev.portico/unavailableTargets"]
    assert "x-portico.era" in told["reason"]
    assert "x-portico.era" in (await house.legacy(url, "tools/call", {"name": "one___a"})).error["message"]
