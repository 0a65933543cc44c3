"""mcp-remote, unmodified, as a stdio server of the Python SDK's client, in both eras."""

import pytest
from mcp_remote import mcp_remote

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]


@pytest.mark.parametrize("options", [[], ["--protocol", "auto"]])
async def test_mcp_remote_logs_in_lists_and_calls(demo, tmp_path, options):
    async with mcp_remote(demo.mcp_url, demo.person(), tmp_path, *options) as client:
        tools = await client.list_tools()
        result = await client.call_tool("calculator___add_numbers", {"a": 2, "b": 40})
    names = {tool.name.split("___")[0] for tool in tools.tools}
    assert names == {"calculator", "everything"}, (tmp_path / "stderr").read_text()
    assert "42" in result.content[0].text
