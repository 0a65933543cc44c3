"""Authorization requests that ask for what nobody gets: an error for the client, and nobody is sent anywhere else."""

import pytest

from attacks.attack_world import AttackedWorld, Browser, ProviderWorld, nothing_on_a_page, query_of, told_to_client
from issuer.issuer_world import CHALLENGE
from net.raw_server import RawServer

REFUSED = [
    pytest.param({"code_challenge": ""}, "invalid_request", marks=pytest.mark.case("B01", "T4")),
    pytest.param({"code_challenge_method": "plain"}, "invalid_request", marks=pytest.mark.case("B01", "T4")),
    pytest.param({"code_challenge_method": ""}, "invalid_request", marks=pytest.mark.case("B01")),
    pytest.param({"code_challenge_method": "s256"}, "invalid_request", marks=pytest.mark.case("B01")),
    pytest.param({"code_challenge": CHALLENGE[:-1]}, "invalid_request", marks=pytest.mark.case("B02")),
    pytest.param({"code_challenge": CHALLENGE + "="}, "invalid_request", marks=pytest.mark.case("B02")),
    pytest.param({"code_challenge": "a" * 129}, "invalid_request", marks=pytest.mark.case("B02")),
    pytest.param({"response_type": "token"}, "unsupported_response_type", marks=pytest.mark.case("B05")),
    pytest.param({"response_type": "code id_token"}, "unsupported_response_type", marks=pytest.mark.case("B05")),
    pytest.param({"response_type": "none"}, "unsupported_response_type", marks=pytest.mark.case("B05")),
    pytest.param({"response_mode": "form_post"}, "invalid_request"),
    pytest.param({"response_mode": "fragment"}, "invalid_request"),
    pytest.param({"resource": "https://evil.example/mcp"}, "invalid_target", marks=pytest.mark.case("B19")),
    pytest.param({"resource": "/mcp"}, "invalid_target", marks=pytest.mark.case("B19")),
    pytest.param({"scope": "admin"}, "invalid_scope", marks=pytest.mark.case("B21", "T13")),
    pytest.param({"scope": "mcp/invoke offline_accessx"}, "invalid_scope", marks=pytest.mark.case("B21")),
    pytest.param({"scope": 'mcp/invoke "'}, "invalid_scope", marks=pytest.mark.case("B21")),
    pytest.param({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported", marks=pytest.mark.case("B22")),
    pytest.param({"registration": "{}"}, "registration_not_supported", marks=pytest.mark.case("B22")),
    pytest.param({"prompt": "none"}, "login_required", marks=pytest.mark.case("B23")),
    pytest.param({"prompt": "none consent"}, "invalid_request", marks=pytest.mark.case("B23")),
]


@pytest.mark.case("B17", "T22")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize(("change", "error"), REFUSED)
async def test_a_bad_request_is_told_to_the_client_and_goes_no_further(
    world: AttackedWorld, client_id: str, change: dict[str, str], error: str
):
    told_to_client(await Browser(world).open(world.request(client_id, **change)), world, error)
    assert await world.asked_of_provider() == []


@pytest.mark.case("B19")
@pytest.mark.connector("local", "oidc")
async def test_a_resource_that_almost_is_ours_is_not(world: AttackedWorld, client_id: str):
    ours = world.resources[0]
    for resource in (f"{ours}-x", f"{ours}#x", f"{ours}?x", f"{ours}/../x", f"{ours}@evil.example", f"{ours}//evil"):
        told_to_client(await Browser(world).open(world.request(client_id, resource=resource)), world, "invalid_target")


@pytest.mark.case("B20")
@pytest.mark.connector("local", "oidc")
async def test_two_resources_are_one_too_many(world: AttackedWorld, client_id: str):
    for other in (world.resources[0], "https://evil.example/mcp"):
        pairs = [*world.request(client_id).items(), ("resource", other)]
        told_to_client(await Browser(world).open(pairs), world, "invalid_target")


@pytest.mark.case("B22", "T16")
@pytest.mark.connector("local", "oidc")
async def test_a_request_uri_is_never_fetched(world: AttackedWorld, client_id: str, upstream: RawServer):
    for uri in (f"{upstream.url}/request.jwt", "http://169.254.169.254/latest/meta-data/", "urn:x"):
        response = await Browser(world).open(world.request(client_id, request_uri=uri))
        told_to_client(response, world, "request_uri_not_supported")
    assert upstream.accepted == 0


@pytest.mark.case("B23", "G01")
@pytest.mark.connector("local", "oidc")
async def test_prompt_none_is_no_way_past_consent(world: AttackedWorld, client_id: str):
    browser = Browser(world)
    await world.to_client(browser, await world.consent_page(browser, client_id))
    asked_before = len(await world.asked_of_provider("authorization"))
    response = await browser.open(world.request(client_id, prompt="none"))
    told_to_client(response, world, "login_required", "consent_required")
    assert len(await world.asked_of_provider("authorization")) == asked_before


@pytest.mark.connector("local", "oidc")
async def test_what_says_where_to_go_must_be_said_once(world: AttackedWorld, client_id: str):
    pairs = list(world.request(client_id).items())
    for name in ("client_id", "redirect_uri", "state"):
        nothing_on_a_page(await Browser(world).open([*pairs, (name, dict(pairs)[name])]), 400)
        nothing_on_a_page(await Browser(world).open([*pairs, (name, "https://evil.example/")]), 400)


@pytest.mark.case("B24")
@pytest.mark.connector("oidc")
async def test_offline_access_is_asked_of_the_provider_with_its_consent(world: ProviderWorld, client_id: str):
    response = await Browser(world).http.get(await world.captured(Browser(world), client_id))
    assert response.status_code == 403  # another browser; the request at the provider is what is looked at
    [asked] = await world.asked_of_provider("authorization")
    assert "offline_access" in asked.query["scope"].split()
    assert asked.query["prompt"] == "consent"


@pytest.mark.case("B22", "B24", "T22")
@pytest.mark.connector("oidc")
async def test_nothing_of_the_clients_own_reaches_the_provider(world: ProviderWorld, client_id: str):
    """State, nonce and challenge there are ours: the client's must not be what binds our login."""
    browser = Browser(world)
    sent = {"nonce": "clients-nonce", "state": "clients-state", "login_hint": "ada", "claims": "{}", "acr_values": "0"}
    location = await world.leave(browser, client_id, **sent)
    for value in (
        "clients-nonce",
        "clients-state",
        "login_hint",
        "claims",
        "acr_values",
        CHALLENGE,
        client_id,
        "53682",
    ):
        assert value not in location
    answer = await browser.http.get(await world.pass_provider(location))
    assert query_of(answer)["state"] == "clients-state"


@pytest.mark.case("B17", "T22")
@pytest.mark.connector("local", "oidc")
async def test_every_answer_to_the_client_names_us(world: AttackedWorld, client_id: str):
    browser = Browser(world)
    told = query_of(await world.to_client(browser, await world.consent_page(browser, client_id)))
    assert (set(told), told["iss"], told["state"]) == ({"code", "state", "iss"}, world.url, "st4te")
    page = await browser.open(world.request(client_id))  # whoever is logged in here is asked at once
    denied = await browser.submit(page, decision="deny")
    told_to_client(denied, world, "access_denied")


@pytest.mark.connector("local", "oidc")
async def test_a_state_of_two_thousand_characters_ends_somewhere_safe(world: AttackedWorld, client_id: str):
    """It has to fit into a cookie on the way through a provider; where it does not, the client is told."""
    browser = Browser(world)
    response = await browser.submit(await world.consent_page(browser, client_id, state="x" * 2048), decision="allow")
    assert response.status_code == 303
    nothing_on_a_page(await browser.open(world.request(client_id, state="x" * 2049, prompt="login")), 400)
