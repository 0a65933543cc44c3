"""Machine clients: their own secret, their own scopes, no refresh token, and never somebody's grant."""

import pytest
from issuer_world import MACHINE_SECRET, PUBLIC_URL, REDIRECT, Browser, World
from joserfc import jws

AUTH = ("robot", MACHINE_SECRET)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


def claims(token: str) -> dict:
    import json

    return json.loads(jws.extract_compact(token.encode()).payload)


@pytest.mark.case("C14")
async def test_a_machine_gets_an_access_token_and_nothing_else(world: World):
    await world.add_machine()
    response = await world.token(auth=AUTH, grant_type="client_credentials", scope="mcp/invoke")
    assert response.status_code == 200
    assert set(response.json()) == {"access_token", "token_type", "expires_in", "scope"}
    told = claims(response.json()["access_token"])
    assert told["sub"] == told["client_id"] == "robot"
    assert told["aud"] == f"{PUBLIC_URL}/g/tools/mcp"
    assert told["scope"] == "mcp/invoke"
    assert "grant_id" not in told


async def test_the_secret_may_come_in_the_body(world: World):
    await world.add_machine()
    response = await world.token(grant_type="client_credentials", client_id="robot", client_secret=MACHINE_SECRET)
    assert response.status_code == 200


async def test_id_and_secret_in_the_header_are_form_encoded(world: World):
    await world.add_machine("team/robot:1")
    response = await world.token(auth=("team%2Frobot%3A1", MACHINE_SECRET), grant_type="client_credentials")
    assert response.status_code == 200


async def test_a_machine_gets_its_own_scopes_and_no_more(world: World):
    await world.add_machine(scopes=("mcp/read", "mcp/gone"))
    assert (await world.token(auth=AUTH, grant_type="client_credentials")).json()["scope"] == "mcp/read"
    for scope in ("mcp/invoke", "mcp/gone", "admin"):
        refused = await world.token(auth=AUTH, grant_type="client_credentials", scope=scope)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")


async def test_a_machine_without_scopes_gets_none(world: World):
    await world.add_machine(scopes=())
    assert (await world.token(auth=AUTH, grant_type="client_credentials")).json()["scope"] == ""
    refused = await world.token(auth=AUTH, grant_type="client_credentials", scope="mcp/invoke")
    assert refused.json()["error"] == "invalid_scope"


@pytest.mark.case("B19", "B20")
async def test_the_resource_of_a_machine_must_be_one_of_ours(world: World):
    await world.add_machine()
    world.resources.append(f"{PUBLIC_URL}/g/other/mcp")
    unclear = await world.token(auth=AUTH, grant_type="client_credentials")
    assert unclear.json()["error"] == "invalid_target"
    assert world.resources[1] in unclear.json()["error_description"]
    for resource in ("https://evil.example", "x", f"{PUBLIC_URL}/g/other/mcp?x", f"{PUBLIC_URL}/g/other/mcp-2"):
        refused = await world.token(auth=AUTH, grant_type="client_credentials", resource=resource)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")
    chosen = await world.token(auth=AUTH, grant_type="client_credentials", resource=world.resources[1] + "/")
    assert claims(chosen.json()["access_token"])["aud"] == world.resources[1]


@pytest.mark.case("C13")
async def test_a_public_client_cannot_use_client_credentials(world: World, client_id: str):
    response = await world.token(grant_type="client_credentials", client_id=client_id)
    assert (response.status_code, response.json()["error"]) == (400, "unauthorized_client")


@pytest.mark.case("C13")
async def test_a_machine_cannot_use_a_persons_grants(world: World):
    await world.add_machine(redirect_uris=(REDIRECT,))
    for form in ({"grant_type": "refresh_token", "refresh_token": "x"},):
        response = await world.token(auth=AUTH, **form)
        assert (response.status_code, response.json()["error"]) == (400, "unauthorized_client")
    assert (await Browser(world).open(world.request("robot"))).status_code == 400


async def test_a_disabled_or_deleted_machine_is_unknown(world: World):
    from portico.storage import clients

    await world.add_machine()
    async with world.database.write() as conn:
        await clients.set_disabled(conn, "main", "robot", 1)
    assert (await world.token(auth=AUTH, grant_type="client_credentials")).status_code == 401
    async with world.database.write() as conn:
        await clients.set_disabled(conn, "main", "robot", None)
        await clients.delete(conn, "main", "robot", 1)
    assert (await world.token(auth=AUTH, grant_type="client_credentials")).status_code == 401
