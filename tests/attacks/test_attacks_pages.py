"""Consent that is skipped, forced, framed or read; sessions that are planted; markup that would run."""

import os
import re
from urllib.parse import parse_qsl, urlsplit

import pytest

from attacks.attack_world import (
    AttackedWorld,
    Browser,
    FacadeWorld,
    ProviderWorld,
    nothing_on_a_page,
    planted,
    query_of,
    told_to_client,
    with_query,
)
from issuer.issuer_world import REDIRECT, Form
from portico.web.sessions import Sessions


async def pages_of(world: AttackedWorld, client_id: str) -> list:
    """Return a page of each kind: first, consent, error."""
    browser = Browser(world)
    first = await browser.open(world.request(client_id))
    return [first, await world.consent_page(browser, client_id), await browser.open({"client_id": "nobody"})]


@pytest.mark.case("G01", "T1", "F14")
@pytest.mark.connector("oidc")
async def test_a_living_login_at_the_provider_skips_no_consent_of_ours(world: ProviderWorld, client_id: str):
    """GHSA-c2jp-c369-7pvx: silent single sign-on there must not become a code for a new application here."""
    browser = Browser(world)
    assert "code" in query_of(await world.to_client(browser, await world.consent_page(browser, client_id)))
    world.idp.forget_requests()
    for application in (client_id, await world.register(client_name="Evil")):
        page = await browser.open(world.request(application))
        assert page.status_code == 200
        assert 'value="allow"' in page.text
    assert "Evil" in page.text
    assert world.idp.requests() == []


@pytest.mark.case("G01", "T1")
@pytest.mark.connector("local")
async def test_a_living_session_skips_no_consent(world: AttackedWorld, client_id: str):
    browser = Browser(world)
    await world.to_client(browser, await world.consent_page(browser, client_id))
    assert 'value="allow"' in (await browser.open(world.request(await world.register(client_name="Evil")))).text


@pytest.mark.case("G02", "T3")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}],
    ids=["cross", "same site", "origin"],
)
async def test_another_site_consents_for_nobody(world: AttackedWorld, client_id: str, headers: dict):
    browser = Browser(world)
    page = await world.consent_page(browser, client_id)
    nothing_on_a_page(await browser.submit(page, decision="allow", headers=headers), 403)
    assert await world.asked_of_provider("authorization") == []


@pytest.mark.case("G02")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize("decision", ["", "maybe", "ALLOW", "allow\n"])
async def test_only_a_decision_decides(world: AttackedWorld, client_id: str, decision: str):
    browser = Browser(world)
    page = await world.consent_page(browser, client_id)
    nothing_on_a_page(await browser.submit(page, decision=decision), 400)
    assert await world.asked_of_provider("authorization") == []


@pytest.mark.case("G02", "A19", "F14")
@pytest.mark.connector("oidc")
async def test_what_was_consented_to_cannot_be_changed_on_the_way(world: ProviderWorld, client_id: str):
    """Fields beside the sealed one say nothing, and neither does the callback's query."""
    browser = Browser(world)
    page = await world.consent_page(browser, client_id, scope="mcp/read")
    more = {"scope": "mcp/invoke", "redirect_uri": "https://evil.example/", "client_id": "x", "state": "evil"}
    response = await browser.submit(page, decision="allow", **more)
    url = await world.pass_provider(response.headers["location"])
    back = await browser.http.get(with_query(url, scope="mcp/invoke", redirect_uri="https://evil.example/"))
    assert back.headers["location"].startswith(f"{REDIRECT}?")
    assert query_of(back)["state"] == "st4te"
    assert (await world.redeem(client_id, query_of(back)["code"])).json()["scope"] == "mcp/read"


@pytest.mark.case("G03", "T3", "B26")
@pytest.mark.connector("local", "oidc")
async def test_no_page_is_framed_sniffed_stored_or_told_of(world: AttackedWorld, client_id: str):
    for page in await pages_of(world, client_id):
        policy = page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert not re.findall(r'(?:src|href)="https?://', page.text)


@pytest.mark.case("B26", "T27")
@pytest.mark.connector("oidc")
async def test_the_page_of_a_failed_callback_leaks_no_code(world: ProviderWorld, client_id: str):
    url = await world.captured(Browser(world), client_id)
    page = await Browser(world).http.get(url)
    nothing_on_a_page(page, 403)
    assert page.headers["referrer-policy"] == "no-referrer"
    assert query_of_url(url)["code"] not in page.text


@pytest.mark.case("G04")
@pytest.mark.connector("local", "oidc")
async def test_cookies_belong_to_this_host_and_to_no_script(world: AttackedWorld, client_id: str):
    browser = Browser(world)
    page = await world.consent_page(browser, client_id)
    response = await browser.submit(page, decision="allow")
    lines = [*page.headers.get_list("set-cookie"), *response.headers.get_list("set-cookie")]
    assert lines
    for line in lines:
        attributes = {part.strip().lower() for part in line.split(";")[1:]}
        assert {"httponly", "path=/", "samesite=lax"} <= attributes
        assert not any(part.startswith("domain") for part in attributes)
        if world.public_url.startswith("https:"):
            assert line.startswith("__Host-portico-")
            assert "secure" in attributes


@pytest.mark.case("G04", "G08")
@pytest.mark.connector("local", "oidc")
async def test_a_cookie_that_somebody_planted_beside_ours_counts_for_nothing(world: AttackedWorld, client_id: str):
    browser = Browser(world)
    page = await world.consent_page(browser, client_id)
    [(name, value)] = [(key, text) for key, text in browser.http.cookies.items() if key.endswith("-browser")]
    form = Form(page.text)
    others = "; ".join(f"{key}={text}" for key, text in browser.http.cookies.items() if key != name)
    for cookie in (f"{name}={value}; {name}={'A' * 43}", f"{name}={'A' * 43}; {name}={value}"):
        async with world.http() as http:
            sent = {"cookie": f"{cookie}; {others}"}
            refused = await http.post(form.action, data={**form.fields, "decision": "allow"}, headers=sent)
        nothing_on_a_page(refused, 403)


@pytest.mark.case("G06", "T2")
@pytest.mark.connector("oidc")
async def test_a_login_at_a_provider_begins_no_session_here(world: ProviderWorld, client_id: str):
    """There is nothing to fix, to steal or to ride on: each authorization goes to the provider again."""
    browser = Browser(world)
    page = await world.consent_page(browser, client_id)
    first = await browser.submit(page, decision="allow")
    back = await browser.http.get(await world.pass_provider(first.headers["location"]))
    for response in (page, first, back):
        assert not [name for name in planted(response) if "session" in name]
    world.idp.forget_requests()
    await world.to_client(browser, await world.consent_page(browser, client_id))
    assert len(await world.asked_of_provider("authorization")) == 1


@pytest.mark.case("G06")
@pytest.mark.connector("oidc")
async def test_a_session_that_was_planted_is_none(world: ProviderWorld, client_id: str):
    browser = Browser(world)
    value = Sessions(world.keyring, random=os.urandom).begin(world.name, "ada", world.clock())
    secure = isinstance(world, FacadeWorld)
    browser.http.cookies.set(f"{'__Host-portico' if secure else 'portico-t1'}-{world.name}-session", value)
    page = await browser.open(world.request(client_id))
    assert page.status_code == 200
    told_to_client(await browser.open(world.request(client_id, prompt="none")), world, "login_required")


@pytest.mark.case("G11", "T26")
@pytest.mark.connector("local", "oidc")
async def test_markup_never_leaves_its_place(world: AttackedWorld, client_id: str):
    evil = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}"
    await world.settle(scopeDescriptions={"mcp/invoke": evil}, title=evil)
    browser = Browser(world)
    state = "x<script>"
    pages = [
        await world.consent_page(browser, client_id, state=state),
        await browser.open(world.request(evil)),
        await browser.open(world.request(client_id, redirect_uri=evil)),
        await browser.http.get(f"{world.path}/callback", params={"state": evil, "error": evil, "code": evil}),
        await browser.http.get(f"{world.path}/logout", params={"state": evil, "client_id": evil}),
    ]
    for page in pages:
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert ">49<" not in page.text


@pytest.mark.case("G08")
@pytest.mark.connector("oidc")
async def test_nobody_is_logged_in_as_the_attacker_without_noticing(world: ProviderWorld, client_id: str):
    """Login CSRF: the attacker's whole callback, opened in the victim's browser by a hidden frame or a link."""
    attacker, victim = Browser(world), Browser(world)
    world.idp.change(silent="mallory")
    url = await world.captured(attacker, client_id)
    for headers in ({}, {"sec-fetch-site": "cross-site", "sec-fetch-dest": "iframe"}):
        response = await victim.http.get(url, headers=headers)
        nothing_on_a_page(response, 403)
        assert response.headers["x-frame-options"] == "DENY"


@pytest.mark.case("A13", "G08")
@pytest.mark.connector("local", "oidc")
async def test_logging_out_redirects_nobody_elsewhere(world: AttackedWorld, client_id: str):
    asked = {"post_logout_redirect_uri": "https://evil.example/", "client_id": client_id, "state": "x"}
    async with world.http() as http:
        got = await http.get(f"{world.path}/logout", params=asked)
        assert (got.status_code, "evil.example" in got.text) == (200, False)
        posted = await http.post(f"{world.path}/logout", data=asked)
        assert posted.status_code == 303
        assert posted.headers["location"].startswith(f"{world.path}/logout?")


def query_of_url(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
