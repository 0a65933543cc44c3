"""Codes and refresh tokens that are stolen, injected, used twice, late, elsewhere, or taken for something else."""

import asyncio
import hashlib
from urllib.parse import parse_qsl, urlsplit

import pytest

from attacks.attack_world import (
    ELSEWHERE,
    AttackedWorld,
    Browser,
    FacadeWorld,
    ProviderWorld,
    WorldMaker,
    claims_of,
    query_of,
    refused_at_token,
)
from issuer.issuer_world import REDIRECT, VERIFIER
from support.provider.identity_provider import held, html_page, huge, server_error

SECRET = "portico_" + "h" * 43
DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()


# Codes


@pytest.mark.case("B03", "T4")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize("verifier", ["w" * 43, "", "v" * 42, "v" * 129, "v" * 42 + "é", "v" * 43 + " "])
async def test_a_stolen_code_needs_its_verifier(world: AttackedWorld, client_id: str, verifier: str):
    code = await world.code(client_id)
    refused_at_token(await world.redeem(client_id, code, code_verifier=verifier), "invalid_grant")
    assert (await world.redeem(client_id, code)).status_code == 200, "the attempt used nothing up"


@pytest.mark.case("B04", "T4")
@pytest.mark.connector("local", "oidc")
async def test_taking_the_challenge_out_of_the_request_does_not_help(world: AttackedWorld):
    """RFC 9700 section 4.8: a client that may do without PKCE sends a verifier; then there was a challenge."""
    await world.hold("studio", DIGEST, **no_pkce(world))
    code = await world.code("studio", code_challenge="", code_challenge_method="")
    downgraded = await redeem_held(world, code, code_verifier=VERIFIER)
    refused_at_token(downgraded, "invalid_grant")
    assert (await redeem_held(world, code, code_verifier="")).status_code == 200


@pytest.mark.case("C01")
@pytest.mark.connector("local", "oidc")
async def test_a_code_used_twice_ends_everything_that_came_of_it(world: AttackedWorld, client_id: str):
    code = await world.code(client_id)
    issued = (await world.redeem(client_id, code)).json()
    refused_at_token(await world.redeem(client_id, code), "invalid_grant")
    refused_at_token(await world.refresh(client_id, issued["refresh_token"]), "invalid_grant")
    if isinstance(world, FacadeWorld):
        assert (await world.call(issued["access_token"])).status_code == 401
        assert world.upstream.requests == []


@pytest.mark.case("C01")
@pytest.mark.connector("local", "oidc")
async def test_of_eight_at_once_one_gets_tokens_at_most(world: AttackedWorld, client_id: str):
    code = await world.code(client_id)
    answers = await asyncio.gather(*(world.redeem(client_id, code) for _ in range(8)))
    assert sorted(one.status_code for one in answers).count(200) <= 1
    assert {one.status_code for one in answers} <= {200, 400}


@pytest.mark.case("C01")
@pytest.mark.connector("oidc", worlds=("facade",))
async def test_a_code_used_twice_at_two_replicas_is_used_once(world: FacadeWorld, client_id: str):
    """They share nothing but keys: the provider's code inside ends it there."""
    code = await world.code(client_id)
    assert (await world.redeem(client_id, code)).status_code == 200
    world.restart()
    refused_at_token(await world.redeem(client_id, code), "invalid_grant")


@pytest.mark.case("C03")
@pytest.mark.connector("local", "oidc")
async def test_a_code_of_one_client_is_none_of_another(world: AttackedWorld, client_id: str):
    other = await world.register(client_name="Other")
    code = await world.code(client_id)
    refused_at_token(await world.redeem(other, code), "invalid_grant")
    issued = await world.redeem(client_id, code)
    assert issued.status_code == 200
    refused_at_token(await world.redeem(other, code), "invalid_grant")
    assert (await world.refresh(client_id, issued.json()["refresh_token"])).status_code == 200, "a guess ends nothing"


@pytest.mark.case("C04", "T4")
@pytest.mark.connector("local", "oidc")
async def test_the_address_must_be_the_same_once_more(world: AttackedWorld, client_id: str):
    code = await world.code(client_id)
    for uri in ("http://127.0.0.1:53683/callback", f"{REDIRECT}/", "http://localhost:53682/callback"):
        refused_at_token(await world.redeem(client_id, code, redirect_uri=uri), "invalid_grant")


@pytest.mark.case("C05")
@pytest.mark.connector("local", "oidc")
async def test_a_code_is_good_for_a_minute(world: AttackedWorld, client_id: str):
    code = await world.code(client_id)
    world.clock.forward(61)
    refused_at_token(await world.redeem(client_id, code), "invalid_grant")


@pytest.mark.case("C06")
@pytest.mark.connector("local", "oidc")
async def test_the_resource_is_the_authorized_one(world: AttackedWorld, client_id: str):
    code = await world.code(client_id)
    refused_at_token(await world.redeem(client_id, code, resource="https://evil.example/mcp"), "invalid_target")
    issued = (await world.redeem(client_id, code, resource=world.resources[0])).json()
    assert claims_of(issued["access_token"])["aud"] == world.resources[0]
    refused = await world.refresh(client_id, issued["refresh_token"], resource=f"{world.resources[0]}-x")
    refused_at_token(refused, "invalid_target")


@pytest.mark.case("C03", "F02")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize("change", ["cut", "flipped", "twice", "other purpose", "long", "plain"])
async def test_a_code_that_we_did_not_make_is_none(world: AttackedWorld, client_id: str, change: str):
    code = await world.code(client_id)
    forged = {
        "cut": code[:-1],
        "flipped": ("A" if code[0] != "A" else "B") + code[1:],
        "twice": code + code,
        "other purpose": world.keyring.seal("client-id", b"\x90", aad=world.url.encode()),
        "long": "v1.k1." + "A" * 60_000,
        "plain": "SplxlOBeZQQYbYS6WxSbIA",
    }[change]
    refused_at_token(await world.redeem(client_id, forged), "invalid_grant")


# Refresh tokens


@pytest.mark.case("C07", "T20")
@pytest.mark.connector("local", "oidc")
async def test_a_refresh_token_used_late_a_second_time_ends_its_family(world: AttackedWorld, client_id: str):
    first = (await world.tokens(client_id))["refresh_token"]
    second = (await world.refresh(client_id, first)).json()["refresh_token"]
    world.clock.forward(31)
    refused_at_token(await world.refresh(client_id, first), "invalid_grant")
    refused_at_token(await world.refresh(client_id, second), "invalid_grant")


@pytest.mark.case("C07", "T20")
@pytest.mark.connector("local", "oidc")
async def test_a_thief_who_comes_after_the_client_went_on_gets_nothing(world: AttackedWorld, client_id: str):
    first = (await world.tokens(client_id))["refresh_token"]
    second = (await world.refresh(client_id, first)).json()["refresh_token"]
    third = (await world.refresh(client_id, second)).json()["refresh_token"]
    refused_at_token(await world.refresh(client_id, first), "invalid_grant")
    refused_at_token(await world.refresh(client_id, third), "invalid_grant")


@pytest.mark.case("C07")
@pytest.mark.connector("oidc", worlds=("facade",))
async def test_a_refresh_token_used_twice_at_two_replicas_is_found_by_the_provider(world: FacadeWorld, client_id: str):
    first = (await world.tokens(client_id))["refresh_token"]
    second = (await world.refresh(client_id, first)).json()["refresh_token"]
    world.restart()
    refused_at_token(await world.refresh(client_id, first), "invalid_grant")
    refused_at_token(await world.refresh(client_id, second), "invalid_grant")


@pytest.mark.case("T20")
@pytest.mark.connector("local", "oidc")
async def test_twenty_refreshes_at_once_are_one(world: AttackedWorld, client_id: str):
    first = (await world.tokens(client_id))["refresh_token"]
    world.clock.forward(61)  # the provider is asked again
    before = len(await world.asked_of_provider("token"))
    answers = await asyncio.gather(*(world.refresh(client_id, first) for _ in range(20)))
    assert {one.status_code for one in answers} == {200}
    assert len({one.json()["refresh_token"] for one in answers}) == 1
    assert len(await world.asked_of_provider("token")) - before == (1 if world.kind == "oidc" else 0)


@pytest.mark.case("C09")
@pytest.mark.connector("local", "oidc")
async def test_a_refresh_token_is_its_clients(world: AttackedWorld, client_id: str):
    other = await world.register(client_name="Other")
    token = (await world.tokens(client_id))["refresh_token"]
    before = len(await world.asked_of_provider("token"))
    refused_at_token(await world.refresh(other, token), "invalid_grant")
    assert len(await world.asked_of_provider("token")) == before
    assert (await world.refresh(client_id, token)).status_code == 200


@pytest.mark.case("C10", "T13")
@pytest.mark.connector("local", "oidc")
async def test_scopes_are_narrowed_but_never_widened(world: AttackedWorld, client_id: str):
    token = (await world.tokens(client_id, scope="mcp/read"))["refresh_token"]
    for scope in ("mcp/invoke", "mcp/read mcp/invoke", "admin", "mcp/read offline_access admin"):
        refused_at_token(await world.refresh(client_id, token, scope=scope), "invalid_scope")
    issued = (await world.refresh(client_id, token)).json()
    assert issued["scope"] == claims_of(issued["access_token"])["scope"] == "mcp/read"


@pytest.mark.case("C11")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize("event", ["consent withdrawn", "account disabled", "connector removed"])
async def test_refresh_ends_with_the_login_at_the_provider(world: ProviderWorld, client_id: str, event: str):
    token = (await world.tokens(client_id))["refresh_token"]
    world.clock.forward(61)  # an answer of the provider holds for a minute
    match event:
        case "consent withdrawn":
            world.idp.revoke("ada")
        case "account disabled":
            world.idp.change(disabled=["ada"])
        case _:
            await world.replace_connector("other")
    refused_at_token(await world.refresh(client_id, token), "invalid_grant")
    refused_at_token(await world.refresh(client_id, token), "invalid_grant")


@pytest.mark.case("C11")
@pytest.mark.connector("oidc", worlds=("provider",))
@pytest.mark.parametrize("event", ["client deleted", "person disabled"])
async def test_refresh_ends_with_what_administrators_end_here(world: ProviderWorld, client_id: str, event: str):
    from portico.storage import clients, users

    token, now = (await world.tokens(client_id))["refresh_token"], int(world.clock())
    async with world.database.write() as conn:
        if event == "client deleted":
            await clients.delete(conn, "main", client_id, now)
        else:
            user = await users.by_provider(conn, "main", "strict", "ada")
            assert user is not None
            await users.set_disabled(conn, user.subject, now)
    gone = event == "client deleted"
    refused = await world.refresh(client_id, token)
    refused_at_token(refused, "invalid_client" if gone else "invalid_grant", 401 if gone else 400)
    if not gone:
        browser = Browser(world)
        told = query_of(await world.to_client(browser, await world.consent_page(browser, client_id)))
        assert told["error"] == "access_denied"


@pytest.mark.case("C12")
@pytest.mark.connector("local", "oidc")
async def test_refresh_tokens_end_when_idle_and_with_their_grant(world: AttackedWorld, client_id: str):
    await world.settle(refreshIdleSeconds=1000, refreshAbsoluteSeconds=1500, scopes=["mcp/invoke"])
    idle, used = [(await world.tokens(client_id))["refresh_token"] for _ in range(2)]
    world.clock.forward(900)
    used = (await world.refresh(client_id, used)).json()["refresh_token"]
    world.clock.forward(101)
    refused_at_token(await world.refresh(client_id, idle), "invalid_grant")
    world.clock.forward(500)
    refused_at_token(await world.refresh(client_id, used), "invalid_grant")


# Grants, clients and requests


@pytest.mark.case("C13", "C14", "F01", "F06", "T1", "T13")
@pytest.mark.connector("local", "oidc")
async def test_no_application_gets_tokens_for_itself(world: AttackedWorld, client_id: str):
    """The shared client's secret and what it opens stay with us: the provider hears nothing."""
    refused_at_token(await world.token(grant_type="client_credentials", client_id=client_id), "unauthorized_client")
    await world.hold("studio", DIGEST)
    held = await world.token(grant_type="client_credentials", auth=("studio", SECRET), scope="mcp/invoke")
    refused_at_token(held, "unauthorized_client")
    if world.kind == "oidc":
        shared = (world.idp.client_id, world.idp.client_secret)
        answer = await world.token(grant_type="client_credentials", auth=shared)
        refused_at_token(answer, "invalid_client", 401)
        assert await world.asked_of_provider("token") == []


@pytest.mark.case("C16")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize(
    "grant",
    [
        "password",
        "implicit",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:device_code",
        "authorization_code refresh_token",
    ],
)
async def test_other_grants_do_not_exist(world: AttackedWorld, client_id: str, grant: str):
    form = {"username": "ada", "password": "a password at the provider", "assertion": "e30.e30.", "subject_token": "x"}
    refused_at_token(await world.token(grant_type=grant, client_id=client_id, **form), "unsupported_grant_type")
    assert await world.asked_of_provider("token") == []


@pytest.mark.case("C17")
@pytest.mark.connector("local", "oidc")
async def test_token_requests_come_by_post_in_the_body_and_once(world: AttackedWorld, client_id: str):
    code = await world.code(client_id)
    form = {"grant_type": "authorization_code", "client_id": client_id, "code": code, "redirect_uri": REDIRECT}
    form |= {"code_verifier": VERIFIER}
    async with world.http() as http:
        assert (await http.get(f"{world.path}/token", params=form)).status_code == 405
        refused_at_token(await http.post(f"{world.path}/token", params=form, data=form), "invalid_request")
        for name, value in form.items():
            pairs = [*form.items(), (name, value)]
            headers = {"content-type": "application/x-www-form-urlencoded"}
            body = "&".join(f"{key}={text}" for key, text in pairs)
            refused_at_token(await http.post(f"{world.path}/token", content=body, headers=headers), "invalid_request")
        refused_at_token(await http.post(f"{world.path}/token", json=form), "invalid_request", 415)
    assert (await world.redeem(client_id, code)).status_code == 200


@pytest.mark.case("C20")
@pytest.mark.connector("local", "oidc")
async def test_a_wrong_secret_and_an_unknown_client_look_alike(world: AttackedWorld):
    await world.hold("studio", DIGEST)
    code = await world.code("studio")
    answers = [
        await redeem_held(world, code, client_secret="portico_" + "x" * 43),
        await redeem_held(world, code, client_secret=""),
        await redeem_held(world, code, client_id="nobody"),
        await redeem_held(world, code, client_id="v1.k1.AAAA"),
        await world.token(grant_type="refresh_token", refresh_token="x", auth=("studio", "wrong")),
        await world.token(grant_type="refresh_token", refresh_token="x", auth=("nobody", "wrong")),
    ]
    for one in answers:
        refused_at_token(one, "invalid_client", 401)
        assert one.headers["www-authenticate"].startswith("Basic ")
    assert len({one.text for one in answers}) == 1
    assert (await redeem_held(world, code)).status_code == 200, "the code was not used up by it"


@pytest.mark.case("C21")
@pytest.mark.connector("local", "oidc")
async def test_nobody_stores_what_the_token_endpoint_says(world: AttackedWorld, client_id: str):
    code = await world.code(client_id)
    for answer in (await world.redeem(client_id, code), await world.token(grant_type="x"), await world.token()):
        assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")


@pytest.mark.case("C23")
@pytest.mark.connector("local", "oidc")
async def test_revoking_what_is_not_ones_own_does_nothing(world: AttackedWorld, client_id: str):
    other = await world.register(client_name="Other")
    issued = await world.tokens(client_id)
    async with world.http() as http:
        for token in (issued["refresh_token"], issued["access_token"], "made-up", "v1.k1.AAAA"):
            answer = await http.post(f"{world.path}/revoke", data={"client_id": other, "token": token})
            assert (answer.status_code, answer.content) == (200, b"")
    assert await world.asked_of_provider("revocation") == []
    assert (await world.refresh(client_id, issued["refresh_token"])).status_code == 200


@pytest.mark.case("C24", "C25")
@pytest.mark.connector("local", "oidc")
async def test_what_was_revoked_is_over_everywhere(world: AttackedWorld):
    await world.hold("studio", DIGEST)
    issued = (await redeem_held(world, await world.code("studio"))).json()
    held = {"client_id": "studio", "client_secret": SECRET}
    async with world.http() as http:
        for token in (issued["access_token"], issued["refresh_token"]):
            told = await http.post(f"{world.path}/introspect", data={**held, "token": token})
            assert told.json()["active"] is True
        await http.post(f"{world.path}/revoke", data={**held, "token": issued["refresh_token"]})
        for token in (issued["access_token"], issued["refresh_token"]):
            told = await http.post(f"{world.path}/introspect", data={**held, "token": token})
            assert told.json() == {"active": False}
    refused_at_token(await world.refresh("studio", issued["refresh_token"], client_secret=SECRET), "invalid_grant")
    if isinstance(world, FacadeWorld):
        assert (await world.call(issued["access_token"])).status_code == 401
        assert world.upstream.requests == []


@pytest.mark.case("C25")
@pytest.mark.connector("local", "oidc")
async def test_introspection_tells_strangers_nothing(world: AttackedWorld, client_id: str):
    await world.hold("studio", DIGEST)
    issued = await world.tokens(client_id)
    held = {"client_id": "studio", "client_secret": SECRET}
    async with world.http() as http:
        for proof in ({}, {"client_id": client_id}, {"client_id": "studio"}, {**held, "client_secret": "wrong"}):
            answer = await http.post(f"{world.path}/introspect", data={**proof, "token": issued["access_token"]})
            refused_at_token(answer, "invalid_client", 401)
        for token in (issued["access_token"], issued["refresh_token"], "made-up", "e30.e30.e30", "v1.k1.AAAA"):
            answer = await http.post(f"{world.path}/introspect", data={**held, "token": token})
            assert (answer.status_code, answer.json()) == (200, {"active": False})
    own = (await redeem_held(world, await world.code("studio"))).json()
    world.clock.forward(24 * 3600)
    async with world.http() as http:
        answer = await http.post(f"{world.path}/introspect", data={**held, "token": own["access_token"]})
        assert answer.json() == {"active": False}


# One thing taken for another


@pytest.mark.case("D08", "D10", "T18")
@pytest.mark.connector("local", "oidc")
async def test_nothing_is_taken_for_something_else_at_the_token_endpoint(world: AttackedWorld, client_id: str):
    code, spare = await world.code(client_id), await world.code(client_id)
    issued = (await world.redeem(client_id, code)).json()
    things = [issued["access_token"], issued["refresh_token"], client_id, "e30.e30."]
    for thing in things:
        refused_at_token(await world.redeem(client_id, thing), "invalid_grant")
    for thing in (issued["access_token"], spare, client_id, "e30.e30."):
        refused_at_token(await world.refresh(client_id, thing), "invalid_grant")
    for thing in (issued["access_token"], issued["refresh_token"], spare):
        refused = await world.refresh(thing, issued["refresh_token"])
        refused_at_token(refused, "invalid_client", 401)


@pytest.mark.case("C29")
@pytest.mark.connector("local", "oidc")
async def test_the_answer_holds_no_id_token_and_nothing_of_the_provider(world: AttackedWorld, client_id: str):
    expected = {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    issued = await world.tokens(client_id, scope="openid mcp/invoke")
    assert set(issued) == expected
    again = (await world.refresh(client_id, issued["refresh_token"])).json()
    assert set(again) == expected


@pytest.mark.case("C29", "T18")
@pytest.mark.connector("oidc")
async def test_the_providers_own_tokens_open_nothing_at_the_token_endpoint(world: ProviderWorld, client_id: str):
    location = await world.leave(Browser(world), client_id)
    url = await world.pass_provider(location)
    upstream_code = dict(parse_qsl(urlsplit(url).query))["code"]
    refused_at_token(await world.redeem(client_id, upstream_code), "invalid_grant")
    refused_at_token(await world.refresh(client_id, upstream_code), "invalid_grant")
    assert await world.asked_of_provider("token") == []


@pytest.mark.case("C03", "C09")
@pytest.mark.connector("oidc", worlds=("facade",))
async def test_codes_and_tokens_of_another_facade_with_the_same_keys_are_none(
    world: FacadeWorld, make_world: WorldMaker
):
    """The client is held at both under one id, so that nothing but the seal can tell them apart."""
    other = await make_world("facade", public_url=ELSEWHERE, keys=world.keys)
    for one in (world, other):
        await one.hold("studio", DIGEST)
    issued, code = (await redeem_held(world, await world.code("studio"))).json(), await world.code("studio")
    token = issued["refresh_token"]
    refused_at_token(await redeem_held(other, code), "invalid_grant")
    refused_at_token(await other.refresh("studio", token, client_secret=SECRET), "invalid_grant")
    held = {"client_id": "studio", "client_secret": SECRET}
    async with other.http() as http:
        for foreign in (token, issued["access_token"]):
            told = await http.post("/introspect", data={**held, "token": foreign})
            assert told.json() == {"active": False}
            assert (await http.post("/revoke", data={**held, "token": foreign})).status_code == 200
    assert await world.asked_of_provider("revocation") == []
    assert (await redeem_held(world, code)).status_code == 200
    assert (await world.refresh("studio", token, client_secret=SECRET)).status_code == 200


@pytest.mark.case("C30")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize(
    "fault", [server_error(), html_page(502), html_page(200), huge()], ids=["500", "html", "200", "2 MB"]
)
async def test_a_provider_that_misbehaves_gives_nobody_anything(world: ProviderWorld, client_id: str, fault: dict):
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    world.idp.fail("token", fault)
    told = query_of(await browser.http.get(url))
    if "code" in told:
        refused = await world.redeem(client_id, told["code"])
        refused_at_token(refused, "server_error", 502)
        assert "Bad Gateway" not in refused.text
    else:
        assert told["error"] == "server_error"
        assert "Bad" not in told["error_description"]


@pytest.mark.case("C30")
@pytest.mark.connector("oidc")
async def test_a_provider_that_takes_its_time_is_not_waited_for(
    world: ProviderWorld, client_id: str, monkeypatch: pytest.MonkeyPatch
):
    from portico.issuer import provider

    monkeypatch.setattr(provider, "TOKEN_TIMEOUT", 0.2)
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    world.idp.fail("token", held())
    async with asyncio.timeout(30):
        told = query_of(await browser.http.get(url))
        if "code" in told:
            refused_at_token(await world.redeem(client_id, told["code"]), "server_error", 502)
        else:
            assert told["error"] == "server_error"


@pytest.mark.case("C30")
@pytest.mark.connector("oidc")
async def test_a_token_without_a_lifetime_is_not_taken_for_eternal(world: ProviderWorld, client_id: str):
    world.idp.change(patch={"token": {"expires_in": None}})
    issued = await world.tokens(client_id)
    assert 0 < issued["expires_in"] <= 3600


@pytest.mark.case("T18", "T22")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": ["facade", "another-client"]},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"sub": None},
        {"sub": ""},
    ],
    ids=["nonce", "no nonce", "aud", "auds", "iss", "exp", "no sub", "empty sub"],
)
async def test_an_id_token_that_does_not_fit_lets_nobody_in(world: ProviderWorld, client_id: str, claims: dict):
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    world.idp.change(patch={"id_token": claims})
    told = query_of(await browser.http.get(url))
    if "code" in told:
        refused_at_token(await world.redeem(client_id, told["code"]), "server_error", 502)
    else:
        assert told["error"] == "server_error"


def no_pkce(world: AttackedWorld) -> dict:
    return {"pkceRequired": False} if isinstance(world, FacadeWorld) else {"pkce_required": False}


async def redeem_held(world: AttackedWorld, code: str, **more: str):
    return await world.redeem(more.pop("client_id", "studio"), code, **{"client_secret": SECRET, **more})
