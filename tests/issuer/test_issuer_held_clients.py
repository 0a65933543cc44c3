"""Clients that an administrator holds for hosted applications: a secret, redirect URIs of their own, maybe no PKCE."""

import asyncio
import hashlib
import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from issuer_world import CHALLENGE, REDIRECT, VERIFIER, Browser, World, answer

from e2e.person import Person
from portico.cli.main import run
from portico.storage import clients
from service.portico_process import PASSWORD, Portico
from support.hosted_client import COPILOT_REDIRECT, PROTOCOL, HostedClient, Refused
from targets.servers import legacy_server

SECRET = "portico_" + "h" * 43
HOSTED = "https://app.example/callback"
ID = "studio"


@pytest.fixture
async def held(world: World) -> World:
    """A world with a confidential client; the issuer's own allow-list is empty."""
    await hold(world)
    return world


async def hold(world: World, client_id: str = ID, **more):
    await world.add_client(
        client_id,
        **{
            "kind": "confidential",
            "secret_hash": hashlib.sha256(SECRET.encode()).hexdigest(),
            "redirect_uris": (HOSTED,),
            **more,
        },
    )


async def change(world: World, client_id: str = ID, **more):
    async with world.database.write() as conn:
        row = await clients.get(conn, world.name, client_id)
        await clients.replace(conn, replace(row, **more))


async def code_of(world: World, client_id: str = ID, **more) -> str:
    return await world.code(client_id, redirect_uri=HOSTED, **more)


async def redeem(world: World, code: str, *, auth=None, client_id: str = ID, **more):
    form = {"code": code, "redirect_uri": HOSTED, "code_verifier": VERIFIER, "client_id": client_id, **more}
    return await world.token(grant_type="authorization_code", auth=auth, **{k: v for k, v in form.items() if v})


async def test_the_secret_may_come_in_the_body_or_in_the_header(held: World):
    in_body = await redeem(held, await code_of(held), client_secret=SECRET)
    assert in_body.status_code == 200
    in_header = await redeem(held, await code_of(held), auth=(ID, SECRET), client_id="")
    assert in_header.status_code == 200
    refreshed = await held.refresh(ID, in_body.json()["refresh_token"], client_secret=SECRET)
    assert refreshed.status_code == 200


@pytest.mark.case("C20")
async def test_without_its_secret_it_gets_nothing_and_a_stranger_is_told_the_same(held: World):
    code = await code_of(held)
    tokens = (await redeem(held, await code_of(held), client_secret=SECRET)).json()
    told = [
        await redeem(held, code),
        await redeem(held, code, client_secret="portico_" + "x" * 43),
        await redeem(held, code, client_id="nobody", client_secret=SECRET),
        await held.refresh(ID, tokens["refresh_token"]),
        await held.refresh(ID, tokens["refresh_token"], client_secret="wrong"),
    ]
    assert {(refused.status_code, refused.text) for refused in told} == {(401, told[0].text)}
    assert {refused.headers["www-authenticate"].partition(" ")[0] for refused in told} == {"Basic"}
    assert (await redeem(held, code, client_secret=SECRET)).status_code == 200, "the code was not used up by it"


@pytest.mark.case("C20")
async def test_a_public_client_that_sends_a_secret_is_refused(world: World):
    await world.add_client("web", kind="public", redirect_uris=(HOSTED,))
    refused = await redeem(world, await code_of(world, "web"), client_id="web", client_secret=SECRET)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


@pytest.mark.case("C13")
async def test_it_acts_for_people_only(held: World):
    refused = await held.token(grant_type="client_credentials", auth=(ID, SECRET), scope="mcp/invoke")
    assert (refused.status_code, refused.json()["error"]) == (400, "unauthorized_client")


@pytest.mark.case("C03", "C09")
async def test_what_it_was_given_is_of_no_use_to_another_client(held: World):
    await hold(held, "other")
    code = await code_of(held)
    stolen = await redeem(held, code, client_id="other", client_secret=SECRET)
    assert stolen.json()["error"] == "invalid_grant"
    tokens = (await redeem(held, code, client_secret=SECRET)).json()
    stolen = await held.refresh("other", tokens["refresh_token"], client_secret=SECRET)
    assert stolen.json()["error"] == "invalid_grant"
    assert (await held.refresh(ID, tokens["refresh_token"], client_secret=SECRET)).status_code == 200


# Redirect URIs: its row is its allow-list


@pytest.mark.case("A13")
@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example.evil.example/callback",
        "https://evil.example/callback",
        f"{HOSTED}/",
        f"{HOSTED}?next=1",
        "https://app.example:443/callback",
        "https://user@app.example/callback",
        "https://APP.example/callback",
        "https://app.example/Callback",
        "https://app.example//callback",
        "http://app.example/callback",
        f"{HOSTED}#",
        REDIRECT,
    ],
)
async def test_codes_go_to_what_is_written_down_for_it_byte_for_byte(held: World, uri: str):
    page = await Browser(held).open(held.request(ID, redirect_uri=uri))
    assert page.status_code == 400
    assert "location" not in page.headers


@pytest.mark.case("A16")
async def test_what_is_written_down_for_one_client_is_for_no_other(held: World):
    await hold(held, "other", redirect_uris=("https://other.example/callback",))
    for client_id in ("other", await held.register()):
        page = await Browser(held).open(held.request(client_id, redirect_uri=HOSTED))
        assert page.status_code == 400
    async with held.http() as http:
        refused = await http.post(f"{held.path}/register", json={"redirect_uris": [HOSTED]})
    assert refused.json()["error"] == "invalid_redirect_uri", "registration does not read what held clients may"


@pytest.mark.case("A18")
async def test_a_client_without_redirect_uris_yet_lets_nobody_in(world: World):
    await hold(world, redirect_uris=())
    for uri in (HOSTED, ""):
        assert (await Browser(world).open(world.request(ID, redirect_uri=uri))).status_code == 400


@pytest.mark.case("A19")
async def test_a_redirect_uri_that_was_taken_away_meanwhile_gets_no_code(held: World):
    browser = Browser(held)
    page = await browser.log_in(await browser.open(held.request(ID, redirect_uri=HOSTED)))
    await change(held, redirect_uris=())
    refused = await browser.submit(page, decision="allow")
    assert refused.status_code == 400
    assert "location" not in refused.headers


# PKCE


@pytest.mark.case("B01", "T4")
@pytest.mark.parametrize("kind", ["confidential", "public"])
async def test_pkce_is_required_even_of_those_that_have_a_secret(world: World, kind: str):
    secret = {"secret_hash": ""} if kind == "public" else {}
    await hold(world, kind=kind, **secret)
    asked = world.request(ID, redirect_uri=HOSTED, code_challenge="", code_challenge_method="")
    assert answer(await Browser(world).open(asked))["error"] == "invalid_request"


@pytest.mark.case("B01")
async def test_only_a_confidential_client_can_be_excused(world: World):
    await hold(world, kind="public", secret_hash="", pkce_required=False)
    asked = world.request(ID, redirect_uri=HOSTED, code_challenge="", code_challenge_method="")
    assert answer(await Browser(world).open(asked))["error"] == "invalid_request"


@pytest.mark.case("B01", "B02")
@pytest.mark.parametrize("sent", [("", "S256"), ("", "plain"), (VERIFIER, "plain"), ("short", "S256"), (CHALLENGE, "")])
async def test_half_a_challenge_is_refused_of_everybody(world: World, sent: tuple[str, str]):
    await hold(world, pkce_required=False)
    challenge, method = sent
    asked = world.request(ID, redirect_uri=HOSTED, code_challenge=challenge, code_challenge_method=method)
    assert answer(await Browser(world).open(asked))["error"] == "invalid_request"


@pytest.mark.case("B04", "T4")
async def test_a_verifier_without_a_challenge_says_that_somebody_took_the_challenge_away(world: World):
    await hold(world, pkce_required=False)
    code = await code_of(world, code_challenge="", code_challenge_method="")
    refused = await redeem(world, code, client_secret=SECRET)
    assert refused.json()["error"] == "invalid_grant"
    assert (await redeem(world, code, client_secret=SECRET, code_verifier="")).status_code == 200


@pytest.mark.case("B03")
async def test_a_challenge_that_was_sent_must_be_answered_by_whoever_was_excused_too(world: World):
    await hold(world, pkce_required=False)
    code = await code_of(world)
    for verifier in ("", "w" * 43):
        refused = await redeem(world, code, client_secret=SECRET, code_verifier=verifier)
        assert refused.json()["error"] == "invalid_grant"
    assert (await redeem(world, code, client_secret=SECRET)).status_code == 200


async def test_a_client_that_is_no_longer_excused_cannot_use_its_open_codes(world: World):
    await hold(world, pkce_required=False)
    code = await code_of(world, code_challenge="", code_challenge_method="")
    await change(world, pkce_required=True)
    refused = await redeem(world, code, client_secret=SECRET, code_verifier="")
    assert refused.json()["error"] == "invalid_grant"


# The printed table


@pytest.fixture
async def server():
    async with legacy_server() as running:
        yield running


@pytest.fixture
async def portico(tmp_path, server):
    portico = Portico(tmp_path, {})
    trusts = {"customJWTAuthorizer": {"discoveryUrl": portico.discovery_url}}
    portico.document = {
        "issuers": [{"name": "main", "scopes": ["mcp/invoke"], "users": [{"name": "ada", "password": PASSWORD}]}],
        "gateways": [
            {
                "name": "tools",
                "protocolType": "MCP",
                "authorizerType": "CUSTOM_JWT",
                "authorizerConfiguration": trusts,
                "targets": [
                    {
                        "name": "old",
                        "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": server.url}}},
                        "x-portico": {"allowPrivateAddresses": True},
                    }
                ],
            }
        ],
    }
    async with portico.running():
        await portico.synchronized("tools")
        yield portico


async def portico_command(portico, *args) -> dict:
    """Run a command beside the server, as an administrator does; return what it prints for a program."""

    def work():
        with CliRunner().isolation(env={"PORTICO_CONFIG": str(portico.directory / "portico.yaml")}) as (out, err, _):
            code = run([*args, "--json"])
            assert code == 0, err.getvalue().decode()
            return json.loads(out.getvalue())

    return await asyncio.to_thread(work)


@pytest.mark.e2e
async def test_an_application_like_copilot_studio_runs_from_the_printed_table_alone(portico, server):
    table = await portico_command(portico, "clients", "add", ID, "--for", "copilot-studio", "--without-pkce")
    ada = Person("ada", PASSWORD)
    hosted = HostedClient(table=table)
    with pytest.raises(AssertionError, match="400"):  # its redirect URL is known only now
        await hosted.connect(ada.walk)
    await portico_command(portico, "clients", "redirect", "add", ID, COPILOT_REDIRECT)

    await hosted.connect(Person("ada", PASSWORD).walk)
    assert (await hosted.initialize())["protocolVersion"] == PROTOCOL
    async with asyncio.timeout(20):  # the target was synchronized; what is served follows a poll later
        while "old___echo" not in [tool["name"] for tool in (await hosted.call("tools/list"))["tools"]]:
            await asyncio.sleep(0.05)
    call = {"name": "old___echo", "arguments": {"text": "hello"}}
    assert "hello" in json.dumps(await hosted.call("tools/call", call))

    first = dict(hosted.tokens)
    await hosted.refresh()
    assert hosted.tokens["access_token"] != first["access_token"]
    await hosted.initialize()
    assert "hello" in json.dumps(await hosted.call("tools/call", call))

    await portico_command(portico, "clients", "redirect", "remove", ID, COPILOT_REDIRECT)
    with pytest.raises(Refused) as refused:
        await hosted.refresh()
    assert (refused.value.status, refused.value.code) == (400, "invalid_grant")
