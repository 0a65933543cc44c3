"""The way back from a provider: forged, replayed, swapped, stale and stolen states, and other people's browsers."""

import os
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
    nothing_on_a_page,
    planted,
    query_of,
    refused_at_token,
    told_to_client,
    with_query,
)
from issuer.issuer_world import Form
from portico.crypto.keyring import Keyring

FORGED = {
    "random": lambda _state: "A" * 43,
    "cut": lambda state: state[:-1],
    "longer": lambda state: state + "A",
    "last": lambda state: state[:-1] + ("A" if state[-1] != "A" else "B"),
    "first": lambda state: ("A" if state[0] != "A" else "B") + state[1:],
    "beyond the cookie's name": lambda state: state[:12] + "A" * 31,
    "empty": lambda _state: "",
    "control": lambda state: state[:-1] + "\n",
    "wide": lambda _state: "é" * 43,
    "huge": lambda _state: "A" * 5000,
    "sealed": lambda _state: "v1.k1." + "A" * 60,
    "path": lambda _state: "../../../../../../../../../../../../../../../x",
}


def flow_cookies(browser: Browser) -> dict[str, str]:
    return {name: value for name, value in browser.http.cookies.items() if name.endswith("-flow")}


def set_cookie(browser: Browser, name: str, value: str) -> None:
    browser.http.cookies.delete(name)
    browser.http.cookies.set(name, value)


@pytest.mark.case("B06")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize("change", FORGED)
async def test_a_forged_state_is_refused(world: ProviderWorld, client_id: str, change: str):
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    state = query_of_url(url)["state"]
    nothing_on_a_page(await browser.http.get(with_query(url, state=FORGED[change](state))), 403)
    assert await world.asked_of_provider("token") == []


@pytest.mark.case("B11")
@pytest.mark.connector("oidc")
async def test_without_a_state_or_with_two_there_is_no_code(world: ProviderWorld, client_id: str):
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    nothing_on_a_page(await browser.http.get(with_query(url, state=None)), 403)
    nothing_on_a_page(await browser.http.get(f"{url}&state={'A' * 43}"), 400)
    nothing_on_a_page(await browser.http.get(f"{world.path}/callback"), 403)
    assert await world.asked_of_provider("token") == []


@pytest.mark.case("B07")
@pytest.mark.connector("oidc")
async def test_a_callback_counts_once(world: ProviderWorld, client_id: str):
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    assert "code" in query_of(await browser.http.get(url))
    nothing_on_a_page(await browser.http.get(url), 403)
    assert flow_cookies(browser) == {}


@pytest.mark.case("B07", "C01")
@pytest.mark.connector("oidc")
async def test_a_browser_that_puts_its_cookie_back_gets_no_second_login(world: ProviderWorld, client_id: str):
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    cookies = dict(browser.http.cookies.items())
    first = await world.redeem(client_id, query_of(await browser.http.get(url))["code"])
    assert first.status_code == 200
    for name, value in cookies.items():
        set_cookie(browser, name, value)
    again = await browser.http.get(url)
    told = query_of(again)
    if "code" in told:  # the façade seals the provider's code again, which is spent
        refused_at_token(await world.redeem(client_id, told["code"]), "invalid_grant")
    else:
        assert set(told) == {"error", "error_description", "state", "iss"}


@pytest.mark.case("B08", "T2")
@pytest.mark.connector("oidc")
async def test_what_one_browser_began_no_other_finishes(world: ProviderWorld, client_id: str):
    """CVE-2026-27124: the attacker consents and captures the URL; the victim's login at the provider is alive."""
    attacker, victim = Browser(world), Browser(world)
    location = await world.leave(attacker, client_id)
    nothing_on_a_page(await victim.http.get(await world.pass_provider(location)), 403)
    assert await world.asked_of_provider("token") == []


@pytest.mark.case("B08", "T2")
@pytest.mark.connector("oidc")
async def test_a_victim_with_a_flow_of_their_own_finishes_no_other_either(world: ProviderWorld, client_id: str):
    attacker, victim = Browser(world), Browser(world)
    own = await world.leave(victim, client_id)
    url = await world.captured(attacker, client_id)
    nothing_on_a_page(await victim.http.get(url), 403)
    # nor with the attacker's answer under the victim's own state: the provider's code is bound to another challenge
    state = query_of_url(own)["state"]
    response = await victim.http.get(with_query(url, state=state))
    await nothing_came_of(world, client_id, response)


@pytest.mark.case("B08", "G08", "T22")
@pytest.mark.connector("oidc")
async def test_a_stolen_code_of_the_provider_is_of_no_use_in_the_thiefs_own_flow(world: ProviderWorld, client_id: str):
    thief, victim = Browser(world), Browser(world)
    stolen = query_of_url(await world.captured(victim, client_id))["code"]
    world.idp.change(silent="mallory")
    own = await world.captured(thief, client_id)
    await nothing_came_of(world, client_id, await thief.http.get(with_query(own, code=stolen)))


@pytest.mark.case("B08", "T2")
@pytest.mark.connector("oidc")
async def test_planting_the_browser_cookie_is_not_enough(world: ProviderWorld, client_id: str):
    """The victim's browser gets the attacker's ``browser`` cookie, but the transaction is another cookie."""
    attacker, victim = Browser(world), Browser(world)
    url = await world.captured(attacker, client_id)
    for name, value in attacker.http.cookies.items():
        if name.endswith("-browser"):
            set_cookie(victim, name, value)
    nothing_on_a_page(await victim.http.get(url), 403)


@pytest.mark.case("B06")
@pytest.mark.connector("oidc")
async def test_cookies_of_two_flows_cannot_be_swapped(world: ProviderWorld, client_id: str):
    browser = Browser(world)
    one = await world.captured(browser, client_id)
    [(name, _)] = flow_cookies(browser).items()
    await world.captured(browser, client_id)
    [other] = [value for key, value in flow_cookies(browser).items() if key != name]
    set_cookie(browser, name, other)
    nothing_on_a_page(await browser.http.get(one), 403)
    assert await world.asked_of_provider("token") == []


@pytest.mark.case("B06", "T13")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize(
    "value", ["other key", "consent form", "client id", "cut", "flipped", "no kid", "plain", "twice"]
)
async def test_a_transaction_that_we_did_not_seal_is_none(world: ProviderWorld, client_id: str, value: str):
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    [(name, sealed)] = flow_cookies(browser).items()
    page = await world.consent_page(Browser(world), client_id)
    forged = {
        "other key": Keyring({"k1": os.urandom(32)}).seal("provider-transaction", b"\x90", aad=world.url.encode()),
        "consent form": Form(page.text).fields["flow"],
        "client id": client_id,
        "cut": sealed[:-6],
        "flipped": sealed[:-3] + ("A" if sealed[-3] != "A" else "B") + sealed[-2:],
        "no kid": "v1.." + sealed.split(".", 2)[2],
        "plain": "gJA=",
        "twice": "",
    }[value]
    if forged:
        set_cookie(browser, name, forged)
        response = await browser.http.get(url)
    else:  # planted by a sibling domain, beside the real one
        lines = "; ".join([f"{name}={sealed}", f"{name}=v1.k1.AAAA"])
        async with world.http() as http:
            response = await http.get(url, headers={"cookie": lines})
    nothing_on_a_page(response, 403)
    assert await world.asked_of_provider("token") == []


@pytest.mark.case("B09")
@pytest.mark.connector("oidc")
async def test_after_ten_minutes_it_is_over(world: ProviderWorld, client_id: str):
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    world.clock.forward(601)
    nothing_on_a_page(await browser.http.get(url), 403)
    page = await world.consent_page(browser, client_id)
    world.clock.forward(601)
    nothing_on_a_page(await browser.submit(page, decision="allow"), 403)
    assert await world.asked_of_provider("token") == []


@pytest.mark.case("B12", "T2")
@pytest.mark.connector("oidc")
async def test_no_transaction_exists_before_consent_or_after_a_refusal(world: ProviderWorld, client_id: str):
    browser = Browser(world)
    page = await browser.open(world.request(client_id))
    assert flow_cookies(browser) == {}
    assert [name.rpartition("-")[2] for name in planted(page)] == ["browser"]
    assert await world.asked_of_provider("authorization") == []
    denied = await browser.submit(page, decision="deny")
    told_to_client(denied, world, "access_denied")
    assert flow_cookies(browser) == {}
    refused = await browser.submit(page, decision="allow", headers={"sec-fetch-site": "cross-site"})
    nothing_on_a_page(refused, 403)
    assert await world.asked_of_provider("authorization") == []


@pytest.mark.case("B12", "B26", "T27")
@pytest.mark.connector("oidc")
async def test_what_travels_to_the_provider_says_nothing(world: ProviderWorld, client_id: str):
    """A random state: no redirect, no client, no verifier, nothing that could be read or signed again."""
    browser = Browser(world)
    location = await world.leave(browser, client_id)
    sent = query_of_url(location)
    assert len(sent["state"]) == len(sent["nonce"]) == 43
    assert len({sent["state"], sent["nonce"], sent["code_challenge"]}) == 3
    for secret in ("st4te", "53682", client_id):
        assert secret not in location
    [(name, value)] = flow_cookies(browser).items()
    assert sent["state"] not in value
    assert sent["state"] not in name
    other = query_of_url(await world.leave(browser, client_id))
    assert not {sent["state"], sent["nonce"], sent["code_challenge"]} & set(other.values())


@pytest.mark.case("B14", "T26", "G11")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("access_denied", "access_denied"),
        ("login_required", "access_denied"),
        ("temporarily_unavailable", "temporarily_unavailable"),
        ("invalid_scope", "server_error"),
        ("<script>alert(1)</script>", "server_error"),
        ("invalid_grant", "server_error"),
        ("x" * 5000, "server_error"),
    ],
    ids=["denied", "login", "later", "scope", "markup", "grant", "long"],
)
async def test_the_providers_error_is_told_in_our_words(world: ProviderWorld, client_id: str, error: str, told: str):
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    words = {"error_description": "Call +1-555 <b>now</b>", "error_uri": "https://evil.example/"}
    response = await browser.http.get(with_query(url, code=None, error=error, **words))
    told_to_client(response, world, told)
    for foreign in ("555", "evil.example", "alert", "xxxx"):
        assert foreign not in response.headers["location"]
    assert flow_cookies(browser) == {}
    assert await world.asked_of_provider("token") == []


@pytest.mark.case("B14")
@pytest.mark.connector("oidc")
async def test_an_error_beside_a_code_is_an_error(world: ProviderWorld, client_id: str):
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    told_to_client(await browser.http.get(with_query(url, error="access_denied")), world, "access_denied")
    assert await world.asked_of_provider("token") == []


@pytest.mark.case("B14")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize(
    "code", [None, "", "x" * 5000, "a\x7fb", "é", "a\nb"], ids=["none", "empty", "long", "delete", "wide", "line"]
)
async def test_a_callback_without_a_usable_code_gives_none(world: ProviderWorld, client_id: str, code: str | None):
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    told_to_client(await browser.http.get(with_query(url, code=code)), world, "server_error")
    assert await world.asked_of_provider("token") == []


@pytest.mark.case("B16", "T22")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize(
    "iss",
    [
        None,
        "",
        "https://evil.example",
        "{issuer}/",
        "{ISSUER}",
        "{issuer}.evil.example",
        "https://facade.example",
        " {issuer}",
    ],
)
@pytest.mark.parametrize("failed", [False, True])
async def test_the_callback_must_name_its_provider_on_errors_too(
    world: ProviderWorld, client_id: str, iss: str | None, failed: bool
):
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    issuer = world.idp.issuer
    named = None if iss is None else iss.replace("{issuer}", issuer).replace("{ISSUER}", issuer.upper())
    changes = {"code": None, "error": "access_denied"} if failed else {}
    nothing_on_a_page(await browser.http.get(with_query(url, iss=named, **changes)), 403)
    assert await world.asked_of_provider("token") == []


@pytest.mark.case("B16")
@pytest.mark.connector("oidc")
async def test_two_issuers_are_none(world: ProviderWorld, client_id: str):
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    response = await browser.http.get(f"{url}&iss=https://evil.example")
    assert "code" not in (query_of(response) if response.status_code == 303 else {})
    assert await world.asked_of_provider("token") == []


@pytest.mark.case("B06", "T13")
@pytest.mark.connector("oidc", worlds=("facade",))
async def test_a_transaction_of_another_facade_with_the_same_keys_is_none(
    world: FacadeWorld, make_world: WorldMaker, client_id: str
):
    other = await make_world("facade", public_url=ELSEWHERE, keys=world.keys)
    browser, there = Browser(world), Browser(other)
    url = await world.captured(browser, client_id)
    state = query_of_url(url)["state"]
    [(_, sealed)] = flow_cookies(browser).items()
    for name in flow_cookies(browser):
        set_cookie(there, name, sealed)
    nothing_on_a_page(
        await there.http.get(with_query(f"{ELSEWHERE}/callback?{url.partition('?')[2]}", state=state)), 403
    )


@pytest.mark.case("B06", "G02")
@pytest.mark.connector("oidc", worlds=("facade",))
async def test_a_consent_form_of_another_facade_with_the_same_keys_is_none(
    world: FacadeWorld, make_world: WorldMaker, client_id: str
):
    other = await make_world("facade", public_url=ELSEWHERE, keys=world.keys)
    browser, there = Browser(world), Browser(other)
    page = await world.consent_page(browser, client_id)
    await other.consent_page(there, await other.register())
    [value] = dict(browser.http.cookies).values()
    [name] = dict(there.http.cookies)
    set_cookie(there, name, value)  # even with the cookie that the form is bound to
    nothing_on_a_page(await there.submit(page, decision="allow"), 403)
    assert await world.asked_of_provider("authorization") == []
    assert (await browser.submit(page, decision="allow")).status_code == 303


@pytest.mark.case("B07")
@pytest.mark.connector("oidc")
async def test_many_flows_at_once_neither_mix_nor_pile_up(world: ProviderWorld, client_id: str):
    browser = Browser(world)
    urls = [await world.captured(browser, client_id, state=f"s{number}") for number in range(6)]
    assert len(flow_cookies(browser)) <= 3
    answers = [await browser.http.get(url) for url in urls]
    told = {number: query_of(one)["state"] for number, one in enumerate(answers) if one.status_code == 303}
    assert told == {number: f"s{number}" for number in told}
    assert len(told) == 3


async def nothing_came_of(world: ProviderWorld, client_id: str, response) -> None:
    """Assert that neither a page nor a redirect leads to tokens."""
    told = query_of(response) if response.status_code == 303 else {}
    if "code" not in told:
        return
    refused_at_token(await world.redeem(client_id, told["code"]), "invalid_grant")


def query_of_url(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


# Forms: the state of the pages themselves, with local users


@pytest.mark.case("B06", "B11", "G02")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize("change", ["forged", "cut", "missing", "other key", "twice", "client id", "nothing"])
async def test_a_consent_form_that_we_did_not_make_is_none(world: AttackedWorld, client_id: str, change: str):
    browser = Browser(world)
    page = await world.consent_page(browser, client_id)
    sealed = Form(page.text).fields["flow"]
    flow = {
        "forged": sealed[:-3] + ("A" if sealed[-3] != "A" else "B") + sealed[-2:],
        "cut": sealed[:-8],
        "missing": "",
        "other key": Keyring({"k1": os.urandom(32)}).seal("consent-form", b"\x90", aad=world.url.encode()),
        "twice": sealed + sealed,
        "client id": client_id,
        "nothing": "v1.k1.",
    }[change]
    nothing_on_a_page(await browser.submit(page, flow=flow, decision="allow"), 403)
    assert await world.asked_of_provider("authorization") == []


@pytest.mark.case("B07", "G02")
@pytest.mark.connector("local", "oidc")
async def test_a_consent_form_makes_one_grant(world: AttackedWorld, client_id: str):
    """With a provider a form may lead there twice (the button, and back); it becomes one grant all the same."""
    browser = Browser(world)
    page = await world.consent_page(browser, client_id)
    first = await world.redeem(client_id, query_of(await world.to_client(browser, page))["code"])
    second = await browser.submit(page, decision="allow")
    if world.kind == "local":
        nothing_on_a_page(second, 403)
        return
    response = await browser.http.get(await world.pass_provider(second.headers["location"]))
    if response.status_code == 403:
        nothing_on_a_page(response)
        return
    again = await world.redeem(client_id, query_of(response)["code"])
    grants = [claims_of(one.json()["access_token"])["grant_id"] for one in (first, again)]
    assert grants[0] == grants[1]


@pytest.mark.case("B08", "G02", "T2")
@pytest.mark.connector("local", "oidc")
async def test_a_consent_form_belongs_to_one_browser(world: AttackedWorld, client_id: str):
    attacker, victim, bare = Browser(world), Browser(world), Browser(world)
    page = await world.consent_page(attacker, client_id)
    await world.consent_page(victim, client_id)
    nothing_on_a_page(await victim.submit(page, decision="allow"), 403)
    nothing_on_a_page(await bare.submit(page, decision="allow"), 403)
    assert await world.asked_of_provider("authorization") == []


@pytest.mark.case("B09")
@pytest.mark.connector("local", "oidc")
async def test_a_consent_form_is_good_for_ten_minutes(world: AttackedWorld, client_id: str):
    browser = Browser(world)
    page = await world.consent_page(browser, client_id)
    world.clock.forward(601)
    nothing_on_a_page(await browser.submit(page, decision="allow"), 403)
    nothing_on_a_page(await browser.submit(page, decision="deny"), 403)
