import re

import pytest

from control.house import SECRET, gateway, issuer, jwt, target
from portico.control import clients as client_cases
from portico.control import users as user_cases
from portico.crypto.passwords import verify_password
from portico.model.errors import ConfigError, NotFound
from portico.model.secret import Secret
from portico.storage import (
    clients,
    counters,
    gateways,
    grants,
    issuers,
    jobs,
    revocations,
    signing_keys,
    targets,
    users,
)
from portico.storage.grants import GrantRow

ISSUER_URL = "https://portico.example/i/main"


@pytest.fixture
def read(database):
    async def read(function, *args, **kwargs):
        async with database.read() as conn:
            return await function(conn, *args, **kwargs)

    return read


async def test_a_file_becomes_rows_with_ids_keys_jobs_and_counters(applied, read):
    await applied(issuers=[issuer()], gateways=[gateway(targets=[target()])])
    [row] = await read(gateways.list_all)
    assert re.fullmatch(r"tools-[0-9a-z]{10}", row.id)
    assert row.managed_by == "portico.yaml"
    [found] = await read(targets.list_all)
    assert re.fullmatch(r"[0-9a-zA-Z]{10}", found.id)
    assert (found.name, found.status, found.gateway_id) == ("calc", "CREATING", row.id)
    assert {key.state for key in await read(signing_keys.list_all, issuer="main")} == {"current", "next"}
    assert await read(jobs.next_due) is not None
    assert set(await read(counters.read_all)) == {f"gateway/{row.id}", "issuer/main"}


async def test_applying_the_same_file_again_changes_nothing(applied, read):
    file = {"issuers": [issuer()], "gateways": [gateway(targets=[target()])]}

    async def everything():
        return [
            await read(module.list_all) for module in (gateways, targets, issuers, users, clients, signing_keys)
        ] + [await read(counters.read_all), await read(revocations.list_live, 0)]

    await applied(**file)
    before = await everything()
    await applied(**file)
    assert await everything() == before


async def test_a_changed_gateway_keeps_its_id_and_takes_the_whole_new_document(applied, read):
    await applied(issuers=[issuer()], gateways=[gateway(description="one")])
    [before] = await read(gateways.list_all)
    await applied(issuers=[issuer()], gateways=[gateway(authorizerConfiguration=jwt(allowedClients=["c"]))])
    [after] = await read(gateways.list_all)
    assert (after.id, after.revision) == (before.id, before.revision + 1)
    assert "description" not in after.document
    counted = await read(counters.read_all)
    assert counted[f"gateway/{before.id}"] == 2


async def test_a_changed_target_is_synchronized_again_and_keeps_its_tools_meanwhile(applied, read, database):
    await applied(issuers=[issuer()], gateways=[gateway(targets=[target()])])
    [before] = await read(targets.list_all)
    async with database.write() as conn:
        await targets.set_status(conn, before.id, "READY", (), eras=b"[]", synchronized_at=1)
        for job in await jobs.lease(conn, "test", 2e9, 10, 10):
            await jobs.finish(conn, job)
    await applied(issuers=[issuer()], gateways=[gateway(targets=[target(**{"x-portico": {"era": "legacy"}})])])
    [after] = await read(targets.list_all)
    assert (after.id, after.status, after.eras) == (before.id, "UPDATING", b"[]")
    assert await read(jobs.next_due) is not None


async def test_what_the_file_no_longer_declares_is_removed(applied, read):
    await applied(issuers=[issuer()], gateways=[gateway(targets=[target(), target(name="two")]), gateway(name="b")])
    await applied(issuers=[issuer()], gateways=[gateway(targets=[target(name="two")])])
    assert [row.name for row in await read(gateways.list_all)] == ["Tools"]
    assert [row.name for row in await read(targets.list_all)] == ["two"]
    await applied()
    assert await read(gateways.list_all) == []
    assert await read(issuers.list_all) == []
    assert await read(signing_keys.list_all) == []


async def test_a_removed_user_or_client_is_revoked(applied, read, clock):
    await applied(issuers=[issuer()])
    [ada] = await read(users.list_all)
    await applied(issuers=[issuer(users=[], clients=[])])
    assert await read(users.list_all) == []
    assert await read(clients.list_all) == []
    found = {(row.kind, row.issuer, row.key, row.not_before) for row in await read(revocations.list_live, 0)}
    now = int(clock.now)
    assert found == {("subject", ISSUER_URL, ada.subject, now), ("client", ISSUER_URL, "robot", now)}
    assert (await read(counters.read_all))["revocations"] == 2


async def test_a_removed_users_grants_are_revoked(applied, read, database, clock):
    await applied(issuers=[issuer()])
    [ada] = await read(users.list_all)
    async with database.write() as conn:
        await grants.add(conn, _grant(ada.subject, clock))
    await applied(issuers=[issuer(users=[])])
    [row] = await read(grants.list_all)
    assert row.revoked_at == int(clock.now)


async def test_a_changed_password_ends_what_the_old_one_opened(applied, read):
    await applied(issuers=[issuer()])
    [before] = await read(users.list_all)
    await applied(issuers=[issuer(users=[{"name": "ada", "password": "another horse"}])])
    [after] = await read(users.list_all)
    assert after.subject == before.subject
    assert verify_password(after.password_hash, "another horse")
    assert [row.kind for row in await read(revocations.list_live, 0)] == ["subject"]


async def test_a_disabled_user_stays_disabled_when_the_file_is_applied_again(applied, read, database, ground):
    await applied(issuers=[issuer()])
    await user_cases.disable(database, ground=ground, issuer="main", name="ada", now=5)
    await client_cases.disable(database, ground=ground, issuer="main", client_id="robot", now=5)
    await applied(issuers=[issuer(title="New")])
    assert [row.disabled_at for row in await read(users.list_all)] == [5]
    assert [row.disabled_at for row in await read(clients.list_all)] == [5]


async def test_a_client_that_loses_a_scope_or_its_secret_loses_its_tokens_and_one_that_gains_does_not(applied, read):
    def file(**changes):
        client = {"name": "robot", "secret": SECRET, "scopes": ["mcp/invoke"]} | changes
        return {"issuers": [issuer(clients=[client], scopes=["mcp/invoke", "mcp/more"])]}

    async def revoked():
        return len(await read(revocations.list_live, 0))

    await applied(**file())
    await applied(**file(scopes=["mcp/invoke", "mcp/more"]))
    assert await revoked() == 0
    await applied(**file())
    assert await revoked() == 1
    await applied(**file(secret=SECRET.upper()))
    assert await revoked() == 2


async def test_what_others_manage_is_a_fault_and_nothing_is_written(applied, read, database):
    await applied(issuers=[issuer(users=[], clients=[])])
    await user_cases.add(database, issuer="main", name="ada", password=Secret("correct horse"), now=1)
    await client_cases.add_machine(database, issuer="main", name="robot", scopes=("mcp/invoke",), now=1)
    with pytest.raises(ConfigError) as raised:
        await applied(issuers=[issuer()], gateways=[gateway()])
    assert [fault.path for fault in raised.value.faults] == [
        "issuers[0].users[0].name",
        "issuers[0].clients[0].clientId",
    ]
    assert await read(gateways.list_all) == []


async def test_users_and_clients_of_the_command_line_survive_the_file(applied, read, database):
    await applied(issuers=[issuer()])
    await user_cases.add(database, issuer="main", name="bob", password=Secret("correct horse"), now=1)
    await client_cases.add_machine(database, issuer="main", name="ci", scopes=("mcp/invoke",), now=1)
    await applied(issuers=[issuer(users=[], clients=[])])
    assert [row.name for row in await read(users.list_all)] == ["bob"]
    assert [row.client_id for row in await read(clients.list_all)] == ["ci"]
    await applied()
    assert [row.name for row in await read(users.list_all)] == ["bob"]
    with pytest.raises(NotFound):
        await user_cases.add(database, issuer="main", name="eve", password=Secret("correct horse"), now=1)


async def test_a_machine_that_was_removed_may_come_back_with_its_id(applied, read):
    await applied(issuers=[issuer()])
    await applied(issuers=[issuer(clients=[])])
    await applied(issuers=[issuer()])
    [row] = await read(clients.list_all)
    assert (row.client_id, row.deleted_at) == ("robot", None)


async def test_password_hashes_can_be_declared(applied, read):
    from portico.crypto.passwords import hash_password

    stored = hash_password("correct horse")
    await applied(issuers=[issuer(users=[{"name": "ada", "passwordHash": stored}])])
    assert [row.password_hash for row in await read(users.list_all)] == [stored]


@pytest.mark.case("H05")
async def test_signing_keys_follow_the_sealing_key_and_a_lost_one_is_replaced(applied, read, keyring):
    import os

    from portico.crypto.keyring import Keyring

    await applied(issuers=[issuer()])
    before = {row.kid for row in await read(signing_keys.list_all)}
    old = keyring._masters["k1"]
    keyring.adopt(Keyring({"k2": os.urandom(32), "k1": old}))
    await applied(issuers=[issuer()])
    rows = await read(signing_keys.list_all)
    assert {row.kid for row in rows} == before
    assert all(row.sealed.startswith("v1.k2.") for row in rows)
    keyring.adopt(Keyring({"k3": os.urandom(32)}))
    await applied(issuers=[issuer()])
    rows = await read(signing_keys.list_all)
    assert {row.kid for row in rows} & before == set()
    assert {row.state for row in rows} == {"current", "next"}


def _grant(subject, clock, *, client_id="app"):
    return GrantRow(
        id="g1",
        issuer="main",
        subject=subject,
        client_id=client_id,
        scopes=("mcp/invoke",),
        resource="https://portico.example/g/x/mcp",
        created_at=int(clock.now),
        expires_at=int(clock.now) + 1000,
    )
