"""What an authorization request may not do: bad clients and redirects end on a page, the rest goes to the client."""

import pytest
from issuer_world import CHALLENGE, REDIRECT, Browser, World, answer

BAD_REDIRECTS = [
    pytest.param("http://127.0.0.1@evil.example/", marks=pytest.mark.case("A01", "T5")),
    pytest.param("http://127.0.0.1:80@evil.example/callback", marks=pytest.mark.case("A01")),
    pytest.param("http://localhost:x@evil.example/", marks=pytest.mark.case("A01")),
    pytest.param("http://localhost.evil.example/callback", marks=pytest.mark.case("A03")),
    pytest.param("http://127.0.0.1.nip.io/callback", marks=pytest.mark.case("A03")),
    pytest.param("http://[::ffff:127.0.0.1]/callback", marks=pytest.mark.case("A05")),
    pytest.param("http://[::1%25eth0]/callback", marks=pytest.mark.case("A05")),
    pytest.param("HTTP://127.0.0.1:53682/callback", marks=pytest.mark.case("A07")),
    pytest.param("http://127.0.0.1.:53682/callback", marks=pytest.mark.case("A07")),
    pytest.param("http://127.0.0.1:53682/callback#", marks=pytest.mark.case("A08")),
    pytest.param("http://127.0.0.1:53682/callback#x", marks=pytest.mark.case("A08")),
    pytest.param("http://127.0.0.1:53682/callback\r\nSet-Cookie: a=b", marks=pytest.mark.case("A09")),
    pytest.param("http://127.0.0.1:53682/callback%0d%0aSet-Cookie:a", marks=pytest.mark.case("A09")),
    pytest.param(" http://127.0.0.1:53682/callback", marks=pytest.mark.case("A09")),
    pytest.param("http://127.0.0.1:53682/callback\n", marks=pytest.mark.case("A09")),
    pytest.param("http://127.0.0.1:0/callback", marks=pytest.mark.case("A10")),
    pytest.param("http://127.0.0.1:99999/callback", marks=pytest.mark.case("A10")),
    pytest.param("http://127.0.0.1:/callback", marks=pytest.mark.case("A10")),
    pytest.param("javascript:alert(1)", marks=pytest.mark.case("A12")),
    pytest.param("data:text/html,x", marks=pytest.mark.case("A12")),
    pytest.param("http://127.0.0.1:53682/other", marks=pytest.mark.case("A15", "T4")),
    pytest.param("http://127.0.0.1:53682/callback?x=1", marks=pytest.mark.case("A15")),
    pytest.param("http://localhost:53682/callback", marks=pytest.mark.case("A15")),
    pytest.param("http://127.0.0.1:53682/callback/../x", marks=pytest.mark.case("A15")),
    pytest.param("https://evil.example/callback", marks=pytest.mark.case("A16")),
    pytest.param("", marks=pytest.mark.case("A18")),
]


@pytest.mark.parametrize("uri", BAD_REDIRECTS)
async def test_a_bad_redirect_uri_ends_on_a_page_and_never_redirects(world: World, client_id: str, uri: str):
    response = await Browser(world).open(world.request(client_id, redirect_uri=uri))
    assert response.status_code == 400
    assert "location" not in response.headers
    assert "text/html" in response.headers["content-type"]


@pytest.mark.case("A16")
async def test_a_redirect_uri_of_another_client_is_refused(world: World, client_id: str):
    other = "http://127.0.0.1:5000/other"
    await world.register([other])
    response = await Browser(world).open(world.request(client_id, redirect_uri=other))
    assert response.status_code == 400
    assert "location" not in response.headers


@pytest.mark.case("A18")
async def test_the_redirect_uri_is_required_also_with_several_registered(world: World):
    client_id = await world.register([REDIRECT, "http://localhost/callback"])
    assert (await Browser(world).open(world.request(client_id, redirect_uri=""))).status_code == 400


@pytest.mark.case("A13")
@pytest.mark.parametrize(
    "uri",
    [
        "https://claude.example/api/callback/",
        "https://claude.example/api/callback?a=b",
        "https://claude.example:443/api/callback",
        "https://user@claude.example/api/callback",
        "https://Claude.example/api/callback",
        "https://claude.example.evil.example/api/callback",
        "http://claude.example/api/callback",
    ],
)
async def test_a_hosted_callback_is_compared_byte_for_byte(world: World, uri: str):
    allowed = "https://claude.example/api/callback"
    await world.settle(allowedRedirectUris=[allowed])
    client_id = await world.register([allowed])
    browser = Browser(world)
    assert (await browser.open(world.request(client_id, redirect_uri=allowed))).status_code == 200
    response = await browser.open(world.request(client_id, redirect_uri=uri))
    assert response.status_code == 400
    assert "location" not in response.headers


@pytest.mark.case("A19")
async def test_a_callback_that_left_the_allow_list_during_the_flow_gets_no_code(world: World):
    allowed = "https://app.example/cb"
    await world.settle(allowedRedirectUris=[allowed])
    client_id = await world.register([allowed])
    browser = Browser(world)
    page = await browser.log_in(await browser.open(world.request(client_id, redirect_uri=allowed)))
    await world.settle()
    response = await browser.submit(page, decision="allow")
    assert response.status_code == 400
    assert "location" not in response.headers


@pytest.mark.case("F02")
@pytest.mark.parametrize("change", ["cut", "flip", "foreign", "junk", "control"])
async def test_a_client_id_that_is_not_ours_ends_on_a_page(world: World, client_id: str, change: str):
    tampered = {
        "cut": client_id[:-4],
        "flip": client_id[:-3] + ("A" if client_id[-3] != "A" else "B") + client_id[-2:],
        "foreign": world.keyring.seal("consent-form", b"x", aad=b"main"),
        "junk": "nobody",
        "control": "no\x00body",
    }[change]
    response = await Browser(world).open(world.request(tampered))
    assert response.status_code == 400
    assert "location" not in response.headers


@pytest.mark.case("F02")
async def test_a_client_id_of_another_issuer_is_unknown(world: World, client_id: str):
    elsewhere = World(database=world.database, keyring=world.keyring, clock=world.clock, name="second")
    await elsewhere.settle()
    await elsewhere.add_key()
    assert (await Browser(elsewhere).open(elsewhere.request(client_id))).status_code == 400


@pytest.mark.case("F02")
async def test_a_client_id_is_good_at_one_url_also_where_the_issuers_have_one_name(world: World, client_id: str):
    """Two installations with one keyring: what one of them let register is a stranger to the other."""
    elsewhere = World(
        database=world.database, keyring=world.keyring, clock=world.clock, public_url="https://elsewhere.example"
    )
    await elsewhere.app.load_all()
    assert (await Browser(elsewhere).open(elsewhere.request(client_id))).status_code == 400
    own = await elsewhere.register()
    assert (await Browser(elsewhere).open(elsewhere.request(own))).status_code == 200


REFUSED = [
    pytest.param({"code_challenge": ""}, "invalid_request", marks=pytest.mark.case("B01", "T4")),
    pytest.param({"code_challenge_method": "plain"}, "invalid_request", marks=pytest.mark.case("B01")),
    pytest.param({"code_challenge_method": ""}, "invalid_request", marks=pytest.mark.case("B01")),
    pytest.param({"code_challenge_method": "S512"}, "invalid_request", marks=pytest.mark.case("B01")),
    pytest.param({"code_challenge": CHALLENGE[:-1]}, "invalid_request", marks=pytest.mark.case("B02")),
    pytest.param({"code_challenge": "a" * 129}, "invalid_request", marks=pytest.mark.case("B02")),
    pytest.param({"code_challenge": "=" * 43}, "invalid_request", marks=pytest.mark.case("B02")),
    pytest.param({"response_type": "token"}, "unsupported_response_type", marks=pytest.mark.case("B05")),
    pytest.param({"response_type": "id_token"}, "unsupported_response_type", marks=pytest.mark.case("B05")),
    pytest.param({"response_type": "code token"}, "unsupported_response_type", marks=pytest.mark.case("B05")),
    pytest.param({"response_type": "none"}, "unsupported_response_type", marks=pytest.mark.case("B05")),
    pytest.param({"response_type": ""}, "invalid_request", marks=pytest.mark.case("B05")),
    pytest.param({"response_mode": "fragment"}, "invalid_request"),
    pytest.param({"resource": "https://evil.example/mcp"}, "invalid_target", marks=pytest.mark.case("B19")),
    pytest.param({"resource": "/g/tools/mcp"}, "invalid_target", marks=pytest.mark.case("B19")),
    pytest.param({"resource": "http://127.0.0.1:8080/g/tools/mcp#x"}, "invalid_target", marks=pytest.mark.case("B19")),
    pytest.param({"resource": "http://127.0.0.1:8080/g/tools/mcp-x"}, "invalid_target", marks=pytest.mark.case("B19")),
    pytest.param({"scope": "admin"}, "invalid_scope", marks=pytest.mark.case("B21")),
    pytest.param({"scope": "mcp/invoke admin"}, "invalid_scope", marks=pytest.mark.case("B21")),
    pytest.param({"scope": 'mcp/invoke "'}, "invalid_scope", marks=pytest.mark.case("B21")),
    pytest.param({"scope": "mcp/invoke\tmcp/read"}, "invalid_scope", marks=pytest.mark.case("B21")),
    pytest.param({"request": "eyJ"}, "request_not_supported", marks=pytest.mark.case("B22")),
    pytest.param({"request_uri": "http://127.0.0.1/x"}, "request_uri_not_supported", marks=pytest.mark.case("B22")),
    pytest.param({"registration": "{}"}, "registration_not_supported", marks=pytest.mark.case("B22")),
    pytest.param({"prompt": "none"}, "login_required", marks=pytest.mark.case("B23")),
    pytest.param({"prompt": "none login"}, "invalid_request", marks=pytest.mark.case("B23")),
]


@pytest.mark.case("B17")
@pytest.mark.parametrize(("change", "code"), REFUSED)
async def test_the_client_is_told_why_with_state_and_issuer(
    world: World, client_id: str, change: dict[str, str], code: str
):
    response = await Browser(world).open(world.request(client_id, **change))
    told = answer(response)
    assert (told["error"], told["state"], told["iss"]) == (code, "st4te", world.url)
    assert response.headers["location"].startswith(f"{REDIRECT}?")


@pytest.mark.case("B20")
async def test_two_resources_are_refused(world: World, client_id: str):
    pairs = [*world.request(client_id).items(), ("resource", world.resources[0])]
    assert answer(await Browser(world).open(pairs))["error"] == "invalid_target"


async def test_a_repeated_parameter_is_told_to_the_client_unless_it_says_where_to_go(world: World, client_id: str):
    browser = Browser(world)
    pairs = list(world.request(client_id).items())
    assert answer(await browser.open([*pairs, ("scope", "mcp/read")]))["error"] == "invalid_request"
    for name in ("client_id", "redirect_uri", "state"):
        response = await browser.open([*pairs, (name, dict(pairs)[name])])
        assert response.status_code == 400
        assert "location" not in response.headers


@pytest.mark.case("B23")
async def test_prompt_none_never_passes_consent(world: World, client_id: str):
    browser = Browser(world)
    await browser.log_in(await browser.open(world.request(client_id)))
    told = answer(await browser.open(world.request(client_id, prompt="none")))
    assert told["error"] == "consent_required"


async def test_prompt_login_asks_for_the_password_also_when_somebody_is_logged_in(world: World, client_id: str):
    browser = Browser(world)
    await browser.log_in(await browser.open(world.request(client_id)))
    assert "Password" in (await browser.open(world.request(client_id, prompt="login"))).text


async def test_a_state_that_cannot_be_carried_ends_on_a_page(world: World, client_id: str):
    browser = Browser(world)
    assert (await browser.open(world.request(client_id, state="x" * 2049))).status_code == 400
    assert (await browser.open(world.request(client_id, state="a\nb"))).status_code == 400
    assert answer(await browser.open(world.request(client_id, state="x" * 2048, scope="admin")))["state"] == "x" * 2048


async def test_the_request_must_be_a_get(world: World, client_id: str):
    async with world.http() as http:
        response = await http.post("/i/main/authorize", data=world.request(client_id))
    assert response.status_code == 405


async def test_an_unknown_issuer_is_not_found(world: World):
    async with world.http() as http:
        assert (await http.get("/i/nobody/authorize")).status_code == 404
        assert (await http.post("/i/nobody/token")).json()["error"] == "invalid_request"
