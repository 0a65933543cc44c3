"""A person lets an application in: registration, login, consent, code, token, refresh."""

from urllib.parse import urlsplit

import pytest
from issuer_world import PUBLIC_URL, REDIRECT, Browser, World, answer
from joserfc import jwt
from joserfc.jwk import KeySet


async def verified(world: World, token: str) -> jwt.Token:
    async with world.http() as http:
        keys = KeySet.import_key_set((await http.get(f"{world.path}/jwks")).json())
    return jwt.decode(token, keys, algorithms=["ES256"])


async def test_a_registered_client_gets_an_audience_bound_access_token(world: World, client_id: str):
    issued = await world.tokens(client_id)
    token = await verified(world, issued["access_token"])
    assert token.header["typ"] == "at+jwt"
    assert token.header["alg"] == "ES256"
    assert token.claims["iss"] == f"{PUBLIC_URL}/i/main"
    assert token.claims["aud"] == f"{PUBLIC_URL}/g/tools/mcp"
    assert token.claims["client_id"] == client_id
    assert token.claims["scope"] == issued["scope"] == "mcp/invoke"
    assert token.claims["exp"] - token.claims["iat"] == issued["expires_in"] == 900
    assert len(token.claims["grant_id"]) == 32
    assert issued["token_type"] == "Bearer"
    assert issued["refresh_token"]


@pytest.mark.case("B17", "T22")
async def test_the_redirect_brings_code_state_and_our_issuer(world: World, client_id: str):
    browser = Browser(world)
    told = await browser.allow(await browser.log_in(await browser.open(world.request(client_id))))
    assert set(told) == {"code", "state", "iss"}
    assert told["state"] == "st4te"
    assert told["iss"] == world.url


@pytest.mark.case("B17")
async def test_a_refusal_by_the_person_is_told_with_state_and_issuer(world: World, client_id: str):
    browser = Browser(world)
    told = await browser.allow(await browser.log_in(await browser.open(world.request(client_id))), "deny")
    assert (told["error"], told["state"], told["iss"]) == ("access_denied", "st4te", world.url)
    assert "code" not in told


@pytest.mark.case("A14")
async def test_a_loopback_client_may_use_any_port(world: World):
    client_id = await world.register(["http://localhost/callback"])
    uri = "http://localhost:49152/callback"
    code = await world.code(client_id, redirect_uri=uri)
    assert (await world.redeem(client_id, code, redirect_uri=uri)).status_code == 200


@pytest.mark.case("A22")
async def test_every_redirect_after_a_post_is_a_303(world: World, client_id: str):
    browser = Browser(world)
    login = await browser.submit(await browser.open(world.request(client_id)), name="ada", password="wrong")
    assert login.status_code == 403
    consent = await browser.log_in(login)  # the page of the failed attempt works on
    assert (await browser.submit(consent, decision="allow")).status_code == 303


async def test_login_leads_back_to_the_request_that_the_client_made(world: World, client_id: str):
    browser = Browser(world)
    page = await browser.open(world.request(client_id, nonce="n0nce", prompt="login"))
    response = await browser.submit(page, name="ada", password="correct horse battery staple")
    assert urlsplit(response.headers["location"]).path == "/i/main/authorize"
    assert "nonce=n0nce" in response.headers["location"]
    assert "prompt" not in response.headers["location"]


async def test_a_query_in_the_registered_redirect_uri_is_kept(world: World):
    uri = "http://127.0.0.1:7777/cb?tenant=1"
    client_id = await world.register([uri])
    browser = Browser(world)
    page = await browser.log_in(await browser.open(world.request(client_id, redirect_uri=uri)))
    response = await browser.submit(page, decision="allow")
    assert response.headers["location"].startswith(f"{uri}&code=")


async def test_the_access_token_is_for_the_resource_that_was_asked_for(world: World, client_id: str):
    world.resources.append(f"{PUBLIC_URL}/g/other/mcp")
    issued = await world.tokens(client_id, resource=f"{PUBLIC_URL}/g/other/mcp")
    assert (await verified(world, issued["access_token"])).claims["aud"] == f"{PUBLIC_URL}/g/other/mcp"


async def test_a_per_target_endpoint_is_a_resource_too(world: World, client_id: str):
    issued = await world.tokens(client_id, resource=f"{PUBLIC_URL}/g/tools/mcp/calculator")
    assert (await verified(world, issued["access_token"])).claims["aud"] == f"{PUBLIC_URL}/g/tools/mcp/calculator"


async def test_without_a_resource_the_only_gateway_is_meant(world: World, client_id: str):
    issued = await world.tokens(client_id, resource="")
    assert (await verified(world, issued["access_token"])).claims["aud"] == world.resources[0]


async def test_without_a_resource_the_clients_own_default_comes_first(world: World):
    world.resources.append(f"{PUBLIC_URL}/g/other/mcp")
    await world.add_client(
        "desk", kind="public", redirect_uris=(REDIRECT,), default_resource=f"{PUBLIC_URL}/g/other/mcp"
    )
    issued = await world.tokens("desk", resource="")
    assert (await verified(world, issued["access_token"])).claims["aud"] == f"{PUBLIC_URL}/g/other/mcp"


@pytest.mark.case("B19")
async def test_without_a_resource_and_with_several_gateways_the_choices_are_named(world: World, client_id: str):
    world.resources.append(f"{PUBLIC_URL}/g/other/mcp")
    told = answer(await Browser(world).open(world.request(client_id, resource="")))
    assert told["error"] == "invalid_target"
    assert all(resource in told["error_description"] for resource in world.resources)


async def test_scopes_that_clients_add_by_habit_are_left_out(world: World, client_id: str):
    issued = await world.tokens(client_id, scope="openid mcp/read offline_access profile")
    assert issued["scope"] == "mcp/read"


async def test_a_client_that_asks_for_no_scope_gets_the_default_ones(world: World, client_id: str):
    assert (await world.tokens(client_id, scope=""))["scope"] == "mcp/invoke mcp/read"
    await world.settle(scopes=["mcp/invoke", "mcp/read"], defaultScopes=["mcp/read"])
    assert (await world.tokens(client_id, scope="openid email profile"))["scope"] == "mcp/read"


async def test_a_registered_client_becomes_a_row_at_its_first_granted_consent(world: World, client_id: str):
    from portico.storage import clients

    async with world.database.read() as conn:
        assert await clients.get(conn, "main", client_id) is None
    await world.code(client_id)
    async with world.database.read() as conn:
        row = await clients.get(conn, "main", client_id)
    assert row is not None
    assert (row.kind, row.name, row.redirect_uris) == ("registered", "Test client", (REDIRECT,))


async def test_registered_ids_codes_and_refresh_tokens_survive_a_restart(world: World, client_id: str):
    issued = await world.tokens(client_id)
    code = await world.code(client_id)
    world.restart()
    await world.app.load_all()
    assert (await world.redeem(client_id, code)).status_code == 200
    assert (await world.refresh(client_id, issued["refresh_token"])).status_code == 200
