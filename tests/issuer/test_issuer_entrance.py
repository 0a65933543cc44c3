"""Where a person begins: the password form, the choice of a provider, or consent at once."""

from typing import Any

import pytest
from issuer_world import Browser, World, answer

LOCAL = {"name": "local", "type": "local"}


def provider(name: str) -> dict[str, Any]:
    """Return a connector whose provider nobody has to ask for a page."""
    return {
        "name": name,
        "type": "oidc",
        "title": f"Provider {name}",
        "discoveryUrl": "http://127.0.0.1:9/.well-known/openid-configuration",
        "clientId": "us",
        "tokenAuthMethod": "none",
        "allowPrivate": True,
    }


async def test_one_provider_and_nothing_else_leaves_no_choice_but_consent(world: World, client_id: str):
    await world.settle(connectors=[provider("a")])
    page = await Browser(world).open(world.request(client_id))
    assert "Continue with <bdi>Provider a</bdi>" in page.text
    assert "Password" not in page.text
    assert "Logged in as" not in page.text


async def test_several_providers_are_a_choice_without_a_password(world: World, client_id: str):
    await world.settle(connectors=[provider("a"), provider("b")])
    page = await Browser(world).open(world.request(client_id))
    assert "Choose how to log in" in page.text
    assert page.text.index("Provider a") < page.text.index("Provider b")
    assert "Password" not in page.text


async def test_users_and_providers_stand_on_one_page(world: World, client_id: str):
    await world.settle(connectors=[LOCAL, provider("a")])
    page = await Browser(world).open(world.request(client_id))
    assert page.text.index("Password") < page.text.index("Provider a")


@pytest.mark.case("G01", "A22")
async def test_a_choice_is_an_address_that_shows_consent_and_keeps_what_was_asked(world: World, client_id: str):
    await world.settle(connectors=[LOCAL, provider("a")])
    browser = Browser(world)
    picker = await browser.open(world.request(client_id, prompt="login", nonce="n-1"))
    chosen = await browser.submit(picker, connector="a")
    asked = answer(chosen)
    assert (asked["connector"], asked["prompt"], asked["nonce"], asked["state"]) == ("a", "login", "n-1", "st4te")
    consent = await browser.follow(chosen)
    assert "Continue with <bdi>Provider a</bdi>" in consent.text


@pytest.mark.case("G01")
async def test_a_client_that_chooses_skips_the_choice_only_also_over_a_living_login(world: World, client_id: str):
    await world.settle(connectors=[LOCAL, provider("a")])
    browser = Browser(world)
    await browser.log_in(await browser.open(world.request(client_id)))
    page = await browser.open(world.request(client_id, connector="a"))
    assert "Continue with <bdi>Provider a</bdi>" in page.text
    assert "ada" not in page.text


@pytest.mark.parametrize("connector", ["b", "local", "A", "../a", "x" * 3000])
async def test_nobody_is_sent_to_what_is_not_offered(world: World, client_id: str, connector: str):
    await world.settle(connectors=[LOCAL, provider("a")])
    page = await Browser(world).open(world.request(client_id, connector=connector))
    assert page.status_code == 403
    assert "not offered" in page.text
    assert "location" not in page.headers


@pytest.mark.case("B23")
async def test_a_choice_is_no_login_for_those_who_want_no_page(world: World, client_id: str):
    await world.settle(connectors=[LOCAL, provider("a")])
    response = await Browser(world).open(world.request(client_id, connector="a", prompt="none"))
    assert answer(response)["error"] == "login_required"
