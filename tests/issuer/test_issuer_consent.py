"""Consent is asked for each time and belongs to one browser, one login, one form."""

import pytest
from issuer_world import REDIRECT, Browser, Form, World, answer


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.case("G01", "F14", "T1")
async def test_a_living_login_never_skips_consent(world: World, client_id: str):
    browser = Browser(world)
    page = await browser.log_in(await browser.open(world.request(client_id)))
    await browser.allow(page)
    again = await browser.open(world.request(client_id))
    assert again.status_code == 200
    assert "Allow" in again.text
    other = await browser.open(world.request(await world.register(client_name="Other")))
    assert other.status_code == 200
    assert "Other" in other.text


@pytest.mark.case("F13", "F04", "T1")
async def test_the_page_names_client_destination_scopes_and_gateway(world: World, client_id: str):
    browser = Browser(world)
    text = (await browser.log_in(await browser.open(world.request(client_id)))).text
    assert "Test client" in text
    assert "nobody has checked" in text
    assert "an application on this computer" in text
    assert "127.0.0.1:53682" in text
    assert "call them as you" in text
    assert "Tools" in text
    assert world.resources[0] in text


@pytest.mark.case("F13")
async def test_the_page_names_the_website_that_the_code_goes_to(world: World):
    await world.settle(allowedRedirectUris=["https://app.example/cb", "cursor://anysphere.mcp/callback"])
    browser = Browser(world)
    client_id = await world.register(["https://app.example/cb", "cursor://anysphere.mcp/callback"])
    page = await browser.log_in(await browser.open(world.request(client_id, redirect_uri="https://app.example/cb")))
    assert "the website app.example" in page.text
    page = await browser.open(world.request(client_id, redirect_uri="cursor://anysphere.mcp/callback"))
    assert "cursor:" in page.text
    response = await browser.submit(page, decision="allow")
    assert response.headers["location"].startswith("cursor://anysphere.mcp/callback?code=")


async def test_a_client_that_the_administrator_declared_is_not_called_unverified(world: World):
    await world.add_client("desk", kind="public", name="Desk", redirect_uris=(REDIRECT,))
    browser = Browser(world)
    text = (await browser.log_in(await browser.open(world.request("desk")))).text
    assert "nobody has checked" not in text


@pytest.mark.case("B08", "G02", "T2")
async def test_a_consent_form_is_worth_nothing_in_another_browser(world: World, client_id: str):
    attacker, victim = Browser(world), Browser(world)
    await world.add_user("eve")
    page = await attacker.log_in(await attacker.open(world.request(client_id)), name="eve")
    await victim.log_in(await victim.open(world.request(client_id)))
    response = await victim.submit(page, decision="allow")
    assert response.status_code == 403
    assert "location" not in response.headers


@pytest.mark.case("B08", "G08")
async def test_a_login_form_is_worth_nothing_in_another_browser(world: World, client_id: str):
    attacker, victim = Browser(world), Browser(world)
    page = await attacker.open(world.request(client_id))
    await victim.open(world.request(client_id))
    response = await victim.submit(page, name="ada", password="correct horse battery staple")
    assert response.status_code == 403
    assert "session" not in str(victim.http.cookies)


@pytest.mark.case("G02")
async def test_without_the_cookie_consent_is_refused(world: World, client_id: str):
    browser, bare = Browser(world), Browser(world)
    page = await browser.log_in(await browser.open(world.request(client_id)))
    assert (await bare.submit(page, decision="allow")).status_code == 403


@pytest.mark.case("G02", "T3")
@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
    ],
)
async def test_a_form_that_another_site_posts_is_refused(world: World, client_id: str, headers: dict[str, str]):
    browser = Browser(world)
    login = await browser.open(world.request(client_id))
    refused = await browser.submit(login, name="ada", password="x", headers=headers)
    assert refused.status_code == 403
    assert "another site" in refused.text
    page = await browser.log_in(login)
    assert (await browser.submit(page, decision="allow", headers=headers)).status_code == 403


async def test_a_form_of_our_own_page_is_taken_whatever_browsers_write_for_its_origin(world: World, client_id: str):
    browser = Browser(world)
    page = await browser.log_in(await browser.open(world.request(client_id)))
    headers = {"sec-fetch-site": "same-origin", "origin": "null"}
    assert (await browser.submit(page, decision="allow", headers=headers)).status_code == 303


@pytest.mark.case("B07", "G02")
async def test_a_form_makes_one_grant_and_no_second(world: World, client_id: str):
    browser = Browser(world)
    page = await browser.log_in(await browser.open(world.request(client_id)))
    assert "code" in answer(await browser.submit(page, decision="allow"))
    again = await browser.submit(page, decision="allow")
    assert again.status_code == 403
    assert "location" not in again.headers


@pytest.mark.case("B06", "B11")
@pytest.mark.parametrize("change", ["forged", "cut", "login form", "missing", "other key"])
async def test_a_forged_form_is_refused_without_a_redirect(world: World, client_id: str, change: str):
    browser = Browser(world)
    login = await browser.open(world.request(client_id))
    page = await browser.log_in(login)
    sealed = Form(page.text).fields["flow"]
    flow = {
        "forged": sealed[:-2] + ("AA" if not sealed.endswith("AA") else "BB"),
        "cut": sealed[:-10],
        "login form": Form(login.text).fields["flow"],
        "missing": "",
        "other key": "v1.zz." + sealed.split(".")[2],
    }[change]
    response = await browser.submit(page, flow=flow, decision="allow")
    assert response.status_code == 403
    assert "location" not in response.headers


@pytest.mark.case("B06")
async def test_a_consent_form_does_not_open_as_a_login_form(world: World, client_id: str):
    browser = Browser(world)
    login = await browser.open(world.request(client_id))
    page = await browser.log_in(login)
    flow = Form(page.text).fields["flow"]
    assert (await browser.submit(login, flow=flow, name="ada", password="x")).status_code == 403


@pytest.mark.case("B09")
async def test_forms_end_after_ten_minutes(world: World, client_id: str):
    browser = Browser(world)
    login = await browser.open(world.request(client_id))
    world.clock.forward(601)
    assert (await browser.submit(login, name="ada", password="x")).status_code == 403
    page = await browser.log_in(await browser.open(world.request(client_id)))
    world.clock.forward(601)
    late = await browser.submit(page, decision="allow")
    assert late.status_code == 403
    assert "ten minutes" in late.text


async def test_consent_shown_to_one_login_is_not_given_by_the_next(world: World, client_id: str):
    await world.add_user("bob")
    browser = Browser(world)
    page = await browser.log_in(await browser.open(world.request(client_id)))
    await browser.log_in(await browser.open(world.request(client_id, prompt="login")), name="bob")
    assert (await browser.submit(page, decision="allow")).status_code == 403


async def test_another_account_can_be_chosen_on_the_consent_page(world: World, client_id: str):
    await world.add_user("bob", display_name="Bob B.")
    browser = Browser(world)
    page = await browser.log_in(await browser.open(world.request(client_id)))
    login = await browser.follow(await browser.submit(page, decision="switch"))
    assert "Password" in login.text
    assert "Bob B." in (await browser.log_in(login, name="bob")).text


async def test_a_form_without_a_decision_grants_nothing(world: World, client_id: str):
    browser = Browser(world)
    page = await browser.log_in(await browser.open(world.request(client_id)))
    assert (await browser.submit(page)).status_code == 400
    assert (await browser.submit(page, decision="maybe")).status_code == 400


@pytest.mark.case("C11")
async def test_a_person_who_was_disabled_meanwhile_grants_nothing(world: World, client_id: str):
    from portico.storage import users

    browser = Browser(world)
    page = await browser.log_in(await browser.open(world.request(client_id)))
    async with world.database.write() as conn:
        user = await users.by_name(conn, "main", "ada")
        assert user is not None
        await users.set_disabled(conn, user.subject, 1)
    assert (await browser.submit(page, decision="allow")).status_code == 403
    assert "Password" in (await browser.open(world.request(client_id))).text


async def test_a_gateway_that_left_meanwhile_is_told_to_the_client(world: World, client_id: str):
    browser = Browser(world)
    page = await browser.log_in(await browser.open(world.request(client_id)))
    world.resources.clear()
    assert (await browser.allow(page))["error"] == "invalid_target"


async def test_a_client_that_was_removed_meanwhile_gets_nothing(world: World, client_id: str):
    from portico.storage import clients

    browser = Browser(world)
    await browser.allow(await browser.log_in(await browser.open(world.request(client_id))))
    page = await browser.open(world.request(client_id))
    async with world.database.write() as conn:
        await clients.delete(conn, "main", client_id, 1)
    refused = await browser.submit(page, decision="allow")
    assert refused.status_code == 400
    assert "location" not in refused.headers
    assert (await browser.open(world.request(client_id))).status_code == 400
