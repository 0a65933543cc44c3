"""What discovery finds, what it leaves out, and when it gives no verdict about an era."""

import json

import pytest

from portico.targets.discovery import MAX_REASONS, discover
from portico.targets.listing import MAX_TOOLS
from targets.calls import target_at
from targets.http_server import serve_http, until
from targets.servers import (
    ModernServer,
    closed_port,
    failure,
    legacy_server,
    misbehaving_server,
    modern_server,
    result,
    tool,
)


def names(discovery, era):
    return [t.name for entry in discovery.eras if entry.era == era for t in entry.tools]


def eras(discovery):
    return [(entry.era, entry.version) for entry in discovery.eras]


async def test_a_modern_server_is_found_with_its_tools_in_order(relay):
    async with modern_server(tools=[tool("b"), tool("a")]) as server:
        found = await discover(target_at(server.url), relay=relay)
    assert eras(found) == [("modern", "2026-07-28")]
    assert names(found, "modern") == ["b", "a"]
    assert json.loads(found.eras[0].tools[0].definition) == tool("b")
    assert found.undecided == frozenset()
    assert server.rejected == ["Missing protocolVersion"]  # the probe of the legacy era


@pytest.mark.parametrize("answers", ["json", "sse"])
async def test_a_legacy_server_is_found_and_no_session_stays_behind(relay, answers):
    async with legacy_server(answers=answers) as server:
        found = await discover(target_at(server.url), relay=relay)
        assert eras(found) == [("legacy", "2025-11-25")]
        assert "echo" in names(found, "legacy")
        assert server.sessions == {}
        assert server.opened == len(server.deleted) == 1


async def test_a_server_of_both_eras_is_found_in_both(relay):
    async with misbehaving_server("500") as server:  # which misbehaves only when a tool is called
        found = await discover(target_at(server.url), relay=relay)
    assert [era for era, _ in eras(found)] == ["modern", "legacy"]
    assert found.reasons == ()


@pytest.mark.parametrize(("setting", "expected"), [("modern", ["modern"]), ("legacy", ["legacy"])])
async def test_only_the_eras_that_the_setting_allows_are_probed(relay, setting, expected):
    async with misbehaving_server("500") as server:
        found = await discover(target_at(server.url, era=setting), relay=relay)
    assert [era for era, _ in eras(found)] == expected
    assert (server.opened == 0) == (setting == "modern")


async def test_the_version_that_a_legacy_server_chooses_is_kept(relay):
    async with legacy_server(versions=("2025-03-26",)) as server:
        assert eras(await discover(target_at(server.url), relay=relay)) == [("legacy", "2025-03-26")]


@pytest.mark.parametrize("make_server", [legacy_server, modern_server])
async def test_all_pages_are_read(relay, make_server):
    async with make_server(tools=[tool(f"t{n}") for n in range(25)], page_size=10) as server:
        found = await discover(target_at(server.url), relay=relay)
    assert [t.name for t in found.eras[0].tools] == [f"t{n}" for n in range(25)]


async def test_tools_pages_and_reasons_are_bounded(relay):
    async with modern_server(tools=[tool(f"t{n}") for n in range(MAX_TOOLS + 5)], page_size=300) as server:
        found = await discover(target_at(server.url, era="modern"), relay=relay)
        assert len(found.eras[0].tools) == MAX_TOOLS
        assert "only the first 1000 tools" in found.reasons[0]
    async with modern_server(tools=[tool(f"t{n}") for n in range(150)], page_size=1) as server:
        found = await discover(target_at(server.url, era="modern"), relay=relay)
        assert len(found.eras[0].tools) == 100
        assert "more than 100 pages" in found.reasons[0]
    async with modern_server(tools=[tool(f"bad {n}") for n in range(200)]) as server:
        found = await discover(target_at(server.url, era="modern"), relay=relay)
        assert len(found.reasons) == MAX_REASONS


async def test_a_setting_bounds_how_many_tools_are_published(relay):
    async with modern_server(tools=[tool(f"t{n}") for n in range(12)], page_size=5) as server:
        found = await discover(target_at(server.url), relay=relay, max_tools=7)
        assert len(found.eras[0].tools) == 7
        assert "only the first 7 tools" in found.reasons[0]
        assert "quotas.tools_per_target" in found.reasons[0]
        found = await discover(target_at(server.url), relay=relay, max_tools=12)
        assert len(found.eras[0].tools) == 12


async def test_a_larger_quota_allows_more_pages(relay):
    count = 1100
    async with modern_server(tools=[tool(f"t{n}") for n in range(count)], page_size=10) as server:
        found = await discover(target_at(server.url), relay=relay, max_tools=2000)
        assert len(found.eras[0].tools) == count


async def test_a_list_that_goes_round_in_circles_ends(relay):
    class Circle(ModernServer):
        def page(self, cursor):
            return {"tools": [tool("a")], "nextCursor": "again"}

    server = Circle()
    async with serve_http(server.handle) as http:
        found = await discover(target_at(f"{http.origin}/mcp", era="modern"), relay=relay)
    assert names(found, "modern") == ["a"]
    assert any("circles" in reason for reason in found.reasons)


async def test_bad_definitions_are_left_out_with_a_reason_and_the_others_stay(relay):
    bad = [
        tool("bad name"),
        {"name": "x"},
        5,
        tool("good"),
        tool("h", inputSchema={"type": "object", "x-mcp-header": ""}),
    ]
    async with modern_server(tools=[*bad, tool("good")]) as server:
        found = await discover(target_at(server.url, era="modern"), relay=relay)
    assert names(found, "modern") == ["good"]
    assert len(found.reasons) == 5
    assert "good is listed twice" in found.reasons[-1]
    assert all(reason.startswith("protocol 2026-07-28: ") for reason in found.reasons)


@pytest.mark.parametrize("fault", ["401", "500", "die", "hang", "redirect"])
async def test_credentials_faults_and_silence_are_no_verdict_about_an_era(relay, fault):
    async with misbehaving_server(fault, always=True) as server:
        found = await discover(target_at(server.url, call_timeout=0.3), relay=relay)
    assert found.eras == ()
    assert found.undecided == {"modern", "legacy"}
    assert found.reasons
    assert not any("127.0.0.1" in reason or "c4n4ry" in reason for reason in found.reasons)


async def test_a_closed_port_is_named_once_and_is_no_verdict(relay):
    found = await discover(target_at(f"http://127.0.0.1:{closed_port()}/mcp"), relay=relay)
    assert found.undecided == {"modern", "legacy"}
    assert len(found.reasons) == 1


async def test_a_forbidden_address_is_named_and_is_no_verdict(relay):
    found = await discover(target_at("http://169.254.169.254/mcp"), relay=relay)
    assert (found.eras, found.undecided) == ((), {"modern", "legacy"})


@pytest.mark.parametrize("fault", ["html", "invalid_json", "accepted", "no_result", "bad_sse"])
async def test_what_is_no_mcp_server_is_said_for_each_era(relay, fault):
    async with misbehaving_server(fault, always=True) as server:
        found = await discover(target_at(server.url), relay=relay)
    assert found.eras == ()
    assert len(found.reasons) == 2


async def test_a_modern_server_of_another_version_is_no_legacy_server_and_says_what_it_offers(relay):
    async def other(exchange):
        data = {"supported": ["2030-01-01", "2025-11-25"], "requested": "2026-07-28"}
        await exchange.reply(400, failure(exchange.json(), -32022, "no", data))

    async with serve_http(other) as http:
        found = await discover(target_at(f"{http.origin}/mcp"), relay=relay)
    assert found.eras == ()
    assert "offers 2025-11-25 instead" in found.reasons[0]


async def test_a_modern_verdict_survives_a_legacy_probe_without_one(relay):
    modern = ModernServer()

    async def handle(exchange):
        if exchange.json()["method"] == "initialize":
            await exchange.reply(503, b"")
        else:
            await modern.handle(exchange)

    async with serve_http(handle) as http:
        found = await discover(target_at(f"{http.origin}/mcp"), relay=relay)
    assert eras(found) == [("modern", "2026-07-28")]
    assert found.undecided == {"legacy"}


async def test_a_list_that_fails_in_the_middle_is_no_short_list(relay):
    class Half(ModernServer):
        def page(self, cursor):
            if cursor:
                raise ConnectionError
            return {"tools": [tool("a")], "nextCursor": "2"}

    server = Half()
    async with serve_http(server.handle) as http:
        found = await discover(target_at(f"{http.origin}/mcp", era="modern"), relay=relay)
    assert found.eras == ()
    assert found.undecided == {"modern"}


async def test_a_server_without_tools_is_spoken_to_and_offers_none(relay):
    async def handle(exchange):
        request = exchange.json()
        value = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}
        match request["method"]:
            case "initialize":
                await exchange.reply(200, result(request, value))
            case "notifications/initialized":
                await exchange.reply(202)
            case _:
                await exchange.reply(400, failure(request, -32600, "no"))

    async with serve_http(handle) as http:
        found = await discover(target_at(f"{http.origin}/mcp"), relay=relay)
    assert (eras(found), names(found, "legacy")) == ([("legacy", "2025-11-25")], [])
    assert any("declares no tools" in reason for reason in found.reasons)


async def test_discovery_leaves_no_session_behind_when_the_list_fails(relay):
    async with legacy_server(tools=[]) as server:
        server.page = lambda _: {"tools": "no list"}
        found = await discover(target_at(server.url, era="legacy"), relay=relay)
        assert found.undecided == {"legacy"}
        await until(lambda: server.sessions == {})


@pytest.mark.parametrize(
    ("code", "undecided"),
    # Only a modern server answers initialize with one of the latter two.
    [(-32603, {"modern", "legacy"}), (-32020, {"modern"}), (-32021, {"modern"})],
)
async def test_an_internal_error_or_a_misread_request_is_no_verdict(relay, code, undecided):
    async def handle(exchange):
        await exchange.reply(400 if code != -32603 else 200, failure(exchange.json(), code, "no"))

    async with serve_http(handle) as http:
        found = await discover(target_at(f"{http.origin}/mcp"), relay=relay)
    assert found.undecided == undecided
    assert "set its era to legacy" in found.reasons[0]


async def test_discovery_as_a_whole_is_bounded_and_keeps_what_it_had_found(relay):
    modern = ModernServer()

    async def handle(exchange):
        if exchange.json()["method"] == "initialize":
            await modern.proceed.wait()
        else:
            await modern.handle(exchange)

    async with serve_http(handle) as http:
        found = await discover(target_at(f"{http.origin}/mcp"), relay=relay, seconds=4)
    assert eras(found) == [("modern", "2026-07-28")]
    assert found.undecided == {"legacy"}
    assert "did not finish within 4 seconds" in found.reasons[-1]


async def test_a_modern_server_that_no_longer_offers_our_version_is_not_spoken_to(relay):
    async def handle(exchange):
        value = {"supportedVersions": ["2030-01-01"], "capabilities": {}}
        await exchange.reply(200, result(exchange.json(), value))

    async with serve_http(handle) as http:
        found = await discover(target_at(f"{http.origin}/mcp", era="modern"), relay=relay)
    assert (found.eras, found.undecided) == ((), frozenset())
    assert "does not offer it" in found.reasons[0]
