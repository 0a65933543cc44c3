"""Introspection (RFC 7662): who may know what of which token, in both ledgers."""

import hashlib
from typing import Any

import pytest
from issuer_world import MACHINE_SECRET, REDIRECT, World
from provider_world import HELD, HELD_SECRET, ProvidedWorld, SealedWorld, claims_of

from portico.control import users as user_cases
from portico.control.relaxations import Ground
from portico.storage import clients

pytestmark = [
    pytest.mark.case("C25"),
    pytest.mark.connector("oidc"),
    pytest.mark.xdist_group("issuer-introspection"),
]

INACTIVE = {"active": False}
WORLDS = ("stored", "own", "wrap")


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture(params=WORLDS)
async def any_world(request: pytest.FixtureRequest, make_provided: Any, make_sealed: Any) -> ProvidedWorld:
    """A ledger, with a client that has a secret."""
    made = await (make_provided("strict") if request.param == "stored" else make_sealed("strict", mode=request.param))
    await made.hold()
    return made


async def refresh(world: ProvidedWorld, token: str) -> dict[str, Any]:
    response = await world.refresh(HELD, token, client_secret=HELD_SECRET)
    assert response.status_code == 200, response.text
    return response.json()


async def told(world: World, token: str, **more: Any) -> dict[str, Any]:
    assert isinstance(world, ProvidedWorld)
    response = await world.introspect(token, **more)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    return response.json()


async def test_a_client_learns_of_its_own_access_token_what_the_token_says(any_world: ProvidedWorld):
    token = (await any_world.held_tokens())["access_token"]
    claims = claims_of(token)
    names = ("iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti")
    assert await told(any_world, token) == {
        "active": True,
        "token_type": "Bearer",
        **{name: claims[name] for name in names},
    }


async def test_a_client_learns_of_its_own_refresh_token_until_it_is_used(any_world: ProvidedWorld):
    issued = await any_world.held_tokens()
    live = await told(any_world, issued["refresh_token"])
    assert live["active"] is True
    assert (live["iss"], live["client_id"], live["scope"]) == (any_world.url, HELD, "mcp/invoke")
    assert live["sub"] == claims_of(issued["access_token"])["sub"]
    assert live["iat"] <= any_world.clock() < live["exp"]
    assert "token_type" not in live
    again = await refresh(any_world, issued["refresh_token"])
    assert await told(any_world, issued["refresh_token"]) == INACTIVE
    assert (await told(any_world, again["refresh_token"]))["active"] is True


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_a_returned_token_is_told_as_one_that_does_not_exist(any_world: ProvidedWorld, kind: str):
    issued = await any_world.held_tokens()
    async with any_world.http() as http:
        form = {"token": issued["refresh_token"], "client_id": HELD, "client_secret": HELD_SECRET}
        assert (await http.post(f"{any_world.path}/revoke", data=form)).status_code == 200
    assert await told(any_world, issued[kind]) == INACTIVE


async def test_tokens_that_are_over_are_inactive(any_world: ProvidedWorld):
    issued = await any_world.held_tokens()
    any_world.clock.forward(1000)
    assert await told(any_world, issued["access_token"]) == INACTIVE
    assert (await told(any_world, issued["refresh_token"]))["active"] is True
    any_world.clock.forward(31 * 24 * 3600)
    assert await told(any_world, issued["refresh_token"]) == INACTIVE


async def test_tokens_of_others_look_like_none(any_world: ProvidedWorld):
    client_id = await any_world.register()
    issued = await any_world.tokens(client_id)
    for token in (issued["access_token"], issued["refresh_token"], "unknown", "a.b.c", "v1.k1.AAAA", "é"):
        assert await told(any_world, token) == INACTIVE
    changed = issued["access_token"][:-4] + "AAAA"
    assert await told(any_world, changed) == INACTIVE


@pytest.mark.case("C20")
async def test_whoever_cannot_prove_themselves_learns_nothing(any_world: ProvidedWorld):
    client_id = await any_world.register()
    issued = await any_world.tokens(client_id)
    for auth in ((client_id, ""), (HELD, "wrong"), ("nobody", "x")):
        response = await any_world.introspect(issued["access_token"], auth=auth)
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
    async with any_world.http() as http:
        data = {"token": issued["access_token"], "client_id": client_id}
        response = await http.post(f"{any_world.path}/introspect", data=data)
        assert response.status_code == 401
        missing = await http.post(f"{any_world.path}/introspect", auth=(HELD, HELD_SECRET), data={})
        assert missing.json()["error"] == "invalid_request"


async def test_nothing_sealed_inside_a_token_is_told(make_sealed: Any):
    world: SealedWorld = await make_sealed("strict")
    await world.hold()
    token = (await world.held_tokens())["access_token"]
    assert "upstream" in claims_of(token)
    assert "upstream" not in await told(world, token)


async def test_a_passed_token_is_the_provider_s_to_tell_of(make_sealed: Any):
    world: SealedWorld = await make_sealed("strict", mode="passthrough")
    await world.hold()
    issued = await world.held_tokens()
    assert await told(world, issued["access_token"]) == INACTIVE
    assert (await told(world, issued["refresh_token"]))["active"] is True


async def test_a_sealed_token_whose_connector_lets_in_others_now_is_inactive(make_sealed: Any):
    world: SealedWorld = await make_sealed("strict")
    await world.hold()
    issued = await world.held_tokens()
    await world.set(connector={"allowedDomains": ["example.org"]})
    assert await told(world, issued["refresh_token"]) == INACTIVE


async def test_a_rotated_token_that_is_given_again_is_told_as_used(make_sealed: Any):
    world: SealedWorld = await make_sealed("strict")
    await world.hold()
    first = (await world.held_tokens())["refresh_token"]
    await refresh(world, first)
    world.clock.forward(60)
    assert await told(world, first) == INACTIVE, "also when only its digest is left in memory"
    other = await world.held_tokens()
    await refresh(world, other["refresh_token"])
    assert await told(world, first) == INACTIVE


# Local users


@pytest.mark.connector("local")
async def test_a_client_of_local_users_learns_of_its_own_tokens_until_the_grant_ends(world: World):
    digest = hashlib.sha256(HELD_SECRET.encode()).hexdigest()
    await world.add_client(HELD, kind="confidential", secret_hash=digest, redirect_uris=(REDIRECT,))
    issued = (await world.redeem(HELD, await world.code(HELD), client_secret=HELD_SECRET)).json()
    async with world.http() as http:

        async def asked(token: str) -> dict[str, Any]:
            form = {"token": token}
            return (await http.post(f"{world.path}/introspect", data=form, auth=(HELD, HELD_SECRET))).json()

        for kind in ("access_token", "refresh_token"):
            live = await asked(issued[kind])
            assert (live["active"], live["client_id"], live["scope"]) == (True, HELD, "mcp/invoke")
        form = {"token": issued["access_token"]}
        assert (await http.post(f"{world.path}/revoke", data=form, auth=(HELD, HELD_SECRET))).status_code == 200
        assert [await asked(issued[kind]) for kind in ("access_token", "refresh_token")] == [INACTIVE, INACTIVE]


# Resource servers


@pytest.fixture
async def with_resource_server(make_provided: Any) -> ProvidedWorld:
    world = await make_provided("strict")
    await world.settle(scopes=["mcp/invoke", "portico/introspect"], connectors=world.connectors())
    await world.hold()
    await world.add_machine("gateway", scopes=("portico/introspect",))
    await world.add_machine("robot", scopes=("mcp/invoke",))
    return world


async def test_a_machine_that_may_introspect_learns_of_every_access_token_and_of_no_refresh_token(
    with_resource_server: ProvidedWorld,
):
    world = with_resource_server
    issued = await world.held_tokens()
    auth = ("gateway", MACHINE_SECRET)
    assert (await told(world, issued["access_token"], auth=auth))["sub"] == claims_of(issued["access_token"])["sub"]
    assert await told(world, issued["refresh_token"], auth=auth) == INACTIVE
    robot = await world.token(
        auth=("robot", MACHINE_SECRET), grant_type="client_credentials", resource=world.resources[0]
    )
    own = robot.json()["access_token"]
    assert (await told(world, own, auth=auth))["sub"] == "robot"
    assert (await told(world, own, auth=("robot", MACHINE_SECRET)))["active"] is True


async def test_a_machine_without_that_scope_learns_of_its_own_only(with_resource_server: ProvidedWorld):
    issued = await with_resource_server.held_tokens()
    auth = ("robot", MACHINE_SECRET)
    assert await told(with_resource_server, issued["access_token"], auth=auth) == INACTIVE


@pytest.mark.parametrize("who", ["person", "client"])
async def test_what_an_administrator_ended_is_inactive_at_once(with_resource_server: ProvidedWorld, who: str):
    world = with_resource_server
    issued = await world.held_tokens()
    now = int(world.clock())
    if who == "person":
        ground = Ground(public_url=world.public_url, issuers=frozenset({world.name}))
        await user_cases.disable(world.database, ground=ground, issuer=world.name, name="strict|ada", now=now)
    else:
        async with world.database.write() as conn:
            assert await clients.set_disabled(conn, world.name, HELD, now)
    assert await told(world, issued["access_token"], auth=("gateway", MACHINE_SECRET)) == INACTIVE
