"""Servers that misbehave: each fault has its error, no error quotes a call, and nothing is left behind."""

import asyncio
import traceback

import pytest

from portico.model.errors import (
    EgressDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamStatus,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
)
from portico.targets import handshake
from targets.calls import tool_call
from targets.http_server import until
from targets.servers import closed_port, legacy_server, misbehaving_server

ARGUMENTS = b'{"secret":"c4n4ry-of-the-caller"}'

#: What each fault is to the caller, and a word of the sentence that says so.
FAULTS = {
    "hang": (UpstreamTimeout, "time"),
    "hang_in_stream": (UpstreamTimeout, ""),
    "html": (UpstreamInvalid, "text/html"),
    "no_content_type": (UpstreamInvalid, "content type"),
    "big": (UpstreamTooLarge, "bytes"),
    "big_event": (UpstreamTooLarge, "bytes"),
    "die": (UpstreamUnreachable, ""),
    "die_in_body": (UpstreamUnreachable, ""),
    "die_in_stream": (UpstreamUnreachable, ""),
    "end_in_stream": (UpstreamUnreachable, "without a result"),
    "500": (UpstreamStatus, "500"),
    "401": (UpstreamStatus, "credentials"),
    "redirect": (UpstreamStatus, "redirects"),
    "accepted": (UpstreamStatus, "202"),
    "invalid_json": (UpstreamInvalid, "JSON"),
    "invalid_utf8": (UpstreamInvalid, "UTF-8"),
    "deep_json": (UpstreamInvalid, "nested"),
    "batch": (UpstreamInvalid, "JSON-RPC"),
    "wrong_id": (UpstreamInvalid, "id of another"),
    "no_result": (UpstreamInvalid, "result or an error"),
    "bad_shape": (UpstreamInvalid, "not a tool result"),
    "bad_sse": (UpstreamInvalid, "JSON"),
    "garbage": (UpstreamInvalid, "HTTP"),
    "gzip": (UpstreamInvalid, "compressed"),
}


def everything_said(error: BaseException) -> str:
    """Return all that a log could hold of an error: texts, repr, and the whole chain of exceptions."""
    seen, said = [error], []
    for one in seen:
        said += [*traceback.format_exception(one, chain=False), repr(one), repr(one.args), str(vars(one))]
        seen += [e for e in (one.__cause__, one.__context__) if e is not None and e not in seen]
    return "\n".join(said)


@pytest.mark.case("H10")
@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_has_its_error_and_none_quotes_the_call_or_the_answer(fault, era, make):
    kind, word = FAULTS[fault]
    async with misbehaving_server(fault) as server:
        target = make(server.url, **({"call_timeout": 0.4} if "hang" in fault else {}))
        with pytest.raises(UpstreamError) as caught:
            await target.invoke(tool_call("echo", era=era, arguments=ARGUMENTS))
        assert type(caught.value) is kind or (kind is UpstreamUnreachable and isinstance(caught.value, kind))
        assert word in caught.value.public
        assert "127.0.0.1" not in caught.value.public
        assert "c4n4ry" not in everything_said(caught.value)
        # The fault has cost this call and nothing else.
        assert target.in_flight == 0
        server.fault = "accepted"
        after = make(server.url) if "hang" in fault else target  # a revision of the same target that has time
        with pytest.raises(UpstreamStatus):
            await after.invoke(tool_call("echo", era=era))


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_closed_port_is_unreachable_and_its_address_is_not_told(era, make):
    with pytest.raises(UpstreamUnreachable) as caught:
        await make(f"http://127.0.0.1:{closed_port()}/mcp").invoke(tool_call("echo", era=era))
    assert "127.0.0.1" not in caught.value.public


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_private_address_without_permission_is_not_dialled(era, make):
    async with legacy_server() as server:
        with pytest.raises(EgressDenied):
            await make(server.url, allow_private=False).invoke(tool_call("echo", era=era))
        assert server.http.accepted == 0


async def test_a_modern_request_on_the_stream_is_refused(make):
    async with misbehaving_server("flood") as server:
        with pytest.raises(UpstreamInvalid) as caught:
            await make(server.url).invoke(tool_call("echo"))
        assert "forbids" in caught.value.public


async def test_a_legacy_flood_of_requests_is_bounded(make):
    async with misbehaving_server("flood") as server:
        with pytest.raises(UpstreamInvalid) as caught:
            await make(server.url).invoke(tool_call("echo", era="legacy"))
        assert "more than 100 requests" in caught.value.public
        assert len(server.replies) == 100


async def test_a_slow_target_does_not_starve_another(make):
    async with misbehaving_server("hang") as slow, legacy_server() as quick:
        stuck = make(slow.url, max_concurrency=5)
        tasks = [asyncio.ensure_future(stuck.invoke(tool_call("echo"))) for _ in range(5)]
        await until(lambda: len(slow.running) == 5)
        assert (await make(quick.url).invoke(tool_call("echo", era="legacy"))).result
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_big_answer_is_refused_before_it_is_whole(make):
    async with misbehaving_server("big") as server:
        target = make(server.url, max_response_bytes=1000)
        with pytest.raises(UpstreamTooLarge) as caught:
            await target.invoke(tool_call("echo"))
        assert "1000 bytes" in caught.value.public


async def test_a_deadline_covers_the_opening_of_a_session_too(make, monkeypatch):
    monkeypatch.setattr(handshake, "HANDSHAKE_SECONDS", 60.0)
    async with misbehaving_server("hang", always=True) as server:
        async with asyncio.timeout(30):  # less than an opening may take
            with pytest.raises(UpstreamTimeout):
                await make(server.url, call_timeout=0.4).invoke(tool_call("echo", era="legacy"))
