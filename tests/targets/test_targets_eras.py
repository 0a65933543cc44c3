"""What calls learn about a target's eras, and for how long it counts."""

import json

import pytest

from portico.model.errors import UpstreamError, UpstreamStatus
from portico.model.target import EraTools, Tool
from portico.targets.eras import SURE_SECONDS, TURNED_SECONDS, EraKnowledge
from portico.targets.mcp_server import McpServerTarget
from portico.targets.verdicts import denies, doubts
from targets.calls import target_at, tool_call
from targets.http_server import serve_http
from targets.servers import LegacyServer, ModernServer, failure, legacy_server, modern_server


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_found_era_counts_for_a_while_and_a_synchronization_is_asked_for():
    clock, asked = Clock(), []
    eras = EraKnowledge(clock=clock, stale=lambda: asked.append(1))
    assert (eras.era_for("modern"), eras.era_for("legacy")) == ("modern", "legacy")
    eras.turn_from("modern")
    assert (eras.era_for("modern"), eras.era_for("legacy"), asked) == ("legacy", "legacy", [1])
    clock.now = TURNED_SECONDS
    assert (eras.era_for("modern"), eras.era_for("legacy")) == ("modern", "legacy")


def test_a_cleared_doubt_is_not_looked_into_again_for_a_while():
    clock = Clock()
    eras = EraKnowledge(clock=clock, stale=lambda: None)
    eras.affirm("modern")
    assert (eras.is_sure("modern"), eras.is_sure("legacy")) == (True, False)
    clock.now = SURE_SECONDS
    assert not eras.is_sure("modern")


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("status", [401, 403, 407, 429, 500, 502, 503, 504])
def test_credentials_limits_and_faults_never_say_anything_about_eras(era, status):
    assert not denies(era, UpstreamStatus("", http_status=status))
    assert not doubts(era, status, None)
    assert not doubts(era, status, -32600)


@pytest.mark.parametrize(
    ("era", "status", "code", "doubted"),
    [
        ("modern", 400, -32000, True),  # the TypeScript SDK without a session
        ("modern", 400, -32600, True),  # the Python SDK without a session
        ("modern", 404, -32001, True),
        ("modern", 404, None, True),
        ("modern", 405, None, True),
        ("modern", 400, -32022, True),
        ("modern", 400, -32020, False),
        ("modern", 400, -32021, False),
        ("modern", 400, -32602, False),
        ("modern", 404, -32601, False),
        ("modern", 200, -32000, False),
        ("modern", 409, None, False),
        ("legacy", 400, -32602, True),
        ("legacy", 400, -32020, True),
        ("legacy", 400, -32022, True),
        ("legacy", 404, None, True),
        ("legacy", 200, -32602, False),
        ("legacy", 400, -32000, False),
    ],
)
def test_what_was_turned_away_undone_is_a_doubt(era, status, code, doubted):
    assert doubts(era, status, code) is doubted


@pytest.fixture
def make_stale(relay, sessions):
    made = []

    def make(url, era, **settings):
        asked = []
        tools = (Tool(name="echo", definition=b"{}"),)
        target = target_at(url, eras=(EraTools(era=era, version="", tools=tools),), **settings)
        made.append(McpServerTarget(target, relay=relay, sessions=sessions, stale=asked.append))
        return made[-1], asked

    return make


async def test_a_doubt_about_a_modern_target_is_cleared_by_one_initialize(make_stale):
    """It goes on refusing: the caller hears its own words, and it is not asked again and again."""
    server = ModernServer()

    async def handle(exchange):
        request = exchange.json()
        server.requests.append(request)
        await exchange.reply(400, failure(request, -32000 if request["method"] == "tools/call" else -32022, "no"))

    async with serve_http(handle) as http:
        target, asked = make_stale(http.origin, "modern")
        for _ in range(3):
            answer = await target.invoke(tool_call("echo"))
            assert (answer.error.code, answer.error.message) == (-32000, "no")
    assert [request["method"] for request in server.requests] == ["tools/call", "initialize", *["tools/call"] * 2]
    assert asked == []


async def test_a_doubt_about_a_legacy_target_costs_no_session(make_stale):
    server = LegacyServer()

    async def handle(exchange):
        request = exchange.json() if exchange.body else {}
        if request.get("method") == "tools/call" and request["params"]["name"] == "bad":
            await exchange.reply(400, failure(request, -32602, "bad arguments"))
        else:
            await server.handle(exchange)

    async with serve_http(handle) as http:
        target, asked = make_stale(http.origin, "legacy")
        await target.invoke(tool_call("echo", era="legacy"))
        for _ in range(3):
            assert (await target.invoke(tool_call("bad", era="legacy"))).error.code == -32602
        await target.invoke(tool_call("echo", era="legacy"))
    assert server.opened == 2  # the session, and the probe's
    assert len(server.deleted) == 1
    assert {
        head.get("mcp-session-id")
        for head, request in zip(server.heads, server.requests, strict=True)
        if request.get("method") == "tools/call"
    } == set(server.sessions)
    assert asked == []


async def test_a_probe_without_a_verdict_leaves_everything_as_it_was(make_stale):
    async def handle(exchange):
        status = 404 if exchange.json()["method"] == "tools/call" else 503
        await exchange.reply(status, b"")

    async with serve_http(handle) as http:
        target, asked = make_stale(http.origin, "modern")
        with pytest.raises(UpstreamError) as caught:
            await target.invoke(tool_call("echo"))
    assert "HTTP 404" in caught.value.public
    assert asked == []


async def test_what_was_found_serves_later_calls_without_asking_again(make_stale):
    async with legacy_server() as server:
        target, asked = make_stale(server.url, "modern")
        for number in range(3):
            answer = await target.invoke(tool_call("echo", arguments=b'{"n":%d}' % number))
            assert json.loads(answer.result)["structuredContent"] == {"n": number}
            assert answer.version == "2025-11-25"
    assert sum("mcp-method" in head for head in server.heads) == 1
    assert asked == ["t1"]


async def test_a_modern_caller_of_a_legacy_target_has_a_session_of_its_own_principal(make_stale):
    async with legacy_server() as server:
        target, _ = make_stale(server.url, "legacy")
        for version in ("2026-07-28", "2025-11-25", "2026-07-28"):
            await target.invoke(tool_call("echo", era="legacy", version=version))
        assert server.opened == 1


async def test_a_target_that_went_modern_is_asked_without_a_session(make_stale):
    async with modern_server() as server:
        target, asked = make_stale(server.url, "legacy")
        answer = await target.invoke(tool_call("echo", era="legacy"))
        assert answer.version == "2026-07-28"
    assert asked == ["t1"]
