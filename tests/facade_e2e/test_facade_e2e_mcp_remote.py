"""mcp-remote, unmodified, through the façade: log in, call, refresh, call again, in both eras."""

import pytest
from flows import SHORT, both_modes, check_alternation, check_manners, check_pages, until_refreshed

from e2e.mcp_remote import mcp_remote

pytestmark = pytest.mark.e2e


@both_modes()
@pytest.mark.parametrize("options", [[], ["--protocol", "auto"]], ids=["legacy", "auto"])
async def test_it_logs_in_calls_refreshes_and_calls_again(rig, tmp_path, options):
    rig.idp.change(access_seconds=SHORT)
    person = rig.person()
    async with mcp_remote(rig.mcp_url, person, tmp_path, *options) as client:
        tools = await client.list_tools()

        async def add():
            return (await client.call_tool("add", {"a": 2, "b": 40})).structured_content

        assert await add() == {"result": 42}
        assert await until_refreshed(rig, add) == {"result": 42}
    assert {tool.name for tool in tools.tools} == {"add", "count", "whoami", "fail"}, (tmp_path / "stderr").read_text()
    check_pages(rig, person.pages)
    check_manners(rig)
    check_alternation(rig)
