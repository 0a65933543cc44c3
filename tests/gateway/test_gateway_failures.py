"""Targets that fail, a journal that is full, and what a caller is told."""

import asyncio

import pytest

from gateway.house import until
from portico.audit.journal import Journal
from portico.gateway.recording import Recorder
from targets import servers
from targets.servers import legacy_server, misbehaving_server, modern_server

CALL = ("tools/call", {"name": "one___echo", "arguments": {"password": "canary-argument"}})


@pytest.mark.parametrize("say", ["modern", "legacy"])
@pytest.mark.parametrize(
    "fault", ["html", "big", "big_event", "die", "die_in_body", "die_in_stream", "500", "401", "invalid_utf8", "batch"]
)
async def test_a_failing_target_is_a_result_that_helps_and_names_no_address(house, fault, say):
    async with misbehaving_server(fault) as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        heard = await getattr(house, say)(url, *CALL)
        assert heard.status == 200
        assert heard.result["isError"]
        said = heard.result["content"][0]["text"]
        assert said.startswith("Calling one___echo failed. ")
        assert "127.0.0.1" not in said
        assert server.canary not in said
        [record] = house.records()
        assert (record.outcome, record.target, record.tool) == ("failed", "one", "echo")


async def test_a_target_that_hangs_is_given_up_and_the_others_go_on(house):
    async with misbehaving_server("hang") as hanging, modern_server() as good:
        url = await house.add_gateway()
        await house.add_target(hanging.url, callTimeout=0.3)
        await house.add_target(good.url, name="two")
        slow = [asyncio.create_task(house.modern(url, *CALL, number=n)) for n in range(20)]
        await until(lambda: hanging.requests or all(task.done() for task in slow))
        heard = await house.modern(url, "tools/call", {"name": "two___echo"})
        assert "isError" not in heard.result or not heard.result["isError"]
        for answer in await asyncio.gather(*slow):
            assert answer.result["isError"]
        assert {record.code for record in house.records() if record.target == "one"} == {"upstream_timeout"}


async def test_a_target_that_refuses_connections(house):
    url = await house.add_gateway()
    async with modern_server() as server:
        await house.add_target(server.url)
    heard = await house.modern(url, *CALL)  # the server has gone by now
    assert heard.result["isError"]
    assert str(server.url) not in heard.body.decode()
    assert house.records()[0].code == "upstream_unreachable"


async def test_a_target_with_too_many_calls_refuses_one_more(house):
    async with modern_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url, maxConcurrency=1)
        held = asyncio.create_task(house.modern(url, "tools/call", {"name": "one___wait"}))
        await until(lambda: server.running)
        heard = await house.modern(url, *CALL)
        assert heard.result["isError"]
        assert house.records()[0].code == "limit_exceeded"
        server.proceed.set()
        assert (await held).status == 200


async def test_a_gateway_in_debug_mode_tells_the_detail_too(house):
    async with misbehaving_server("html") as server:
        url = await house.add_gateway(exceptionLevel="DEBUG")
        await house.add_target(server.url)
        heard = await house.modern(url, *CALL)
        assert heard.result["_meta"]["debug"]["type"] == "text"
        assert heard.result["_meta"]["debug"]["text"] == heard.result["content"][0]["text"]


@pytest.mark.parametrize("code", [-32020, -32021, -32022, -32042, -32050])
@pytest.mark.parametrize("server_of", [legacy_server, modern_server])
async def test_codes_that_only_the_specification_may_use_are_not_passed_on(house, code, server_of, monkeypatch):
    async def answer(recorder, request, tell):
        return servers.failure(request, code, "between you and me")

    monkeypatch.setattr(servers, "_run_tool", answer)
    async with server_of() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        heard = await (house.modern if server_of is modern_server else house.legacy)(url, *CALL)
        assert heard.status == 200
        assert heard.result["isError"]


async def test_an_error_of_the_target_travels_with_its_status(house, monkeypatch):
    async with modern_server() as server, legacy_server() as old:
        url = await house.add_gateway()
        await house.add_target(server.url)
        await house.add_target(old.url, name="old")
        for code, status, shown in ((-32602, 400, -32602), (-32601, 404, -32601), (-32002, 400, -32602), (7, 200, 7)):

            async def answer(recorder, request, tell, code=code):
                return servers.failure(request, code, "no", {"a": [1]})

            monkeypatch.setattr(servers, "_run_tool", answer)
            heard = await house.modern(url, *CALL)
            assert (heard.status, heard.error) == (status, {"code": shown, "message": "no", "data": {"a": [1]}})
            heard = await house.legacy(url, "tools/call", {"name": "old___echo"})
            assert (heard.status, heard.error["code"]) == (200, code)


async def test_a_call_that_cannot_be_recorded_is_not_made(house):
    async with modern_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        small = Journal(house.directory / "small", writer="small", max_bytes=8000)
        house.endpoint._calls._recorder = Recorder(small)
        statuses = [(await house.modern(url, *CALL, number=n)).status for n in range(24)]
        made = len(server.calls)
        refused = await house.modern(url, *CALL)
        assert statuses[0] == 200
        assert refused.status == 503
        assert "audit.journal_max" in refused.error["message"]
        assert "Retry-After" in refused.headers
        assert len(server.calls) == made == statuses.count(200)
        assert (await house.modern(url, "tools/list")).status == 200
        small.close()


async def test_a_record_holds_neither_arguments_nor_results(house):
    async with modern_server() as server:
        url = await house.add_gateway(jwt_rules={})
        await house.add_target(server.url)
        token = house.token(url)
        await house.modern(url, *CALL, token=token)
        journal = b"".join(path.read_bytes() for path in (house.directory / "journal").iterdir())
        assert b"canary-argument" not in journal
        assert token.encode() not in journal
        [record] = house.records()
        assert (record.user, record.client, record.kind, record.issuer) == ("alice", "cli", "user", house.issuer)
        assert (record.method, record.era, record.version) == ("tools/call", "modern", "2026-07-28")
        assert record.request_id
        assert record.duration_ms > 0


async def test_every_call_is_recorded_whatever_became_of_it(house):
    async with modern_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        for params in (
            {"name": "one___echo"},
            {"name": "one___fail"},
            {"name": "one___broken"},
            {"name": "one___nothing"},
            {"name": 7},
            {},
        ):
            await house.modern(url, "tools/call", params, headers={"mcp-name": str(params.get("name"))})
        await house.modern(url, *CALL, headers={"mcp-name": "other"})
        await house.legacy(url, *CALL, version="2030-01-01")
        assert [(r.outcome, r.code) for r in house.records()] == [
            ("ok", ""),
            ("tool_error", ""),
            ("protocol_error", "-32603"),
            ("protocol_error", "-32602"),
            ("protocol_error", "-32602"),
            ("protocol_error", "-32602"),
            ("protocol_error", "-32020"),
            ("protocol_error", "-32022"),
        ]
