"""mcp-remote, unmodified, as a stdio server of the Python SDK's client, in both eras."""

import asyncio
import re

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from node import node22, script

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]

LOGIN_SECONDS = 60.0
_AUTHORIZE = re.compile(r"Please authorize this client by visiting:\s+(http\S+)")


async def log_in_when_asked(stderr, person):
    """Read the authorize URL from what mcp-remote tells its user, then walk it."""
    async with asyncio.timeout(LOGIN_SECONDS):
        while (found := _AUTHORIZE.search(stderr.read_text())) is None:
            await asyncio.sleep(0.05)
    await asyncio.to_thread(person.log_in, found[1])


@pytest.mark.parametrize(
    "options",
    [[], ["--protocol", "auto"]],
)
async def test_mcp_remote_logs_in_lists_and_calls(demo, tmp_path, options):
    person, stderr = demo.person(), tmp_path / "stderr"
    no_browser = tmp_path / "bin"
    no_browser.mkdir()
    parameters = StdioServerParameters(
        command=node22(),
        args=[script("mcp-remote", "dist", "proxy.js"), demo.mcp_url, *options],
        env={"MCP_REMOTE_CONFIG_DIR": str(tmp_path / "config"), "PATH": str(no_browser), "HOME": str(tmp_path)},
    )
    with stderr.open("w") as errlog:
        login = asyncio.create_task(log_in_when_asked(stderr, person))
        async with asyncio.timeout(90):
            async with Client(stdio_client(parameters, errlog=errlog), mode="legacy") as client:
                tools = await client.list_tools()
                result = await client.call_tool("calculator___add_numbers", {"a": 2, "b": 40})
        await login
    assert {tool.name.split("___")[0] for tool in tools.tools} == {"calculator", "everything"}, stderr.read_text()
    assert "42" in result.content[0].text
