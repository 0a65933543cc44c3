"""Giving tokens back (RFC 7009)."""

import pytest
from issuer_world import MACHINE_SECRET, World
from test_issuer_tokens import revoked_grants

from portico.authorizer.revocations import Revocations


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


async def give_back(world: World, token: str, *, auth: tuple[str, str] | None = None, **form: str):
    async with world.http() as http:
        return await http.post("/i/main/revoke", data={"token": token, **form}, auth=auth)


@pytest.mark.case("C24")
@pytest.mark.parametrize("which", ["refresh_token", "access_token"])
async def test_a_returned_token_ends_the_whole_grant(world: World, client_id: str, which: str):
    issued = await world.tokens(client_id)
    response = await give_back(world, issued[which], client_id=client_id, token_type_hint="access_token")
    assert (response.status_code, response.content) == (200, b"")
    assert (await world.refresh(client_id, issued["refresh_token"])).json()["error"] == "invalid_grant"
    [grant] = await revoked_grants(world)
    revocations = Revocations(world.database, clock=world.clock)
    await revocations.reload()
    assert revocations.refuses(world.url, {"grant_id": grant, "iat": int(world.clock())})


@pytest.mark.case("C23")
async def test_unknown_and_foreign_tokens_are_answered_alike_and_nothing_happens(world: World, client_id: str):
    issued = await world.tokens(client_id)
    other = await world.register(client_name="Other")
    signature = issued["access_token"][:-4] + "AAAA"
    for token in ("unknown", "a.b.c", signature, "é", issued["refresh_token"], issued["access_token"]):
        response = await give_back(world, token, client_id=other)
        assert (response.status_code, response.content) == (200, b"")
    await give_back(world, signature, client_id=client_id)
    assert await revoked_grants(world) == []
    assert (await world.refresh(client_id, issued["refresh_token"])).status_code == 200


async def test_a_machines_access_token_ends_by_itself(world: World):
    await world.add_machine()
    auth = ("robot", MACHINE_SECRET)
    token = (await world.token(auth=auth, grant_type="client_credentials")).json()["access_token"]
    response = await give_back(world, token, auth=auth)
    assert (response.status_code, response.json()["error"]) == (400, "unsupported_token_type")


async def test_the_client_must_be_known_and_the_token_named(world: World, client_id: str):
    assert (await give_back(world, "x", client_id="nobody")).json()["error"] == "invalid_client"
    assert (await give_back(world, "x")).status_code == 401
    assert (await give_back(world, "", client_id=client_id)).json()["error"] == "invalid_request"


async def test_an_expired_access_token_still_ends_its_grant(world: World, client_id: str):
    issued = await world.tokens(client_id)
    world.clock.forward(10_000)
    await give_back(world, issued["access_token"], client_id=client_id)
    assert (await world.refresh(client_id, issued["refresh_token"])).json()["error"] == "invalid_grant"
