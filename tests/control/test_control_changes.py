"""The record of every change, on both databases."""

import pytest

from control.agentcore import GATEWAY
from control.house import gateway, issuer, target
from portico.audit.journal import Journal
from portico.audit.read import list_changes, list_records
from portico.audit.record import MAX_SIDE_BYTES, ChangeRecord
from portico.audit.shipper import Shipper
from portico.audit.verify import verify
from portico.control.changes import CHANGES_JOB, ChangeLog, ChangeShipper, shown
from portico.control.jobs import Again
from portico.model.errors import Conflict, JournalFull
from portico.model.secret import Secret
from portico.storage import changes, jobs
from portico.storage.audit import Filters


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "audit"


@pytest.fixture
def journal(directory, clock):
    opened = Journal(directory, writer="replica", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def recorded(database, directory, clock):
    """List what was recorded, the newest first; every call has a moment of its own."""

    async def recorded(**filters):
        found = await list_changes(database, Filters(**filters), limit=100, directory=directory)
        return [entry.record for entry in found]

    return recorded


async def test_every_change_says_who_what_before_and_after(api, clock, recorded):
    made = await api.gateway(tags={"team": "a"})
    clock.now += 1
    await api("UpdateGateway", gatewayIdentifier=made["gatewayId"], **GATEWAY, description="new")
    clock.now += 1
    attached = await api.target(made)
    clock.now += 1
    await api("SynchronizeGatewayTargets", gatewayIdentifier=made["gatewayId"], targetIdList=[attached["targetId"]])
    clock.now += 1
    await api("TagResource", resourceArn=made["gatewayArn"], tags={"b": "1"})
    clock.now += 1
    await api("DeleteGatewayTarget", gatewayIdentifier=made["gatewayId"], targetId=attached["targetId"])
    clock.now += 1
    await api("DeleteGateway", gatewayIdentifier=made["gatewayId"])
    found = (await recorded())[::-1]
    assert [record.operation for record in found] == [
        "CreateGateway",
        "UpdateGateway",
        "CreateGatewayTarget",
        "SynchronizeGatewayTargets",
        "TagResource",
        "DeleteGatewayTarget",
        "DeleteGateway",
    ]
    assert {(record.kind, record.caller, record.access_key_id, record.gateway) for record in found} == {
        ("api", "ops", "PORTICO0000000000001", made["gatewayId"])
    }
    assert [record.request_id for record in found] == [f"r-{number}" for number in range(1, 8)]
    created, updated, *_, deleted = found
    assert (created.before, created.after) == (None, GATEWAY | {"tags": {"team": "a"}})
    assert updated.before == created.after
    assert updated.after == GATEWAY | {"description": "new", "tags": {"team": "a"}}
    assert deleted.after is None
    assert found[2].arn == f"{made['gatewayArn']}/target/{attached['targetId']}"
    assert found[3].after == {"status": "SYNCHRONIZING"}


async def test_what_a_file_changes_is_recorded_under_its_name_and_once(applied, recorded):
    file = {"issuers": [issuer()], "gateways": [gateway(targets=[target()])]}
    await applied(**file)
    await applied(**file)
    found = await recorded()
    assert {(record.kind, record.caller) for record in found} == {("file", "portico.yaml")}
    assert sorted(record.operation for record in found) == [
        "CreateClient",
        "CreateGateway",
        "CreateGatewayTarget",
        "CreateIssuer",
        "CreateUser",
    ]


async def test_a_change_that_was_not_made_leaves_no_record(api, recorded):
    await api.gateway()
    with pytest.raises(Conflict):
        await api.gateway()
    assert len(await recorded()) == 1


async def test_records_reach_the_journal_its_chain_and_the_database(
    api, database, journal, directory, keyring, recorded, read
):
    await api.gateway()
    assert await read(jobs.next_due) is not None
    assert await ChangeShipper(database, journal).run(None) is None
    assert await read(changes.list_all) == []
    assert len(await recorded()) == 1
    shipper = Shipper(directory, database, keyring)
    await shipper.ship()
    await shipper.sign()
    assert len(await recorded()) == 1
    assert [record.operation for record in await recorded(user="ops")] == ["CreateGateway"]
    assert await recorded(user="nobody") == []
    report = await verify(database, keyring, directory=directory)
    assert report.intact
    assert report.writers[0].lines == 1
    assert await list_records(database, Filters(), limit=10, directory=directory) == []


async def test_a_record_that_was_journaled_twice_is_one_change(api, database, journal, recorded, read):
    await api.gateway()
    [row] = await read(changes.list_all)
    await ChangeShipper(database, journal).run(None)
    async with database.write() as conn:  # as if the process had died between the two writes
        await changes.add(conn, row)
    assert len(await recorded()) == 1
    await ChangeShipper(database, journal).run(None)
    assert journal.sequence == 2
    assert len(await recorded()) == 1


async def test_a_full_journal_keeps_records_where_they_are_and_the_job_comes_again(api, database, recorded, read):
    class Full:
        def append(self, record):
            raise JournalFull("full")

    await api.gateway()
    assert isinstance(await ChangeShipper(database, Full()).run(None), Again)
    assert len(await read(changes.list_all)) == 1
    assert len(await recorded()) == 1


async def test_many_records_are_moved_in_their_order(api, database, journal, clock, directory):
    async with database.write() as conn:
        for number in range(250):
            clock.now += 1
            await ChangeLog(kind="command", caller="me", clock=clock).record(conn, f"Op{number}", "arn", None, {})
    await ChangeShipper(database, journal).run(None)
    found = await list_changes(database, Filters(), limit=1000, directory=directory)
    assert [entry.record.operation for entry in found] == [f"Op{number}" for number in reversed(range(250))]
    assert [entry.sequence for entry in found] == list(reversed(range(1, 251)))


async def test_a_record_asks_for_the_job_that_moves_it(api, database, clock):
    await api.gateway()
    async with database.write() as conn:
        leased = await jobs.lease(conn, "test", clock.now + 1, 10, 10)
    assert CHANGES_JOB in {job.kind for job in leased}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"clientSecret": "s", "clientId": "c"}, {"clientSecret": "********", "clientId": "c"}),
        ({"a": [{"apiKey": "k"}]}, {"a": [{"apiKey": "********"}]}),
        ({"secret": Secret("s"), "x": Secret("t")}, {"secret": "********", "x": "********"}),
        ({"password": "p", "passwordHash": "h"}, {"password": "********", "passwordHash": "********"}),
        ({"clientSecretArn": {"secretArn": "arn:x"}}, {"clientSecretArn": {"secretArn": "arn:x"}}),
        ({"clientToken": "t", "tokenEndpoint": "https://t"}, {"clientToken": "t", "tokenEndpoint": "https://t"}),
        ({"customParameters": {"a": "1"}}, {"customParameters": {"a": "********"}}),
        ({"endpoint": "https://u:p@h/x?a=b"}, {"endpoint": "https://********@h/x?a=b"}),
        ({"endpoint": "https://h/x?api_key=k&a=b c"}, {"endpoint": "https://h/x?api_key=********&a=b+c"}),
        ({"n": 1, "b": True, "f": 0.5, "z": None}, {"n": 1, "b": True, "f": 0.5, "z": None}),
        ({"text": "\ud800"}, {"text": "?"}),
    ],
)
def test_secrets_are_masked_by_the_name_of_their_member_and_in_urls(document, expected):
    assert shown(document) == expected


def test_what_is_long_is_cut_and_what_is_too_large_is_left_out():
    cut = shown({"text": "x" * 1000, "list": list(range(1000))})
    assert cut["text"].startswith("x" * 128 + "... (1000 characters, SHA-256 ")
    assert cut["list"][-1] == "... (1000 entries)"
    large = shown({f"m{number}": "y" * 500 for number in range(100)})
    assert set(large) == {"omitted", "sha256", "members"}
    deep = {}
    inner = deep
    for _ in range(100):
        inner["a"] = {}
        inner = inner["a"]
    assert len(str(shown(deep))) < MAX_SIDE_BYTES


def test_a_change_record_of_the_largest_size_is_a_line_that_can_be_read_again():
    from portico.audit.record import decode_record, encode_line, genesis

    side = shown({f"m{number}": "y" * 500 for number in range(30)})
    record = ChangeRecord(
        time=1.0,
        change="a" * 32,
        request_id="r",
        kind="api",
        caller="c",
        access_key_id="k",
        operation="CreateGateway",
        arn="a",
        before=side,
        after=side,
    )
    line = encode_line(1, genesis("w"), record)
    assert len(line) < 3 * MAX_SIDE_BYTES
    assert decode_record(line) == record
