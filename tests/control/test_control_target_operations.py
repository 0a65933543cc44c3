"""The operations on targets and how their jobs go on, on both databases."""

import asyncio
import json
import os
import re

import pytest

from control.agentcore import LOCAL, TOKEN, server
from control.house import gateway, issuer, target
from control.test_control_jobs import BOUND, Discoverer, tools
from portico.control import targets as target_cases
from portico.control.jobs import JobWorker
from portico.control.quotas import Quotas
from portico.control.sync import Synchronizer
from portico.control.transaction import of_file
from portico.model.documents import load_eras
from portico.model.errors import Conflict, InvalidInput, NotFound, ParameterMismatch, QuotaExceeded
from portico.storage import counters, jobs, targets
from portico.targets.discovery import Discovery


def transaction(conn, clock):
    return of_file(conn, "", now=int(clock.now), random=os.urandom, quotas=Quotas())


NOBODY = {"gatewayIdentifier": "nobody-0123456789"}


def schema(*names, **members):
    listed = [{"name": name, "inputSchema": {"type": "object"}} for name in names]
    return {"mcpToolSchema": {"inlinePayload": json.dumps({"tools": listed} | members)}}


@pytest.fixture
async def made(api):
    return await api.gateway()


@pytest.fixture
def of(made):
    return {"gatewayIdentifier": made["gatewayId"]}


@pytest.fixture
def discoverer():
    return Discoverer()


@pytest.fixture
async def settled(database, discoverer, clock, read):
    """Run jobs until no target is in between."""
    synchronizer = Synchronizer(database, discoverer, clock=clock)
    worker = JobWorker(database, {target_cases.SYNC_JOB: synchronizer.run}, owner="test", clock=clock)
    task = asyncio.create_task(worker.run())

    async def settled(of, attached):
        async with asyncio.timeout(BOUND):
            while True:
                # The job before the row: what a job has done in between would be missing in a row that was read before.
                [job] = [job for job in await read(_all_jobs) if job.key == attached["targetId"]] or [None]
                row = await read(targets.get, attached["targetId"])
                busy = row is not None and row.status in {"CREATING", "UPDATING", "SYNCHRONIZING"}
                if not busy and (job is None or job.run_at > clock.now):
                    return row
                worker.wake()
                await asyncio.sleep(0.005)

    yield settled
    task.cancel()
    await asyncio.wait({task})


async def _all_jobs(conn):
    from sqlalchemy import select

    from portico.storage.rows import fetch_all
    from portico.storage.schema import jobs as table

    return await fetch_all(conn, select(table), jobs.JobRow)


def names_in(row):
    return {entry.era: [tool.name for tool in entry.tools] for entry in load_eras(row.eras)}


async def test_a_target_is_creating_until_its_tools_are_read(api, made, of, settled, discoverer, clock):
    attached = await api.target(made, description="Sums")
    assert re.fullmatch(r"[0-9a-zA-Z]{10}", attached["targetId"])
    assert attached == {
        "gatewayArn": made["gatewayArn"],
        "targetId": attached["targetId"],
        "name": "calc",
        "description": "Sums",
        "targetConfiguration": server(),
        "credentialProviderConfigurations": [],
        "protocolType": "MCP",
        "status": "CREATING",
        "statusReasons": [],
        "createdAt": int(clock.now),
        "updatedAt": int(clock.now),
    }
    discoverer.found = Discovery(eras=(tools("legacy", "add"),), reasons=())
    await settled(of, attached)
    shown = await api("GetGatewayTarget", **of, targetId=attached["targetId"])
    assert shown == attached | {"status": "READY", "lastSynchronizedAt": int(clock.now)}


async def test_a_server_that_cannot_be_reached_makes_the_target_fail_with_the_reason(api, made, of, settled):
    attached = await api.target(made)
    await settled(of, attached)
    shown = await api("GetGatewayTarget", **of, targetId=attached["targetId"])
    assert (shown["status"], shown["statusReasons"]) == ("FAILED", ["The server cannot be reached."])


async def test_each_status_says_which_operation_failed_and_the_last_good_tools_stay(
    api, made, of, settled, discoverer, read
):
    discoverer.found = Discovery(eras=(tools("legacy", "add"),), reasons=())
    attached = await api.target(made)
    await settled(of, attached)
    discoverer.found = Discovery(eras=(), reasons=("It is down.",))
    one = {**of, "targetId": attached["targetId"]}

    answer = await api("SynchronizeGatewayTargets", **of, targetIdList=[attached["targetId"]])
    assert [entry["status"] for entry in answer["targets"]] == ["SYNCHRONIZING"]
    assert (await settled(of, attached)).status == "SYNCHRONIZE_UNSUCCESSFUL"
    updated = await api("UpdateGatewayTarget", **one, targetConfiguration=server(endpoint="https://b.example/mcp"))
    assert updated["status"] == "UPDATING"
    row = await settled(of, attached)
    assert row.status == "UPDATE_UNSUCCESSFUL"
    assert names_in(row) == {"legacy": ["add"]}

    discoverer.found = Discovery(eras=(tools("legacy", "new"),), reasons=())
    await api("SynchronizeGatewayTargets", **of, targetIdList=[attached["targetId"]])
    row = await settled(of, attached)
    assert (row.status, names_in(row)) == ("READY", {"legacy": ["new"]})


async def test_what_an_older_synchronization_found_does_not_end_one_that_was_asked_for_later(
    api, made, of, discoverer, database, clock, read
):
    attached = await api.target(made)
    synchronizer = Synchronizer(database, discoverer, clock=clock)

    async def leased(owner):
        async with database.write() as conn:
            [job] = [
                job for job in await jobs.lease(conn, owner, clock.now, 60, 10) if job.kind == target_cases.SYNC_JOB
            ]
        return job

    discoverer.hold = asyncio.Event()
    discoverer.found = Discovery(eras=(tools("legacy", "old"),), reasons=())
    older = asyncio.create_task(synchronizer.run(await leased("one")))
    async with asyncio.timeout(BOUND):
        while not discoverer.asked:
            await asyncio.sleep(0.005)
    await api("SynchronizeGatewayTargets", **of, targetIdList=[attached["targetId"]])
    discoverer.hold.set()
    await older
    row = await read(targets.get, attached["targetId"])
    assert (row.status, row.eras) == ("SYNCHRONIZING", None)
    discoverer.found = Discovery(eras=(tools("legacy", "new"),), reasons=())
    await synchronizer.run(await leased("two"))
    row = await read(targets.get, attached["targetId"])
    assert (row.status, names_in(row)) == ("READY", {"legacy": ["new"]})


async def test_a_synchronization_that_finds_the_same_does_not_have_the_gateway_compiled_again(
    api, made, of, settled, discoverer, read, clock
):
    discoverer.found = Discovery(eras=(tools("legacy", "add"),), reasons=())
    attached = await api.target(made)
    await settled(of, attached)
    before = (await read(counters.read_all))[f"gateway/{made['gatewayId']}"]
    clock.now += 4000
    await settled(of, attached)
    assert len(discoverer.asked) == 2
    assert (await read(counters.read_all))[f"gateway/{made['gatewayId']}"] == before


async def test_stated_tools_are_ready_at_once_and_the_server_is_only_asked_what_it_speaks(
    api, made, of, settled, discoverer, read
):
    attached = await api.target(made, targetConfiguration=server(**schema("a", "b")))
    assert attached["status"] == "READY"
    assert attached["targetConfiguration"] == server(**schema("a", "b"))
    assert names_in(await read(targets.get, attached["targetId"])) == {"legacy": ["a", "b"]}
    discoverer.found = Discovery(eras=(tools("modern", "a", "other"), tools("legacy", "x")), reasons=("said",))
    row = await settled(of, attached)
    assert names_in(row) == {"modern": ["a", "b"], "legacy": ["a", "b"]}
    assert (row.status, row.status_reasons, row.synchronized_at) == ("READY", (), None)


async def test_stated_tools_serve_while_the_server_is_away(api, made, of, settled, read):
    attached = await api.target(made, targetConfiguration=server(**schema("a")))
    row = await settled(of, attached)
    assert (row.status, names_in(row)) == ("READY", {"legacy": ["a"]})


async def test_stated_tools_refuse_to_be_synchronized_until_an_update_takes_them_away(
    api, made, of, settled, discoverer
):
    attached = await api.target(made, targetConfiguration=server(**schema("a")))
    with pytest.raises(InvalidInput) as caught:
        await api("SynchronizeGatewayTargets", **of, targetIdList=[attached["targetId"]])
    assert "mcpToolSchema" in caught.value.public
    discoverer.found = Discovery(eras=(tools("legacy", "read"),), reasons=())
    one = {**of, "targetId": attached["targetId"]}
    assert (await api("UpdateGatewayTarget", **one, targetConfiguration=server()))["status"] == "UPDATING"
    assert names_in(await settled(of, attached)) == {"legacy": ["read"]}
    await api("SynchronizeGatewayTargets", **of, targetIdList=[attached["targetId"]])
    await settled(of, attached)
    back = await api("UpdateGatewayTarget", **one, targetConfiguration=server(**schema("b")))
    assert back["status"] == "READY"
    assert "lastSynchronizedAt" not in back
    assert names_in(await settled(of, attached)) == {"legacy": ["b"]}


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        ("", "JSON"),
        ("[", "JSON"),
        ("{}", "JSON"),
        ('{"tools": 1}', "JSON"),
        ("[" * 100_000, "JSON"),
        ('{"tools": []}', "states no tools"),
        ('[{"name": "a b", "inputSchema": {"type": "object"}}]', "tools[0] cannot be published"),
        ('[{"name": "a", "inputSchema": {"type": "array"}}]', "tools[0] cannot be published"),
        ('[{"name": "a", "inputSchema": {"type": "object"}}, {"name": "a", "inputSchema": {"type": "object"}}]', "[1]"),
        ('[{"name": "a", "inputSchema": {"type": "object", "properties": {"p": {"x-mcp-header": " "}}}}]', "[0]"),
    ],
)
async def test_a_schema_that_could_not_be_served_is_refused(api, made, payload, word):
    with pytest.raises(InvalidInput) as caught:
        await api.target(made, targetConfiguration=server(mcpToolSchema={"inlinePayload": payload}))
    [fault] = caught.value.faults
    assert fault.path == "targetConfiguration.mcp.mcpServer.mcpToolSchema.inlinePayload"
    assert word in fault.message


async def test_a_schema_is_bounded_in_bytes_and_tools(api, made):
    for bounded in (api.bounded(inline_schema_bytes=50), api.bounded(tools_per_target=1)):
        with pytest.raises(InvalidInput) as caught:
            await bounded.target(made, targetConfiguration=server(**schema("a", "b")))
        assert "quotas." in caught.value.public


async def test_an_update_resets_what_is_left_out_and_keeps_the_name_unless_another_is_given(api, made, of):
    attached = await api.target(made, description="Sums")
    one = {**of, "targetId": attached["targetId"]}
    updated = await api("UpdateGatewayTarget", **one, targetConfiguration=server())
    assert (updated["name"], "description" in updated) == ("calc", False)
    renamed = await api("UpdateGatewayTarget", **one, name="sums", targetConfiguration=server())
    assert renamed["name"] == "sums"
    assert [item["name"] for item in await api.every("ListGatewayTargets", **of)] == ["sums"]


async def test_a_name_is_taken_once_per_gateway(api, made, of):
    attached = await api.target(made)
    with pytest.raises(Conflict):
        await api.target(made)
    other = await api.target(made, name="other")
    with pytest.raises(Conflict) as caught:
        await api("UpdateGatewayTarget", **of, targetId=other["targetId"], name="calc", targetConfiguration=server())
    assert "'calc'" in caught.value.public
    second = await api.gateway(name="Second")
    assert (await api.target(second))["targetId"] != attached["targetId"]


async def test_a_deleted_target_is_gone_and_its_job_finds_nothing(api, made, of, settled):
    attached = await api.target(made)
    deleted = await api("DeleteGatewayTarget", **of, targetId=attached["targetId"])
    assert deleted == {"gatewayArn": made["gatewayArn"], "targetId": attached["targetId"], "status": "DELETING"}
    for operation in ("GetGatewayTarget", "DeleteGatewayTarget"):
        with pytest.raises(NotFound):
            await api(operation, **of, targetId=attached["targetId"])
    assert await settled(of, attached) is None


async def test_a_target_is_found_under_its_own_gateway_only(api, made, of):
    attached = await api.target(made)
    other = await api.gateway(name="Other")
    wrong = {"gatewayIdentifier": other["gatewayId"], "targetId": attached["targetId"]}
    for operation, more in (
        ("GetGatewayTarget", {}),
        ("DeleteGatewayTarget", {}),
        ("UpdateGatewayTarget", {"targetConfiguration": server()}),
    ):
        with pytest.raises(NotFound):
            await api(operation, **wrong, **more)
    with pytest.raises(NotFound):
        await api(
            "SynchronizeGatewayTargets", gatewayIdentifier=other["gatewayId"], targetIdList=[attached["targetId"]]
        )


async def test_a_gateway_that_is_not_there_has_no_targets(api):
    for operation, more in (
        ("ListGatewayTargets", {}),
        ("GetGatewayTarget", {"targetId": "0123456789"}),
        ("CreateGatewayTarget", target()),
        ("SynchronizeGatewayTargets", {"targetIdList": ["0123456789"]}),
    ):
        with pytest.raises(NotFound) as caught:
            await api(operation, **NOBODY, **more)
        assert "no gateway" in caught.value.public


async def test_targets_are_listed_by_name_page_by_page_without_their_tools(api, made, of, settled, discoverer):
    discoverer.found = Discovery(eras=(tools("legacy", "add"),), reasons=())
    for name in ("b", "C", "a"):
        attached = await api.target(made, name=name, description=name)
        await settled(of, attached)
    items = await api.every("ListGatewayTargets", **of, maxResults=1)
    assert sorted(item["name"] for item in items) == ["C", "a", "b"]
    assert set(items[0]) == {
        "targetId",
        "name",
        "description",
        "status",
        "createdAt",
        "updatedAt",
        "targetType",
        "listingMode",
        "lastSynchronizedAt",
    }


async def test_a_client_token_makes_one_target(api, made):
    first = await api.target(made, clientToken=TOKEN)
    assert await api.target(made, clientToken=TOKEN) == first
    with pytest.raises(ParameterMismatch):
        await api.target(made, clientToken=TOKEN, name="other")
    other = await api.gateway(name="Other")
    with pytest.raises(ParameterMismatch):
        await api.target(other, clientToken=TOKEN)


async def test_there_are_no_more_targets_than_the_quota_says(api, made):
    few = api.bounded(targets_per_gateway=1)
    await few.target(made)
    with pytest.raises(QuotaExceeded) as caught:
        await few.target(made, name="other")
    assert "quotas.targets_per_gateway" in caught.value.public


async def test_a_private_address_needs_the_setting_that_permits_it(api, made, read):
    local = server(endpoint="http://127.0.0.1:9/mcp")
    with pytest.raises(InvalidInput) as caught:
        await api.target(made, targetConfiguration=local)
    assert [fault.path for fault in caught.value.faults] == ["targetConfiguration.mcp.mcpServer.endpoint"]
    api.extension = LOCAL
    attached = await api.target(made, targetConfiguration=local)
    assert (await read(targets.get, attached["targetId"])).extension == LOCAL


async def test_an_update_keeps_the_extension_that_the_api_has_no_place_for(api, made, of, read):
    api.extension = LOCAL
    attached = await api.target(made, targetConfiguration=server(endpoint="http://127.0.0.1:9/mcp"))
    api.extension = {}
    await api(
        "UpdateGatewayTarget",
        **of,
        targetId=attached["targetId"],
        targetConfiguration=server(endpoint="http://127.0.0.1:10/mcp"),
    )
    assert (await read(targets.get, attached["targetId"])).extension == LOCAL


async def test_a_target_of_the_file_says_so_refuses_changes_and_may_be_synchronized(api, applied, read):
    await applied(issuers=[issuer()], gateways=[gateway(targets=[target()])])
    [row] = await read(targets.list_all)
    one = {"gatewayIdentifier": row.gateway_id, "targetId": row.id}
    assert (await api("GetGatewayTarget", **one))["statusReasons"] == ["Managed by portico.yaml; change it there."]
    with pytest.raises(Conflict) as caught:
        await api("UpdateGatewayTarget", **one, targetConfiguration=server(endpoint="https://b.example/mcp"))
    assert "portico.yaml" in caught.value.public
    with pytest.raises(Conflict):
        await api("DeleteGatewayTarget", **one)
    answer = await api("SynchronizeGatewayTargets", gatewayIdentifier=row.gateway_id, targetIdList=[row.id])
    assert answer["targets"][0]["status"] == "SYNCHRONIZING"


async def test_a_file_may_state_tools_too(applied, read):
    await applied(issuers=[issuer()], gateways=[gateway(targets=[target(targetConfiguration=server(**schema("a")))])])
    [row] = await read(targets.list_all)
    assert (row.status, names_in(row)) == ("READY", {"legacy": ["a"]})


async def test_of_concurrent_updates_of_a_target_one_wins(api, made, of, read):
    attached = await api.target(made)
    one = {**of, "targetId": attached["targetId"]}
    updates = (
        api("UpdateGatewayTarget", **one, targetConfiguration=server(endpoint=f"https://{n}.example/mcp"))
        for n in "abcdef"
    )
    outcomes = await asyncio.gather(*updates, return_exceptions=True)
    won = [outcome for outcome in outcomes if not isinstance(outcome, Conflict)]
    row = await read(targets.get, attached["targetId"])
    assert row.revision == 1 + len(won)
    assert row.document["targetConfiguration"] in [outcome["targetConfiguration"] for outcome in won]


async def test_live_lists_need_no_reading_beforehand(database, made, read, discoverer, clock):
    live = target(targetConfiguration=server(listingMode="DYNAMIC"))
    async with database.write() as conn:
        tx = transaction(conn, clock)
        row = await target_cases.create(tx, gateway_id=made["gatewayId"], document=live, extension={})
        assert (row.status, row.eras) == ("READY", None)
        with pytest.raises(InvalidInput) as caught:
            await target_cases.read_again(tx, row)
        assert "DYNAMIC" in caught.value.public
        await jobs.put(conn, target_cases.SYNC_JOB, row.id, clock.now)  # as every start of a process asks for
        [job] = [job for job in await jobs.lease(conn, "test", clock.now, 60, 10) if job.key == row.id]
    assert await Synchronizer(database, discoverer, clock=clock).run(job) is None
    assert discoverer.asked == []
    async with database.write() as conn:  # and back: the tools are read
        row = await target_cases.update(transaction(conn, clock), row, document=target(), extension={})
        assert row.status == "UPDATING"
