"""The way to a provider and back: what is set when, what a browser may have open at once, and how each way ends."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from issuer_world import REDIRECT, Browser, answer
from provider_world import ProvidedWorld

from portico.issuer.round_trip import MAX_AT_ONCE
from portico.storage import clients
from support.provider.identity_provider import server_error

pytestmark = pytest.mark.xdist_group("issuer-provider-login")


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture(params=["stored", "sealed"])
async def any_world(request: pytest.FixtureRequest, make_provided: Any, make_sealed: Any) -> ProvidedWorld:
    return await (make_provided if request.param == "stored" else make_sealed)("strict")


@pytest.fixture
async def client_id(any_world: ProvidedWorld) -> str:
    return await any_world.register()


def flows(browser: Browser) -> list[str]:
    """Return the names of the cookies of flows that are at a provider."""
    return [cookie.name for cookie in browser.http.cookies.jar if cookie.name.endswith("-flow")]


def planted(response: httpx2.Response) -> list[str]:
    return [line for line in response.headers.get_list("set-cookie") if "-flow=" in line]


@pytest.mark.case("B11", "T1", "F14")
async def test_nobody_is_sent_to_the_provider_before_consent_and_nothing_is_set(
    any_world: ProvidedWorld, client_id: str
):
    world, browser = any_world, Browser(any_world)
    for _ in range(2):  # also when the person has just been through it
        page = await browser.open(world.request(client_id))
        assert page.status_code == 200
        assert "Continue with" in page.text
        assert "Test client" in page.text
        assert planted(page) == []
        response = await browser.submit(page, decision="allow")
        assert response.status_code == 303
        [cookie] = planted(response)
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Max-Age=600" in cookie
        assert ("Secure" in cookie) == world.public_url.startswith("https:")


async def test_a_person_who_says_no_is_taken_back_and_was_never_sent_away(any_world: ProvidedWorld, client_id: str):
    browser = Browser(any_world)
    response = await browser.submit(await browser.open(any_world.request(client_id)), decision="deny")
    told = answer(response)
    assert (told["error"], told["state"], told["iss"]) == ("access_denied", "st4te", any_world.url)
    assert planted(response) == []
    assert await any_world.asked("authorization") == []


async def test_the_provider_is_asked_with_values_of_our_own(any_world: ProvidedWorld, client_id: str):
    browser = Browser(any_world)
    location = await any_world.leave(browser, client_id)
    asked = dict(parse_qsl(urlsplit(location).query))
    assert asked["redirect_uri"] == f"{any_world.url}/callback"
    assert asked["client_id"] == any_world.idp.client_id
    assert asked["code_challenge_method"] == "S256"
    ours = any_world.request(client_id)
    assert {asked["state"], asked["nonce"], asked["code_challenge"]} & set(ours.values()) == set()
    assert client_id not in location
    assert REDIRECT not in location


@pytest.mark.case("B07")
async def test_a_callback_counts_once_and_takes_its_cookie_away(any_world: ProvidedWorld, client_id: str):
    world, browser = any_world, Browser(any_world)
    back = await world.captured(browser, client_id)
    assert len(flows(browser)) == 1
    code = answer(await browser.http.get(back))["code"]
    assert flows(browser) == []
    again = await browser.http.get(back)
    assert again.status_code == 403
    assert "answered already" in again.text
    assert (await world.redeem(client_id, code)).status_code == 200, "going back harms nobody"


@pytest.mark.case("B07", "T2")
async def test_a_callback_in_another_browser_leads_nowhere_and_the_first_goes_on(
    any_world: ProvidedWorld, client_id: str
):
    world, browser = any_world, Browser(any_world)
    back = await world.captured(browser, client_id)
    other = await Browser(world).http.get(back)
    assert other.status_code == 403
    assert "another browser" in other.text
    assert answer(await browser.http.get(back))["code"]


async def test_the_newest_flows_of_a_browser_are_the_ones_that_can_be_finished(
    any_world: ProvidedWorld, client_id: str
):
    world, browser = any_world, Browser(any_world)
    backs = [await world.captured(browser, client_id, state=f"s{number}") for number in range(MAX_AT_ONCE + 2)]
    assert len(flows(browser)) == MAX_AT_ONCE
    answers = [await browser.http.get(back) for back in backs]
    assert [one.status_code for one in answers] == [403, 403] + [303] * MAX_AT_ONCE
    assert [answer(one)["state"] for one in answers[2:]] == ["s2", "s3", "s4"]


@pytest.mark.case("B07")
async def test_ten_minutes_later_it_is_over(any_world: ProvidedWorld, client_id: str):
    world, browser = any_world, Browser(any_world)
    back = await world.captured(browser, client_id)
    world.clock.forward(601)
    response = await browser.http.get(back)
    assert response.status_code == 403
    assert "too long" in response.text
    assert "location" not in response.headers


async def test_a_request_that_fits_into_no_cookie_is_told_to_the_client(any_world: ProvidedWorld, client_id: str):
    browser = Browser(any_world)
    page = await browser.open(any_world.request(client_id, state="s" * 2000, nonce="n" * 1000))
    if page.status_code == 200:
        page = await browser.submit(page, decision="allow")
    told = answer(page)
    assert told["error"] == "invalid_request"
    assert planted(page) == []


@pytest.mark.case("A19")
async def test_a_client_that_was_removed_meanwhile_gets_no_code(make_provided: Any):
    world = await make_provided("strict")
    await world.hold()
    browser = Browser(world)
    back = await world.captured(browser, "copilot")
    async with world.database.write() as conn:
        assert await clients.set_disabled(conn, world.name, "copilot", int(world.clock()))
    response = await browser.http.get(back)
    assert response.status_code in {400, 403}
    assert "location" not in response.headers
    assert await world.asked() == [], "its code was not redeemed"


async def test_a_connector_that_was_removed_meanwhile_leads_to_a_page(make_provided: Any):
    world = await make_provided("strict", "cognito")
    client_id = await world.register()
    browser = Browser(world)
    back = await world.captured(browser, client_id, connector="strict")
    await world.settle(scopes=["mcp/invoke"], connectors=world.connectors()[1:])
    response = await browser.http.get(back)
    assert response.status_code == 403
    assert "not offered any more" in response.text
    assert flows(browser) == []


@pytest.mark.case("C30")
async def test_a_provider_that_gives_no_tokens_is_told_to_the_client(make_provided: Any):
    world = await make_provided("strict")
    client_id = await world.register()
    browser = Browser(world)
    back = await world.captured(browser, client_id)
    world.idp.fail("token", server_error())
    told = answer(await browser.http.get(back))
    assert (told["error"], told["state"], told["iss"]) == ("server_error", "st4te", world.url)
    assert flows(browser) == []


async def test_a_flow_that_is_put_back_makes_no_second_grant(any_world: ProvidedWorld, client_id: str):
    """Whoever keeps a copy of the cookie may send it again; the provider's code is used up, or the grant exists."""
    world, browser = any_world, Browser(any_world)
    back = await world.captured(browser, client_id)
    kept = [(cookie.name, cookie.value, cookie.domain) for cookie in browser.http.cookies.jar]
    code = answer(await browser.http.get(back))["code"]
    assert (await world.redeem(client_id, code)).status_code == 200
    for name, value, domain in kept:
        browser.http.cookies.set(name, value or "", domain=domain)
    again = await browser.http.get(back)
    if again.status_code == 303 and "code" in answer(again):
        late = await world.redeem(client_id, answer(again)["code"])
        assert (late.status_code, late.json()["error"]) == (400, "invalid_grant")


async def test_a_local_login_is_none_at_an_issuer_of_providers(make_provided: Any):
    world = await make_provided("strict")
    await world.add_user()
    client_id = await world.register()
    browser = Browser(world)
    page = await browser.open(world.request(client_id))
    assert 'name="password"' not in page.text
    async with world.http() as http:
        response = await http.post(f"{world.path}/login", data={"name": "ada", "password": "x"})
    assert response.status_code == 403
