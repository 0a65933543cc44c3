"""Access keys: made by command, declared by file, confined, sealed."""

import os

import pytest
from house import gateway, issuer

from portico.authorizer.access_keys import AccessKeys
from portico.control import access_keys as use_cases
from portico.control.access_keys import check_id, check_name, check_role, check_secret
from portico.control.apply import Applier
from portico.control.declared import read_declarations
from portico.crypto.keyring import Keyring
from portico.model.errors import ConfigError, Conflict, InputError, NotFound
from portico.model.secret import Secret
from portico.net.egress import Egress
from portico.storage import access_keys, counters, gateways

SECRET = "declared-0123456789-0123456789-0123456789"
DECLARED = {"accessKeyId": "PORTICO_DECLARED_KEY", "name": "ci", "role": "operator", "secret": SECRET}


async def add(database, keyring, name="ada", role="administrator", **more):
    return await use_cases.add(database, keyring, name=name, role=role, now=5, **more)


async def counter(database):
    async with database.read() as conn:
        return (await counters.read_all(conn)).get("access-keys", 0)


async def rows(database):
    async with database.read() as conn:
        return {row.id: row for row in await access_keys.list_all(conn)}


async def in_memory(database, keyring):
    keys = AccessKeys(database, keyring)
    await keys.reload()
    return keys


async def gateway_id(database, name="Tools"):
    async with database.read() as conn:
        return (await gateways.by_name(conn, name)).id


# Use cases


async def test_a_new_key_has_the_form_of_amazon_s_and_is_told_once(database, keyring):
    added = await add(database, keyring)
    check_id(added.key.access_key_id)
    assert added.key.access_key_id.startswith("PORTICO")
    assert len(added.key.access_key_id) == 20
    assert len(added.secret.reveal()) == 40
    [listed] = await use_cases.list_all(database)
    assert listed == added.key
    stored = (await rows(database))[added.key.access_key_id]
    assert added.secret.reveal() not in repr(stored) + repr(listed) + repr(added)
    assert (await in_memory(database, keyring)).get(stored.id).secret == added.secret


async def test_no_two_keys_are_alike(database, keyring):
    made = [await add(database, keyring) for _ in range(3)]
    assert len({key.key.access_key_id for key in made} | {key.secret.reveal() for key in made}) == 6


async def test_a_key_is_confined_to_gateways_by_name_or_id(database, keyring, applied):
    await applied(issuers=[issuer()], gateways=[gateway()])
    known = await gateway_id(database)
    by_name = await add(database, keyring, confined_to=["Tools", known])
    assert by_name.key.gateways == (known,)
    before = await counter(database)
    with pytest.raises(NotFound):
        await add(database, keyring, confined_to=["nowhere"])
    assert await counter(database) == before


async def test_every_change_is_told_to_the_replicas(database, keyring):
    key_id = (await add(database, keyring)).key.access_key_id
    seen = [await counter(database)]
    for change in (
        use_cases.disable(database, key_id=key_id, now=7),
        use_cases.enable(database, key_id=key_id),
        use_cases.delete(database, key_id=key_id),
    ):
        await change
        seen.append(await counter(database))
    assert seen == sorted(set(seen))
    assert await use_cases.list_all(database) == []


async def test_a_disabled_key_is_not_in_memory_and_stays_in_the_list(database, keyring):
    key_id = (await add(database, keyring)).key.access_key_id
    await use_cases.disable(database, key_id=key_id, now=7)
    assert (await in_memory(database, keyring)).get(key_id) is None
    assert [key.disabled_at for key in await use_cases.list_all(database)] == [7]
    await use_cases.enable(database, key_id=key_id)
    assert (await in_memory(database, keyring)).get(key_id) is not None


async def test_what_is_not_there_cannot_be_changed(database):
    for change in (
        use_cases.disable(database, key_id="PORTICO_NOT_THERE_1", now=7),
        use_cases.enable(database, key_id="PORTICO_NOT_THERE_1"),
        use_cases.delete(database, key_id="PORTICO_NOT_THERE_1"),
    ):
        with pytest.raises(NotFound):
            await change
    assert await counter(database) == 0


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a" * 65, "ä", "a:b", "a\n"])
async def test_a_name_that_cannot_stand_in_an_arn_is_refused(database, keyring, name):
    with pytest.raises(InputError):
        await add(database, keyring, name)
    check_name("ada.lovelace+ci@example.com")


def test_an_unknown_role_is_refused_with_those_that_there_are():
    with pytest.raises(InputError, match="administrator, operator, reader, invoker"):
        check_role("root")


@pytest.mark.parametrize("secret", ["short", "x" * 129, "with a space in it, long enough as it is", "ü" * 40, ""])
def test_a_secret_that_was_not_generated_is_refused(secret):
    with pytest.raises(InputError):
        check_secret(Secret(secret))
    check_secret(Secret(SECRET))


# The file


async def test_a_declared_key_is_there_and_applying_again_changes_nothing(database, keyring, applied):
    await applied(accessKeys=[DECLARED])
    first, bumped = await rows(database), await counter(database)
    await applied(accessKeys=[DECLARED])
    assert (await rows(database), await counter(database)) == (first, bumped)
    key = (await in_memory(database, keyring)).get(DECLARED["accessKeyId"])
    assert (key.name, key.role, key.secret.reveal()) == ("ci", "operator", SECRET)
    assert [row.managed_by for row in first.values()] == ["portico.yaml"]


@pytest.mark.parametrize("change", [{"secret": SECRET[::-1]}, {"role": "reader"}, {"name": "cd"}])
async def test_a_changed_declaration_is_told_to_the_replicas(database, keyring, applied, change):
    await applied(accessKeys=[DECLARED])
    before = await counter(database)
    await applied(accessKeys=[DECLARED | change])
    assert await counter(database) == before + 1
    key = (await in_memory(database, keyring)).get(DECLARED["accessKeyId"])
    expected = DECLARED | change
    assert (key.name, key.role, key.secret.reveal()) == (expected["name"], expected["role"], expected["secret"])


async def test_a_key_that_is_declared_no_more_is_gone_and_others_stay(database, keyring, applied):
    mine = (await add(database, keyring)).key.access_key_id
    await applied(accessKeys=[DECLARED])
    await applied()
    assert set(await rows(database)) == {mine}


async def test_a_declared_key_that_was_disabled_stays_disabled(database, applied):
    await applied(accessKeys=[DECLARED])
    await use_cases.disable(database, key_id=DECLARED["accessKeyId"], now=7)
    await applied(accessKeys=[DECLARED | {"role": "administrator"}])
    assert (await rows(database))[DECLARED["accessKeyId"]].disabled_at == 7


async def test_a_declared_key_cannot_be_deleted_by_command(database, applied):
    await applied(accessKeys=[DECLARED])
    with pytest.raises(Conflict, match=r"portico\.yaml"):
        await use_cases.delete(database, key_id=DECLARED["accessKeyId"])


async def test_the_id_of_a_key_that_was_made_by_command_is_a_fault(database, keyring, applied):
    mine = (await add(database, keyring)).key.access_key_id
    with pytest.raises(ConfigError, match=r"accessKeys\[0\]\.accessKeyId"):
        await applied(accessKeys=[DECLARED | {"accessKeyId": mine}])


async def test_a_declared_key_is_confined_to_gateways_of_the_same_file(database, applied):
    document = {"issuers": [issuer()], "gateways": [gateway()]}
    await applied(**document, accessKeys=[DECLARED | {"gateways": ["Tools"]}])
    assert (await rows(database))[DECLARED["accessKeyId"]].gateways == (await gateway_id(database),)
    with pytest.raises(ConfigError, match=r"accessKeys\[0\]\.gateways: There is no gateway 'Nowhere'"):
        await applied(**document, accessKeys=[DECLARED | {"gateways": ["Nowhere"]}])


async def test_a_key_whose_gateway_was_deleted_does_not_reach_all_others(database, keyring, applied):
    await applied(issuers=[issuer()], gateways=[gateway()])
    mine = await add(database, keyring, confined_to=["Tools"])
    await applied(issuers=[issuer()])
    key = (await in_memory(database, keyring)).get(mine.key.access_key_id)
    assert not key.may_invoke("other-0123456789")
    assert not key.reaches("other-0123456789")


def declare(*entries):
    declared, found = read_declarations(
        {"accessKeys": list(entries)}, public_url="https://portico.example", egress=Egress(), read_file=open
    )
    assert found == []
    return declared


async def test_secrets_are_sealed_anew_under_the_newest_key_so_that_the_old_one_can_go(database, clock):
    old, new = os.urandom(32), os.urandom(32)
    mine = await add(database, Keyring({"k1": old}))
    both = Keyring({"k2": new, "k1": old})
    await Applier(database, both, clock=clock).apply(declare(DECLARED))
    keys = await in_memory(database, Keyring({"k2": new}))
    assert keys.get(mine.key.access_key_id).secret == mine.secret
    assert keys.get(DECLARED["accessKeyId"]).secret.reveal() == SECRET


async def test_a_declared_key_heals_after_its_sealing_key_was_lost(database, clock):
    for kid in ("k1", "k2"):
        keyring = Keyring({kid: os.urandom(32)})
        await Applier(database, keyring, clock=clock).apply(declare(DECLARED))
        assert (await in_memory(database, keyring)).get(DECLARED["accessKeyId"]).secret.reveal() == SECRET


def faults(*entries, files=None):
    def read_file(name):
        return (files or {})[name]

    _, found = read_declarations(
        {"accessKeys": list(entries)}, public_url="https://portico.example", egress=Egress(), read_file=read_file
    )
    return {fault.path.removeprefix("accessKeys"): fault.message for fault in found}


def test_a_secret_may_come_from_a_file():
    entry = {name: value for name, value in DECLARED.items() if name != "secret"} | {"secretFile": "key"}
    assert faults(entry, files={"key": f"{SECRET}\n"}) == {}
    assert set(faults(entry, files={"key": "short\n"})) == {"[0].secret"}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"secret": "short"}, "[0].secret"),
        ({"secretFile": "key"}, "[0]"),
        ({"role": "root"}, "[0].role"),
        ({"name": "a b"}, "[0].name"),
        ({"accessKeyId": "short"}, "[0].accessKeyId"),
        ({"gateways": []}, "[0].gateways"),
        ({"gateways": "Tools"}, "[0].gateways"),
        ({"disabled": True}, "[0].disabled"),
        ({"role": 7}, "[0].role"),
    ],
)
def test_each_fault_of_a_declaration_is_named(change, path):
    told = faults(DECLARED | change)
    assert path in told
    assert SECRET not in repr(told)


def test_what_is_missing_is_named_at_once():
    assert set(faults({})) == {"[0].accessKeyId", "[0].name", "[0].role", "[0]"}


def test_one_id_cannot_be_declared_twice():
    assert faults(DECLARED, DECLARED | {"name": "other"}) == {"[1].accessKeyId": "is declared twice"}
