"""Asking the provider at a refresh: once, whoever asks and wherever, and what happens when somebody dies halfway."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from provider_world import ProvidedWorld

from portico.crypto.keyring import Keyring
from portico.issuer.recheck import LEASE_SECONDS, RECHECK_SECONDS
from portico.storage import grants
from portico.storage.grants import GrantRow
from support.outage import writes_locked
from support.provider.identity_provider import held, server_error
from support.unhurried import GIVEN_UP_AFTER

pytestmark = [pytest.mark.connector("oidc"), pytest.mark.xdist_group("issuer-recheck")]

AT_ONCE = 50


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def provided_world(make_provided: Any) -> ProvidedWorld:
    """A provider that rotates its refresh tokens and takes a second use for theft."""
    return await make_provided("strict")


async def the_grant(world: ProvidedWorld) -> GrantRow:
    async with world.database.read() as conn:
        [row] = await grants.list_all(conn)
    return row


async def until_asked(world: ProvidedWorld, count: int) -> None:
    """Wait until the provider was asked to refresh so often."""
    async with asyncio.timeout(30):
        while await world.refreshes_at_provider() < count:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def lease_of_somebody_else(world: ProvidedWorld, seconds: int) -> AsyncIterator[int]:
    """Hold the lease as another process does that is asking."""
    grant, now = await the_grant(world), int(world.clock())
    async with world.database.write() as conn:
        assert await grants.take_lease(conn, grant.id, now, now + seconds)
    yield now + seconds


@pytest.mark.case("T20", "H08")
async def test_fifty_refreshes_at_two_replicas_are_one_at_the_provider(provided_world: ProvidedWorld):
    world, other = provided_world, await provided_world.twin()
    client_id = await world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    for done in range(1, 4):
        world.clock.forward(RECHECK_SECONDS + 1)
        replicas = [world, other] * (AT_ONCE // 2)
        answers = await asyncio.gather(*(one.refresh(client_id, token) for one in replicas))
        assert {one.status_code for one in answers} == {200}, [one.text for one in answers if one.status_code != 200]
        assert len({one.json()["refresh_token"] for one in answers}) == 1
        assert await world.refreshes_at_provider() == done
        token = answers[0].json()["refresh_token"]
    assert {one.status for one in await world.asked()} == {200}, "no reuse was seen at the provider"


async def test_an_answer_holds_for_a_minute(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    for _ in range(3):
        token = (await world.refresh(client_id, token)).json()["refresh_token"]
    assert await world.refreshes_at_provider() == 0
    world.clock.forward(RECHECK_SECONDS + 1)
    for _ in range(3):
        token = (await world.refresh(client_id, token)).json()["refresh_token"]
    assert await world.refreshes_at_provider() == 1


async def test_a_client_that_goes_away_takes_no_login_with_it(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    world.clock.forward(RECHECK_SECONDS + 1)
    world.idp.fail("token", held())
    task = asyncio.create_task(world.refresh(client_id, token))
    await until_asked(world, 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    world.idp.release()
    await world.app.aclose()  # which waits for what is under way
    grant = await the_grant(world)
    assert (grant.upstream_lease, grant.revoked_at) == (0, None)
    world.clock.forward(RECHECK_SECONDS + 1)
    assert not await world.refused(client_id, token), "the provider's new token was kept"
    assert await world.refreshes_at_provider() == 2


async def test_a_replica_waits_for_the_one_that_asks(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    world.clock.forward(RECHECK_SECONDS + 1)
    async with lease_of_somebody_else(world, LEASE_SECONDS) as lease:
        grant = await the_grant(world)
        task = asyncio.create_task(world.refresh(client_id, token))
        done, _ = await asyncio.wait({task}, timeout=0.5)
        assert not done
        async with world.database.write() as conn:
            await grants.set_upstream(conn, grant.id, grant.upstream, int(world.clock()), lease=lease)
        assert (await task).status_code == 200
    assert await world.refreshes_at_provider() == 0


async def test_a_lease_of_a_process_that_died_is_over_after_a_while(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    world.clock.forward(RECHECK_SECONDS + 1)
    async with lease_of_somebody_else(world, LEASE_SECONDS):
        world.clock.forward(LEASE_SECONDS + 1)
        assert (await world.refresh(client_id, token)).status_code == 200
    assert await world.refreshes_at_provider() == 1


async def test_a_process_that_dies_after_the_provider_rotated_costs_the_login(provided_world: ProvidedWorld):
    """What it had in hand is lost, and the provider takes the next question for theft: the person logs in again."""
    world, client_id = provided_world, await provided_world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    before = await the_grant(world)
    world.clock.forward(RECHECK_SECONDS + 1)
    assert (await world.refresh(client_id, token)).status_code == 200
    async with world.database.write() as conn:  # as if it had died with the answer in hand
        await grants.set_upstream(conn, before.id, before.upstream, before.upstream_checked_at)
    assert await world.refused(client_id, token)
    assert (await the_grant(world)).revoked_at is not None
    assert (await world.tokens(client_id))["refresh_token"]


async def test_a_provider_that_fails_gives_the_lease_back(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    world.clock.forward(RECHECK_SECONDS + 1)
    world.idp.fail("token", server_error(), times=2)
    for _ in range(2):
        response = await world.refresh(client_id, token)
        assert (response.status_code, response.json()["error"]) == (502, "server_error")
        assert (await the_grant(world)).upstream_lease == 0
    assert (await world.refresh(client_id, token)).status_code == 200


@pytest.mark.usefixtures("gives_up_on_locks")
async def test_an_answer_that_cannot_be_stored_at_once_is_stored_later(
    provided_world: ProvidedWorld, database_url: str
):
    world, client_id = provided_world, await provided_world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    world.clock.forward(RECHECK_SECONDS + 1)
    world.idp.fail("token", held())
    task = asyncio.create_task(world.refresh(client_id, token))
    await until_asked(world, 1)
    async with writes_locked(database_url):
        world.idp.release()
        done, _ = await asyncio.wait({task}, timeout=2.5 * GIVEN_UP_AFTER)  # longer than one attempt waits for the lock
        assert not done
    answered = await task
    assert answered.status_code == 200
    token = answered.json()["refresh_token"]
    world.clock.forward(RECHECK_SECONDS + 1)
    assert not await world.refused(client_id, token), "the successor was stored, so the provider saw no reuse"
    assert {one.status for one in await world.asked()} == {200}


async def test_nobody_is_asked_about_a_token_of_somebody_else(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    other = await world.register(client_name="Other")
    token = (await world.tokens(client_id))["refresh_token"]
    world.clock.forward(RECHECK_SECONDS + 1)
    assert await world.refused(other, token)
    assert await world.refused(client_id, "unknown")
    assert await world.refreshes_at_provider() == 0
    assert not await world.refused(client_id, token)


@pytest.mark.case("H05")
async def test_a_grant_whose_sealing_key_was_dropped_ends(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    world.clock.forward(RECHECK_SECONDS + 1)
    old = world.keyring._masters["k1"]
    world.keyring.adopt(Keyring({"k2": bytes(range(32)), "k1": old}, retired={"k1"}))
    assert await world.refused(client_id, token)
    assert (await the_grant(world)).revoked_at is not None


async def test_what_the_provider_is_asked_with_lies_sealed(provided_world: ProvidedWorld, database_url: str):
    world, client_id = provided_world, await provided_world.register()
    await world.tokens(client_id)
    [login] = [one for one in await world.asked() if one.form.get("grant_type") == "authorization_code"]
    grant = await the_grant(world)
    assert grant.upstream.startswith("v1.k1.")
    assert login.form["code"] not in repr(grant)
    if database_url.startswith("sqlite"):
        with sqlite3.connect(database_url.removeprefix("sqlite:///")) as file:
            stored = "\n".join(file.iterdump())
        assert login.form["code"] not in stored
        assert login.form["code_verifier"] not in stored


async def test_nobody_is_asked_about_a_grant_that_is_over(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    day = 24 * 3600
    await world.settle(scopes=["mcp/invoke"], refreshAbsoluteSeconds=30 * day, connectors=world.connectors())
    token = (await world.tokens(client_id))["refresh_token"]
    world.clock.forward(30 * day)
    assert await world.refused(client_id, token)
    assert await world.refreshes_at_provider() == 0


@pytest.mark.case("H10")
async def test_what_a_revoked_grant_asked_with_is_forgotten_also_when_it_is_asked_right_then(
    provided_world: ProvidedWorld,
):
    world, client_id = provided_world, await provided_world.register()
    issued = await world.tokens(client_id)
    world.clock.forward(RECHECK_SECONDS + 1)
    world.idp.fail("token", held())
    task = asyncio.create_task(world.refresh(client_id, issued["refresh_token"]))
    await until_asked(world, 1)
    assert (await world.revoke(client_id, issued["access_token"])).status_code == 200
    world.idp.release()
    assert (await task).json()["error"] == "invalid_grant"
    await world.app.tell_providers("main")
    assert (await the_grant(world)).upstream == ""
