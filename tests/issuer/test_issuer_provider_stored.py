"""People of an identity provider in an issuer over a database: rows that administrators see, and what ends them."""

import asyncio
from typing import Any

import pytest
from issuer_world import Browser, answer
from provider_world import ProvidedWorld, claims_of

from portico.authorizer.revocations import Revocations
from portico.control import grants as grant_cases
from portico.control import users as user_cases
from portico.control.relaxations import Ground
from portico.issuer.recheck import RECHECK_SECONDS
from portico.storage import users
from portico.storage.users import UserRow
from support.provider.identity_provider import error, html_page, server_error

pytestmark = pytest.mark.xdist_group("issuer-provider-stored")


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
async def provided_world(make_provided: Any) -> ProvidedWorld:
    return await make_provided("strict")


def ground_of(world: ProvidedWorld) -> Ground:
    return Ground(public_url=world.public_url, issuers=frozenset({world.name}))


async def people(world: ProvidedWorld) -> list[UserRow]:
    async with world.database.read() as conn:
        return await users.list_all(conn, issuer=world.name)


async def grants_of(world: ProvidedWorld, *, ended: bool = False) -> list[grant_cases.GrantSummary]:
    return await grant_cases.list_all(world.database, now=int(world.clock()), with_ended=ended)


async def is_admitted(world: ProvidedWorld, access_token: str) -> bool:
    """Say whether nothing that gateways know of ends a token."""
    async with world.http() as http:
        assert (await http.get(f"{world.path}/jwks")).status_code == 200
    revocations = Revocations(world.database, clock=world.clock)
    await revocations.reload()
    return not revocations.refuses(world.url, claims_of(access_token))


async def test_the_first_login_makes_a_person_and_the_next_one_finds_them(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    first = claims_of((await world.tokens(client_id))["access_token"])
    [ada] = await people(world)
    assert (ada.connector, ada.provider_subject, ada.name) == ("strict", "ada", "strict|ada")
    assert (ada.display_name, ada.email, ada.password_hash) == ("Ada Lovelace", "ada@example.com", "")
    assert first["sub"] == ada.subject != "ada"
    world.idp.change(patch={"id_token": {"name": "Ada King", "email": "king@example.com"}})
    second = claims_of((await world.tokens(client_id))["access_token"])
    [ada] = await people(world)
    assert (ada.display_name, ada.email) == ("Ada King", "king@example.com"), "shown as the provider says now"
    assert second["sub"] == first["sub"]


async def test_nobody_is_taken_for_another_by_an_address(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    await world.add_user("local", email="ada@example.com")
    ada = claims_of((await world.tokens(client_id))["access_token"])["sub"]
    world.idp.change(silent="mallory")  # whose address is Ada's, unverified
    mallory = claims_of((await world.tokens(client_id))["access_token"])["sub"]
    assert len({one.subject for one in await people(world)} | {ada, mallory}) == 3


@pytest.mark.case("C11")
async def test_a_disabled_person_is_out_at_once_and_stays_out_at_the_next_login(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    issued = await world.tokens(client_id)
    assert await is_admitted(world, issued["access_token"])
    now = int(world.clock())
    await user_cases.disable(world.database, ground=ground_of(world), issuer="main", name="strict|ada", now=now)
    assert not await is_admitted(world, issued["access_token"])
    world.clock.forward(RECHECK_SECONDS + 1)
    assert await world.refused(client_id, issued["refresh_token"])
    assert await world.refreshes_at_provider() == 0, "nobody is asked about somebody who may not"
    told = await world.come_back(client_id)
    assert told["error"] == "access_denied"
    assert "code" not in told
    await user_cases.enable(world.database, issuer="main", name="strict|ada")
    assert (await world.tokens(client_id))["access_token"]
    assert await world.refused(client_id, issued["refresh_token"]), "what ended stays ended"


async def test_what_a_person_allowed_is_listed_and_taken_back(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    issued = await world.tokens(client_id)
    [grant] = await grants_of(world)
    assert (grant.user, grant.client, grant.scopes) == ("strict|ada", "Test client", ("mcp/invoke",))
    now = int(world.clock())
    await grant_cases.revoke(world.database, ground=ground_of(world), grant_id=grant.id, now=now)
    assert not await is_admitted(world, issued["access_token"])
    assert await world.refused(client_id, issued["refresh_token"])
    assert await grants_of(world) == []


@pytest.mark.case("C24")
async def test_a_returned_token_ends_the_grant_of_a_person_of_a_provider(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    issued = await world.tokens(client_id)
    assert (await world.revoke(client_id, issued["refresh_token"])).status_code == 200
    assert not await is_admitted(world, issued["access_token"])
    assert await world.refused(client_id, issued["refresh_token"])


@pytest.mark.parametrize("after", [0, RECHECK_SECONDS + 1], ids=["at once", "when the provider is due"])
async def test_a_connector_that_is_offered_no_more_lets_nobody_refresh(make_provided: Any, after: int):
    world = await make_provided("strict", "cognito")
    client_id = await world.register()
    issued = await world.redeem(client_id, await world.code(client_id, connector="strict"))
    await world.settle(scopes=["mcp/invoke"], connectors=world.connectors()[1:])
    world.clock.forward(after)
    assert await world.refused(client_id, issued.json()["refresh_token"])
    assert await world.refreshes_at_provider() == 0


async def test_people_whom_the_connector_lets_in_no_more_are_out_at_the_next_question(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    issued = await world.tokens(client_id)
    await world.settle(scopes=["mcp/invoke"], connectors=world.connectors(allowedDomains=["example.org"]))
    world.clock.forward(RECHECK_SECONDS + 1)
    assert await world.refused(client_id, issued["refresh_token"])
    assert not await is_admitted(world, issued["access_token"])
    assert (await world.come_back(client_id))["error"] == "access_denied"


async def test_a_connector_that_changes_in_name_only_ends_nothing(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    issued = await world.tokens(client_id)
    await world.settle(scopes=["mcp/invoke"], connectors=world.connectors(title="Our people"))
    world.clock.forward(RECHECK_SECONDS + 1)
    assert not await world.refused(client_id, issued["refresh_token"])


@pytest.mark.case("H07", "C30")
@pytest.mark.parametrize(
    "fault", [server_error(), html_page(), error("invalid_client", 401)], ids=["500", "html", "401"]
)
async def test_a_provider_that_is_out_of_order_costs_no_login(provided_world: ProvidedWorld, fault: dict[str, Any]):
    world, client_id = provided_world, await provided_world.register()
    issued = await world.tokens(client_id)
    world.clock.forward(RECHECK_SECONDS + 1)
    world.idp.fail("token", fault)
    response = await world.refresh(client_id, issued["refresh_token"])
    assert response.status_code in {502, 503}
    assert response.json()["error"] in {"server_error", "temporarily_unavailable"}
    assert await is_admitted(world, issued["access_token"])
    again = await world.refresh(client_id, issued["refresh_token"])
    assert again.status_code == 200, again.text


@pytest.mark.case("H07")
async def test_a_login_that_the_provider_ended_ends_here(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    issued = await world.tokens(client_id)
    await asyncio.to_thread(world.idp.revoke, "ada")
    assert not await world.refused(client_id, issued["refresh_token"]), "an answer holds for a minute"
    [ended] = await grants_of(world)
    world.clock.forward(RECHECK_SECONDS + 1)
    latest = (await world.tokens(client_id))["refresh_token"]
    assert await world.refused(client_id, issued["refresh_token"])
    assert ended.id not in {one.id for one in await grants_of(world)}
    assert not await is_admitted(world, issued["access_token"])
    assert not await world.refused(client_id, latest), "the new login is another one"


async def test_without_a_refresh_token_of_the_provider_there_is_none_of_ours(make_provided: Any):
    world = await make_provided("strict")
    await world.settle(scopes=["mcp/invoke"], connectors=world.connectors(prompt="login"))
    world.idp.change(patch={"token": {"refresh_token": None}})
    issued = await world.tokens(await world.register())
    assert "refresh_token" not in issued


@pytest.mark.case("C29")
async def test_nothing_of_the_provider_reaches_the_client(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    told = await world.come_back(client_id)
    assert set(told) == {"code", "state", "iss"}
    assert told["iss"] == world.url
    issued = (await world.redeem(client_id, told["code"])).json()
    assert set(issued) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    claims = claims_of(issued["access_token"])
    assert claims["iss"] == world.url
    assert world.idp.issuer not in str(claims)
    assert not {"name", "email", "email_verified", "nonce", "at_hash"} & set(claims)


async def test_a_code_of_the_provider_that_is_over_is_told_in_a_word_that_clients_know(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    browser = Browser(world)
    back = await world.captured(browser, client_id)
    world.idp.fail("token", error("invalid_grant"))
    told = answer(await browser.http.get(back))
    assert told["error"] == "access_denied"
    assert (told["state"], told["iss"]) == ("st4te", world.url)


async def test_a_local_user_with_the_name_of_a_person_is_not_mixed_up_with_them(provided_world: ProvidedWorld):
    world, client_id = provided_world, await provided_world.register()
    await world.add_user("strict|ada")
    assert (await world.come_back(client_id))["error"] == "access_denied"
    assert [one.connector for one in await people(world)] == [""]


# Several ways to log in


@pytest.fixture
async def with_choice(make_provided: Any) -> ProvidedWorld:
    """Local users, and two providers."""
    world = await make_provided("strict", "cognito")
    local = {"name": "local", "type": "local"}
    await world.settle(scopes=["mcp/invoke"], connectors=[local, *world.connectors()])
    await world.add_user()
    async with world.database.write() as conn:
        [ada] = await users.list_all(conn, issuer=world.name)
        await users.set_password(conn, ada.subject, ada.password_hash, int(world.clock()) - 1)
    return world


async def test_a_person_chooses_between_a_password_and_the_providers(with_choice: ProvidedWorld):
    world, client_id = with_choice, await with_choice.register()
    browser = Browser(world)
    page = await browser.open(world.request(client_id))
    assert 'name="password"' in page.text
    assert "Strict login" in page.text
    assert "Cognito login" in page.text
    local = (await browser.allow(await browser.log_in(page)))["code"]
    subjects = {claims_of((await world.redeem(client_id, local)).json()["access_token"])["sub"]}
    for index, connector in enumerate(("strict", "cognito")):
        world.idps[index].change(silent="ada")
        code = await world.code(client_id, connector=connector, at=index)
        subjects.add(claims_of((await world.redeem(client_id, code)).json()["access_token"])["sub"])
    assert len(subjects) == 3, "the same name in three directories is three people"
    assert {(one.connector, one.name) for one in await people(world)} == {
        ("", "ada"),
        ("strict", "strict|ada"),
        ("cognito", "cognito|ada"),
    }


@pytest.mark.parametrize("chosen", ["nobody", "local", "Strict"])
async def test_a_way_to_log_in_that_is_not_offered_leads_nowhere(with_choice: ProvidedWorld, chosen: str):
    world, browser = with_choice, Browser(with_choice)
    page = await browser.open(world.request(await world.register()))
    response = await browser.submit(page, connector=chosen)
    assert response.status_code == 403
    assert "location" not in response.headers


async def test_a_person_of_a_provider_has_no_password_here(with_choice: ProvidedWorld):
    world, client_id = with_choice, await with_choice.register()
    await world.redeem(client_id, await world.code(client_id, connector="strict"))
    browser = Browser(world)
    page = await browser.open(world.request(client_id))
    for password in ("", "x" * 12):
        response = await browser.submit(page, name="strict|ada", password=password)
        assert response.status_code == 403
