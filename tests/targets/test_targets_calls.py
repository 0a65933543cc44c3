"""Calls to well-behaved servers of both eras: answers, progress, envelope, concurrency, cancellation."""

import asyncio
import itertools
import json

import pytest

from portico.model.errors import LimitExceeded, UpstreamInvalid, UpstreamTimeout
from portico.targets.mcp_server import McpServerTarget
from targets.calls import person, target_at, tool_call
from targets.http_server import serve_http, until
from targets.servers import legacy_server, modern_server, result, text

ERAS = {"legacy": legacy_server, "modern": modern_server}


@pytest.fixture(params=["legacy", "modern"])
def era(request):
    return request.param


@pytest.fixture(params=["json", "sse"])
async def server(request, era):
    async with ERAS[era](answers=request.param) as server:
        yield server


async def test_a_call_returns_the_result_as_the_server_wrote_it(server, era, make):
    answer = await make(server.url).invoke(tool_call("echo", era=era, arguments=b'{"a":[1,"x"]}'))
    result = json.loads(answer.result)
    assert result["content"] == [{"type": "text", "text": '{"a": [1, "x"]}'}]
    assert result["structuredContent"] == {"a": [1, "x"]}
    assert not answer.is_error
    assert server.rejected == []


async def test_a_tool_that_fails_is_a_result_and_a_protocol_error_is_an_error(server, era, make):
    target = make(server.url)
    assert (await target.invoke(tool_call("fail", era=era))).is_error
    error = (await target.invoke(tool_call("broken", era=era))).error
    assert (error.code, error.message, error.data) == (-32603, "it is broken", b'{"why": "test"}')
    assert (await target.invoke(tool_call("nowhere", era=era))).error.code == -32602


async def test_a_call_without_arguments_has_none_upstream(server, era, make):
    await make(server.url).invoke(tool_call("echo", era=era, arguments=None))
    assert "arguments" not in server.calls[0]


async def test_a_tool_name_beyond_ascii_agrees_in_header_and_body(make):
    async with modern_server() as server:
        answer = await make(server.url).invoke(tool_call("größe =?base64?x?="))
        assert answer.error.code == -32602  # unknown, but the headers agreed
        assert server.rejected == []


async def test_mirrored_parameters_go_upstream_as_they_came(make):
    async with modern_server() as server:
        await make(server.url).invoke(tool_call("echo", mirrored=((b"mcp-param-region", b"us-west1"),)))
        assert server.heads[0]["mcp-param-region"] == "us-west1"


async def test_progress_reaches_the_caller_in_order_and_without_a_token(era, make, told):
    async with ERAS[era](answers="sse") as server:
        call = tool_call("progress", era=era, arguments=b'{"steps":3}', wants_progress=True)
        await make(server.url).invoke(call, told)
    assert [n.kind for n in told.said] == ["progress"] * 3
    assert [json.loads(n.params) for n in told.said] == [
        {"progress": step, "message": f"step {step}"} for step in (1, 2, 3)
    ]


async def test_without_a_wish_for_progress_no_token_goes_upstream(server, era, make, told):
    await make(server.url).invoke(tool_call("progress", era=era), told)
    assert told.said == []
    assert "progressToken" not in server.calls[0].get("_meta", {})


async def test_a_slow_listener_holds_the_stream_back_and_still_gets_everything(era, make):
    gate = asyncio.Event()
    said = []

    async def slow(notification):
        await gate.wait()
        said.append(notification)

    async with ERAS[era](answers="sse") as server:
        call = tool_call("progress", era=era, arguments=b'{"steps":50}', wants_progress=True)
        task = asyncio.ensure_future(make(server.url).invoke(call, slow))
        await until(lambda: server.calls)
        gate.set()
        assert (await task).result
        assert len(said) == 50


async def test_a_listener_that_hangs_does_not_outlive_the_deadline(era, make):
    async def hang(_):
        await asyncio.Event().wait()

    async with ERAS[era](answers="sse") as server:
        call = tool_call("progress", era=era, wants_progress=True)
        with pytest.raises(UpstreamTimeout):
            await make(server.url, call_timeout=0.3).invoke(call, hang)


async def test_calls_over_the_concurrency_are_refused_at_once_and_others_go_on(server, era, make):
    target = make(server.url, max_concurrency=2)
    waiting = [asyncio.ensure_future(target.invoke(tool_call("wait", era=era))) for _ in range(2)]
    await until(lambda: len(server.running) == 2)
    with pytest.raises(LimitExceeded) as caught:
        await target.invoke(tool_call("echo", era=era))
    assert "test has 2 calls in flight" in caught.value.public
    server.proceed.set()
    assert all(answer.result for answer in await asyncio.gather(*waiting))
    assert (await target.invoke(tool_call("echo", era=era))).result
    assert target.in_flight == 0


async def test_cancelling_the_task_cancels_the_call_upstream_in_the_eras_own_way(server, era, make):
    target = make(server.url)
    task = asyncio.ensure_future(target.invoke(tool_call("wait", era=era, principal=person("a"))))
    await until(lambda: server.running)
    number = next(iter(server.running))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: server.cancelled == [number])
    await until(lambda: not server.running)
    assert target.in_flight == 0


async def test_a_deadline_that_passes_tells_a_legacy_server_that_nobody_waits(make, relay, sessions):
    # Each look at the clock finds all but 0.3 s of a call's time gone; what is told aside keeps the whole of it.
    looks = itertools.count(step=59.7)
    async with legacy_server() as server:
        assert (await make(server.url).invoke(tool_call("echo", era="legacy"))).result  # opens the session
        target = McpServerTarget(target_at(server.url), relay=relay, sessions=sessions, clock=lambda: next(looks))
        with pytest.raises(UpstreamTimeout):
            await target.invoke(tool_call("wait", era="legacy"))
        assert len(server.cancelled) == 1


async def test_a_legacy_call_that_was_answered_is_not_cancelled(make):
    async with legacy_server() as server:
        await make(server.url).invoke(tool_call("echo", era="legacy"))
        await make(server.url).invoke(tool_call("broken", era="legacy"))
        assert server.cancelled == []


async def test_a_legacy_servers_questions_are_refused_its_ping_is_answered_and_the_call_ends_well(make):
    async with legacy_server(answers="sse") as server:
        answer = await make(server.url).invoke(tool_call("ask", era="legacy"))
        codes = json.loads(json.loads(answer.result)["content"][0]["text"])
        assert codes == [-32601, -32601, "ok"]


@pytest.mark.parametrize("answers", ["json", "sse"])
async def test_a_modern_server_that_requires_input_is_refused_with_a_clear_sentence(answers, make):
    async with modern_server(answers=answers) as server:
        with pytest.raises(UpstreamInvalid) as caught:
            await make(server.url).invoke(tool_call("ask"))
    assert "does not relay yet" in caught.value.public


async def test_json_answers_share_one_kept_connection(era, make, relay):
    async with ERAS[era]() as server:
        target = make(server.url)
        for _ in range(20):
            await target.invoke(tool_call("echo", era=era))
        assert server.http.accepted == 1


async def test_a_path_and_query_of_the_endpoint_are_kept(make):
    async with modern_server() as server:
        await make(server.url + "/x%20y?team=a&b=").invoke(tool_call("echo"))
        assert server.paths[-1] == "/mcp/x%20y?team=a&b="


@pytest.mark.parametrize("rest", [b"", b": " + b"x" * 100_000 + b"\n\n"])
async def test_a_stream_that_goes_on_after_its_answer_does_not_delay_it_and_is_closed_soon(make, relay, rest):
    async def handle(exchange):
        await exchange.start()
        await exchange.event(result(exchange.json(), text("here") | {"resultType": "complete"}))
        await exchange.write(rest)
        await exchange.gone.wait()

    async with serve_http(handle) as http:
        assert (await make(f"{http.origin}/mcp").invoke(tool_call("echo"))).result
        await until(lambda: not http.connections)
        assert relay.stats().in_flight == 0


async def test_a_call_that_its_listener_breaks_off_is_cancelled_upstream(make):
    async def leave(_):
        raise ConnectionError

    async with legacy_server(answers="sse") as server:
        call = tool_call("progress", era="legacy", wants_progress=True)
        with pytest.raises(ConnectionError):
            await make(server.url).invoke(call, leave)
        assert len(server.cancelled) == 1
