"""Targets that need something of the client."""

import pytest

from support import schemas
from targets import servers
from targets.servers import modern_server

CALL = ("tools/call", {"name": "one___echo", "arguments": {}})
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"


@pytest.fixture
def needing_sampling(monkeypatch):
    async def answer(recorder, request, tell):
        data = {"requiredCapabilities": {"sampling": {}}, "more": "canary"}
        return servers.failure(request, -32021, "This tool needs sampling.", data)

    monkeypatch.setattr(servers, "_run_tool", answer)


async def test_a_client_hears_which_capability_it_did_not_declare(house, needing_sampling):
    async with modern_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        heard = await house.modern(url, *CALL)
    assert (heard.status, heard.error["code"]) == (400, -32021)
    assert heard.error["data"] == {"requiredCapabilities": {"sampling": {}}}
    schemas.check("2026-07-28", heard.json, "tools/call")
    [record] = house.records()
    assert (record.outcome, record.code) == ("protocol_error", "-32021")


async def test_a_client_that_declared_it_is_told_that_the_gateway_cannot(house, needing_sampling):
    async with modern_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        heard = await house.modern(url, *CALL, meta={CAPABILITIES: {"sampling": {}}})
    assert heard.status == 200
    assert heard.result["isError"]
    assert "This tool needs sampling." in heard.result["content"][0]["text"]
