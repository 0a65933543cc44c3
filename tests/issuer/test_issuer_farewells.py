"""Telling a person's provider that a grant is over: whoever ended it, once, and without anybody waiting for it."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from issuer_world import Browser
from provider_world import ProvidedWorld
from test_issuer_provider_stored import ground_of

from portico.control import clients as client_cases
from portico.control import grants as grant_cases
from portico.control import issuers as issuer_cases
from portico.control import users as user_cases
from portico.control.changes import BY_PROCESS
from portico.crypto.keyring import Keyring
from portico.issuer import provider as provider_module
from portico.issuer.farewells import AT_ONCE, FIRST_PAUSE_SECONDS, GIVE_UP_SECONDS, LEASE_SECONDS
from portico.issuer.recheck import RECHECK_SECONDS
from portico.storage import grants, issuers, jobs
from portico.storage.grants import TELL_JOB, GrantRow
from portico.telemetry import logs
from support.provider.identity_provider import error, held, html_page, server_error

pytestmark = [pytest.mark.connector("oidc"), pytest.mark.xdist_group("issuer-farewells")]


BOUND = 30.0  #: seconds


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def world(make_provided: Any) -> ProvidedWorld:
    return await make_provided("strict")


@pytest.fixture
def told() -> Iterator[Callable[[], str]]:
    """Log as a process does and return what was written."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers, root.level
    logs.configure(json=True, level="info", stream=stream)
    yield stream.getvalue
    root.handlers, level = before
    root.setLevel(level)
    structlog.reset_defaults()


async def all_grants(world: ProvidedWorld) -> list[GrantRow]:
    async with world.database.read() as conn:
        return await grants.list_all(conn)


async def untold(world: ProvidedWorld) -> int:
    """Return how many grants still hold a token that their provider shall be told of."""
    return sum(1 for one in await all_grants(world) if one.revoked_at is not None and one.upstream)


async def asked_for(world: ProvidedWorld) -> list[str]:
    """Return the issuers that a job is there for."""
    async with world.database.write() as conn:
        due = await jobs.lease(conn, "test", world.clock() + 3600, 1, 10)
        for job in due:
            await jobs.retry_later(conn, job, 0.0, "")
    return [job.key for job in due if job.kind == TELL_JOB]


async def told_of(world: ProvidedWorld) -> list[int]:
    """Return what the provider answered to each revocation."""
    return [one.status for one in await world.asked("revocation")]


# Whoever ends it


async def give_back(world: ProvidedWorld, client_id: str, issued: dict[str, Any], which: str) -> None:
    assert (await world.revoke(client_id, issued[which])).status_code == 200


async def by_refresh_token(world: ProvidedWorld, client_id: str, issued: dict[str, Any]) -> None:
    await give_back(world, client_id, issued, "refresh_token")


async def by_access_token(world: ProvidedWorld, client_id: str, issued: dict[str, Any]) -> None:
    await give_back(world, client_id, issued, "access_token")


async def by_administrator(world: ProvidedWorld, _client_id: str, _issued: dict[str, Any]) -> None:
    [grant] = await all_grants(world)
    await grant_cases.revoke(world.database, ground=ground_of(world), grant_id=grant.id, now=int(world.clock()))


async def by_disabling(world: ProvidedWorld, _client_id: str, _issued: dict[str, Any]) -> None:
    now = int(world.clock())
    await user_cases.disable(world.database, ground=ground_of(world), issuer="main", name="strict|ada", now=now)


async def by_removing_the_client(world: ProvidedWorld, client_id: str, _issued: dict[str, Any]) -> None:
    now = int(world.clock())
    await client_cases.disable(world.database, ground=ground_of(world), issuer="main", client_id=client_id, now=now)


async def by_theft(world: ProvidedWorld, client_id: str, issued: dict[str, Any]) -> None:
    assert (await world.refresh(client_id, issued["refresh_token"])).status_code == 200
    world.clock.forward(31)
    assert await world.refused(client_id, issued["refresh_token"])


@pytest.mark.case("C24")
@pytest.mark.parametrize(
    "end", [by_refresh_token, by_access_token, by_administrator, by_disabling, by_removing_the_client, by_theft]
)
async def test_whoever_ends_a_grant_the_provider_is_told_once(world: ProvidedWorld, end: Any):
    client_id = await world.register()
    issued = await world.tokens(client_id)
    await end(world, client_id, issued)
    assert await told_of(world) == [], "nobody waited for it"
    assert await asked_for(world) == ["main"]
    assert await world.app.tell_providers("main") is None
    assert await told_of(world) == [200]
    assert await untold(world) == 0
    assert await world.app.tell_providers("main") is None
    assert await told_of(world) == [200]
    [asked] = await world.asked("revocation")
    assert asked.form["token_type_hint"] == "refresh_token"
    assert asked.form["token"] not in (issued["refresh_token"], issued["access_token"])


async def test_a_grant_that_lives_is_nobodys_business(world: ProvidedWorld):
    await world.tokens(await world.register())
    assert await asked_for(world) == []
    assert await world.app.tell_providers("main") is None
    assert await told_of(world) == []
    [grant] = await all_grants(world)
    assert grant.upstream


@pytest.mark.case("H07")
async def test_a_provider_that_ended_the_login_itself_is_not_told(world: ProvidedWorld):
    client_id = await world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    await asyncio.to_thread(world.idp.revoke, "ada")
    world.clock.forward(RECHECK_SECONDS + 1)
    assert await world.refused(client_id, token)
    assert await untold(world) == 0
    assert await asked_for(world) == []


@pytest.mark.case("C23")
async def test_a_strangers_revocation_tells_nobody(world: ProvidedWorld):
    client_id, other = await world.register(), await world.register(client_name="Other")
    issued = await world.tokens(client_id)
    for token in (issued["refresh_token"], issued["access_token"], "unknown"):
        assert (await world.revoke(other, token)).status_code == 200
    assert await asked_for(world) == []
    assert await told_of(world) == []


async def test_people_with_a_password_of_ours_have_no_provider_to_tell(make_provided: Any):
    world = await make_provided("strict")
    await world.settle(scopes=["mcp/invoke"])
    await world.add_user()
    client_id, browser = await world.register(), Browser(world)
    world.clock.forward(366 * 24 * 3600 * 10)  # past the day of the user's password
    page = await browser.log_in(await browser.open(world.request(client_id)))
    issued = (await world.redeem(client_id, (await browser.allow(page))["code"])).json()
    await give_back(world, client_id, issued, "refresh_token")
    assert await asked_for(world) == []


async def test_the_job_is_looked_for_as_soon_as_a_client_gave_something_back(world: ProvidedWorld):
    client_id = await world.register()
    issued = await world.tokens(client_id)
    seen: list[list[int | None]] = []
    tasks: list[asyncio.Task[None]] = []

    async def look() -> None:
        seen.append([one.revoked_at for one in await all_grants(world)])

    world.app.when_revoked(lambda: tasks.append(asyncio.create_task(look())))
    assert (await world.refresh(client_id, issued["refresh_token"])).status_code == 200
    assert tasks == []
    await by_access_token(world, client_id, issued)
    await asyncio.gather(*tasks)
    [[revoked_at]] = seen
    assert revoked_at is not None, "it is called when the row can be seen"


# Once, wherever


async def test_replicas_that_tell_at_once_tell_each_provider_once(world: ProvidedWorld):
    other, client_id = await world.twin(), await world.register()
    count = 2 * AT_ONCE + 1
    for _ in range(count):
        await by_refresh_token(world, client_id, await world.tokens(client_id))
    await asyncio.gather(*(one.app.tell_providers("main") for one in (world, other, world, other)))
    tokens = [one.form["token"] for one in await world.asked("revocation")]
    assert len(tokens) == len(set(tokens)) == count
    assert await untold(world) == 0


async def test_who_dies_while_telling_leaves_it_to_others(world: ProvidedWorld):
    client_id = await world.register()
    await by_refresh_token(world, client_id, await world.tokens(client_id))
    now = int(world.clock())
    async with world.database.write() as conn:
        assert len(await grants.take_untold(conn, "main", now, now + LEASE_SECONDS, 1)) == 1
    pause = await world.app.tell_providers("main")
    assert pause is not None
    assert 1 <= pause <= LEASE_SECONDS
    assert await told_of(world) == []
    world.clock.forward(LEASE_SECONDS + 1)
    assert await world.app.tell_providers("main") is None
    assert await told_of(world) == [200]


@pytest.mark.case("H10")
async def test_a_token_that_is_being_renewed_right_then_is_told_of_in_its_newest_form(world: ProvidedWorld):
    """The provider rotates: it knows the old one as used up."""
    client_id = await world.register()
    issued = await world.tokens(client_id)
    world.clock.forward(RECHECK_SECONDS + 1)
    world.idp.fail("token", held())
    task = asyncio.create_task(world.refresh(client_id, issued["refresh_token"]))
    async with asyncio.timeout(BOUND):
        while await world.refreshes_at_provider() < 1:
            await asyncio.sleep(0.02)
    await by_access_token(world, client_id, issued)
    assert await world.app.tell_providers("main") is not None, "whoever asks has the lease"
    world.idp.release()
    assert (await task).json()["error"] == "invalid_grant"
    assert await world.app.tell_providers("main") is None
    [renewal] = [one for one in await world.asked() if one.form.get("grant_type") == "refresh_token"]
    [asked] = await world.asked("revocation")
    assert (asked.status, asked.form["token"] != renewal.form["refresh_token"]) == (200, True)
    assert await untold(world) == 0


# Providers that cannot be told


@pytest.mark.case("C30", "H10")
@pytest.mark.parametrize(
    "fault", [server_error(), html_page(502), error("invalid_client", 401)], ids=["500", "html", "401"]
)
async def test_a_provider_that_is_out_of_order_is_told_later(
    world: ProvidedWorld, fault: dict[str, Any], told: Callable[[], str]
):
    client_id = await world.register()
    issued = await world.tokens(client_id)
    await by_refresh_token(world, client_id, issued)
    assert await world.refused(client_id, issued["refresh_token"]), "here it is over"
    world.idp.fail("revocation", fault)
    pause = await world.app.tell_providers("main")
    assert pause is not None
    assert 1 <= pause <= FIRST_PAUSE_SECONDS
    assert "provider_not_told" in told()
    world.clock.forward(FIRST_PAUSE_SECONDS + 1)
    assert await world.app.tell_providers("main") is None
    [failed, done] = await world.asked("revocation")
    assert (done.status, done.form["token"]) == (200, failed.form["token"])
    assert await untold(world) == 0
    for secret in (failed.form["token"], world.idp.client_secret, issued["refresh_token"], issued["access_token"]):
        assert secret not in told()


@pytest.mark.case("C30")
async def test_a_provider_that_hangs_is_not_waited_for(world: ProvidedWorld, monkeypatch: pytest.MonkeyPatch):
    client_id = await world.register()
    await by_refresh_token(world, client_id, await world.tokens(client_id))
    monkeypatch.setattr(provider_module, "REVOKE_TIMEOUT", 0.2)
    world.idp.fail("revocation", held())
    async with asyncio.timeout(BOUND):
        assert await world.app.tell_providers("main") is not None
    assert await untold(world) == 1


@pytest.mark.case("C30")
async def test_what_a_provider_refuses_for_good_is_not_asked_again(world: ProvidedWorld):
    client_id = await world.register()
    await by_refresh_token(world, client_id, await world.tokens(client_id))
    world.idp.fail("revocation", error("unsupported_token_type"), times=None)
    assert await world.app.tell_providers("main") is None
    assert await told_of(world) == [400]
    assert await untold(world) == 0


@pytest.mark.case("C30")
async def test_a_slow_provider_holds_up_no_revocation(world: ProvidedWorld):
    client_id = await world.register()
    first, second = await world.tokens(client_id), await world.tokens(client_id)
    await by_refresh_token(world, client_id, first)
    world.idp.fail("revocation", held())
    telling = asyncio.create_task(world.app.tell_providers("main"))
    async with asyncio.timeout(BOUND):
        while not any(one.upstream_lease for one in await all_grants(world)):
            await asyncio.sleep(0.02)
    await by_refresh_token(world, client_id, second)
    assert not telling.done()
    assert await world.refused(client_id, second["refresh_token"])
    async with asyncio.timeout(BOUND):
        while not await told_of(world):
            await asyncio.sleep(0.02)
    world.idp.release()
    await telling
    await world.app.tell_providers("main")
    assert await untold(world) == 0


async def test_after_a_day_it_is_given_up_and_forgotten(world: ProvidedWorld, told: Callable[[], str]):
    client_id = await world.register()
    await by_refresh_token(world, client_id, await world.tokens(client_id))
    world.idp.fail("revocation", server_error(), times=None)
    pauses: list[float] = []
    while (pause := await world.app.tell_providers("main")) is not None:
        pauses.append(pause)
        world.clock.forward(pause + 1)
    assert min(pauses) <= FIRST_PAUSE_SECONDS < 10 * FIRST_PAUSE_SECONDS < max(pauses), "later and later"
    assert len(pauses) < 60
    assert GIVE_UP_SECONDS <= sum(pauses) + 2 * len(pauses) <= 2 * GIVE_UP_SECONDS
    assert await untold(world) == 0
    assert "provider_never_told" in told()


async def test_a_provider_without_a_revocation_endpoint_is_not_asked(world: ProvidedWorld):
    document = await asyncio.to_thread(world.idp.metadata)
    del document["revocation_endpoint"]
    headers = {"content-type": "application/json"}
    world.idp.fail("discovery", {"status": 200, "headers": headers, "body": json.dumps(document)}, times=None)
    client_id = await world.register()
    await by_refresh_token(world, client_id, await world.tokens(client_id))
    assert await world.app.tell_providers("main") is None
    assert await untold(world) == 0
    assert await told_of(world) == []


@pytest.mark.case("H05")
async def test_what_no_key_opens_any_more_is_forgotten(world: ProvidedWorld):
    client_id = await world.register()
    await by_refresh_token(world, client_id, await world.tokens(client_id))
    old = world.keyring._masters["k1"]
    world.keyring.adopt(Keyring({"k2": bytes(range(32)), "k1": old}, retired={"k1"}))
    assert await world.app.tell_providers("main") is None
    assert await untold(world) == 0
    assert await told_of(world) == []


async def test_a_connector_whose_secret_cannot_be_had_is_waited_for(world: ProvidedWorld):
    client_id = await world.register()
    await by_refresh_token(world, client_id, await world.tokens(client_id))
    [connector] = world.connectors()
    foreign = Keyring({"k9": bytes(range(32))}).seal("connector-secret", b"x")
    await world.settle(scopes=["mcp/invoke"], connectors=[{**connector, "clientSecret": foreign}])
    assert await world.app.tell_providers("main") is not None
    assert await untold(world) == 1
    await world.settle(scopes=["mcp/invoke"], connectors=world.connectors())
    world.clock.forward(FIRST_PAUSE_SECONDS + 1)
    assert await world.app.tell_providers("main") is None
    assert await told_of(world) == [200]


@pytest.mark.case("T13")
async def test_a_token_is_shown_to_no_other_provider(make_provided: Any):
    """The connector of the same name leads elsewhere now."""
    world = await make_provided("strict", "cognito")
    client_id = await world.register()
    code = await world.code(client_id, connector="strict")
    await by_refresh_token(world, client_id, (await world.redeem(client_id, code)).json())
    second = world._sealed({**world.idps[1].connector(name="strict", type="oidc"), "tokenAuthMethod": "basic"})
    await world.settle(scopes=["mcp/invoke"], connectors=[second])
    assert await world.app.tell_providers("main") is None
    assert await untold(world) == 0
    assert await told_of(world) == []
    assert await asyncio.to_thread(world.idps[1].requests, "revocation") == []


async def test_what_an_issuer_held_that_is_gone_is_forgotten(world: ProvidedWorld):
    await world.tokens(await world.register())
    async with world.database.write() as conn:
        row = await issuers.get(conn, "main")
        assert row is not None
        await issuer_cases.remove(conn, row, now=int(world.clock()), changes=BY_PROCESS)
    await world.app.reload("main")
    assert await asked_for(world) == ["main"]
    assert await world.app.tell_providers("main") is None
    assert await untold(world) == 0


# Providers at which one revocation ends everything


async def test_one_application_that_leaves_takes_no_other_with_it(make_provided: Any):
    """Google ends all that a person has with us, whichever token is revoked: so it hears of the last one only."""
    world = await make_provided("google")
    leaving, staying = await world.register(), await world.register(client_name="Other")
    gone, kept = await world.tokens(leaving), await world.tokens(staying)
    await by_refresh_token(world, leaving, gone)
    assert await world.app.tell_providers("main") is None
    assert await told_of(world) == []
    assert await untold(world) == 0
    world.clock.forward(RECHECK_SECONDS + 1)
    token = (await world.refresh(staying, kept["refresh_token"])).json()["refresh_token"]
    await by_refresh_token(world, staying, {"refresh_token": token})
    assert await world.app.tell_providers("main") is None
    assert await told_of(world) == [200]
