"""What a change costs: what did not change is neither read nor compiled again, and calls are served meanwhile."""

import asyncio
import json
import time

import pytest

from gateway.house import LEGACY, MODERN
from portico.gateway.snapshot import Work
from portico.gateway.store import SLICE_SECONDS
from portico.model.documents import dump_eras
from portico.model.target import EraTools, Tool
from portico.storage import gateways, targets
from portico.storage.targets import TargetRow

NOWHERE = "http://127.0.0.1:1/mcp"
VERSIONS = 4  #: that a gateway offers unless it says otherwise


def eras(*names, era="modern", **members):
    definition = {"description": "A tool.", "inputSchema": {"type": "object"}, **members}
    tools = tuple(Tool(name=name, definition=json.dumps({"name": name, **definition}).encode()) for name in names)
    return (EraTools(era=era, version=MODERN if era == "modern" else LEGACY, tools=tools),)


def row(number, gateway_id="shop", **members):
    name = f"t{number:05}"
    return TargetRow(
        id=f"T{number:09}",
        gateway_id=gateway_id,
        name=name,
        document={"name": name, "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": NOWHERE}}}},
        extension={"allowPrivateAddresses": True},
        status="READY",
        eras=dump_eras(eras(*(f"tool{index}" for index in range(10)), **members)),
        created_at=1,
        updated_at=1,
    )


@pytest.fixture
async def shop(house):
    """A gateway of 30 targets with ten tools each, and its URL."""
    url = await house.add_gateway()
    async with house.database.write() as conn:
        for number in range(30):
            await targets.add(conn, row(number))
    await house.snapshots.reload(["shop"])
    assert house.snapshots.work == Work(rows=30, targets=30, tools=30 * 10 * VERSIONS)
    return url


async def change(house, statement, *arguments, **named):
    async with house.database.write() as conn:
        return await statement(conn, *arguments, **named)


async def work_of(house, gateway_id="shop"):
    """Reload a gateway and return what that took."""
    before = Work(**{name: getattr(house.snapshots.work, name) for name in ("rows", "targets", "tools")})
    await house.snapshots.reload([gateway_id])
    after = house.snapshots.work
    return Work(rows=after.rows - before.rows, targets=after.targets - before.targets, tools=after.tools - before.tools)


async def listed(house, url):
    found, params = {}, None
    while True:
        result = (await house.modern(url, "tools/list", params)).result
        found |= {tool["name"]: tool["description"] for tool in result["tools"]}
        if "nextCursor" not in result:
            return found
        params = {"cursor": result["nextCursor"]}


async def test_only_the_tools_of_the_target_that_changed_are_compiled_again(house, shop):
    before = house.snapshots.get("shop").snapshot
    found = eras("new", "newer", description="Changed.")
    await change(house, targets.set_status, "T000000007", "READY", (), eras=dump_eras(found))
    assert await work_of(house) == Work(rows=1, targets=1, tools=2 * VERSIONS)
    after = house.snapshots.get("shop").snapshot
    kept = [name for name in after.compiled if after.compiled[name] is before.compiled[name]]
    assert len(kept) == 29
    assert all(after.endpoints[name] is before.endpoints[name] for name in kept)
    tools = await listed(house, shop)
    assert len(tools) == 29 * 10 + 2
    assert tools["t00007___newer"] == "Changed."
    assert await listed(house, f"{shop}/t00007") == {"new": "Changed.", "newer": "Changed."}


async def test_a_change_of_a_document_concerns_that_target_alone(house, shop):
    stored = row(3)
    changed = row(3).document | {"metadataConfiguration": {"allowedRequestHeaders": ["x-a"]}}
    await change(house, targets.replace, replaced(stored, document=changed), expected_revision=1)
    assert await work_of(house) == Work(rows=1, targets=1, tools=10 * VERSIONS)
    propagation = house.snapshots.get("shop").targets["t00003"].target.propagation
    assert propagation.request_headers == {b"x-a"}
    assert shop


def replaced(stored, **members):
    return TargetRow(**({name: getattr(stored, name) for name in TargetRow.__slots__} | members))


async def test_a_change_of_the_gateway_compiles_no_tool(house, shop):
    await house.change_gateway(extension={"pageSize": 7})
    assert house.snapshots.work.tools == 30 * 10 * VERSIONS
    assert len((await house.modern(shop, "tools/list")).result["tools"]) == 7
    assert len(await listed(house, shop)) == 300


async def test_another_revision_is_compiled_beside_those_that_there_are(house, shop):
    offered = {"mcp": {"supportedVersions": [MODERN]}}
    await house.change_gateway(protocolConfiguration=offered)
    assert house.snapshots.work.tools == 30 * 10 * VERSIONS
    await house.change_gateway(protocolConfiguration={"mcp": {"supportedVersions": [MODERN, LEGACY]}})
    assert house.snapshots.work == Work(rows=30, targets=30, tools=30 * 10 * (VERSIONS + 1))
    assert len((await house.legacy(shop, "tools/list")).result["tools"]) == 200


async def test_a_synchronization_that_finds_nothing_new_compiles_nothing(house, shop):
    carried = house.snapshots.get("shop").targets["t00004"]
    stored = row(4)
    await change(house, targets.set_status, stored.id, "READY", ("All is well.",), synchronized_at=5)
    assert await work_of(house) == Work()
    await change(house, targets.set_status, stored.id, "READY", (), eras=stored.eras, synchronized_at=5)
    assert await work_of(house) == Work(rows=1)
    assert house.snapshots.get("shop").targets["t00004"] is carried
    assert shop


async def test_targets_that_come_and_go_cost_nothing_to_the_others(house, shop):
    await change(house, targets.delete, "T000000011")
    assert await work_of(house) == Work()
    assert (await house.modern(f"{shop}/t00011", "tools/list")).status == 404
    await change(house, targets.add, row(11))
    assert await work_of(house) == Work(rows=1, targets=1, tools=10 * VERSIONS)
    assert (await house.modern(f"{shop}/t00011", "tools/list")).status == 200
    assert len(await listed(house, shop)) == 300


async def test_a_target_under_another_name_is_listed_under_that(house, shop):
    stored = row(5)
    document = stored.document | {"name": "renamed"}
    await change(house, targets.replace, replaced(stored, name="renamed", document=document), expected_revision=1)
    assert await work_of(house) == Work(rows=1, targets=1, tools=10 * VERSIONS)
    assert (await house.modern(f"{shop}/t00005", "tools/list")).status == 404
    assert {name.partition("___")[0] for name in await listed(house, shop)} >= {"renamed", "t00006"}


async def test_tools_are_sorted_by_their_whole_names_whatever_targets_are_called(house):
    url = await house.add_gateway(extension={"pageSize": 3})
    names = ["a", "a-b", "aB", "ab", "a0", "B", "-x"]
    for number, name in enumerate(names):
        document = {"name": name, "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": NOWHERE}}}}
        stored = replaced(row(number), name=name, document=document, eras=dump_eras(eras("x", "A", "_y", "-")))
        await change(house, targets.add, stored)
    await house.snapshots.reload(["shop"])
    found = list(await listed(house, url))
    assert found == sorted(f"{name}___{tool}" for name in names for tool in ("x", "A", "_y", "-"))


async def test_what_is_shared_between_revisions_is_in_memory_once(house, shop):
    catalogs = house.snapshots.get("shop").snapshot.endpoints[""].catalogs
    assert len({id(catalog) for version, catalog in catalogs.items() if version != MODERN}) == 1
    old, new = (catalogs[version].find("t00001___tool1") for version in (LEGACY, MODERN))
    assert old.fragment is new.fragment
    assert shop


async def test_calls_are_served_while_a_large_gateway_is_read_and_compiled(house, shop):
    await house.add_gateway("large")
    async with house.database.write() as conn:
        for number in range(1000, 1500):
            await targets.add(conn, row(number, "large"))
    loading = asyncio.create_task(house.snapshots.reload(["large"]))
    served, longest = 0, 0.0
    while not loading.done():
        began = time.perf_counter()
        assert (await house.modern(shop, "tools/list")).status == 200
        longest = max(longest, time.perf_counter() - began)
        served += 1
    await loading
    assert len(await listed(house, shop.replace("shop", "large"))) == 5000
    assert served > 10, f"{served} lists, the longest took {longest:.3f} s with slices of {SLICE_SECONDS} s"


async def test_a_target_that_cannot_be_read_leaves_all_of_its_gateway_as_it_was(house, shop):
    before = house.snapshots.get("shop")
    await change(house, targets.set_status, "T000000001", "READY", (), eras=b"[]")
    await change(house, targets.set_status, "T000000002", "READY", (), eras=b"no JSON")
    await house.snapshots.reload(["shop"])
    assert house.snapshots.get("shop") is before
    await change(house, targets.set_status, "T000000002", "READY", (), eras=dump_eras(eras("again")))
    await house.snapshots.reload(["shop"])
    assert "t00002___again" in await listed(house, shop)
    assert "t00001___tool1" not in await listed(house, shop)


async def test_a_gateway_that_comes_back_is_read_anew(house, shop):
    async with house.database.write() as conn:
        stored = await gateways.get(conn, "shop")
        await gateways.delete(conn, "shop")
    await house.snapshots.reload(["shop"])
    assert (await house.modern(f"{shop}/t00001", "tools/list")).status == 404
    await change(house, gateways.add, stored)
    await change(house, targets.add, row(1))
    assert await work_of(house) == Work(rows=1, targets=1, tools=10 * VERSIONS)
    assert len(await listed(house, shop)) == 10
