"""Tricks with redirect URIs: a code never reaches an address that the client did not register and may not have."""

import pytest

from attacks.attack_world import AttackedWorld, Browser, ProviderWorld, nothing_on_a_page, query_of, refused_at_token

HOSTED = "https://app.example/callback"

#: By case: what an attacker writes instead of ``http://127.0.0.1:53682/callback``.
TRICKS = [
    pytest.param(
        [
            "http://127.0.0.1@evil.example/callback",
            "http://127.0.0.1:53682@evil.example/callback",
            "http://localhost:x@evil.example/",
            "http://user@127.0.0.1:53682/callback",
            "http://evil.example\\@127.0.0.1:53682/callback",
            "http://evil.example#@127.0.0.1:53682/callback",
        ],
        id="A01",
        marks=pytest.mark.case("A01", "T5"),
    ),
    pytest.param(
        [
            "http://localhost.evil.example/callback",
            "http://127.0.0.1.nip.io/callback",
            "http://127.0.0.1.evil.example:53682/callback",
            "http://2130706433:53682/callback",
            "http://0x7f.1:53682/callback",
            "http://127.1:53682/callback",
            "http://0.0.0.0:53682/callback",
        ],
        id="A03",
        marks=pytest.mark.case("A03"),
    ),
    pytest.param(
        [
            "http://[::ffff:127.0.0.1]:53682/callback",
            "http://[::]:53682/callback",
            "http://[0:0:0:0:0:0:0:1]:53682/callback",
            "http://[::1%25eth0]:53682/callback",
        ],
        id="A05",
        marks=pytest.mark.case("A05"),
    ),
    pytest.param(
        [
            "HTTP://127.0.0.1:53682/callback",
            "http://127.0.0.1.:53682/callback",
            "http://LOCALHOST:53682/callback",
            "http://\uff11\uff12\uff17.0.0.1:53682/callback",
            "http://127\u30020\u30020\u30021:53682/callback",
            "http://localho\u017ft:53682/callback",
            "http://xn--localhost:53682/callback",
        ],
        id="A07",
        marks=pytest.mark.case("A07"),
    ),
    pytest.param(
        [
            "http://127.0.0.1:53682/callback#",
            "http://127.0.0.1:53682/callback#x",
            "http://127.0.0.1:53682/callback%23#",
        ],
        id="A08",
        marks=pytest.mark.case("A08"),
    ),
    pytest.param(
        [
            "http://127.0.0.1:53682/callback\r\nSet-Cookie: a=b",
            "http://127.0.0.1:53682/callback%0d%0aSet-Cookie:a",
            "http://127.0.0.1:53682/call\tback",
            " http://127.0.0.1:53682/callback",
            "http://127.0.0.1:53682/callback ",
            "http://127.0.0.1:53682/callback\n",
            "http://127.0.0.1:53682/callback%00",
        ],
        id="A09",
        marks=pytest.mark.case("A09"),
    ),
    pytest.param(
        [
            "http://127.0.0.1:0/callback",
            "http://127.0.0.1:99999/callback",
            "http://127.0.0.1:-1/callback",
            "http://127.0.0.1:053682/callback",
            "http://127.0.0.1:/callback",
        ],
        id="A10",
        marks=pytest.mark.case("A10"),
    ),
    pytest.param(
        [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,<script>1</script>",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:http://127.0.0.1/x",
        ],
        id="A12",
        marks=pytest.mark.case("A12", "T5"),
    ),
    pytest.param(
        [
            "http://127.0.0.1:53682/other",
            "http://127.0.0.1:53682/callback/",
            "http://127.0.0.1:53682/callback?x=1",
            "http://localhost:53682/callback",
            "http://[::1]:53682/callback",
            "http://127.0.0.1:53682/callback/../x",
            "http://127.0.0.1:53682/x/../callback",
            "http://127.0.0.1:53682/%63allback",
            "https://127.0.0.1:53682/callback",
        ],
        id="A15",
        marks=pytest.mark.case("A15", "T4"),
    ),
    pytest.param(
        ["https://evil.example/callback", "*", "http://127.0.0.1:*/callback"],
        id="A16",
        marks=pytest.mark.case("A16", "T5"),
    ),
    pytest.param([""], id="A18", marks=pytest.mark.case("A18")),
]


@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize("uris", TRICKS)
async def test_a_tricky_redirect_uri_ends_on_a_page(world: AttackedWorld, client_id: str, uris: list[str]):
    for uri in uris:
        response = await Browser(world).open(world.request(client_id, redirect_uri=uri))
        nothing_on_a_page(response, 400)
    assert await world.asked_of_provider("authorization", "token") == []


@pytest.mark.case("A12", "T5")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)//http://localhost/",
        "data:text/html,x",
        "http://evil.example/callback",
        "http://127.0.0.1@evil.example/",
        "http://localhost.evil.example/",
        "file:///tmp/x",
    ],
)
async def test_nobody_registers_such_an_address_either(world: AttackedWorld, uri: str):
    async with world.http() as http:
        answer = await http.post(f"{world.path}/register", json={"redirect_uris": [uri, "http://localhost/cb"]})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")
    assert "client_id" not in answer.json()


@pytest.mark.case("A13")
@pytest.mark.connector("local", "oidc")
async def test_a_hosted_callback_is_compared_byte_for_byte(world: AttackedWorld):
    await world.settle(allowedRedirectUris=[HOSTED])
    client_id = await world.register([HOSTED])
    browser = Browser(world)
    assert (await browser.open(world.request(client_id, redirect_uri=HOSTED))).status_code == 200
    for uri in (
        f"{HOSTED}/",
        f"{HOSTED}?a=b",
        f"{HOSTED}%2f",
        "https://app.example//callback",
        "https://app.example:443/callback",
        "https://user@app.example/callback",
        "https://App.example/callback",
        "https://app.example.evil.example/callback",
        "https://evil.app.example/callback",
        "http://app.example/callback",
    ):
        nothing_on_a_page(await browser.open(world.request(client_id, redirect_uri=uri)), 400)


@pytest.mark.case("A14")
@pytest.mark.connector("local", "oidc")
async def test_only_the_port_of_loopback_may_differ_and_the_code_goes_there(world: AttackedWorld, client_id: str):
    uri = "http://127.0.0.1:49152/callback"
    browser = Browser(world)
    page = await world.consent_page(browser, client_id, redirect_uri=uri)
    response = await world.to_client(browser, page)
    assert response.headers["location"].startswith(f"{uri}?code=")


@pytest.mark.case("A16")
@pytest.mark.connector("local", "oidc")
async def test_an_address_of_another_client_is_of_no_use(world: AttackedWorld, client_id: str):
    others = "http://127.0.0.1:5000/other"
    await world.register([others])
    nothing_on_a_page(await Browser(world).open(world.request(client_id, redirect_uri=others)), 400)


@pytest.mark.case("A18")
@pytest.mark.connector("local", "oidc")
async def test_it_is_required_with_several_registered_too(world: AttackedWorld):
    client_id = await world.register(["http://127.0.0.1:53682/callback", "http://localhost/callback"])
    nothing_on_a_page(await Browser(world).open(world.request(client_id, redirect_uri="")), 400)
    pairs = [*world.request(client_id).items(), ("redirect_uri", "https://evil.example/")]
    nothing_on_a_page(await Browser(world).open(pairs), 400)


@pytest.mark.case("A19")
@pytest.mark.connector("local", "oidc")
async def test_an_address_that_left_the_list_before_the_decision_gets_nothing(world: AttackedWorld):
    await world.settle(allowedRedirectUris=[HOSTED])
    client_id = await world.register([HOSTED])
    browser = Browser(world)
    page = await world.consent_page(browser, client_id, redirect_uri=HOSTED)
    await world.settle(allowedRedirectUris=[])
    nothing_on_a_page(await browser.submit(page, decision="allow"), 400)
    nothing_on_a_page(await browser.submit(page, decision="deny"), 400)


@pytest.mark.case("A19")
@pytest.mark.connector("oidc")
async def test_an_address_that_left_the_list_while_the_person_was_at_the_provider_gets_nothing(world: ProviderWorld):
    await world.settle(allowedRedirectUris=[HOSTED])
    client_id = await world.register([HOSTED])
    browser = Browser(world)
    url = await world.captured(browser, client_id, redirect_uri=HOSTED)
    await world.settle(allowedRedirectUris=[])
    nothing_on_a_page(await browser.http.get(url), 400)
    assert await world.asked_of_provider("token") == []


@pytest.mark.case("A20")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize(
    ("kind", "uri"), [("web", "http://localhost/callback"), ("native", "http://app.example/callback")]
)
async def test_the_type_of_application_and_its_address_must_agree(world: AttackedWorld, kind: str, uri: str):
    async with world.http() as http:
        document = {"redirect_uris": [uri], "application_type": kind}
        answer = await http.post(f"{world.path}/register", json=document)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")


@pytest.mark.case("A22")
@pytest.mark.connector("local", "oidc")
async def test_a_form_is_answered_by_303_that_no_browser_repeats_with_its_body(world: AttackedWorld, client_id: str):
    browser = Browser(world)
    page = await world.consent_page(browser, client_id)
    assert (await browser.submit(page, decision="allow")).status_code == 303
    page = await browser.open(world.request(client_id))  # whoever is logged in here is asked at once
    assert (await browser.submit(page, decision="deny")).status_code == 303


@pytest.mark.case("A16", "T4")
@pytest.mark.connector("local", "oidc")
async def test_the_token_endpoint_compares_the_address_once_more(world: AttackedWorld, client_id: str):
    code = await world.code(client_id)
    for uri in ("http://127.0.0.1:53683/callback", "https://evil.example/", "http://localhost:53682/callback"):
        refused_at_token(await world.redeem(client_id, code, redirect_uri=uri), "invalid_grant")
    refused_at_token(await world.redeem(client_id, code, redirect_uri=""), "invalid_request")


@pytest.mark.case("A13", "T22")
@pytest.mark.connector("oidc")
async def test_the_client_chooses_nothing_of_where_the_provider_sends_the_person_back(
    world: ProviderWorld, client_id: str
):
    """Not through Host, not through forwarded headers: our callback's address is configured."""
    browser = Browser(world)
    lies = {"x-forwarded-host": "evil.example", "x-forwarded-proto": "http", "forwarded": "host=evil.example"}
    page = await browser.open(world.request(client_id), **lies)
    response = await browser.submit(page, decision="allow", headers=lies)
    assert query_of(response)["redirect_uri"] == f"{world.url}/callback"
    assert query_of(response)["client_id"] == world.idp.client_id
