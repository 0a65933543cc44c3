"""Nothing is left behind by a thousand calls that are cancelled: no connection, no task, no upstream session."""

import asyncio
import gc

import pytest

from targets.calls import person, tool_call
from targets.http_server import until
from targets.servers import legacy_server, misbehaving_server, modern_server

CALLS = 1000
AT_ONCE = 50


async def cancel_in_waves(target, make_call, cut):
    """Start calls and cancel each wave at another moment; ``cut`` waits for that moment."""
    for wave in range(CALLS // AT_ONCE):
        tasks = [asyncio.ensure_future(target.invoke(make_call(n))) for n in range(AT_ONCE)]
        await cut(wave)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)


def moments(server):
    """Return a function that waits: not at all, a few turns of the loop, or until every call runs upstream."""

    async def cut(wave):
        match wave % 4:
            case 0:
                return
            case 1 | 2:
                for _ in range(wave):
                    await asyncio.sleep(0)
            case _:
                await until(lambda: len(server.running) == AT_ONCE)

    return cut


@pytest.mark.parametrize("answers", ["json", "sse"])
async def test_a_thousand_cancelled_modern_calls_leave_nothing(make, relay, answers):
    async with modern_server(answers=answers) as server:
        target = make(server.url)
        before = len(asyncio.all_tasks())
        await cancel_in_waves(target, lambda _: tool_call("wait"), moments(server))
        await until(lambda: relay.stats().in_flight == 0)
        await until(lambda: not server.running)
        # Every call that had begun upstream was cancelled there, by the closing of its stream.
        assert sorted(server.cancelled) == sorted(request["id"] for request in server.requests)
        assert target.in_flight == 0
        gc.collect()
        await until(lambda: len(asyncio.all_tasks()) <= before)


@pytest.mark.parametrize("answers", ["json", "sse"])
async def test_a_thousand_cancelled_legacy_calls_leave_nothing(make, relay, sessions, answers):
    async with legacy_server(answers=answers) as server:
        target = make(server.url)
        before = len(asyncio.all_tasks())
        people = [person(str(n)) for n in range(5)]

        def call(number):
            return tool_call("wait", era="legacy", principal=people[number % 5], session=str(number % 2))

        await cancel_in_waves(target, call, moments(server))
        await until(lambda: relay.stats().in_flight == 0)
        assert {request["id"] for request in server.requests if request["method"] == "tools/call"} <= set(
            server.cancelled
        )
        assert target.in_flight == 0
        # A session survives the calls, one for each caller, and none was lost while it was opened.
        assert sessions.count() == len(server.sessions) == server.opened == 10
        await sessions.end("0")
        await sessions.end("1")
        assert (sessions.count(), server.sessions) == (0, {})
        server.proceed.set()
        await until(lambda: len(asyncio.all_tasks()) <= before + len(server.http.connections))


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_cancelled_calls_to_a_server_that_hangs_leave_nothing(make, relay, era):
    async with misbehaving_server("hang") as server:
        target = make(server.url)
        await cancel_in_waves(target, lambda _: tool_call("echo", era=era), moments(server))
        await until(lambda: relay.stats().in_flight == 0)
        assert target.in_flight == 0


async def test_sessions_whose_opening_was_abandoned_by_all_are_known_and_ended(make, sessions):
    async with legacy_server() as server:
        target = make(server.url)
        for number in range(100):
            task = asyncio.ensure_future(target.invoke(tool_call("echo", era="legacy", session=str(number))))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await sessions.aclose()
        await until(lambda: not server.sessions)
        assert server.opened == len(server.deleted)
