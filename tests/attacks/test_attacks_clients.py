"""Applications that register themselves, or describe themselves at a URL, to get more than a public client may have."""

import asyncio
import json
import re

import pytest

from attacks.attack_world import (
    ELSEWHERE,
    AttackedWorld,
    Browser,
    FacadeWorld,
    WorldMaker,
    nothing_on_a_page,
    query_of,
    refused_at_token,
)
from issuer.issuer_world import REDIRECT
from issuer.test_issuer_client_documents import Host, reply
from portico.issuer import client_documents
from portico.issuer.client_documents import BURST

DOCUMENTS = {"clientDocuments": {"allowPrivate": True}}


async def registration(world: AttackedWorld, address: str = "192.0.2.1", **document):
    async with world.http(address) as http:
        return await http.post(f"{world.path}/register", json={"redirect_uris": [REDIRECT], **document})


@pytest.fixture
async def host():
    made = Host()
    await made.start()
    yield made
    await made.stop()


# Registration


@pytest.mark.case("F01", "T1", "T13")
@pytest.mark.connector("local", "oidc")
async def test_registration_gives_no_secret_and_nothing_of_the_provider(world: AttackedWorld):
    methods = ("none", "client_secret_basic", "client_secret_post")
    for method in methods:
        answer = await registration(world, token_endpoint_auth_method=method)
        assert answer.status_code in (201, 400)
        assert not {name for name in answer.json() if "secret" in name or "registration_" in name}
        if world.kind == "oidc":
            assert world.idp.client_id != answer.json().get("client_id")
            assert world.idp.client_secret not in answer.text


@pytest.mark.case("F02", "B06")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize("change", ["cut", "flipped", "other purpose", "junk", "control", "long", "provider"])
async def test_a_client_id_that_we_did_not_make_is_nobody(world: AttackedWorld, client_id: str, change: str):
    forged = {
        "cut": client_id[:-4],
        "flipped": client_id[:-3] + ("A" if client_id[-3] != "A" else "B") + client_id[-2:],
        "other purpose": world.keyring.seal("consent-form", b"x", aad=world.name.encode()),
        "junk": "nobody",
        "control": "no\x01body",
        "long": "v1.k1." + "A" * 5000,
        "provider": "facade",  # our own at the provider
    }[change]
    nothing_on_a_page(await Browser(world).open(world.request(forged)), 400)
    refused_at_token(await world.redeem(forged, "x"), "invalid_client", 401)


@pytest.mark.case("F02", "T13")
@pytest.mark.connector("oidc", worlds=("facade",))
async def test_a_client_of_another_facade_with_the_same_keys_is_nobody(
    world: FacadeWorld, make_world: WorldMaker, client_id: str
):
    """Who may register there with a redirect URI of their own must not get a consent page here for it."""
    other = await make_world("facade", public_url=ELSEWHERE, keys=world.keys)
    issued = await world.tokens(client_id)
    nothing_on_a_page(await Browser(other).open(other.request(client_id)), 400)
    refused_at_token(await other.redeem(client_id, "x"), "invalid_client", 401)
    refused_at_token(await other.refresh(client_id, issued["refresh_token"]), "invalid_client", 401)
    async with other.http() as http:
        answer = await http.post("/revoke", data={"client_id": client_id, "token": issued["refresh_token"]})
    refused_at_token(answer, "invalid_client", 401)
    assert (await world.refresh(client_id, issued["refresh_token"])).status_code == 200


@pytest.mark.case("F03", "T28")
@pytest.mark.connector("local", "oidc")
async def test_a_flood_of_registrations_hurts_nobody_else(world: AttackedWorld):
    forgeries = {"x-forwarded-for": "203.0.113.9"}, {"forwarded": "for=203.0.113.9"}, {"x-real-ip": "203.0.113.9"}
    with world.clock.standing():
        answers = [await registration(world) for _ in range(65)]
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) > 0
        assert (await registration(world, address="198.51.100.7")).status_code == 201
        for forged in forgeries:
            async with world.http() as http:
                again = await http.post(f"{world.path}/register", json={"redirect_uris": [REDIRECT]}, headers=forged)
            assert again.status_code == 429


@pytest.mark.case("F03", "T28")
@pytest.mark.connector("local", "oidc")
async def test_registrations_are_small_and_flat(world: AttackedWorld):
    for answer in (
        await registration(world, client_name="x" * 20_000),
        await registration(world, redirect_uris=[f"http://localhost:{port}/" for port in range(1000)]),
    ):
        assert answer.status_code in (400, 413)
    async with world.http() as http:
        for body in (b"[" * 5000, b'{"redirect_uris":' + b"[" * 4000, b"\xff\xfe", b"null", b"", b'"x"'):
            sent = {"content-type": "application/json"}
            assert (await http.post(f"{world.path}/register", content=body, headers=sent)).status_code == 400


@pytest.mark.case("F04", "G11", "T26")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize(
    "name",
    ['<script>alert(1)</script>"', "Claude\u202eedualC", "x" * 5_000, "\x1b[31mRed", "a\u200bb\u0000c", "{{ 7 * 7 }}"],
    ids=["markup", "bidi", "long", "escape", "invisible", "template"],
)
async def test_a_name_is_shown_as_text_and_as_nobodys_word(world: AttackedWorld, name: str):
    client_id = (await registration(world, client_name=name)).json()["client_id"]
    text = (await world.consent_page(Browser(world), client_id)).text
    assert "<script>alert" not in text
    assert not set(text) & {"\u202e", "\u200b", "\x1b", "\x00"}
    assert "x" * 200 not in text
    assert ">49<" not in text
    assert "nobody has checked" in text


@pytest.mark.case("F06", "T13")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize(
    "asked",
    [
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"]},
        {"grant_types": ["password"]},
        {"grant_types": ["implicit"]},
        {"response_types": ["token"]},
        {"scope": "admin"},
    ],
    ids=lambda asked: next(iter(asked.values()))[-1] if isinstance(next(iter(asked.values())), list) else "scope",
)
async def test_nobody_registers_for_more(world: AttackedWorld, asked: dict):
    answer = await registration(world, **asked)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


@pytest.mark.case("F07")
@pytest.mark.connector("local", "oidc")
async def test_there_is_no_address_at_which_registrations_are_read_or_changed(world: AttackedWorld, client_id: str):
    async with world.http() as http:
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            for path in ("register", f"register/{client_id}"):
                bearer = {"authorization": f"Bearer {client_id}"}
                answer = await http.request(method, f"{world.path}/{path}", headers=bearer)
                assert answer.status_code in (404, 405)


# Documents of clients


@pytest.mark.case("F08")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize(
    "url",
    [
        "http://app.example/client.json",
        "https://app.example",
        "https://app.example/client.json#x",
        "https://user@app.example/client.json",
        "https://app.example/../client.json",
        "https://app.example/%2e%2e/client.json",
        "https://app.example\\@evil.example/client.json",
        "https://app.example/client.json\r\n",
        "https://app.example/client.json?x=1",
        "https://APP.example/client.json",
        "https://app.example:99999/client.json",
        "HTTPS://app.example/client.json",
        "https:/app.example/client.json",
        "https://[::1]/client.json",
        "https://127.0.0.1/client.json",
        "https://localhost/client.json",
    ],
)
async def test_a_client_id_that_is_no_safe_url_is_not_fetched(world: AttackedWorld, url: str):
    nothing_on_a_page(await Browser(world).open(world.request(url)), 400, 401)


@pytest.mark.case("F11", "T16")
@pytest.mark.connector("local", "oidc")
async def test_no_document_is_fetched_from_an_inner_address(world: AttackedWorld, host: Host):
    urls = [
        f"https://127.0.0.1:{host.port}/c.json",
        f"https://localhost:{host.port}/c.json",
        f"https://[::1]:{host.port}/c.json",
        f"https://[::ffff:127.0.0.1]:{host.port}/c.json",
        f"https://2130706433:{host.port}/c.json",
        f"https://0.0.0.0:{host.port}/c.json",
        "https://169.254.169.254/latest/meta-data",
        "https://[64:ff9b::7f00:1]/c.json",
        "https://[2002:7f00:1::]/c.json",
        "https://metadata.google.internal/c.json",
    ]
    for number, url in enumerate(urls):
        async with world.http(f"198.51.100.{number}") as http:
            page = await http.get(f"{world.path}/authorize", params=world.request(url))
            nothing_on_a_page(page, 400, 401, 503)
            form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": url}
            assert (await http.post(f"{world.path}/token", data=form)).status_code in (401, 503)
    assert host.accepted == 0


MISBEHAVING = {
    "too long": lambda _url: reply(b'{"x":"' + b"x" * 6000 + b'"}'),
    "moved": lambda _url: reply(b"", status=b"302 Found", headers=b"Location: /other\r\n"),
    "gone": lambda _url: reply(b"{}", status=b"404 Not Found"),
    "html": lambda url: reply(json.dumps({"client_id": url}).encode(), kind=b"text/html"),
    "of another": lambda _url: reply(
        json.dumps({"client_id": "https://a/", "client_name": "x", "redirect_uris": [REDIRECT]}).encode()
    ),
    "secret": lambda url: reply(
        json.dumps(
            {"client_id": url, "client_name": "x", "redirect_uris": [REDIRECT], "client_secret": "hush"}
        ).encode()
    ),
    "no json": lambda _url: reply(b"\xff\xfe"),
    "deep": lambda _url: reply(b"[" * 4000),
}


@pytest.mark.case("F10")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize("how", MISBEHAVING)
async def test_a_document_that_misbehaves_describes_nobody(world: AttackedWorld, host: Host, how: str):
    await world.settle(**DOCUMENTS)
    host.answer = MISBEHAVING[how]
    nothing_on_a_page(await Browser(world).open(world.request(host.url())), 400, 401)
    refused_at_token(await world.redeem(host.url(), "x"), "invalid_client", 401)
    assert all(b"GET /client.json " in request for request in host.requests)
    host.answer = host.document


@pytest.mark.case("F10", "T28")
@pytest.mark.connector("local", "oidc")
async def test_a_document_that_never_ends_is_given_up(
    world: AttackedWorld, host: Host, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(client_documents, "FETCH_SECONDS", 0.2)
    await world.settle(**DOCUMENTS)
    host.slow = True
    async with asyncio.timeout(30):
        nothing_on_a_page(await Browser(world).open(world.request(host.url())), 400, 401, 503)
    host.release.set()


@pytest.mark.case("F10", "T28")
@pytest.mark.connector("local", "oidc")
async def test_an_issuer_is_no_hammer(world: AttackedWorld, host: Host):
    await world.settle(**DOCUMENTS)
    host.answer = MISBEHAVING["gone"]
    with world.clock.standing():
        for number in range(BURST + 10):
            await Browser(world).open(world.request(host.url(f"/{number}")))
    assert len(host.requests) <= BURST


@pytest.mark.case("F13", "F14", "T1")
@pytest.mark.connector("local", "oidc")
async def test_whose_document_it_is_stands_on_the_page_each_time(world: AttackedWorld, host: Host):
    await world.settle(**DOCUMENTS)
    browser, uri = Browser(world), "http://localhost:4000/callback"
    page = await world.consent_page(browser, host.url(), redirect_uri=uri)
    text = re.sub(r"\s+", " ", page.text)
    assert f"127.0.0.1:{host.port}" in text
    assert "localhost:4000" in text
    assert "code" in query_of(await world.to_client(browser, page))
    again = await browser.open(world.request(host.url(), redirect_uri=uri))
    assert again.status_code == 200
    assert f"127.0.0.1:{host.port}" in again.text


@pytest.mark.case("F13", "A16", "A13")
@pytest.mark.connector("local", "oidc")
async def test_a_strangers_document_sends_no_code_to_a_website(world: AttackedWorld, host: Host):
    """Not even its own: whoever has a domain could put our consent page before people (draft section 8.5)."""
    await world.settle(**DOCUMENTS)
    for uri in ("https://app.example/callback", f"https://127.0.0.1:{host.port}/callback", "https://evil.example/"):
        host.answer = lambda url, uri=uri: host.document(url, redirect_uris=[uri])
        nothing_on_a_page(
            await Browser(world).open(world.request(host.url(f"/{hash(uri)}"), redirect_uri=uri)), 400, 401
        )


@pytest.mark.case("E03", "F08")
@pytest.mark.connector("local", "oidc")
async def test_documents_that_are_switched_off_are_not_fetched(world: AttackedWorld, host: Host):
    await world.settle(clientDocuments={"enabled": False, "allowPrivate": True})
    nothing_on_a_page(await Browser(world).open(world.request(host.url())), 400, 401)
    assert host.accepted == 0
    async with world.http() as http:
        place = f"/.well-known/oauth-authorization-server{world.path}"
        assert not (await http.get(place)).json().get("client_id_metadata_document_supported", False)
