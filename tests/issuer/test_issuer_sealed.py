"""The ledger without a database: what codes and refresh tokens that hold themselves may do, and what ends them."""

import asyncio
import os
from typing import Any

import pytest
from issuer_world import REDIRECT, Browser, answer
from provider_world import HELD, HELD_SECRET, SealedWorld, claims_of

from portico.crypto.keyring import Keyring
from portico.issuer import sealed as sealed_module
from portico.model.errors import InvalidToken
from support.provider.identity_provider import error, held, html_page, server_error

pytestmark = pytest.mark.xdist_group("issuer-sealed")

DAY = 24 * 3600


@pytest.fixture
async def world(make_sealed: Any) -> SealedWorld:
    return await make_sealed("strict")


@pytest.fixture
async def client_id(world: SealedWorld) -> str:
    return await world.register()


async def is_admitted(world: SealedWorld, token: str) -> bool:
    try:
        await world.call(token)
    except InvalidToken:
        return False
    return True


# What callers get and what the server behind is called with


async def test_a_wrapped_token_is_ours_outside_and_the_provider_s_behind(world: SealedWorld, client_id: str):
    issued = await world.tokens(client_id)
    claims = claims_of(issued["access_token"])
    assert (claims["iss"], claims["aud"], claims["client_id"]) == (world.url, world.resources[0], client_id)
    assert claims["sub"] == "strict|ada"
    behind = claims_of(await world.call(issued["access_token"]))
    assert (behind["iss"], behind["aud"], behind["sub"]) == (world.idp.issuer, world.resources[0], "ada")
    assert world.idp.issuer not in str({**claims, "upstream": ""})


async def test_an_own_token_goes_on_as_it_is_and_holds_nothing_of_the_provider(make_sealed: Any):
    world = await make_sealed("strict", mode="own")
    issued = await world.tokens(await world.register())
    assert await world.call(issued["access_token"]) == issued["access_token"]
    assert "upstream" not in claims_of(issued["access_token"])
    with pytest.raises(InvalidToken):
        await world.call(issued["access_token"][:-4] + "AAAA")


async def test_a_passed_token_is_the_provider_s_and_is_judged_behind(make_sealed: Any):
    world = await make_sealed("strict", mode="passthrough")
    client_id = await world.register()
    issued = await world.tokens(client_id)
    assert claims_of(issued["access_token"])["iss"] == world.idp.issuer
    assert await world.call(issued["access_token"]) == issued["access_token"]
    assert await world.call("whatever a caller sends") == "whatever a caller sends"
    again = (await world.refresh(client_id, issued["refresh_token"])).json()
    assert claims_of(again["access_token"])["iss"] == world.idp.issuer


@pytest.mark.parametrize("mode", ["own", "wrap", "passthrough"])
async def test_each_kind_of_token_is_refreshed_at_the_provider(make_sealed: Any, mode: str):
    world = await make_sealed("strict", mode=mode)
    client_id = await world.register()
    issued = await world.tokens(client_id)
    for done in range(1, 4):
        response = await world.refresh(client_id, issued["refresh_token"])
        assert response.status_code == 200, response.text
        assert response.json()["access_token"] != issued["access_token"]
        issued = response.json()
        assert await world.refreshes_at_provider() == done
        assert await world.call(issued["access_token"])


@pytest.mark.parametrize(("mode", "theirs"), [("wrap", 120), ("passthrough", 120), ("wrap", 3000)])
async def test_a_token_of_ours_never_outlives_the_provider_s(make_sealed: Any, mode: str, theirs: int):
    world = await make_sealed("strict", mode=mode)
    world.idp.change(access_seconds=theirs)
    client_id = await world.register()
    issued = await world.tokens(client_id)
    again = (await world.refresh(client_id, issued["refresh_token"])).json()
    for one in (issued, again):
        assert one["expires_in"] <= min(theirs, 900)
        behind = claims_of(await world.call(one["access_token"]))
        assert claims_of(one["access_token"])["exp"] <= behind["exp"]


@pytest.mark.case("C29")
@pytest.mark.parametrize("mode", ["own", "wrap", "passthrough"])
async def test_the_id_token_of_the_provider_goes_nowhere(make_sealed: Any, mode: str):
    world = await make_sealed("strict", mode=mode)
    client_id = await world.register()
    issued = await world.tokens(client_id)
    again = (await world.refresh(client_id, issued["refresh_token"])).json()
    for one in (issued, again):
        assert set(one) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
        assert one["scope"] == "mcp/invoke"


# Codes


@pytest.mark.case("C01")
async def test_a_code_used_twice_ends_everything_that_came_of_it(world: SealedWorld, client_id: str):
    code = await world.code(client_id)
    issued = (await world.redeem(client_id, code)).json()
    assert await is_admitted(world, issued["access_token"])
    again = await world.redeem(client_id, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert not await is_admitted(world, issued["access_token"])
    assert await world.refused(client_id, issued["refresh_token"])


@pytest.mark.case("C01")
async def test_of_many_that_redeem_at_once_at_most_one_gets_tokens(world: SealedWorld, client_id: str):
    code = await world.code(client_id)
    answers = await asyncio.gather(*(world.redeem(client_id, code) for _ in range(8)))
    assert sorted(one.status_code for one in answers) == [200] + [400] * 7
    assert len(await world.asked()) == 1


@pytest.mark.case("C01")
async def test_after_a_restart_the_provider_s_code_is_what_is_used_once(world: SealedWorld, client_id: str):
    code = await world.code(client_id)
    assert (await world.redeem(client_id, code)).status_code == 200
    world.restart()
    assert (await world.redeem(client_id, code)).json()["error"] == "invalid_grant"


@pytest.mark.case("B03", "B04", "C03", "C04", "C06", "T4")
@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:53683/callback"}, "invalid_grant"),
        ({"resource": "https://facade.example/other"}, "invalid_target"),
        ({"client_id": HELD, "client_secret": HELD_SECRET}, "invalid_grant"),
    ],
    ids=["another verifier", "no verifier", "another redirect", "another resource", "another client"],
)
async def test_a_code_that_does_not_fit_uses_up_nobody_s_login(world: SealedWorld, wrong: dict[str, str], refusal: str):
    await world.hold()
    client_id = await world.register()
    code = await world.code(client_id)
    fields = {"client_id": client_id, **wrong}
    response = await world.redeem(fields.pop("client_id"), code, **fields)
    assert (response.status_code, response.json()["error"]) == (400, refusal)
    assert await world.asked() == [], "the provider heard nothing of it"
    assert (await world.redeem(client_id, code)).status_code == 200


@pytest.mark.case("C05")
async def test_a_code_lives_sixty_seconds(world: SealedWorld, client_id: str):
    code = await world.code(client_id)
    world.clock.forward(61)
    assert (await world.redeem(client_id, code)).json()["error"] == "invalid_grant"
    assert await world.asked() == []


@pytest.mark.case("B06", "D10")
async def test_no_sealed_value_passes_for_another(world: SealedWorld, client_id: str):
    code = await world.code(client_id)
    issued = (await world.redeem(client_id, await world.code(client_id))).json()
    assert await world.refused(client_id, code)
    assert (await world.redeem(client_id, issued["refresh_token"])).json()["error"] == "invalid_grant"
    for token in (code, issued["refresh_token"]):
        assert not await is_admitted(world, token)
    page = await Browser(world).open(world.request(issued["refresh_token"][:2000]))
    assert page.status_code == 400


@pytest.mark.case("C30")
@pytest.mark.parametrize("fault", [server_error(), html_page()], ids=["500", "html"])
async def test_a_provider_out_of_order_is_told_in_our_words(world: SealedWorld, client_id: str, fault: dict[str, Any]):
    code = await world.code(client_id)
    world.idp.fail("token", fault)
    response = await world.redeem(client_id, code)
    assert (response.status_code, response.json()["error"]) == (502, "server_error")
    assert response.headers["cache-control"] == "no-store"
    assert "<" not in response.text


async def test_somebody_whom_the_connector_does_not_let_in_gets_nothing(world: SealedWorld, client_id: str):
    await world.set(connector={"allowedEmails": ["grace@example.org"]})
    response = await world.redeem(client_id, await world.code(client_id))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")


# Refresh tokens


@pytest.mark.case("C07", "T20")
async def test_within_the_grace_the_same_successor_is_given_again(world: SealedWorld, client_id: str):
    first = (await world.tokens(client_id))["refresh_token"]
    second = (await world.refresh(client_id, first)).json()
    world.clock.forward(15)
    again = await world.refresh(client_id, first)
    assert again.status_code == 200
    assert again.json()["refresh_token"] == second["refresh_token"] != first
    assert await world.call(again.json()["access_token"]) == await world.call(second["access_token"])
    assert again.json()["expires_in"] <= second["expires_in"]
    assert await world.refreshes_at_provider() == 1


@pytest.mark.case("C07", "C24")
async def test_a_refresh_token_used_late_ends_its_grant(world: SealedWorld, client_id: str):
    first = await world.tokens(client_id)
    second = (await world.refresh(client_id, first["refresh_token"])).json()
    other = await world.tokens(client_id)
    world.clock.forward(32)
    assert await world.refused(client_id, first["refresh_token"])
    assert await world.refused(client_id, second["refresh_token"])
    for one in (first, second):
        assert not await is_admitted(world, one["access_token"])
    assert await world.refreshes_at_provider() == 1
    assert await is_admitted(world, other["access_token"]), "another grant of the same person is untouched"
    assert not await world.refused(client_id, other["refresh_token"])


@pytest.mark.case("C07")
async def test_a_late_use_is_noticed_after_many_others(world: SealedWorld, client_id: str):
    first = (await world.tokens(client_id))["refresh_token"]
    token = first
    for _ in range(3):
        token = (await world.refresh(client_id, token)).json()["refresh_token"]
        world.clock.forward(40)
    assert await world.refused(client_id, first)
    assert await world.refused(client_id, token)


@pytest.mark.case("C07")
async def test_the_grace_ends_when_somebody_went_on_with_the_successor(world: SealedWorld, client_id: str):
    first = (await world.tokens(client_id))["refresh_token"]
    second = (await world.refresh(client_id, first)).json()["refresh_token"]
    third = (await world.refresh(client_id, second)).json()["refresh_token"]
    assert await world.refused(client_id, first)
    assert await world.refused(client_id, third)


@pytest.mark.case("T20")
async def test_fifty_refreshes_at_once_are_one_at_the_provider(world: SealedWorld, client_id: str):
    first = (await world.tokens(client_id))["refresh_token"]
    answers = await asyncio.gather(*(world.refresh(client_id, first) for _ in range(50)))
    assert {one.status_code for one in answers} == {200}
    assert len({one.json()["refresh_token"] for one in answers}) == 1
    assert await world.refreshes_at_provider() == 1


@pytest.mark.case("C09")
async def test_a_refresh_token_is_worth_nothing_to_another_client(world: SealedWorld, client_id: str):
    token = (await world.tokens(client_id))["refresh_token"]
    assert await world.refused(await world.register(client_name="Other"), token)
    assert await world.refreshes_at_provider() == 0
    assert not await world.refused(client_id, token)


@pytest.mark.case("C10")
async def test_scopes_shrink_for_one_token_and_never_grow(world: SealedWorld, client_id: str):
    issued = await world.tokens(client_id, scope="mcp/invoke mcp/read")
    narrow = (await world.refresh(client_id, issued["refresh_token"], scope="mcp/read")).json()
    assert narrow["scope"] == claims_of(narrow["access_token"])["scope"] == "mcp/read"
    whole = (await world.refresh(client_id, narrow["refresh_token"])).json()
    assert set(whole["scope"].split()) == {"mcp/invoke", "mcp/read"}
    small = await world.tokens(client_id, scope="mcp/read")
    wide = await world.refresh(client_id, small["refresh_token"], scope="mcp/invoke mcp/read")
    assert wide.json()["error"] == "invalid_scope"
    assert not await world.refused(client_id, small["refresh_token"]), "nothing was used up"


@pytest.mark.case("C06")
async def test_the_resource_may_be_repeated_but_not_changed(world: SealedWorld, client_id: str):
    token = (await world.tokens(client_id))["refresh_token"]
    other = await world.refresh(client_id, token, resource="https://elsewhere.example/mcp")
    assert other.json()["error"] == "invalid_target"
    assert (await world.refresh(client_id, token, resource=world.resources[0])).status_code == 200


@pytest.mark.case("C12")
async def test_a_refresh_token_that_rests_too_long_is_over(world: SealedWorld, client_id: str):
    await world.set(refreshIdleSeconds=DAY, refreshAbsoluteSeconds=10 * DAY)
    token = (await world.tokens(client_id))["refresh_token"]
    world.clock.forward(DAY - 60)
    token = (await world.refresh(client_id, token)).json()["refresh_token"]
    world.clock.forward(DAY - 60)
    assert not await world.refused(client_id, token)
    world.clock.forward(DAY + 60)
    asked = await world.refreshes_at_provider()
    assert await world.refused(client_id, token)
    assert await world.refreshes_at_provider() == asked


@pytest.mark.case("C12")
async def test_a_grant_is_over_however_often_it_is_refreshed(world: SealedWorld, client_id: str):
    await world.set(refreshIdleSeconds=DAY, refreshAbsoluteSeconds=3 * DAY)
    token = (await world.tokens(client_id))["refresh_token"]
    for _ in range(4):
        world.clock.forward(0.74 * DAY)
        token = (await world.refresh(client_id, token)).json()["refresh_token"]
    world.clock.forward(0.05 * DAY)
    assert await world.refused(client_id, token)


@pytest.mark.case("H07", "C30")
@pytest.mark.parametrize("fault", [server_error(), html_page()], ids=["500", "html"])
async def test_a_provider_out_of_order_costs_no_login(world: SealedWorld, client_id: str, fault: dict[str, Any]):
    issued = await world.tokens(client_id)
    world.idp.fail("token", fault)
    response = await world.refresh(client_id, issued["refresh_token"])
    assert (response.status_code, response.json()["error"]) == (502, "server_error")
    assert await is_admitted(world, issued["access_token"])
    assert not await world.refused(client_id, issued["refresh_token"])


@pytest.mark.case("H07")
async def test_a_login_that_the_provider_ended_ends_its_access_tokens_too(world: SealedWorld, client_id: str):
    issued = await world.tokens(client_id)
    await asyncio.to_thread(world.idp.revoke, "ada")
    assert await world.refused(client_id, issued["refresh_token"])
    assert not await is_admitted(world, issued["access_token"])


async def test_a_long_refresh_token_of_the_provider_can_be_used(world: SealedWorld, client_id: str):
    long = "r" * 16 * 1024
    world.idp.change(patch={"token": {"refresh_token": long}})
    token = (await world.tokens(client_id))["refresh_token"]
    await world.refresh(client_id, token)
    assert (await world.asked())[-1].form["refresh_token"] == long


async def test_without_a_refresh_token_of_the_provider_there_is_none_of_ours(world: SealedWorld, client_id: str):
    world.idp.change(patch={"token": {"refresh_token": None}})
    assert "refresh_token" not in await world.tokens(client_id)


@pytest.mark.parametrize(
    "change", [{"name": "renamed"}, {"allowedDomains": ["example.org"]}, {"requiredClaims": {"groups": ["board"]}}]
)
async def test_a_connector_that_is_gone_or_lets_in_others_ends_its_grants(
    world: SealedWorld, client_id: str, change: dict[str, Any]
):
    issued, code = await world.tokens(client_id), await world.code(client_id)
    asked = len(await world.asked())
    await world.set(connector=change)
    assert await world.refused(client_id, issued["refresh_token"])
    assert len(await world.asked()) == asked
    late = await world.redeem(client_id, code)
    assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")
    assert (await world.revoke(client_id, issued["refresh_token"])).status_code == 200


async def test_a_client_that_is_held_no_more_gets_nothing(world: SealedWorld):
    await world.hold()
    issued = await world.held_tokens()
    secret = {"client_secret": HELD_SECRET}
    again = await world.refresh(HELD, issued["refresh_token"], **secret)
    assert again.status_code == 200
    await world.set(clients=[])
    gone = await world.refresh(HELD, again.json()["refresh_token"], **secret)
    assert (gone.status_code, gone.json()["error"]) == (401, "invalid_client")


# Giving back


@pytest.mark.case("C24")
async def test_a_returned_refresh_token_ends_the_grant_here_and_at_the_provider(world: SealedWorld, client_id: str):
    issued = await world.tokens(client_id)
    response = await world.revoke(client_id, issued["refresh_token"])
    assert (response.status_code, response.content) == (200, b"")
    assert not await is_admitted(world, issued["access_token"])
    assert await world.refused(client_id, issued["refresh_token"])
    [told] = await world.asked("revocation")
    assert (told.status, told.form["token_type_hint"]) == (200, "refresh_token")
    assert await world.refreshes_at_provider() == 0


@pytest.mark.case("C24")
async def test_a_returned_access_token_ends_the_grant_here(world: SealedWorld, client_id: str):
    issued = await world.tokens(client_id)
    assert (await world.revoke(client_id, issued["access_token"])).status_code == 200
    assert not await is_admitted(world, issued["access_token"])
    assert await world.refused(client_id, issued["refresh_token"])


async def test_a_client_that_gives_back_again_and_again_bothers_the_provider_once(world: SealedWorld, client_id: str):
    issued = await world.tokens(client_id)
    for _ in range(3):
        assert (await world.revoke(client_id, issued["refresh_token"])).status_code == 200
    assert len(await world.asked("revocation")) == 1


@pytest.mark.case("C24", "C30")
async def test_a_provider_that_cannot_be_told_keeps_nobody_from_leaving(world: SealedWorld, client_id: str):
    issued = await world.tokens(client_id)
    world.idp.fail("revocation", server_error())
    assert (await world.revoke(client_id, issued["refresh_token"])).status_code == 200
    assert not await is_admitted(world, issued["access_token"])


@pytest.mark.case("C24", "C30")
async def test_a_client_that_goes_away_is_said_goodbye_for_all_the_same(world: SealedWorld, client_id: str):
    """The grant has ended here, so no second attempt of the client would tell the provider."""
    issued = await world.tokens(client_id)
    world.idp.fail("revocation", held())
    task = asyncio.create_task(world.revoke(client_id, issued["refresh_token"]))
    async with asyncio.timeout(30):
        while not await world.asked("revocation"):
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    world.idp.release()
    await world.side.aclose()  # which waits for what is under way
    assert [one.status for one in await world.asked("revocation")] == [200]


@pytest.mark.case("C24", "C30")
async def test_a_provider_that_hangs_is_not_waited_for_long(
    world: SealedWorld, client_id: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sealed_module, "FAREWELL_SECONDS", 0.2)
    issued = await world.tokens(client_id)
    world.idp.fail("revocation", held())
    assert (await world.revoke(client_id, issued["refresh_token"])).status_code == 200
    assert world.idp.release() == 1, "it had not answered"
    assert not await is_admitted(world, issued["access_token"])


@pytest.mark.case("C23")
async def test_unknown_and_foreign_tokens_are_answered_alike_and_nothing_happens(world: SealedWorld, client_id: str):
    issued = await world.tokens(client_id)
    other = await world.register(client_name="Other")
    for token in ("unknown", "a.b.c", "é", "v1.k1.AAAA", issued["refresh_token"], issued["access_token"]):
        response = await world.revoke(other, token)
        assert (response.status_code, response.content) == (200, b"")
    assert await world.asked("revocation") == []
    assert await is_admitted(world, issued["access_token"])
    assert not await world.refused(client_id, issued["refresh_token"])


# Keys


def with_keys(world: SealedWorld, text: str) -> None:
    world.keyring.adopt(Keyring.parse(text))


@pytest.mark.case("H05")
async def test_keys_change_between_any_two_steps_and_nobody_notices(world: SealedWorld):
    old, lines = world.keyring._masters["k1"].hex(), []

    def rotate() -> None:
        lines.insert(0, f"n{len(lines)}:{os.urandom(32).hex()}")
        with_keys(world, "\n".join([*lines, f"k1:{old}"]))

    client_id = await world.register()
    rotate()
    browser = Browser(world)
    page = await browser.open(world.request(client_id))
    rotate()
    response = await browser.submit(page, decision="allow")
    rotate()
    back = await asyncio.to_thread(world.idp.person("ada").walk, response.headers["location"])
    code = answer(await browser.http.get(back))["code"]
    rotate()
    issued = (await world.redeem(client_id, code)).json()
    rotate()
    assert await is_admitted(world, issued["access_token"])
    again = (await world.refresh(client_id, issued["refresh_token"])).json()
    assert await is_admitted(world, again["access_token"])
    async with world.http() as http:
        assert len((await http.get("/jwks")).json()["keys"]) == len(lines) + 1


@pytest.mark.case("H05", "D20")
async def test_a_retired_key_keeps_registered_clients_and_nothing_else(world: SealedWorld, client_id: str):
    issued, code = await world.tokens(client_id), await world.code(client_id)
    old = world.keyring._masters["k1"].hex()
    with_keys(world, f"k2:{os.urandom(32).hex()}\n~k1:{old}")
    assert not await is_admitted(world, issued["access_token"])
    assert await world.refused(client_id, issued["refresh_token"])
    assert (await world.redeem(client_id, code)).json()["error"] == "invalid_grant"
    async with world.http() as http:
        assert len((await http.get("/jwks")).json()["keys"]) == 1
    fresh = await world.tokens(client_id)
    assert await is_admitted(world, fresh["access_token"]), "the client logs in again under its old id"


@pytest.mark.case("H05")
async def test_a_dropped_key_means_a_clean_new_login(world: SealedWorld, client_id: str):
    issued = await world.tokens(client_id)
    with_keys(world, f"k2:{os.urandom(32).hex()}")
    assert not await is_admitted(world, issued["access_token"])
    gone = await world.refresh(client_id, issued["refresh_token"])
    assert (gone.status_code, gone.json()["error"]) == (401, "invalid_client"), "so that clients register again"
    fresh = await world.tokens(await world.register())
    assert await is_admitted(world, fresh["access_token"])


async def test_two_replicas_sign_alike_and_open_what_the_other_sealed(world: SealedWorld):
    other = await world.twin()
    client_id = await world.register()
    browser = Browser(world)
    code = answer(await browser.http.get(await world.captured(browser, client_id)))["code"]
    issued = (await other.redeem(client_id, code)).json()
    assert await is_admitted(world, issued["access_token"])
    again = await world.refresh(client_id, issued["refresh_token"])
    assert again.status_code == 200
    async with world.http() as here, other.http() as there:
        assert (await here.get("/jwks")).json() == (await there.get("/jwks")).json()


async def test_a_held_client_without_pkce_comes_through(world: SealedWorld):
    await world.hold()
    [entry] = world.more_settings["issuer"]["clients"]
    await world.set(clients=[{**entry, "pkceRequired": False}])
    code = await world.code(HELD, code_challenge="", code_challenge_method="")
    response = await world.redeem(HELD, code, client_secret=HELD_SECRET, code_verifier="")
    assert response.status_code == 200, response.text


async def test_a_code_of_the_provider_that_is_over_is_invalid(world: SealedWorld, client_id: str):
    code = await world.code(client_id)
    world.idp.fail("token", error("invalid_grant"))
    response = await world.redeem(client_id, code, redirect_uri=REDIRECT)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_grant")
