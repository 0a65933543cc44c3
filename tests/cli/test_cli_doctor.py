"""`portico doctor` as a command: where all is well, what it prints, what it never prints, how it is told what to do."""

import asyncio
import base64
import json
import os
import re
import sys

import pytest
from click.testing import CliRunner

from e2e.person import Person
from portico.cli.doctor.profiles import PROFILES
from portico.cli.main import root
from service.portico_process import PASSWORD, SECRET, Portico, until
from support.faulty_server import FaultyServer, Reply, refuse, result
from targets.servers import legacy_server

BOUND = 60.0  #: seconds that a command may take on a busy machine
MACHINE = ("--as", "machine", "--client-id", "robot", "--client-secret", "robot's secret")
HOSTED = "https://global.consent.azure-apim.net/redirect/mine"
ARN = "arn:aws:bedrock-agentcore:us-east-1:000000000000"
HELD_SECRET = SECRET[::-1]
_LINK = re.compile(r"(http://127\.0\.0\.1:\d+/\S*authorize\?\S+)")


@pytest.fixture
def server():
    served = FaultyServer()
    yield served
    served.close()


def told(bare, url, *args, code=0, **more):
    done = bare.run("doctor", url, "--json", *args, **more)
    assert done.code == code, done
    return json.loads(done.out)


def verdicts(report):
    return {step["name"]: step["verdict"] for step in report["steps"]}


# A server that works


@pytest.mark.parametrize("client", [name for name in PROFILES if name != "machine"])
def test_every_client_walks_a_good_server_to_its_end(bare, server, client):
    report = told(bare, server.url, "--as", client, "--call", "echo", '{"a": 1}')
    assert (report["verdict"], report["fault"], report["as"]) == ("good", None, client)
    assert set(verdicts(report).values()) == {"good", "warning"}, report["steps"]
    warned = {name for name, verdict in verdicts(report).items() if verdict == "warning"}
    assert warned - {"registration"} == {"authorization"}


def test_a_machine_walks_a_good_server_without_logging_in(bare, server):
    report = told(bare, server.url, *MACHINE)
    assert verdicts(report)["authorization"] == verdicts(report)["refresh"] == "skipped"
    assert verdicts(report)["tools"] == "good"
    version = next(step["summary"] for step in report["steps"] if step["name"] == "protocol")
    assert version == "2026-07-28, without a handshake"


def test_a_machine_goes_on_with_initialize_where_discover_is_unknown(bare, server):
    server.versions = ("2025-06-18",)
    report = told(bare, server.url, *MACHINE)
    step = next(step for step in report["steps"] if step["name"] == "protocol")
    assert step["summary"] == "2025-06-18, with a session"
    assert "initialize" in step["notes"][0]


def test_a_server_that_asks_for_no_token_is_good_too(bare, server):
    server.rules["mcp"] = lambda asked: server._message(asked.json)
    report = told(bare, server.url)
    assert report["verdict"] == "good"
    assert verdicts(report)["token"] == "skipped"
    assert report["steps"][0]["notes"] == ["Whoever reaches this address may call it."]


def test_a_stream_of_events_is_read_up_to_the_answer(bare, server):
    def listed(asked):
        if not asked.token or b"tools/list" not in asked.body:
            return None
        notice = {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}
        events = (notice, json.loads(result(asked.json, {"tools": []}).content))
        body = "".join(f"event: message\ndata: {json.dumps(event)}\n\n" for event in events)
        return Reply(200, body, {"content-type": "text/event-stream"})

    server.rules["mcp"] = listed
    report = told(bare, server.url)
    assert report["steps"][-1]["summary"] == "0 tools"


def test_old_servers_whose_origin_is_the_issuer_are_good(bare, server):
    server.rules["resource_metadata"] = lambda _asked: Reply(404)
    server.rules["mcp"] = lambda asked: None if asked.token else Reply(401, headers={"www-authenticate": "Bearer"})
    report = told(bare, server.url)
    assert report["verdict"] == "good"
    assert verdicts(report)["resource-metadata"] == "warning"


# Without a person


def test_a_login_page_is_as_far_as_it_goes_without_a_person(bare, server):
    server.rules["authorize"] = lambda _asked: Reply(200, "<title>Log in</title>", {"content-type": "text/html"})
    report = told(bare, server.url)
    assert (report["verdict"], report["fault"]) == ("incomplete", None)
    assert verdicts(report)["authorization"] == "good"
    assert verdicts(report)["token"] == verdicts(report)["tools"] == "skipped"


def test_a_hosted_client_s_redirect_is_pasted(bare, server):
    seen = {}

    def page(asked):
        seen.update(asked.query)
        server.codes["c" * 30] = asked.query
        return Reply(200, "<title>Log in</title>", {"content-type": "text/html"})

    server.rules["authorize"] = page
    args = ("--as", "chatgpt", "--login", "--no-browser")
    # The state is random: what is pasted with another one must be refused.
    report = told(bare, server.url, *args, stdin="https://chatgpt.com/connector/oauth/x?code=c&state=other\n", code=1)
    assert report["fault"] == "state_wrong"
    assert seen["redirect_uri"].startswith("https://chatgpt.com/")


def test_a_given_token_skips_the_login_and_what_leads_to_it_is_advice(bare, server):
    server.server_metadata["code_challenge_methods_supported"] = []
    report = told(bare, server.url, PORTICO_TOKEN=server.mint(aud=server.url))
    assert report["verdict"] == "good"
    assert verdicts(report)["server-metadata"] == "warning"
    assert verdicts(report)["registration"] == verdicts(report)["token"] == "skipped"
    assert next(step for step in report["steps"] if step["name"] == "server-metadata")["fault"] == "no_s256"


def test_a_metadata_document_is_used_only_where_public_clients_are(bare, server):
    server.server_metadata |= {"client_id_metadata_document_supported": True}
    asked = told(bare, server.url)["steps"][4]["exchanges"][0]["sent"]["url"]
    assert "client_id=https%3A%2F%2Fclaude.ai%2Foauth%2Fclaude-code-client-metadata" in asked
    server.server_metadata |= {"token_endpoint_auth_methods_supported": ["client_secret_basic"]}
    assert "claude.ai" not in told(bare, server.url)["steps"][4]["exchanges"][0]["sent"]["url"]


def test_what_is_asked_for_can_be_told(bare, server):
    args = ("--scope", "mcp/read", "--resource", "https://other.example/mcp", "--redirect-uri", "http://127.0.0.1:1/cb")
    told(bare, server.url, *args)
    asked = next(asked for asked in server.asked if asked.path == "/authorize").query
    assert (asked["scope"], asked["resource"]) == ("mcp/read", "https://other.example/mcp")
    assert asked["redirect_uri"] == "http://127.0.0.1:1/cb"


def test_a_held_client_authenticates_as_its_vendor_does(bare, server):
    args = ("--as", "copilot-studio", "--client-id", "held", "--redirect-uri", HOSTED)
    told(bare, server.url, *args, PORTICO_CLIENT_SECRET="held secret")
    authorized = next(asked for asked in server.asked if asked.path == "/authorize").query
    assert authorized.keys() & {"code_challenge", "resource", "scope"} == set()
    form = next(asked for asked in server.asked if asked.path == "/token").form
    assert (form["client_id"], form["client_secret"]) == ("held", "held secret")


def test_a_secret_goes_to_no_issuer_that_only_the_endpoint_names(bare, server):
    with_issuer = FaultyServer()
    try:
        server.resource_metadata["authorization_servers"] = [with_issuer.origin]
        report = told(bare, server.url, *MACHINE)
        assert report["verdict"] == "incomplete"
        assert f"--issuer {with_issuer.origin}" in report["steps"][5]["summary"]
        assert "POST /token" not in with_issuer.paths()
        told(bare, server.url, *MACHINE, "--issuer", with_issuer.origin)
        assert "POST /token" in with_issuer.paths()
    finally:
        with_issuer.close()


def test_a_session_is_ended(bare, server):
    told(bare, server.url)
    assert server.paths()[-1] == "DELETE /mcp"


# What is printed


def test_a_person_sees_steps_what_was_sent_and_the_verdict(bare, server):
    done = bare.run("doctor", server.url)
    assert done.code == 0
    assert done.out.startswith(f"{server.url} as Claude Code\n")
    assert "✓ Token " in done.out
    assert "    > POST " in done.out
    assert "    < 401 Unauthorized\n" in done.out
    assert done.out.endswith("✓ All is well.\n")
    assert "\x1b" not in done.out


def test_a_person_sees_a_fault_with_its_cause_and_its_fix(bare, server):
    server.server_metadata["code_challenge_methods_supported"] = None
    done = bare.run("doctor", server.url)
    assert done.code == 1
    assert "✗ Server metadata        PKCE with S256 is not advertised\n" in done.out
    finding = done.out.partition("✗ no_s256: ")[2]
    assert re.search(r"Seen .*\n.*Cause .*\n(.*\n)?.*Fix .*\n(.*\n)?.*More   docs/doctor.md#no_s256\n\Z", finding)


@pytest.mark.case("H10")
def test_no_secret_is_ever_printed(bare, server):
    def echoing(asked):
        if asked.token and b"tools/call" in asked.body:
            return result(asked.json, {"content": [{"type": "text", "text": f"you sent {asked.token}"}]})
        return None

    server.rules["mcp"] = echoing
    outputs = []
    for args in ((), MACHINE, ("--as", "copilot-studio", "--client-id", "c", "--client-secret", "held secret!",
                               "--redirect-uri", HOSTED)):  # fmt: skip
        for form in ((), ("--json",)):
            done = bare.run("doctor", server.url, *args, "--call", "echo", "{}", *form)
            assert done.code == 0
            outputs.append(done.out + done.err)
    everything = "\n".join(outputs)
    basic = base64.b64encode(b"robot:robot%27s%20secret").decode()
    forms = [asked.form for asked in server.asked if asked.path == "/token"]
    states = [asked.query["state"] for asked in server.asked if asked.path == "/authorize"]
    verifiers = [form["code_verifier"] for form in forms if "code_verifier" in form]
    codes = [form["code"] for form in forms if "code" in form]
    secrets = [*server.tokens, *states, *verifiers, *codes, "held secret!", "robot's secret", basic]
    assert len(secrets) > 15
    assert "you sent ********" in everything
    assert [secret for secret in [*secrets, "session-of-the-test"] if secret in everything] == []


@pytest.mark.case("T26")
def test_a_server_cannot_steer_the_terminal(bare, server):
    evil = "\x1b]0;owned\x07"
    server.rules["token"] = lambda _asked: Reply(400, {"error": "odd", "error_description": evil})
    done = bare.run("doctor", server.url)
    assert done.code == 1
    assert not any(char in done.out for char in "\x1b\x07")


def test_colours_are_for_terminals_that_want_them(server):
    plain = CliRunner().invoke(root, ["doctor", server.url], color=True, env={"NO_COLOR": "1"})
    coloured = CliRunner().invoke(root, ["doctor", server.url], color=True, env={"NO_COLOR": ""})
    assert "\x1b" not in plain.output
    assert "\x1b[32m" in coloured.output


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("mcp.example.com/mcp",), "is not an http or https URL"),
        (("file:///etc/passwd",), "is not an http or https URL"),
        (("http://h:99999/mcp",), "is not an http or https URL"),
        (("http://h/mcp", "--as", "netscape"), "--as"),
        (("http://h/mcp", "--as", "machine"), "needs --client-id and --client-secret"),
        (("http://h/mcp", "--client-secret", "s"), "needs --client-id"),
        (("http://h/mcp", "--as", "copilot-studio", "--client-id", "c"), "--redirect-uri"),
        (("http://h/mcp", "--call", "tool", "{"), "are not JSON"),
        (("http://h/mcp", "--call", "tool", "[1]"), "must be a JSON object"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_sent(bare, args, told):
    done = bare.run("doctor", *args)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


# A real Portico


@pytest.fixture
async def portico(tmp_path):
    async with legacy_server() as target:
        portico = Portico(tmp_path, {})
        rules = {"discoveryUrl": portico.discovery_url}
        portico.document = {
            "issuers": [
                {
                    "name": "main",
                    "scopes": ["mcp/invoke"],
                    "clientDocuments": {"enabled": False},  # Claude Code's cannot be fetched without a network
                    "allowedRedirectUris": [HOSTED, "https://chatgpt.com/connector/oauth/mine"],
                    "users": [{"name": "ada", "password": PASSWORD}],
                    "clients": [
                        {"name": "robot", "secret": SECRET, "scopes": ["mcp/invoke"]},
                        {"name": "Held", "clientId": "held", "secret": HELD_SECRET, "scopes": ["mcp/invoke"],
                         "redirectUris": [HOSTED], "pkceRequired": False},
                    ],
                }
            ],
            "gateways": [
                {
                    "name": name,
                    "protocolType": "MCP",
                    "authorizerType": "CUSTOM_JWT",
                    "authorizerConfiguration": {"customJWTAuthorizer": rules | more},
                    "targets": [
                        {
                            "name": "old",
                            "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": target.url}}},
                            "x-portico": {"allowPrivateAddresses": True},
                        }
                    ],
                }
                for name, more in (("open", {}), ("closed", {"allowedClients": ["somebody-else"]}))
            ],
        }  # fmt: skip
        async with portico.running():
            yield portico


@pytest.mark.e2e
async def test_a_real_portico_is_well_for_every_client(portico):
    url = await portico.synchronized("open")
    for client in ("claude-code", "cursor", "inspector"):
        report, code = await _doctor(url, "--as", client)
        assert (code, report["verdict"]) == (0, "incomplete"), json.dumps(report["steps"][-1])
        assert verdicts(report)["authorization"] == "good"
    for client, redirect in (("copilot-studio", HOSTED), ("chatgpt", "https://chatgpt.com/connector/oauth/mine")):
        report, code = await _doctor(url, "--as", client, "--redirect-uri", redirect)
        # Copilot Studio registers by itself only where PKCE is not asked for; Portico asks everybody who did so.
        assert (code, report["fault"]) == ((1, "pkce_required") if client == "copilot-studio" else (0, None)), report
    held = ("--as", "copilot-studio", "--client-id", "held", "--redirect-uri", HOSTED)
    report, code = await _doctor(url, *held, PORTICO_CLIENT_SECRET=HELD_SECRET)
    assert (code, report["fault"]) == (1, "resource_missing"), report  # two gateways trust this issuer
    report, code = await _doctor(url, *held, "--resource", url, PORTICO_CLIENT_SECRET=HELD_SECRET)
    assert (code, verdicts(report)["authorization"]) == (0, "good"), report
    report, code = await _doctor(url, *held[:-1], "https://global.consent.azure-apim.net/redirect/other")
    assert (code, report["fault"]) == (1, "redirect_mismatch"), report
    machine = {"PORTICO_CLIENT_ID": "robot", "PORTICO_CLIENT_SECRET": SECRET}
    report, code = await _doctor(url, "--as", "machine", "--call", "old___echo", '{"a": 1}', **machine)
    assert (code, report["verdict"]) == (0, "good"), report
    assert set(verdicts(report).values()) == {"good", "skipped"}, report
    closed = await portico.synchronized("closed")
    report, code = await _doctor(closed, "--as", "machine", **machine)
    assert (code, report["fault"]) == (1, "client_not_allowed"), report
    assert "'robot'" in report["fix"]
    report, code = await _doctor(url, "--as", "chatgpt")
    assert (code, report["fault"]) == (1, "registration_redirect"), report


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("mode", "level", "fault", "fix"),
    [
        ("DEFAULT", {}, "targets_unavailable", "statusReasons"),
        ("DYNAMIC", {}, "outbound_token", "exceptionLevel DEBUG"),
        ("DYNAMIC", {"exceptionLevel": "DEBUG"}, "outbound_token", "people's logins"),
    ],
)
async def test_a_target_whose_provider_is_asked_for_scopes_of_people_is_found(tmp_path, mode, level, fault, fix):
    provider = FaultyServer()
    provider.rules["token"] = lambda _asked: refuse("invalid_scope", "openid is for people")
    async with legacy_server() as target:
        portico = Portico(tmp_path, {})
        oauth = {
            "providerArn": f"{ARN}:token-vault/default/oauth2credentialprovider/crm",
            "grantType": "CLIENT_CREDENTIALS",
            "scopes": ["openid", "profile"],
        }
        discovery = {"discoveryUrl": f"{provider.origin}/.well-known/oauth-authorization-server"}
        portico.document = {
            "issuers": [
                {"name": "main", "scopes": ["mcp/invoke"], "clients": [
                    {"name": "robot", "secret": SECRET, "scopes": ["mcp/invoke"]}]}
            ],
            "oauth2CredentialProviders": [
                {
                    "name": "crm",
                    "credentialProviderVendor": "CustomOauth2",
                    "oauth2ProviderConfigInput": {
                        "customOauth2ProviderConfig": {
                            "oauthDiscovery": discovery, "clientId": "portico", "clientSecret": "a secret of ours"}
                    },
                    "x-portico": {"allowPrivateAddresses": True},
                }
            ],
            "gateways": [
                {
                    "name": "tools",
                    "protocolType": "MCP",
                    "authorizerType": "CUSTOM_JWT",
                    "authorizerConfiguration": {"customJWTAuthorizer": {"discoveryUrl": portico.discovery_url}},
                    "targets": [
                        {
                            "name": "crm",
                            "targetConfiguration": {
                                "mcp": {"mcpServer": {"endpoint": target.url, "listingMode": mode}}},
                            "credentialProviderConfigurations": [
                                {"credentialProviderType": "OAUTH",
                                 "credentialProvider": {"oauthCredentialProvider": oauth}}
                            ],
                            "x-portico": {"allowPrivateAddresses": True},
                        }
                    ],
                }
                | level
            ],
        }  # fmt: skip
        try:
            async with portico.running():
                url = await _failed(portico)
                machine = {"PORTICO_CLIENT_ID": "robot", "PORTICO_CLIENT_SECRET": SECRET}
                report, code = await _doctor(url, "--as", "machine", **machine)
        finally:
            provider.close()
    assert (code, report["fault"]) == (1, fault), json.dumps(report["steps"][-1])
    assert fix in report["fix"], report["seen"]


async def _failed(portico):
    """Wait until the gateway's only target was tried in vain, and return the gateway's URL."""

    async def tried():
        return (await portico.targets("tools"))[0].status not in {"CREATING", "SYNCHRONIZING"}

    await until(tried)
    return (await portico.gateways())["tools"].mcp_url


@pytest.mark.e2e
async def test_a_person_logs_in_at_a_real_portico(portico):
    url = await portico.synchronized("open")
    process = await _started(url, "--login", "--no-browser", "--call", "old___echo", "{}")
    async with asyncio.timeout(BOUND):
        printed = ""
        while (found := _LINK.search(printed)) is None:
            line = await process.stderr.readline()
            assert line, printed
            printed += line.decode()
        await asyncio.to_thread(Person("ada", PASSWORD).log_in, found[1])
        out, _ = await process.communicate()
    report = json.loads(out)
    assert (process.returncode, report["verdict"]) == (0, "good"), report
    assert set(verdicts(report).values()) == {"good"}, report


async def _doctor(url, *args, **variables):
    process = await _started(url, *args, **variables)
    async with asyncio.timeout(BOUND):
        out, err = await process.communicate()
    assert out, err
    return json.loads(out), process.returncode


async def _started(url, *args, **variables):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PORTICO_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "portico", "doctor", url, "--json", *args),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        env=environment | variables,
    )
