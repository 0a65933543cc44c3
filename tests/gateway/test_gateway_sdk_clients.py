"""The official Python SDK's client, unmodified, in every mode."""

import pytest
from mcp import Client

from targets.servers import legacy_server, modern_server

EVERYTHING_ON = {
    "protocolConfiguration": {
        "mcp": {
            "sessionConfiguration": {"sessionTimeoutInSeconds": 900},
            "streamingConfiguration": {"enableResponseStreaming": True},
        }
    }
}


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28", "auto"])
@pytest.mark.parametrize("configuration", [{}, EVERYTHING_ON])
async def test_the_sdk_client_lists_and_calls(house, mode, configuration):
    async with legacy_server(answers="sse") as old, modern_server(answers="sse") as new:
        url = await house.add_gateway(**configuration)
        await house.add_target(old.url, name="old")
        await house.add_target(new.url, name="new")
        target = "old" if mode == "legacy" else "new"
        seen = []

        async def progress(done, total, message):
            seen.append(message)

        async with Client(url, mode=mode) as client:
            listed = {tool.name for tool in (await client.list_tools()).tools}
            assert f"{target}___echo" in listed
            called = await client.call_tool(f"{target}___echo", {"a": 1})
            assert called.structured_content == {"a": 1}
            await client.call_tool(f"{target}___progress", {"steps": 3}, progress_callback=progress)
        assert seen == (["step 1", "step 2", "step 3"] if configuration else [])
        assert {record.outcome for record in house.records()} == {"ok"}
