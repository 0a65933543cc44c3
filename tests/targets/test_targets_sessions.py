"""Who shares an upstream session, when it is opened anew, and when it ends."""

import asyncio
import itertools

import pytest

from portico.model.errors import LimitExceeded, UpstreamError, UpstreamInvalid, UpstreamStatus, UpstreamUnreachable
from portico.targets import sessions as sessions_module
from portico.targets.mcp_server import McpServerTarget
from portico.targets.sessions import UpstreamSessions
from targets.calls import person, target_at, tool_call
from targets.http_server import serve_http, until
from targets.servers import failure, legacy_server, misbehaving_server, result


def call(tool="echo", **members):
    return tool_call(tool, era="legacy", **members)


async def test_a_session_is_opened_by_the_first_call_and_used_by_the_next(make):
    async with legacy_server() as server:
        target = make(server.url)
        for _ in range(3):
            await target.invoke(call())
        assert server.opened == 1
        assert [r["method"] for r in server.requests[:2]] == ["initialize", "notifications/initialized"]
        assert server.requests[0]["params"]["capabilities"] == {}
        assert server.heads[1]["mcp-protocol-version"] == "2025-11-25"
        assert "mcp-protocol-version" not in server.heads[0]


async def test_calls_at_the_same_time_wait_for_one_initialize(make):
    async with legacy_server() as server:
        target = make(server.url)
        await asyncio.gather(*(target.invoke(call()) for _ in range(20)))
        assert server.opened == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"principal": person("a")}, {"principal": person("b")}),
        ({"session": "1"}, {"session": "2"}),
        ({"session": "1"}, {"session": ""}),
        ({"version": "2025-03-26"}, {"version": "2025-06-18"}),
    ],
)
async def test_callers_of_another_principal_session_or_version_never_share_a_session(make, one, other, sessions):
    async with legacy_server() as server:
        target = make(server.url)
        for members in (one, other, one):
            await target.invoke(call(**members))
        assert server.opened == sessions.count() == 2
        used = [head["mcp-session-id"] for head in server.heads if "mcp-session-id" in head]
        assert len(set(used)) == 2


async def test_the_version_of_the_caller_is_proposed_and_the_servers_choice_is_kept(make):
    async with legacy_server(versions=("2025-06-18",)) as server:
        await make(server.url).invoke(call(version="2025-11-25"))
        assert server.requests[0]["params"]["protocolVersion"] == "2025-11-25"
        assert server.heads[-1]["mcp-protocol-version"] == "2025-06-18"


async def test_a_version_that_nobody_speaks_is_refused_and_the_session_ended(make, sessions):
    async with legacy_server(versions=("2024-11-05",)) as server:
        with pytest.raises(UpstreamInvalid) as caught:
            await make(server.url).invoke(call())
        assert "protocol version" in caught.value.public
        await until(lambda: not server.sessions)
        assert sessions.count() == 0


async def test_a_stateless_server_is_initialized_once_and_not_told_of_an_end(make, sessions):
    async with legacy_server(stateless=True) as server:
        target = make(server.url)
        await target.invoke(call(session="1"))
        await target.invoke(call(session="1"))
        await sessions.end("1")
        assert server.opened == 1
        assert "mcp-session-id" not in server.heads[-1]
        assert server.deleted == []


@pytest.mark.parametrize("unknown", [(404, -32001), (400, -32000)])
async def test_a_forgotten_session_is_opened_anew_and_the_call_done_once(make, unknown):
    async with legacy_server(unknown_session=unknown) as server:
        target = make(server.url)
        await target.invoke(call())
        server.forget_sessions()
        assert (await target.invoke(call())).result
        assert server.opened == 2
        assert len(server.calls) == 2


async def test_many_calls_that_find_the_session_forgotten_open_one_new_one(make):
    async with legacy_server() as server:
        target = make(server.url)
        await target.invoke(call())
        server.forget_sessions()
        answers = await asyncio.gather(*(target.invoke(call()) for _ in range(20)))
        assert all(answer.result for answer in answers)
        assert server.opened == 2


async def test_a_server_that_forgets_at_once_is_given_up_after_one_retry(make, sessions):
    async with legacy_server() as server:
        server.sessions = Forgetful()
        with pytest.raises(UpstreamError):
            await make(server.url).invoke(call())
        assert server.opened <= 2
        assert sessions.count() <= 1


class Forgetful(dict):
    """Knows every session until it was initialized."""

    def get(self, key, default=None):
        return self.pop(key, default)


async def test_an_opening_that_fails_fails_all_that_wait_and_is_tried_again_by_the_next(make, sessions):
    async with legacy_server() as server:
        target = make(server.url)
        server.versions = ("2024-11-05",)
        outcomes = await asyncio.gather(*(target.invoke(call()) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(outcome, UpstreamInvalid) for outcome in outcomes)
        assert server.opened == 1
        server.versions = ("2025-11-25",)
        assert (await target.invoke(call())).result


async def test_a_caller_that_leaves_during_initialize_does_not_take_the_session_along(make, sessions):
    async with legacy_server() as server:
        target = make(server.url)
        first, second = (asyncio.ensure_future(target.invoke(call())) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).result
        assert server.opened == 1


async def test_the_end_of_a_downstream_session_ends_its_sessions_everywhere(make, sessions):
    async with legacy_server() as server, legacy_server() as other:
        targets = [make(server.url), make(other.url)]
        for target in targets:
            await target.invoke(call(session="1"))
        await targets[0].invoke(call(session="2"))
        await sessions.end("1")
        assert len(server.deleted) == len(other.deleted) == 1
        assert sessions.count() == 1
        assert (await targets[0].invoke(call(session="2"))).result
        assert server.opened == 2


async def test_an_end_waits_for_the_call_in_flight(make, sessions):
    async with legacy_server() as server:
        target = make(server.url)
        task = asyncio.ensure_future(target.invoke(call("wait", session="1")))
        await until(lambda: server.running)
        await sessions.end("1")
        assert server.deleted == []
        server.proceed.set()
        assert (await task).result
        await until(lambda: len(server.deleted) == 1)


async def test_ending_an_empty_or_unknown_downstream_session_ends_nothing(make, sessions):
    async with legacy_server() as server:
        await make(server.url).invoke(call())
        await sessions.end("")
        await sessions.end("unknown")
        assert sessions.count() == 1


async def test_a_newer_revision_keeps_the_sessions_and_the_last_one_ends_them(make, sessions):
    async with legacy_server() as server:
        old, new = make(server.url), make(server.url, call_timeout=50.0)
        await old.invoke(call())
        await old.aclose()
        await new.invoke(call())
        assert server.opened == 1
        await new.aclose()
        assert len(server.deleted) == 1
        assert sessions.count() == 0


async def test_a_server_that_does_not_allow_delete_is_left_in_peace(make, sessions):
    async with legacy_server(allow_delete=False) as server:
        target = make(server.url)
        await target.invoke(call())
        await target.aclose()
        assert sessions.count() == 0


async def test_an_end_does_not_hang_on_a_server_that_is_gone(make, sessions):
    async with legacy_server() as server:
        target = make(server.url)
        await target.invoke(call(session="1"))
    await asyncio.wait_for(sessions.end("1"), 30)
    assert sessions.count() == 0
    with pytest.raises(UpstreamUnreachable):
        await target.invoke(call(session="1"))


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
async def few(relay, now):
    """Room for three sessions, idle after ten seconds."""
    few = UpstreamSessions(relay=relay, clock=lambda: now[0], max_sessions=3, idle_seconds=10.0)
    yield few
    await few.aclose()


async def test_idle_sessions_end_and_used_ones_stay(relay, few, now):
    async with legacy_server() as server:
        target = McpServerTarget(target_at(server.url), relay=relay, sessions=few)
        await target.invoke(call(session="old"))
        now[0] += 8
        await target.invoke(call(session="young"))
        now[0] += 8
        few.expire()
        assert few.count() == 1
        await until(lambda: len(server.deleted) == 1)
        await target.invoke(call(session="young"))
        assert server.opened == 2


async def test_without_room_the_least_recently_used_session_goes(relay, few):
    async with legacy_server() as server:
        target = McpServerTarget(target_at(server.url), relay=relay, sessions=few)
        for session in ("1", "2", "3", "1", "4", "1"):
            await target.invoke(call(session=session))
        assert server.opened == 4
        assert few.count() == 3
        await until(lambda: len(server.deleted) == 1)


@pytest.mark.case("T28")
async def test_a_session_with_a_call_in_flight_is_never_taken_away_for_room(relay, few):
    async with legacy_server() as server:
        target = McpServerTarget(target_at(server.url), relay=relay, sessions=few)
        tasks = [asyncio.ensure_future(target.invoke(call("wait", session=s))) for s in ("1", "2", "3")]
        await until(lambda: len(server.running) == 3)
        with pytest.raises(LimitExceeded):
            await target.invoke(call(session="4"))
        server.proceed.set()
        assert all(answer.result for answer in await asyncio.gather(*tasks))


@pytest.mark.parametrize("session_id", ["x" * 5000, "a b", "a\x80"])
async def test_a_session_id_that_is_too_long_or_not_visible_ascii_is_refused(make, session_id, monkeypatch):
    ids = itertools.repeat(session_id)
    async with legacy_server() as server:
        monkeypatch.setattr("targets.servers.uuid4", lambda: type("Id", (), {"hex": next(ids)}))
        with pytest.raises(UpstreamInvalid) as caught:
            await make(server.url).invoke(call())
        assert "session id" in caught.value.public


async def test_closing_down_ends_openings_that_hang_and_says_so(relay, monkeypatch):
    monkeypatch.setattr(sessions_module, "ASIDE_SECONDS", 0.5)
    sessions = UpstreamSessions(relay=relay)
    async with misbehaving_server("hang", always=True) as server:
        target = McpServerTarget(target_at(server.url), relay=relay, sessions=sessions)
        task = asyncio.ensure_future(target.invoke(call()))
        await until(lambda: server.running)
        await asyncio.wait_for(sessions.aclose(), 30)
        with pytest.raises(UpstreamUnreachable) as caught:
            await task
        assert "shutting down" in caught.value.public
        assert sessions.count() == 0


async def test_a_404_of_a_server_without_sessions_is_no_lost_session(make):
    async def handle(exchange):
        request = exchange.json()
        value = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
        match request["method"]:
            case "initialize":
                await exchange.reply(200, result(request, value))
            case "notifications/initialized":
                await exchange.reply(202)
            case _:
                await exchange.reply(404, failure(request, -32601, "no"))

    async with serve_http(handle) as http:
        with pytest.raises(UpstreamStatus) as caught:
            await make(f"{http.origin}/mcp").invoke(call())
        assert caught.value.http_status == 404


async def test_a_server_that_refuses_the_initialized_notification_is_no_session(make, sessions):
    async def handle(exchange):
        request = exchange.json() if exchange.body else {"method": "DELETE"}
        seen.append(request["method"])
        value = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
        if request["method"] == "initialize":
            await exchange.reply(200, result(request, value), mcp_session_id="s")
        else:
            await exchange.reply(500)

    seen = []
    async with serve_http(handle) as http:
        with pytest.raises(UpstreamStatus):
            await make(f"{http.origin}/mcp").invoke(call())
        assert seen == ["initialize", "notifications/initialized", "DELETE"]
        assert sessions.count() == 0
