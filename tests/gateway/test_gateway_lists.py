"""tools/list: what is shown, in which order, page by page."""

import json

import pytest

from gateway.house import LEGACY, MODERN
from portico.model.target import EraTools, Tool
from targets.servers import legacy_server, modern_server, tool


def eras(*names, era="modern", **members):
    tools = tuple(Tool(name=name, definition=json.dumps(tool(name, **members)).encode()) for name in names)
    return (EraTools(era=era, version=MODERN if era == "modern" else LEGACY, tools=tools),)


def names(heard):
    return [entry["name"] for entry in heard.result["tools"]]


async def pages(house, url):
    """Every page of a list, as lists of names."""
    found, params = [], None
    while True:
        heard = await house.modern(url, "tools/list", params)
        found.append(names(heard))
        if "nextCursor" not in heard.result:
            return found
        params = {"cursor": heard.result["nextCursor"]}


async def test_the_tools_of_all_targets_stand_in_one_list_sorted_by_name(house):
    url = await house.add_gateway()
    await house.add_target("http://127.0.0.1:1/mcp", name="zoo", eras=eras("b", "a"))
    await house.add_target("http://127.0.0.1:1/mcp", name="ark", eras=eras("c"))
    assert names(await house.modern(url, "tools/list")) == ["ark___c", "zoo___a", "zoo___b"]


async def test_the_endpoint_of_one_target_shows_its_own_names_and_nothing_else(house):
    async with modern_server() as server:
        await house.add_gateway()
        url = await house.add_target(server.url, name="one")
        await house.add_target("http://127.0.0.1:1/mcp", name="two", eras=eras("other"))
        assert "echo" in names(await house.modern(url, "tools/list"))
        assert "other" not in names(await house.modern(url, "tools/list"))
        called = await house.modern(url, "tools/call", {"name": "echo", "arguments": {"a": 1}})
        assert called.result["structuredContent"] == {"a": 1}
        assert house.records()[0].tool == "echo"


async def test_pages_hold_every_tool_once(house):
    url = await house.add_gateway(extension={"pageSize": 3})
    await house.add_target("http://127.0.0.1:1/mcp", eras=eras(*(f"t{n}" for n in range(7))))
    found = await pages(house, url)
    assert [len(page) for page in found] == [3, 3, 1]
    assert [name for page in found for name in page] == [f"one___t{n}" for n in range(7)]


async def test_without_pagination_everything_is_on_one_page(house):
    url = await house.add_gateway(protocolConfiguration={"mcp": {"disableMcpListToolsPagination": True}})
    await house.add_target("http://127.0.0.1:1/mcp", eras=eras(*(f"t{n:04}" for n in range(1000))))
    assert [len(page) for page in await pages(house, url)] == [1000]


async def test_a_cursor_goes_on_where_it_stood_after_the_list_changed(house):
    url = await house.add_gateway(extension={"pageSize": 2})
    await house.add_target("http://127.0.0.1:1/mcp", name="a", eras=eras("1", "2"))
    await house.add_target("http://127.0.0.1:1/mcp", name="b", eras=eras("1", "2"))
    first = await house.modern(url, "tools/list")
    await house.remove_target("a")
    await house.add_target("http://127.0.0.1:1/mcp", name="c", eras=eras("1"))
    second = await house.modern(url, "tools/list", {"cursor": first.result["nextCursor"]})
    assert names(second) == ["b___1", "b___2"]
    third = await house.modern(url, "tools/list", {"cursor": second.result["nextCursor"]})
    assert names(third) == ["c___1"]


@pytest.mark.parametrize("cursor", ["", "x", "A" * 3000, "é", 7, None])
async def test_a_bad_cursor_is_refused(house, cursor):
    url = await house.add_gateway()
    await house.add_target("http://127.0.0.1:1/mcp", eras=eras("a", "b"))
    heard = await house.modern(url, "tools/list", {"cursor": cursor})
    assert (heard.status, heard.error["code"]) == (400, -32602)


async def test_a_cursor_of_another_list_is_refused(house):
    url = await house.add_gateway(extension={"pageSize": 1})
    other = await house.add_target("http://127.0.0.1:1/mcp", eras=eras("a", "b"))
    cursor = (await house.modern(url, "tools/list")).result["nextCursor"]
    assert (await house.modern(other, "tools/list", {"cursor": cursor})).error["code"] == -32602


async def test_an_empty_gateway_lists_nothing(house):
    url = await house.add_gateway()
    assert names(await house.modern(url, "tools/list")) == []
    assert names(await house.legacy(url, "tools/list")) == []


async def test_what_a_tool_says_of_itself_is_kept_and_tasks_are_not_announced(house):
    url = await house.add_gateway()
    members = {
        "title": "T",
        "outputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": True},
        "_meta": {"a.example/b": 1.5},
        "execution": {"taskSupport": "optional"},
    }
    await house.add_target("http://127.0.0.1:1/mcp", eras=eras("a", **members))
    [listed] = (await house.modern(url, "tools/list")).result["tools"]
    del members["execution"]
    assert listed == tool("one___a", **members) | {"description": "The tool a."}


async def test_tools_that_no_client_may_see_are_left_out_and_logged(house):
    url = await house.add_gateway()
    bad = {"type": "object", "properties": {"a": {"type": "number", "x-mcp-header": "A"}}}
    await house.add_target("http://127.0.0.1:1/mcp", name="bad", eras=eras("a", inputSchema=bad))
    await house.add_target("http://127.0.0.1:1/mcp", name="long", eras=eras("x" * 256))
    await house.add_target("http://127.0.0.1:1/mcp", name="good", eras=eras("a"))
    assert names(await house.modern(url, "tools/list")) == ["good___a"]
    said = house.snapshots.get("shop").snapshot.left_out
    assert any("x-mcp-header" in line for line in said)
    assert any("256 characters" in line for line in said)


async def test_a_target_that_was_never_synchronized_says_so(house):
    url = await house.add_gateway()
    await house.add_target("http://127.0.0.1:1/mcp", eras=())
    heard = await house.modern(url, "tools/list")
    [told] = heard.result["_meta"]["dev.portico/unavailableTargets"]
    assert told["target"] == "one"
    assert "synchronized" in told["reason"]


async def test_both_eras_are_served_at_one_url(house):
    async with legacy_server() as old, modern_server() as new:
        url = await house.add_gateway()
        await house.add_target(old.url, name="old")
        await house.add_target(new.url, name="new")
        for say in (house.modern, house.legacy):
            assert {name.partition("___")[0] for name in names(await say(url, "tools/list"))} == {"new", "old"}


async def test_only_offered_revisions_are_served(house):
    url = await house.add_gateway(protocolConfiguration={"mcp": {"supportedVersions": [MODERN]}})
    for version in ("2025-06-18", LEGACY):
        heard = await house.legacy(url, "tools/list", version=version)
        assert (heard.status, heard.error["code"]) == (400, -32022)
        assert heard.error["data"] == {"supported": [MODERN], "requested": version}
    heard = await house.legacy(url, "tools/list", version=None)
    assert (heard.status, heard.error["code"]) == (400, -32020)
    heard = await house.legacy(url, "initialize", {"protocolVersion": LEGACY, "capabilities": {}}, version=None)
    assert (heard.status, heard.error["data"]["supported"]) == (400, [MODERN])


async def test_a_request_without_a_version_speaks_the_oldest(house):
    url = await house.add_gateway(protocolConfiguration={"mcp": {"supportedVersions": ["2025-03-26"]}})
    assert (await house.legacy(url, "ping", version=None)).result == {}
    heard = await house.modern(url, "tools/list")
    assert (heard.status, heard.error["code"], heard.error["data"]["supported"]) == (400, -32022, ["2025-03-26"])
