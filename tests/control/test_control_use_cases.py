import pytest
from sqlalchemy import select

from control.house import SECRET, gateway, issuer, target
from portico.control import clients, gateway_summaries, grants, issuers, signing_keys, targets, users
from portico.control.relaxations import Ground
from portico.control.secrets import new_client_secret, new_gateway_id, new_target_id, secret_hash
from portico.model.errors import Conflict, InputError, NotFound
from portico.model.secret import Secret
from portico.storage import clients as client_rows
from portico.storage import counters
from portico.storage import grants as grant_rows
from portico.storage import revocations as revocation_rows
from portico.storage import targets as target_rows
from portico.storage.grants import GrantRow
from portico.storage.schema import jobs as job_table

NOW = 1_800_000_000


@pytest.fixture
async def house(applied, database):
    await applied(issuers=[issuer(users=[], clients=[])], gateways=[gateway(targets=[target()])])
    await users.add(database, issuer="main", name="ada", password=Secret("correct horse"), now=NOW)
    return database


@pytest.fixture
def revoked(database):
    async def revoked():
        async with database.read() as conn:
            return [(row.kind, row.key) for row in await revocation_rows.list_live(conn, 0)]

    return revoked


async def _grant(database, subject, client_id="app"):
    row = GrantRow(
        id="g1",
        issuer="main",
        subject=subject,
        client_id=client_id,
        scopes=("mcp/invoke",),
        resource="https://portico.example/g/x/mcp",
        created_at=NOW,
        expires_at=NOW + 1000,
    )
    async with database.write() as conn:
        await grant_rows.add(conn, row)


# Users


async def test_a_disabled_user_loses_grants_and_tokens_and_may_come_back_without_them(house, ground, revoked):
    [ada] = await users.list_all(house)
    await _grant(house, ada.subject)
    await users.disable(house, ground=ground, issuer="main", name="ada", now=NOW)
    assert [kind for kind, _ in await revoked()] == ["grant", "subject"]
    [grant] = await grants.list_all(house, now=NOW, with_ended=True)
    assert grant.revoked_at == NOW
    await users.enable(house, issuer="main", name="ada")
    [ada] = await users.list_all(house)
    assert ada.disabled_at is None
    assert await grants.list_all(house, now=NOW) == []


async def test_a_deleted_user_is_gone_and_a_new_one_of_that_name_is_another_subject(house, ground, revoked):
    [first] = await users.list_all(house)
    await users.delete(house, ground=ground, issuer="main", name="ada", now=NOW)
    second = await users.add(house, issuer="main", name="ada", password=Secret("correct horse"), now=NOW)
    assert second.subject != first.subject
    assert await revoked() == [("subject", first.subject)]


async def test_a_new_password_ends_former_logins(house, ground, revoked):
    await users.set_password(house, ground=ground, issuer="main", name="ada", password=Secret("another horse"), now=NOW)
    assert [kind for kind, _ in await revoked()] == ["subject"]


@pytest.mark.parametrize("password", ["short", "x" * 2000])
async def test_passwords_have_a_least_and_a_most(house, password):
    with pytest.raises(InputError):
        await users.add(house, issuer="main", name="bob", password=Secret(password), now=NOW)


async def test_names_that_are_taken_or_unknown_are_said(house, ground):
    with pytest.raises(Conflict):
        await users.add(house, issuer="main", name="ada", password=Secret("correct horse"), now=NOW)
    with pytest.raises(NotFound, match="main"):
        await users.add(house, issuer="none", name="bob", password=Secret("correct horse"), now=NOW)
    for case in (users.disable, users.delete):
        with pytest.raises(NotFound):
            await case(house, ground=ground, issuer="main", name="bob", now=NOW)


async def test_what_a_file_declares_is_not_changed_behind_its_back(applied, database, ground):
    await applied(issuers=[issuer()])
    with pytest.raises(Conflict, match=r"portico\.yaml"):
        await users.delete(database, ground=ground, issuer="main", name="ada", now=NOW)
    with pytest.raises(Conflict):
        await users.set_password(
            database, ground=ground, issuer="main", name="ada", password=Secret("another horse"), now=NOW
        )
    with pytest.raises(Conflict):
        await clients.delete(database, ground=ground, issuer="main", client_id="robot", now=NOW)
    with pytest.raises(Conflict):
        await clients.new_secret(database, ground=ground, issuer="main", client_id="robot", now=NOW)


# Clients


async def test_a_machines_secret_is_told_once_and_only_its_hash_is_stored(house):
    made = await clients.add_machine(house, issuer="main", name="ci", scopes=("mcp/invoke",), now=NOW)
    assert made.secret.reveal().startswith("portico_")
    async with house.read() as conn:
        row = await client_rows.get(conn, "main", "ci")
    assert row.secret_hash == secret_hash(made.secret)
    assert made.secret.reveal() not in repr((row, made))


async def test_a_new_secret_ends_the_old_ones_tokens(house, ground, revoked):
    made = await clients.add_machine(house, issuer="main", name="ci", scopes=("mcp/invoke",), now=NOW)
    new = await clients.new_secret(house, ground=ground, issuer="main", client_id="ci", now=NOW)
    assert new != made.secret
    assert await revoked() == [("client", "ci")]
    await clients.add_public(
        house, issuer="main", client_id="app", name="App", redirect_uris=("http://127.0.0.1/cb",), now=NOW
    )
    with pytest.raises(NotFound):
        await clients.new_secret(house, ground=ground, issuer="main", client_id="app", now=NOW)


async def test_a_disabled_or_deleted_client_loses_grants_and_tokens(house, ground, revoked):
    [ada] = await users.list_all(house)
    await clients.add_public(
        house, issuer="main", client_id="app", name="App", redirect_uris=("http://127.0.0.1/cb",), now=NOW
    )
    await _grant(house, ada.subject)
    await clients.disable(house, ground=ground, issuer="main", client_id="app", now=NOW)
    assert await grants.list_all(house, now=NOW) == []
    await clients.enable(house, issuer="main", client_id="app")
    await clients.delete(house, ground=ground, issuer="main", client_id="app", now=NOW + 1)
    assert await clients.list_all(house) == []
    assert [kind for kind, _ in await revoked()] == ["grant", "client", "client"]
    with pytest.raises(NotFound):
        await clients.delete(house, ground=ground, issuer="main", client_id="app", now=NOW)


@pytest.mark.parametrize(
    "members",
    [
        {"client_id": "-bad", "redirect_uris": ("http://127.0.0.1/cb",)},
        {"client_id": "app", "redirect_uris": ()},
        {"client_id": "app", "redirect_uris": ("javascript:x",)},
        {"client_id": "app", "name": "tab\tname", "redirect_uris": ("http://127.0.0.1/cb",)},
        {"client_id": "app", "scopes": ("a b",), "redirect_uris": ("http://127.0.0.1/cb",)},
    ],
)
async def test_clients_that_cannot_work_are_refused(house, members):
    with pytest.raises(InputError):
        await clients.add_public(house, issuer="main", now=NOW, **({"name": "App"} | members))


# Grants


async def test_grants_are_listed_with_names_and_revoked(house, ground, revoked):
    [ada] = await users.list_all(house)
    await clients.add_public(
        house, issuer="main", client_id="app", name="App", redirect_uris=("http://127.0.0.1/cb",), now=NOW
    )
    await _grant(house, ada.subject)
    [grant] = await grants.list_all(house, now=NOW)
    assert (grant.user, grant.client) == ("ada", "App")
    await grants.revoke(house, ground=ground, grant_id="g1", now=NOW)
    await grants.revoke(house, ground=ground, grant_id="g1", now=NOW)  # twice is no error
    assert await grants.list_all(house, now=NOW) == []
    assert set(await revoked()) == {("grant", "g1")}
    with pytest.raises(NotFound):
        await grants.revoke(house, ground=ground, grant_id="none", now=NOW)


# Signing keys


async def test_rotation_moves_each_key_on_and_keeps_what_may_have_living_tokens(house, keyring):
    first = {key.state: key.kid for key in await signing_keys.list_all(house)}
    rotated = await signing_keys.rotate(house, keyring, issuer="main", now=NOW)
    states = {key.state: key.kid for key in rotated}
    assert states["current"] == first["next"]
    assert states["previous"] == first["current"]
    soon = await signing_keys.rotate(house, keyring, issuer="main", now=NOW + 60)
    assert first["current"] in {key.kid for key in soon}
    late = await signing_keys.rotate(house, keyring, issuer="main", now=NOW + 2 * 86_400)
    assert first["current"] not in {key.kid for key in late}


@pytest.mark.case("D20")
async def test_a_dropped_key_is_gone_and_another_signs(house, keyring):
    [current] = [key for key in await signing_keys.list_all(house) if key.state == "current"]
    async with house.read() as conn:
        before = await counters.read_all(conn)
    await signing_keys.drop(house, keyring, kid=current.kid, now=NOW)
    after = await signing_keys.list_all(house, issuer="main")
    assert current.kid not in {key.kid for key in after}
    assert sorted(key.state for key in after) == ["current", "next"]
    async with house.read() as conn:
        assert (await counters.read_all(conn))["issuer/main"] > before["issuer/main"]
    with pytest.raises(NotFound):
        await signing_keys.drop(house, keyring, kid=current.kid, now=NOW)
    with pytest.raises(NotFound):
        await signing_keys.rotate(house, keyring, issuer="none", now=NOW)


# Gateways, targets, issuers


async def test_gateways_are_listed_with_their_url_and_targets(house):
    ground = Ground(public_url="https://portico.example")
    [row] = await gateway_summaries.list_all(house, ground=ground)
    assert row.mcp_url == f"https://portico.example/g/{row.id}/mcp"
    found = await gateway_summaries.details_of(house, name_or_id=row.id, ground=ground)
    assert [(entry.name, entry.status) for entry in found.targets] == [("calc", "CREATING")]
    [found] = await issuers.list_all(house, public_url="https://portico.example")
    assert found.url == "https://portico.example/i/main"


async def test_a_target_can_be_synchronized_on_demand(house):
    async def only_target():
        async with house.read() as conn:
            [row] = await target_rows.list_all(conn)
        return row

    await targets.synchronize(house, target_id=(await only_target()).id, now=NOW)
    assert (await only_target()).status == "SYNCHRONIZING"
    async with house.read() as conn:
        due = select(job_table.c.run_at).where(job_table.c.kind == targets.SYNC_JOB)
        assert (await conn.execute(due)).scalars().all() == [NOW]
    with pytest.raises(NotFound):
        await targets.synchronize(house, target_id="none", now=NOW)


# Made-up names


def test_ids_have_awss_form_and_use_every_character_evenly():
    assert new_gateway_id("My-Tools-").startswith("my-tools-")
    assert len({new_target_id() for _ in range(1000)}) == 1000
    seen = "".join(new_target_id() for _ in range(3000))
    counts = [seen.count(character) for character in set(seen)]
    assert len(counts) == 62
    assert max(counts) < 2 * min(counts)


def test_client_secrets_are_32_random_bytes():
    assert len(new_client_secret().reveal()) == len("portico_") + 43
    assert new_client_secret() != new_client_secret()
    assert secret_hash(Secret(SECRET)) == secret_hash(Secret(SECRET))
