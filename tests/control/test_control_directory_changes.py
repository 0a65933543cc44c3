"""Every change of issuers, users, clients, grants and access keys has its record, on whoever's behalf it is made."""

import json

import pytest

from control.house import SECRET, issuer
from portico.control import access_keys, clients, grants, signing_keys, users
from portico.control.arns import own_arn, parse_arn
from portico.control.changes import ChangeLog, changes_of_command
from portico.model.errors import Conflict
from portico.model.secret import Secret
from portico.storage import changes
from portico.storage import grants as grant_rows
from portico.storage.grants import GrantRow

NOW = 1_800_000_000
KEY = {"accessKeyId": "PORTICO_DECLARED_01", "name": "ci", "role": "operator", "secret": SECRET}


@pytest.fixture
def recorded(read):
    """Return what was recorded since the last time, the oldest first."""
    seen = set()

    async def recorded():
        rows = [row for row in await read(changes.list_all) if row.id not in seen]
        seen.update(row.id for row in rows)
        return [row.record for row in rows]

    return recorded


@pytest.fixture
async def house(applied, recorded, database):
    """A database with one issuer, whose records were looked at."""
    await applied(issuers=[issuer(users=[], clients=[])])
    await recorded()
    return database


@pytest.fixture
def by(clock):
    """Changes of somebody at a terminal, each at a moment of its own."""

    class Ticking:
        def __call__(self):
            clock.now += 1
            return clock.now

    return ChangeLog(kind="command", caller="root", clock=Ticking())


def operations(records):
    return [(record["operation"], record["arn"].partition(":000000000000:")[2]) for record in records]


async def test_a_users_life_is_recorded_without_the_password(house, ground, recorded, by):
    named = {"issuer": "main", "name": "Ada L/öv"}
    await users.add(house, **named, password=Secret("correct horse"), email="ada@example.com", now=NOW, changes=by)
    await users.set_password(house, ground=ground, **named, password=Secret("another horse"), now=NOW + 5, changes=by)
    await users.disable(house, ground=ground, **named, now=NOW + 6, changes=by)
    await users.enable(house, **named, changes=by)
    await users.delete(house, ground=ground, **named, now=NOW + 7, changes=by)
    found = await recorded()
    arn = "issuer/main/user/Ada%20L%2F%C3%B6v"
    actions = ("CreateUser", "ChangePassword", "DisableUser", "EnableUser", "DeleteUser")
    assert operations(found) == [(action, arn) for action in actions]
    assert {(record["kind"], record["caller"]) for record in found} == {("command", "root")}
    assert (found[0]["before"], found[-1]["after"]) == (None, None)
    assert found[0]["after"]["email"] == "ada@example.com"
    assert [found[1][side]["password_changed_at"] for side in ("before", "after")] == [NOW, NOW + 5]
    assert [found[2][side]["disabled_at"] for side in ("before", "after")] == [None, NOW + 6]
    assert "horse" not in json.dumps(found)
    assert "argon2" not in json.dumps(found)


async def test_a_clients_life_is_recorded_without_the_secret(house, ground, recorded, by):
    named = {"issuer": "main", "client_id": "ci"}
    made = await clients.add_machine(
        house, issuer="main", name="ci", scopes=("mcp/invoke",), now=NOW, changes=by, random=lambda n: b"\x01" * n
    )
    new = await clients.new_secret(house, ground=ground, **named, now=NOW + 1, changes=by)
    await clients.disable(house, ground=ground, **named, now=NOW + 2, changes=by)
    await clients.enable(house, **named, changes=by)
    await clients.delete(house, ground=ground, **named, now=NOW + 3, changes=by)
    await clients.add_public(
        house,
        **(named | {"client_id": "app"}),
        name="App",
        redirect_uris=("http://127.0.0.1/cb",),
        now=NOW,
        changes=by,
    )
    found = await recorded()
    arn = "issuer/main/client/ci"
    actions = ("CreateClient", "UpdateClient", "DisableClient", "EnableClient", "DeleteClient")
    assert operations(found) == [*((action, arn) for action in actions), ("CreateClient", "issuer/main/client/app")]
    assert found[1]["after"]["secret"] == "********"
    text = json.dumps(found)
    assert made.secret.reveal() not in text
    assert new.reveal() not in text


async def test_an_access_keys_life_is_recorded_without_the_secret(house, keyring, recorded, by):
    made = await access_keys.add(house, keyring, name="ci", role="reader", now=NOW, changes=by)
    key_id = made.key.access_key_id
    await access_keys.disable(house, key_id=key_id, now=NOW, changes=by)
    await access_keys.enable(house, key_id=key_id, changes=by)
    await access_keys.delete(house, key_id=key_id, changes=by)
    found = await recorded()
    actions = ("CreateAccessKey", "DisableAccessKey", "EnableAccessKey", "DeleteAccessKey")
    assert operations(found) == [(action, f"access-key/{key_id}") for action in actions]
    assert found[0]["after"]["role"] == "reader"
    assert made.secret.reveal() not in json.dumps(found)


async def test_a_grant_that_is_revoked_is_recorded_once(house, ground, recorded, by):
    grant = GrantRow(
        id="g1",
        issuer="main",
        subject="s1",
        client_id="c1",
        scopes=("mcp/invoke",),
        resource="https://portico.example/g/x/mcp",
        created_at=NOW,
        expires_at=NOW + 1000,
    )
    async with house.write() as conn:
        await grant_rows.add(conn, grant)
    for _ in range(2):
        await grants.revoke(house, ground=ground, grant_id="g1", now=NOW, changes=by)
    [record] = await recorded()
    assert operations([record]) == [("RevokeGrant", "issuer/main/grant/g1")]
    assert record["before"]["subject"] == "s1"
    assert record["after"]["revoked_at"] == NOW


async def test_signing_keys_that_are_exchanged_are_recorded(house, keyring, recorded, by):
    [current] = [key for key in await signing_keys.list_all(house) if key.state == "current"]
    await signing_keys.rotate(house, keyring, issuer="main", now=NOW, changes=by)
    await signing_keys.drop(house, keyring, kid=current.kid, now=NOW, changes=by)
    found = await recorded()
    assert operations(found) == [("RotateSigningKeys", "issuer/main"), ("DropSigningKey", "issuer/main")]
    assert sorted(key["state"] for key in found[0]["before"]["keys"]) == ["current", "next"]
    assert current.kid not in {key["kid"] for key in found[1]["after"]["keys"]}


async def test_what_a_file_changes_is_recorded_on_the_files_behalf_and_only_what_changes(applied, recorded):
    whole = {"issuers": [issuer()], "accessKeys": [KEY]}
    await applied(**whole)
    made = await recorded()
    assert sorted(operations(made)) == [
        ("CreateAccessKey", "access-key/PORTICO_DECLARED_01"),
        ("CreateClient", "issuer/main/client/robot"),
        ("CreateIssuer", "issuer/main"),
        ("CreateUser", "issuer/main/user/ada"),
    ]
    assert {record["kind"] for record in made} == {"file"}
    assert all(secret not in json.dumps(made) for secret in (SECRET, "correct horse"))
    await applied(**whole)
    assert await recorded() == []
    ada = {"name": "ada", "password": "correct horse", "displayName": "Ada"}
    changed = issuer(users=[ada], clients=[{"name": "robot", "secret": "x" + SECRET, "scopes": ["mcp/invoke"]}])
    await applied(issuers=[changed], accessKeys=[KEY | {"secret": "y" + SECRET, "role": "reader"}])
    found = await recorded()
    assert sorted(operations(found)) == [
        ("UpdateAccessKey", "access-key/PORTICO_DECLARED_01"),
        ("UpdateClient", "issuer/main/client/robot"),
        ("UpdateUser", "issuer/main/user/ada"),
    ]
    by_action = {record["operation"]: record for record in found}
    assert by_action["UpdateAccessKey"]["after"]["secret"] == "********"
    assert by_action["UpdateUser"]["after"]["display_name"] == "Ada"
    await applied(issuers=[], accessKeys=[])
    assert sorted(action for action, _ in operations(await recorded())) == [
        "DeleteAccessKey",
        "DeleteClient",
        "DeleteIssuer",
        "DeleteUser",
    ]


async def test_what_is_refused_leaves_no_record(house, recorded, by):
    named = {"issuer": "main", "name": "ada", "password": Secret("correct horse"), "now": NOW, "changes": by}
    await users.add(house, **named)
    await recorded()
    with pytest.raises(Conflict):
        await users.add(house, **named)
    assert await recorded() == []


async def test_nobody_can_change_a_thing_without_a_record(house, recorded):
    await users.add(house, issuer="main", name="ada", password=Secret("correct horse"), now=NOW)
    [record] = await recorded()
    assert (record["kind"], record["caller"]) == ("process", "")


def test_a_command_is_on_behalf_of_the_account_that_it_runs_under():
    log = changes_of_command()
    assert log.kind == "command"
    assert log.caller


def test_names_of_our_own_are_no_resources_of_the_api_and_stay_short():
    long = own_arn("issuer", "main", "client", "x" * 2000)
    assert len(long) < 200
    assert parse_arn(long) is None
    assert parse_arn(own_arn("access-key", "PORTICO1")) is None
