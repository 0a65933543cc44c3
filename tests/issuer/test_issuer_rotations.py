"""Refresh tokens of a façade with a store: replicas that know of each other what was used and what has ended."""

import asyncio
import gc
from typing import Any

import pytest
from provider_world import ProvidedWorld, SealedWorld

from portico.issuer.remembered import POLL_SECONDS, STALE_SECONDS, Remembered
from portico.issuer.rotations import Rotations, _Rotation
from portico.issuer.sealed_tokens import Outcome
from portico.model.errors import InvalidToken
from portico.oauth.token import GRACE_SECONDS, token_digest
from portico.storage import spent
from portico.storage.engine import Database
from support.outage import writes_locked
from support.provider.identity_provider import held, server_error

pytestmark = [pytest.mark.connector("oidc"), pytest.mark.xdist_group("issuer-rotations")]

BOUND = 30.0  #: seconds
Pair = tuple[SealedWorld, SealedWorld]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def store_url(database_url: str) -> str:
    return database_url


@pytest.fixture
async def pair(make_sealed: Any) -> Pair:
    """Two replicas with one store, before a provider that takes a second use of a refresh token for theft."""
    world = await make_sealed("strict", store=True)
    return world, await world.twin()


async def is_admitted(world: SealedWorld, token: str) -> bool:
    try:
        await world.call(token)
    except InvalidToken:
        return False
    return True


async def until_refused(world: SealedWorld, token: str) -> None:
    """Wait until a replica's gate refuses a token."""
    async with asyncio.timeout(BOUND):
        while await is_admitted(world, token):
            await asyncio.sleep(0.05)


async def until_asked(world: ProvidedWorld, count: int) -> None:
    async with asyncio.timeout(BOUND):
        while await world.refreshes_at_provider() < count:
            await asyncio.sleep(0.02)


@pytest.mark.case("T20", "H08")
async def test_the_same_token_at_both_replicas_at_once_is_one_refresh_at_the_provider(pair: Pair):
    world, other = pair
    client_id = await world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    for done in range(1, 4):
        answers = await asyncio.gather(*(one.refresh(client_id, token) for one in [world, other] * 10))
        assert {one.status_code for one in answers} == {200}, [one.text for one in answers if one.status_code != 200]
        assert len({one.json()["refresh_token"] for one in answers}) == 1
        assert await world.refreshes_at_provider() == done
        token = answers[0].json()["refresh_token"]
    for one, replica in ((answers[0], other), (answers[1], world)):
        assert await is_admitted(replica, one.json()["access_token"])
    assert {one.status for one in await world.asked()} == {200}, "no reuse was seen at the provider"


@pytest.mark.case("C07", "T20")
async def test_a_client_that_lost_the_answer_gets_it_from_the_other_replica(pair: Pair):
    world, other = pair
    client_id = await world.register()
    first = (await world.tokens(client_id))["refresh_token"]
    second = (await world.refresh(client_id, first)).json()
    world.clock.forward(GRACE_SECONDS / 2)
    again = (await other.refresh(client_id, first)).json()
    assert again["refresh_token"] == second["refresh_token"]
    assert await other.call(again["access_token"]) == await world.call(second["access_token"])
    assert await world.refreshes_at_provider() == 1


@pytest.mark.case("C07", "T20")
@pytest.mark.parametrize("member", ["access_token", "refresh_token"])
async def test_long_tokens_of_the_provider_are_given_again_too(pair: Pair, member: str):
    world, other = pair
    client_id = await world.register()
    first = (await world.tokens(client_id))["refresh_token"]
    long = "t" * 12_000 if member == "refresh_token" else None
    patch = {"token": {member: long}} if long else {"access_token": {"groups": ["g" * 9_000]}}
    world.idp.change(patch=patch)
    second = await world.refresh(client_id, first)
    assert second.status_code == 200, second.text
    again = await other.refresh(client_id, first)
    assert again.status_code == 200, again.text
    assert again.json()["refresh_token"] == second.json()["refresh_token"]


@pytest.mark.case("C07", "C24")
async def test_a_late_use_is_noticed_on_the_other_replica_and_ends_the_grant_on_both(pair: Pair):
    world, other = pair
    client_id = await world.register()
    first = await world.tokens(client_id)
    second = (await world.refresh(client_id, first["refresh_token"])).json()
    assert await is_admitted(other, second["access_token"])
    world.clock.forward(GRACE_SECONDS + 2)
    assert await other.refused(client_id, first["refresh_token"])
    assert not await is_admitted(other, second["access_token"]), "at once where it was noticed"
    await until_refused(world, second["access_token"])
    assert not await is_admitted(world, first["access_token"])
    assert await world.refused(client_id, second["refresh_token"])
    assert await world.refreshes_at_provider() == 1


@pytest.mark.case("C07")
async def test_the_grace_ends_on_one_replica_when_somebody_went_on_at_the_other(pair: Pair):
    world, other = pair
    client_id = await world.register()
    first = (await world.tokens(client_id))["refresh_token"]
    second = (await world.refresh(client_id, first)).json()["refresh_token"]
    third = (await other.refresh(client_id, second)).json()["refresh_token"]
    assert await world.refused(client_id, first)
    assert await other.refused(client_id, third)


@pytest.mark.case("C01")
async def test_a_code_is_used_once_on_all_replicas(pair: Pair):
    world, other = pair
    client_id = await world.register()
    code = await world.code(client_id)
    answers = await asyncio.gather(*(one.redeem(client_id, code) for one in [world, other] * 4))
    assert sorted(one.status_code for one in answers) == [200] + [400] * 7
    [issued] = [one.json() for one in answers if one.status_code == 200]
    assert len(await world.asked()) == 1
    for replica in pair:
        await until_refused(replica, issued["access_token"])


@pytest.mark.case("C24")
async def test_a_returned_token_is_refused_by_the_other_replica_within_two_seconds(pair: Pair):
    world, other = pair
    client_id = await world.register()
    issued = await world.tokens(client_id)
    assert await is_admitted(other, issued["access_token"])
    assert (await world.revoke(client_id, issued["refresh_token"])).status_code == 200
    await asyncio.sleep(STALE_SECONDS)
    assert not await is_admitted(other, issued["access_token"]), "whoever comes now waits for what is newer"
    assert await other.refused(client_id, issued["refresh_token"])


async def test_a_replica_learns_what_has_ended_before_its_first_call(pair: Pair):
    world, other = pair
    client_id = await world.register()
    issued = await world.tokens(client_id)
    await world.revoke(client_id, issued["refresh_token"])
    assert not await is_admitted(other, issued["access_token"])


async def test_a_used_token_is_known_after_a_restart(pair: Pair):
    world, _ = pair
    client_id = await world.register()
    first = await world.tokens(client_id)
    await world.refresh(client_id, first["refresh_token"])
    world.restart()
    world.clock.forward(GRACE_SECONDS + 2)
    assert await world.refused(client_id, first["refresh_token"])
    assert await world.refreshes_at_provider() == 1


@pytest.mark.case("H07")
async def test_a_provider_out_of_order_uses_nothing_up_on_either_replica(pair: Pair):
    world, other = pair
    client_id = await world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    world.idp.fail("token", server_error(), times=2)
    for replica in pair:
        response = await replica.refresh(client_id, token)
        assert (response.status_code, response.json()["error"]) == (502, "server_error")
    assert not await other.refused(client_id, token)


async def test_a_client_that_goes_away_takes_no_login_with_it(pair: Pair):
    world, other = pair
    client_id = await world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    world.idp.fail("token", held())
    task = asyncio.create_task(world.refresh(client_id, token))
    await until_asked(world, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    world.idp.release()
    assert (await other.refresh(client_id, token)).status_code == 200
    assert await world.refreshes_at_provider() == 1


@pytest.mark.usefixtures("gives_up_on_locks")
async def test_a_store_that_is_away_after_the_provider_rotated_costs_no_login(pair: Pair, database_url: str):
    world, _ = pair
    client_id = await world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    world.idp.fail("token", held())
    task = asyncio.create_task(world.refresh(client_id, token))
    await until_asked(world, 1)
    async with writes_locked(database_url):
        world.idp.release()
        answered = await task
    assert answered.status_code == 200
    assert not await world.refused(client_id, answered.json()["refresh_token"])
    assert {one.status for one in await world.asked()} == {200}


@pytest.mark.usefixtures("gives_up_on_locks")
async def test_a_store_that_is_away_refuses_to_refresh_and_lets_calls_go_on(pair: Pair, database_url: str):
    world, _ = pair
    client_id = await world.register()
    issued = await world.tokens(client_id)
    async with writes_locked(database_url):
        response = await world.refresh(client_id, issued["refresh_token"])
        assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
        assert await is_admitted(world, issued["access_token"])
    assert await world.refreshes_at_provider() == 0, "what cannot be noted is not used"
    assert not await world.refused(client_id, issued["refresh_token"])


async def test_a_replica_that_dies_with_the_answer_costs_the_login(pair: Pair):
    """The others say for a moment that they cannot tell; later a second use is what it looks like."""
    world, other = pair
    client_id = await world.register()
    issued = await world.tokens(client_id)
    digest = token_digest(issued["refresh_token"])
    assert world.store is not None
    async with world.store.write() as conn:
        assert await spent.spend(conn, digest, "refresh", int(world.clock()) + 3600, int(world.clock()))
    world.clock.forward(GRACE_SECONDS + 2)
    assert await other.refused(client_id, issued["refresh_token"])
    assert not await is_admitted(other, issued["access_token"])
    assert await world.refreshes_at_provider() == 0


async def test_the_provider_s_tokens_leave_the_memory_when_the_grace_is_over(pair: Pair):
    world, _ = pair
    client_id = await world.register()
    for _ in range(4):
        issued = await world.tokens(client_id)
        await world.refresh(client_id, issued["refresh_token"])
        world.clock.forward(GRACE_SECONDS + 2)
    issued = await world.tokens(client_id)
    await world.refresh(client_id, issued["refresh_token"])
    gc.collect()
    assert sum(isinstance(one, Outcome) for one in gc.get_objects()) <= 1
    held = [one for one in gc.get_objects() if isinstance(one, Rotations) for one in one._seen.values()]
    assert sum(isinstance(one, _Rotation) for one in held) <= 1


# What is remembered


@pytest.fixture
async def store(database_url: str) -> Any:
    opened = await Database.open(database_url)
    yield opened
    await opened.aclose()


class Hours:
    """A clock for both uses, in seconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_of_many_users_of_one_thing_one_is_the_first(store: Database):
    here, there = Remembered(store), Remembered(store)
    first = await asyncio.gather(*(one.spend("d" * 64, "code", 2_000_000_000) for one in [here, there] * 10))
    assert first.count(True) == 1
    assert await here.was_spent("d" * 64)
    assert not await here.was_spent("e" * 64)


async def test_what_is_too_old_to_count_is_swept(store: Database):
    hours = Hours()
    here = Remembered(store, clock=hours, monotonic=hours)
    await here.spend("a" * 64, "code", int(hours.now) + 60)
    await here.spend("b" * 64, "refresh", int(hours.now) + 10_000)
    await here.end("over", int(hours.now) + 60)
    await here.end("lives", int(hours.now) + 10_000)
    hours.now += 3700
    there = Remembered(store, clock=hours, monotonic=hours)
    await there.catch_up()
    await there.aclose()
    assert await there.look_up("a" * 64) is None
    assert await there.look_up("b" * 64) is not None
    assert not await Remembered(store).has_ended("over")
    assert await Remembered(store).has_ended("lives")
    assert there.revoked_by("", {"grant_id": "lives"}) == "grant"
    assert there.revoked_by("", {}) is None


async def test_each_ended_grant_is_learnt_once_and_none_is_missed(store: Database):
    hours = Hours()
    here, there = Remembered(store), Remembered(store, clock=hours, monotonic=hours)
    for turn in range(3):
        ended = [f"grant-{turn}-{index}" for index in range(20)]
        await asyncio.gather(*(here.end(one, 2_000_000_000) for one in ended))
        hours.now += STALE_SECONDS + 0.1
        await there.catch_up()  # waits: nobody has called for a while
        assert all(there.revoked_by("", {"grant_id": one}) == "grant" for one in ended)


async def test_while_calls_come_none_waits_for_the_store(store: Database):
    hours = Hours()
    here, there = Remembered(store), Remembered(store, clock=hours, monotonic=hours)
    await there.catch_up()
    await here.end("grant", 2_000_000_000)
    hours.now += POLL_SECONDS + 0.1
    await there.catch_up()
    assert there.revoked_by("", {"grant_id": "grant"}) is None, "it is looked at beside this call"
    await there.aclose()
    assert there.revoked_by("", {"grant_id": "grant"}) == "grant"
    await store.aclose()  # from now on it opens connections anew, or cannot
    hours.now += POLL_SECONDS + 0.1
    async with asyncio.timeout(BOUND):
        await there.catch_up()
    await there.aclose()
