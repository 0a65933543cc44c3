"""Logging out: asked, confirmed, and never a way to send somebody anywhere."""

from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from issuer_world import PUBLIC_URL, REDIRECT, Browser, Form, World

from portico.issuer.logout import PURPOSE

GONE = "You are logged out"
ASKED = "Log out?"


async def logged_in(world: World, client_id: str) -> Browser:
    browser = Browser(world)
    await browser.log_in(await browser.open(world.request(client_id)))
    return browser


async def visit(browser: Browser, **parameters: str) -> httpx2.Response:
    return await browser.http.get(f"{browser.world.path}/logout?{urlencode(parameters)}")


def back(client_id: str, **more: str) -> dict[str, str]:
    return {"client_id": client_id, "post_logout_redirect_uri": REDIRECT, **more}


async def is_logged_in(browser: Browser, client_id: str) -> bool:
    return "Logged in as" in (await browser.open(browser.world.request(client_id))).text


async def test_logging_out_is_asked_for_named_and_ends_the_login_of_this_browser(world: World, client_id: str):
    browser = await logged_in(world, client_id)
    page = await visit(browser)
    assert ASKED in page.text
    assert "ada" in page.text
    assert await is_logged_in(browser, client_id), "asking ends nothing"
    answer = await browser.submit(page)
    assert GONE in answer.text
    assert not await is_logged_in(browser, client_id)


async def test_a_browser_without_a_login_reads_that_it_has_none(world: World):
    browser = Browser(world)
    page = await visit(browser)
    assert page.status_code == 200
    assert GONE in page.text
    assert "form-action 'none'" in page.headers["content-security-policy"]


async def test_a_form_that_is_sent_twice_says_the_same_again(world: World, client_id: str):
    browser = await logged_in(world, client_id)
    page = await visit(browser)
    await browser.submit(page)
    assert GONE in (await browser.submit(page)).text


@pytest.mark.case("G02")
async def test_another_site_cannot_log_a_person_out(world: World, client_id: str):
    browser = await logged_in(world, client_id)
    page = await visit(browser)
    answer = await browser.submit(page, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert await is_logged_in(browser, client_id)


@pytest.mark.case("G02", "B06")
async def test_a_form_of_another_login_another_purpose_or_no_form_at_all_ends_nothing(world: World, client_id: str):
    other = await logged_in(world, client_id)
    browser = await logged_in(world, client_id)
    consent = await browser.open(world.request(client_id))
    for flow in (
        Form((await visit(other)).text).fields["flow"],
        Form(consent.text).fields["flow"],
        "v1.k1.forged",
        world.keyring.seal(PURPOSE, b"\x93", aad=world.url.encode()),
        world.keyring.seal(PURPOSE, b"{}", aad=b"http://127.0.0.1:8080/i/other"),
    ):
        answer = await browser.http.post(f"{world.path}/logout", data={"flow": flow})
        assert answer.status_code == 403
    assert await is_logged_in(browser, client_id)


@pytest.mark.case("B09")
async def test_a_form_that_is_too_old_ends_nothing(world: World, client_id: str):
    browser = await logged_in(world, client_id)
    page = await visit(browser)
    world.clock.forward(601)
    answer = await browser.submit(page)
    assert answer.status_code == 403
    assert "flow_expired" in answer.text
    assert await is_logged_in(browser, client_id)


async def test_an_application_gets_the_person_back_after_a_click_at_its_own_redirect_uri(world: World, client_id: str):
    browser = await logged_in(world, client_id)
    page = await visit(browser, **back(client_id, state="a b"))
    assert "127.0.0.1:53682" in page.text, "where the person goes is said before"
    assert "form-action" not in page.headers["content-security-policy"]
    answer = await browser.submit(page)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{REDIRECT}?state=a+b")
    assert not await is_logged_in(browser, client_id)


@pytest.mark.case("A13", "A14", "A16")
@pytest.mark.parametrize(
    "changes",
    [
        {"post_logout_redirect_uri": "https://evil.example/"},
        {"post_logout_redirect_uri": REDIRECT + "/"},
        {"post_logout_redirect_uri": REDIRECT.replace("53682", "53683")},
        {"client_id": "nobody"},
        {"client_id": ""},
    ],
)
async def test_an_address_that_the_client_did_not_register_to_the_letter_is_ignored(
    world: World, client_id: str, changes: dict[str, Any]
):
    browser = await logged_in(world, client_id)
    page = await visit(browser, **{**back(client_id), **changes})
    assert "Then you are sent to" not in page.text
    answer = await browser.submit(page)
    assert answer.status_code == 200
    assert GONE in answer.text


@pytest.mark.case("A19")
async def test_an_address_that_is_no_longer_allowed_here_is_ignored(world: World):
    await world.settle(allowedRedirectUris=["https://app.example/cb"])
    client_id = await world.register(["https://app.example/cb", REDIRECT])
    browser = await logged_in(world, client_id)
    asked = {"client_id": client_id, "post_logout_redirect_uri": "https://app.example/cb"}
    assert "app.example" in (await visit(browser, **asked)).text
    await world.settle()
    assert "app.example" not in (await visit(browser, **asked)).text


async def test_nobody_is_sent_anywhere_without_a_login_to_end(world: World, client_id: str):
    answer = await visit(Browser(world), **back(client_id))
    assert answer.status_code == 200
    assert "location" not in answer.headers
    assert REDIRECT not in answer.text


async def test_a_form_of_the_application_is_asked_again_as_an_address(world: World, client_id: str):
    browser = await logged_in(world, client_id)
    headers = {"sec-fetch-site": "cross-site", "origin": "https://app.example"}
    answer = await browser.http.post(f"{world.path}/logout", data=back(client_id, id_token_hint="x"), headers=headers)
    page = await browser.follow(answer)
    assert ASKED in page.text
    assert "127.0.0.1:53682" in page.text
    assert "id_token_hint" not in answer.headers["location"]


async def test_the_page_of_a_provider_that_cannot_be_asked_comes_without_its_link(world: World, client_id: str):
    dead = {
        "name": "idp",
        "type": "oidc",
        "title": "The provider",
        "discoveryUrl": "http://127.0.0.1:9/.well-known/openid-configuration",
        "clientId": "us",
        "tokenAuthMethod": "none",
        "allowPrivate": True,
    }
    await world.settle(connectors=[{"name": "local", "type": "local"}, dead])
    page = await visit(Browser(world))
    assert GONE in page.text
    assert "The provider" not in page.text
    await world.app.aclose()
    await world.fetcher.aclose()


@pytest.mark.parametrize("path", ["login", "consent"])
async def test_the_address_of_a_form_opened_anew_says_what_to_do(world: World, path: str):
    async with world.http() as http:
        answer = await http.get(f"/i/main/{path}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "Go back to the application" in answer.text
    assert PUBLIC_URL not in answer.text
