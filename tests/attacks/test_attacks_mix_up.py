"""Two providers of one issuer, one of them hostile or merely another: an answer counts for whom it was asked only."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from attacks.attack_world import (
    Browser,
    FacadeWorld,
    ProviderWorld,
    WorldMaker,
    nothing_on_a_page,
    query_of,
    refused_at_token,
    told_to_client,
    with_query,
)
from portico.model.errors import ConfigError

#: The provider that the flow begins at, and the one whose answer comes back: `strict` sends `iss`, the others do not.
PAIRS = [("strict", "okta"), ("okta", "strict"), ("okta", "cognito"), ("cognito", "okta")]
BOTH = ("provider", "facade")


def sent(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


async def nothing_came_of(world: ProviderWorld, client_id: str, response) -> None:
    """Assert that no tokens follow: a page, an error for the client, or a code that is worth nothing."""
    if response.status_code != 303:
        nothing_on_a_page(response)
        return
    told = query_of(response)
    if "code" not in told:
        assert set(told) == {"error", "error_description", "state", "iss"}
        return
    answer = await world.redeem(client_id, told["code"])
    assert answer.status_code in (400, 502)
    assert set(answer.json()) == {"error", "error_description"}


@pytest.fixture
async def house(request: pytest.FixtureRequest, make_world: WorldMaker) -> ProviderWorld:
    """An issuer with two providers."""
    name, first, second = request.param
    return await make_world(name, idp=first, further=(second,))


@pytest.mark.case("B16", "T22")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize("house", [(name, *pair) for name in BOTH for pair in PAIRS], indirect=True)
async def test_a_code_of_one_provider_is_none_at_the_transaction_of_the_other(house: ProviderWorld):
    client_id = await house.register()
    [other] = house.further
    victim, browser = Browser(house), Browser(house)
    theirs = await house.pass_provider(await house.leave(victim, client_id, connector=other.profile), at=other)
    url = await house.captured(browser, client_id)
    answer = {"code": sent(theirs)["code"], "iss": sent(theirs).get("iss")}
    response = await browser.http.get(with_query(url, **answer))
    await nothing_came_of(house, client_id, response)
    assert other.requests("token") == []


@pytest.mark.case("B16", "T22")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize("house", [(name, *pair) for name in BOTH for pair in PAIRS[:2]], indirect=True)
async def test_an_issuer_that_was_not_asked_ends_the_flow_before_any_code_travels(house: ProviderWorld):
    client_id = await house.register()
    [other] = house.further
    browser = Browser(house)
    url = await house.captured(browser, client_id)
    wrong = other.issuer if house.idp.profile != "strict" else None
    nothing_on_a_page(await browser.http.get(with_query(url, iss=other.issuer)), 403)
    nothing_on_a_page(await browser.http.get(with_query(url, iss=wrong)), 403)
    assert house.idp.requests("token") == other.requests("token") == []


async def mixed_up(house: ProviderWorld, **changes: str) -> tuple[str, Browser, str]:
    """Let a hostile provider send a person on to the honest one with the state that it was given itself.

    Returns the client, the victim's browser, and the callback's URL with the honest provider's code.
    """
    client_id = await house.register()
    hostile, [honest] = house.idp, house.further
    thief, victim = Browser(house), Browser(house)
    own = sent(await house.leave(thief, client_id, connector=honest.profile))  # its challenge and nonce are to be read
    asked = sent(await house.leave(victim, client_id, connector=hostile.profile))
    there = honest.metadata()["authorization_endpoint"]
    taken = {"code_challenge": own["code_challenge"], "nonce": own["nonce"], "state": asked["state"]}
    url = f"{there}?{urlsplit(with_query(f'x?{urlsplit(there).query}', **{**own, **taken, **changes})).query}"
    return client_id, victim, await house.pass_provider(url, at=honest)


@pytest.mark.case("T22", "B16")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize("house", [(name, "okta", "strict") for name in BOTH], indirect=True)
async def test_mix_up_ends_at_a_provider_that_names_itself(house: ProviderWorld):
    """RFC 9207 section 1: the honest provider's ``iss`` is not the one whose transaction it is."""
    _, victim, url = await mixed_up(house)
    nothing_on_a_page(await victim.http.get(url), 403)
    assert house.idp.requests("token") == []


@pytest.mark.case("T22", "B16")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize("house", [(name, "okta", "cognito") for name in BOTH], indirect=True)
async def test_mix_up_ends_at_a_provider_that_does_not_name_itself(house: ProviderWorld):
    """The code of an honest provider must never be posted to a hostile one."""
    _, victim, url = await mixed_up(house)
    nothing_on_a_page(await victim.http.get(url), 403)
    assert house.idp.requests("token") == house.further[0].requests("token") == []


@pytest.mark.case("T22", "B16")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize("house", [(name, "okta", "cognito") for name in BOTH], indirect=True)
async def test_mix_up_does_not_choose_the_place_to_come_back_to(house: ProviderWorld):
    """The honest provider knows its own callback, not the hostile one's; that of all is nobody's with two providers."""
    hostile, [honest] = house.idp, house.further
    with pytest.raises(AssertionError, match="400"):  # its page says that the redirect URI is not registered
        await mixed_up(house, redirect_uri=f"{house.url}/callback/{hostile.profile}")
    _, victim, url = await mixed_up(house, redirect_uri=f"{house.url}/callback")
    nothing_on_a_page(await victim.http.get(url), 403)
    assert hostile.requests("token") == honest.requests("token") == []


@pytest.mark.case("G02", "B06")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize("house", [(name, "strict", "okta") for name in BOTH], indirect=True)
async def test_consent_to_one_provider_leads_to_no_other(house: ProviderWorld):
    client_id = await house.register()
    [other] = house.further
    browser = Browser(house)
    page = await house.consent_page(browser, client_id, connector=house.idp.profile)
    response = await browser.submit(page, decision="allow", connector=other.profile)
    assert urlsplit(response.headers["location"]).netloc == house.idp.netloc
    assert other.requests("authorization") == []


@pytest.mark.case("G08", "B12")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize("house", [(name, "strict", "okta") for name in BOTH], indirect=True)
@pytest.mark.parametrize("chosen", ["nobody", "local", "../strict", "STRICT", "okta\n", "x" * 3000])
async def test_only_providers_that_are_offered_can_be_chosen(house: ProviderWorld, chosen: str):
    browser = Browser(house)
    client_id = await house.register()
    picker = await browser.open(house.request(client_id))
    nothing_on_a_page(await browser.submit(picker, connector=chosen), 403)
    nothing_on_a_page(await browser.open(house.request(client_id, connector=chosen)), 403)


@pytest.mark.case("G07", "G08")
@pytest.mark.connector("oidc")
async def test_nobody_logs_in_with_a_password_where_there_are_none(world: ProviderWorld, client_id: str):
    browser = Browser(world)
    page = await browser.open(world.request(client_id))
    consent = page.text
    async with world.http() as http:
        for form in ({"name": "ada", "password": "x"}, {"flow": "x", "name": "ada", "password": "x"}):
            nothing_on_a_page(await http.post(f"{world.path}/login", data=form), 403)
    assert 'type="password"' not in consent


@pytest.mark.case("C09", "T22")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize("house", [(name, "strict", "okta") for name in BOTH], indirect=True)
async def test_a_refresh_goes_to_the_provider_that_it_came_from(house: ProviderWorld):
    client_id = await house.register()
    [other] = house.further
    issued = await house.tokens(client_id)
    house.clock.forward(61)
    assert (await house.refresh(client_id, issued["refresh_token"])).status_code == 200
    assert other.requests("token") == []


@pytest.mark.case("T22", "C11")
@pytest.mark.connector("oidc")
async def test_a_connector_that_means_another_provider_now_keeps_nobody_logged_in(
    world: ProviderWorld, client_id: str, providers
):
    """Same name, another provider: its people are others, whatever they are called there."""
    token = (await world.tokens(client_id))["refresh_token"]
    world.clock.forward(61)
    moved = providers("okta").connector(name="strict")
    await world.settle(connectors=[world._sealed(moved)])
    refused_at_token(await world.refresh(client_id, token), "invalid_grant")
    assert providers("okta").requests("token") == []


@pytest.mark.case("T1", "T13", "C11")
@pytest.mark.connector("oidc")
async def test_an_account_that_the_rules_do_not_name_gets_nothing(world: ProviderWorld, client_id: str):
    """Mallory wrote Ada's address into her profile, and nobody verified it."""
    rules = world.idp.connector(name="strict", allowedDomains=["example.com"])
    await world.settle(connectors=[world._sealed(rules)])
    issued = await world.tokens(client_id)
    for account in ("mallory", "grace"):
        world.idp.change(silent=account)
        world.idp.forget_sessions()
        browser = Browser(world)
        await nothing_came_of(world, client_id, await browser.http.get(await world.captured(browser, client_id)))
    world.clock.forward(61)
    await world.settle(connectors=[world._sealed(rules | {"allowedDomains": ["example.org"]})])
    refused_at_token(await world.refresh(client_id, issued["refresh_token"]), "invalid_grant")


@pytest.mark.case("B14")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize("house", [(name, "strict", "okta") for name in BOTH], indirect=True)
async def test_an_error_of_the_other_provider_ends_no_flow_as_its_own(house: ProviderWorld):
    client_id = await house.register()
    [other] = house.further
    browser = Browser(house)
    url = await house.captured(browser, client_id)
    changed = with_query(url, code=None, error="access_denied", iss=other.issuer)
    nothing_on_a_page(await browser.http.get(changed), 403)
    url = await house.captured(browser, client_id)
    told_to_client(await browser.http.get(with_query(url, code=None, error="access_denied")), house, "access_denied")


@pytest.mark.case("E04", "T16", "T22", "T6")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize(
    "patch",
    [
        {"issuer": "https://evil.example"},
        {"issuer": "{issuer}/tenant"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "http://user@127.0.0.1/auth"},
        {"authorization_endpoint": "http://127.0.0.1/auth\r\nX: y"},
        {"authorization_endpoint": "file:///bin/sh"},
        {"token_endpoint": "file:///etc/passwd"},
        {"token_endpoint": None},
        {"jwks_uri": "gopher://127.0.0.1/"},
    ],
    ids=["issuer", "tenant", "script", "user", "line", "file", "token file", "no token", "gopher"],
)
async def test_a_discovery_document_that_lies_leads_nowhere(world: ProviderWorld, client_id: str, patch: dict):
    world.idp.change(
        patch={
            "discovery": {name: value and value.replace("{issuer}", world.idp.issuer) for name, value in patch.items()}
        }
    )
    browser = Browser(world)
    response = await browser.submit(await world.consent_page(browser, client_id), decision="allow")
    told_to_client(response, world, "server_error", "temporarily_unavailable")
    assert "evil" not in response.headers["location"]
    assert [one.endpoint for one in world.idp.requests()] == ["discovery"]


@pytest.mark.case("T16", "F11", "T17")
@pytest.mark.connector("oidc")
@pytest.mark.parametrize("endpoint", ["token_endpoint", "jwks_uri"])
@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest", "http://[fd00:ec2::254]/x", "http://[::ffff:a9fe:a9fe]/", "http://2852039166/x"],
)
async def test_discovery_leads_to_no_metadata_service(world: ProviderWorld, client_id: str, endpoint: str, url: str):
    world.idp.change(patch={"discovery": {endpoint: url}})
    browser = Browser(world)
    response = await browser.submit(await world.consent_page(browser, client_id), decision="allow")
    told = query_of(response)
    if "error" not in told:
        back = await browser.http.get(await world.pass_provider(response.headers["location"]))
        told = query_of(back)
        if "code" in told:
            answer = await world.redeem(client_id, told["code"])
            assert answer.status_code >= 500
            assert set(answer.json()) == {"error", "error_description"}
            return
    assert told["error"] in {"server_error", "temporarily_unavailable"}


@pytest.mark.case("T16", "F11")
@pytest.mark.connector("oidc", worlds=("facade",))
async def test_a_provider_on_a_private_address_needs_permission(world: FacadeWorld, client_id: str):
    plain = world.idp.connector(name="strict", allowPrivate=False)
    with pytest.raises(ConfigError):
        await world.settle(connectors=[plain])
    world.document.clear()
    await world.settle(connectors=[plain | {"discoveryUrl": plain["discoveryUrl"].replace("http:", "https:")}])
    browser = Browser(world)
    response = await browser.submit(await world.consent_page(browser, client_id), decision="allow")
    told_to_client(response, world, "server_error", "temporarily_unavailable")
    assert world.idp.requests() == []
