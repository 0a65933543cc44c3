"""Tool calls from end to end: real client socket, real server, real target."""

import pytest

from gateway.house import until
from targets.servers import legacy_server, modern_server

pytestmark = pytest.mark.usefixtures("either_way")


async def test_a_modern_client_calls_a_modern_target(house):
    async with modern_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        heard = await house.modern(url, "tools/call", {"name": "one___echo", "arguments": {"a": 1}}, number="x1")
    assert heard.status == 200
    assert heard.json["id"] == "x1"
    assert heard.result["structuredContent"] == {"a": 1}
    assert heard.result["resultType"] == "complete"
    assert server.calls[0]["name"] == "echo"


async def test_a_legacy_client_calls_a_legacy_target(house):
    async with legacy_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        heard = await house.legacy(url, "tools/call", {"name": "one___echo", "arguments": {"a": 1}})
        assert heard.status == 200
        assert heard.result["structuredContent"] == {"a": 1}
        [record] = house.records()
        assert (record.target, record.tool, record.outcome, record.era) == ("one", "echo", "ok", "legacy")
        await until(lambda: not server.running)
