"""What `portico doctor` finds: a server is made wrong in one way, and the fault, its cause and its fix must be told.

The table is that of docs/doctor.md: every fault there is planted here.
"""

import json
import socket
import time
from dataclasses import dataclass, field

import pytest

from net.authority import Authority
from portico.cli.doctor.faults import FAULTS
from portico.cli.doctor.judge_mcp import UNAVAILABLE_TARGETS
from support.faulty_server import (
    CORS,
    PAGE,
    RESOURCE_METADATA,
    SERVER_METADATA,
    FaultyServer,
    Reply,
    refuse,
    result,
    rpc_error,
)

MACHINE = ("--as", "machine", "--client-id", "robot", "--client-secret", "robot's secret")
COPILOT = ("--as", "copilot-studio", "--client-id", "c", "--client-secret", "held secret")
HOSTED = "https://global.consent.azure-apim.net/redirect/mine"
ECHO = ("--call", "echo", "{}")
#: As AgentCore and Portico put it.
OUTBOUND = (
    "Failed to fetch outbound oauth token: invalid_scope. Check the target's scopes (openid profile): the provider "
    "must know them and allow them to this client."
)


@dataclass
class Planted:
    """A fault, how it is planted, and what of its facts must be told."""

    fault: str
    rules: dict = field(default_factory=dict)
    args: tuple = ()
    seen: str = ""
    fix: str = ""
    step: str = ""
    set: dict = field(default_factory=dict)  #: knobs of the server


def always(status, body=b"", content_type="application/json", **headers):
    return lambda _asked: Reply(status, body, {"content-type": content_type} | headers)


def oauth(code, description="", status=400):
    return lambda _asked: refuse(code, description, status)


def at_token(grant, code, description="", status=400):
    """Refuse one grant."""
    return lambda asked: refuse(code, description, status) if asked.form.get("grant_type") == grant else None


def with_token(answer):
    """Answer so as soon as a token is brought."""
    return lambda asked: answer(asked) if asked.token else None


def on(method, answer):
    """Answer one MCP method so."""
    return lambda asked: (
        answer(asked.json) if asked.token and asked.body and asked.json.get("method") == method else None
    )


def challenged(status=401, **fields):
    return lambda server: {"mcp": with_token(lambda _asked: server.challenge(status, **fields))}


def redirected_with(**parameters):
    return lambda server: {"authorize": lambda asked: server.redirect(asked, **parameters)}


def tool_result(text, **more):
    return lambda message: result(message, {"content": [{"type": "text", "text": text}], "isError": True} | more)


def without_documents(_server):
    return {
        "mcp": always(401, **{"www-authenticate": "Bearer"}),
        "resource_metadata": always(404),
        "server_metadata": always(404),
    }


PLANTED = [
    # The way there
    Planted("server_error", {"mcp": always(502, "<h1>Bad Gateway</h1>", PAGE)}, seen="HTTP 502", step="challenge"),
    Planted("redirected", {"mcp": always(307, location="/mcp/")}, seen="to /mcp/", step="challenge"),
    Planted("html", {"mcp": always(200, "<html>Welcome", PAGE)}, seen="text/html", step="challenge"),
    Planted("not_mcp", {"mcp": always(200, b"ok", "text/plain")}, seen="text/plain", step="challenge"),
    Planted("not_found", {"mcp": always(404, b"no such page", "text/plain")}, seen="404", step="challenge"),
    Planted("turned_away", {"mcp": always(421, b"Invalid Host header", "text/plain")}, seen="Invalid Host header"),
    Planted(
        "signed_endpoint",
        {
            "mcp": always(
                403,
                {"message": "Missing Authentication Token"},
                **{"x-amzn-errortype": "MissingAuthenticationTokenException"},
            )
        },
        fix="CUSTOM_JWT",
    ),
    Planted("cors_missing", {"mcp": always(401)}, ("--as", "inspector"), seen="answers 401", fix="allowedOrigins"),
    Planted(
        "cors_missing",
        {
            "mcp": lambda asked: (
                Reply(204, headers=CORS | {"access-control-allow-headers": "*"}) if asked.method == "OPTIONS" else None
            )
        },
        ("--as", "inspector"),
        seen="lacks authorization",
    ),
    Planted(
        "cors_missing",
        {"token": lambda _asked: Reply(200, {"access_token": "t"})},
        ("--as", "inspector"),
        seen="Access-Control-Allow-Origin: (none)",
        step="token",
    ),
    # Discovery
    Planted("no_challenge", {"mcp": always(401)}, seen="no WWW-Authenticate", step="challenge"),
    Planted("no_challenge", {"mcp": always(401, **{"www-authenticate": 'Basic realm="x"'})}, seen="basic only"),
    Planted("malformed_challenge", {"mcp": always(401, **{"www-authenticate": 'Bearer realm="x'})}, seen='realm="x'),
    Planted(
        "malformed_challenge",
        {"mcp": always(401, **{"www-authenticate": 'Bearer resource_metadata="/.well-known/x"'})},
        seen="no https URL",
    ),
    Planted("metadata_protected", {"resource_metadata": always(401)}, seen=RESOURCE_METADATA, step="resource-metadata"),
    Planted("metadata_protected", {"server_metadata": always(403)}, seen=SERVER_METADATA, step="server-metadata"),
    Planted("resource_metadata_missing", {"resource_metadata": always(404)}, seen="answers 404"),
    Planted(
        "no_authorization_server",
        set={"resource_metadata": {"authorization_servers": []}},
        seen="[]",
        step="resource-metadata",
    ),
    Planted(
        "resource_mismatch",
        set={"resource_metadata": {"resource": "http://inner:8080/mcp"}},
        seen="inner:8080",
        fix="public URL",
    ),
    Planted("server_metadata_missing", {"server_metadata": always(404)}, seen="openid-configuration"),
    Planted(
        "issuer_mismatch",
        set={"server_metadata": {"issuer": "https://cognito-idp.eu-west-1.amazonaws.com/pool"}},
        seen="cognito-idp",
    ),
    Planted("endpoint_missing", set={"server_metadata": {"token_endpoint": None}}, seen="token_endpoint is None"),
    Planted(
        "endpoint_missing", set={"server_metadata": {"authorization_endpoint": "http://idp.example/a"}}, seen="http:"
    ),
    Planted("no_s256", set={"server_metadata": {"code_challenge_methods_supported": None}}, seen="None", fix="façade"),
    # Registration
    Planted(
        "no_registration", set={"server_metadata": {"registration_endpoint": None}}, seen="missing", fix="--client-id"
    ),
    Planted("registration_refused", {"register": oauth("invalid_client_metadata", "No more clients.")}, seen="No more"),
    Planted("registration_protected", {"register": oauth("invalid_token", status=401)}, seen="401"),
    Planted("registration_redirect", {"register": oauth("invalid_redirect_uri", "Not yours.")}, ("--as", "chatgpt")),
    Planted(
        "registration_redirect",
        {"register": lambda _asked: Reply(201, {"client_id": "c", "redirect_uris": ["https://elsewhere.example/cb"]})},
        seen="left out",
        fix="allowedRedirectUris",
    ),
    # Authorization
    Planted("redirect_mismatch", {"authorize": oauth("invalid_request", "redirect_uri is not registered")}),
    Planted(
        "redirect_mismatch",
        {"authorize": always(302, location="/error?error=redirect_mismatch&client_id=c")},
        (*COPILOT, "--redirect-uri", HOSTED),
        seen="redirect_mismatch",
        fix="exactly the redirect URI",
    ),
    Planted(
        "redirect_mismatch", {"authorize": always(200, "<p>AADSTS50011: The redirect URI", PAGE)}, seen="AADSTS50011"
    ),
    Planted("client_unknown", {"authorize": always(400, "<h1>Unknown client</h1>", PAGE)}, ("--client-id", "gone")),
    Planted(
        "document_refused",
        {"authorize": oauth("invalid_client_metadata", "The document could not be fetched.")},
        set={"server_metadata": {"client_id_metadata_document_supported": True}},
        seen="could not be fetched",
    ),
    Planted("pkce_required", {"authorize": oauth("invalid_request", "code_challenge is missing")}, COPILOT[:2]),
    Planted("authorization_refused", {"authorize": oauth("unsupported_response_type")}, step="authorization"),
    # Token
    Planted(
        "unsupported_grant_type",
        {"token": at_token("client_credentials", "unsupported_grant_type")},
        MACHINE,
        seen="unsupported_grant_type",
        fix="client_credentials for machines",
        step="token",
    ),
    Planted("resource_missing", {"token": oauth("invalid_target")}, (*COPILOT, "--redirect-uri", HOSTED), step="token"),
    Planted("unauthorized_client", {"token": at_token("client_credentials", "unauthorized_client")}, MACHINE),
    Planted(
        "invalid_client", {"token": oauth("invalid_client", status=401)}, MACHINE, fix="token_endpoint_auth_method"
    ),
    Planted("invalid_scope", {"token": oauth("invalid_scope", "mcp/invoke is unknown")}, MACHINE, seen="mcp/invoke"),
    Planted("resource_refused", {"token": oauth("invalid_target")}, MACHINE, step="token"),
    Planted("invalid_grant", {"token": oauth("invalid_grant")}, step="token"),
    Planted(
        "token_answer", {"token": always(200, b"access_token=t", "application/x-www-form-urlencoded")}, step="token"
    ),
    Planted("refresh_refused", {"token": at_token("refresh_token", "invalid_grant")}, step="refresh"),
    # MCP
    Planted("protocol_version", set={"versions": ("2026-07-28",)}, seen="offers 2026-07-28", fix="supportedVersions"),
    Planted(
        "protocol_version",
        set={"versions": ("2025-11-25",)},
        args=COPILOT[:2],
        seen="speaks 2025-03-26; the server offers 2025-11-25",
        step="protocol",
    ),
    Planted(
        "protocol_version",
        {
            "mcp": on(
                "initialize",
                lambda _message: Reply(
                    400, b"Bad Request: Unsupported protocol version", {"content-type": "text/plain"}
                ),
            )
        },
        step="protocol",
    ),
    Planted("rpc_error", {"mcp": on("tools/list", lambda message: rpc_error(message, -32603, "Boom"))}, seen="Boom"),
    Planted(
        "outbound_token",
        {"mcp": on("tools/call", tool_result(OUTBOUND))},
        ECHO,
        seen="Failed to fetch outbound oauth token",
        fix="openid, profile, email and offline_access are scopes of people's logins",
        step="call",
    ),
    Planted(
        "outbound_token",
        {
            "mcp": on(
                "tools/call",
                tool_result("An internal error occurred.", _meta={"debug": {"type": "text", "text": OUTBOUND}}),
            )
        },
        ECHO,
        fix="client_credentials",
    ),
    Planted(
        "outbound_token",
        {
            "mcp": on(
                "tools/list",
                lambda message: result(
                    message, {"tools": [], "_meta": {UNAVAILABLE_TARGETS: [{"target": "crm", "reason": OUTBOUND}]}}
                ),
            )
        },
        fix="openid",
        step="tools",
    ),
    Planted(
        "targets_unavailable",
        {
            "mcp": on(
                "tools/list",
                lambda message: result(
                    message, {"tools": [], "_meta": {UNAVAILABLE_TARGETS: [{"target": "crm", "reason": "FAILED"}]}}
                ),
            )
        },
        seen="crm",
        fix="statusReasons",
    ),
    Planted(
        "target_failed",
        {"mcp": on("tools/call", tool_result("An internal error occurred. Please retry later."))},
        ECHO,
        fix="exceptionLevel to DEBUG",
    ),
    Planted("tool_error", {"mcp": on("tools/call", tool_result("No such city."))}, ECHO, seen="No such city."),
]
#: Those whose answer needs the server's own address.
PLANTED_LATER = [
    (Planted("issuer_trailing_slash", fix="one spelling"), lambda s: s.server_metadata.update(issuer=f"{s.origin}/")),
    (
        Planted("resource_mismatch", seen="/mcp/'", fix="slash"),
        lambda s: s.resource_metadata.update(resource=f"{s.url}/"),
    ),
    (Planted("invalid_scope", fix="--scope"), redirected_with(error="invalid_scope", error_description="unknown: x")),
    (
        Planted("resource_refused", seen="AADSTS9010010", fix="Entra: as identifier URI"),
        redirected_with(error="invalid_request", error_description="AADSTS9010010: The resource parameter ..."),
    ),
    (Planted("resource_refused", step="authorization"), redirected_with(error="invalid_target")),
    (Planted("login_declined"), redirected_with(error="access_denied")),
    (Planted("state_wrong", seen="missing"), redirected_with(code="c" * 20, state=None)),
    (Planted("iss_missing", fix="Add iss"), redirected_with(code="c" * 20, iss=None)),
    (Planted("iss_wrong", seen="https://evil.example"), redirected_with(code="c" * 20, iss="https://evil.example")),
    (
        Planted("client_not_allowed", args=MACHINE, seen="the token has mcp/invoke", fix="'robot'", step="protocol"),
        challenged(403, error="insufficient_scope"),
    ),
    (
        Planted("scope_missing", args=MACHINE, seen="lacks mcp/admin", fix="--scope"),
        challenged(403, error="insufficient_scope", scope="mcp/admin"),
    ),
    (
        Planted("audience_wrong", args=MACHINE, seen="for https://graph.example", fix="allowedAudience"),
        lambda s: s.claims.update(aud="https://graph.example") or challenged(error="invalid_token")(s),
    ),
    (
        Planted("token_issuer", args=MACHINE, seen="sts.windows.net", fix="discoveryUrl"),
        lambda s: s.claims.update(iss="https://sts.windows.net/t/") or challenged(error="invalid_token")(s),
    ),
    (
        Planted("clock_skew", args=MACHINE, seen="expired 3", fix="NTP"),
        lambda s: s.claims.update(exp=int(time.time()) - 300) or challenged(error="invalid_token")(s),
    ),
    (
        Planted("clock_skew", args=MACHINE, seen="differs from this machine's by -", fix="NTP"),
        lambda s: setattr(s, "date_offset", -600.0) or challenged(error="invalid_token")(s),
    ),
    (
        Planted("clock_skew", args=MACHINE, seen="nbf is"),
        lambda s: s.claims.update(nbf=int(time.time()) + 300) or challenged(error="invalid_token")(s),
    ),
    (Planted("token_refused", args=MACHINE, fix="DEBUG"), challenged(error="invalid_token")),
    (Planted("resource_metadata_missing", seen="Looked for"), without_documents),
]


@pytest.fixture
def server():
    served = FaultyServer()
    yield served
    served.close()


def found(bare, url, *args):
    """Return the report of a walk that must find a fault."""
    done = bare.run("doctor", url, "--json", *args)
    report = json.loads(done.out)
    assert (done.code, report["verdict"]) == (1, "fault"), report
    return report


def assert_found(report, planted):
    told = {name: report[name] for name in ("fault", "seen", "fix")}
    assert report["fault"] == planted.fault, told
    assert planted.seen in report["seen"], told
    assert planted.fix in report["fix"], told
    assert report["cause"] == FAULTS[planted.fault].cause
    last = report["steps"][-1]
    assert (last["verdict"], last["fault"]) == ("fault", planted.fault)
    if planted.step:
        assert last["name"] == planted.step


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.fault)
def test_a_planted_fault_is_found(bare, server, planted):
    server.rules |= planted.rules
    for name, value in planted.set.items():
        setattr(server, name, value)
    assert_found(found(bare, server.url, *planted.args), planted)


@pytest.mark.parametrize(("planted", "plant"), PLANTED_LATER, ids=lambda value: getattr(value, "fault", ""))
def test_a_planted_fault_of_the_server_s_own_words_is_found(bare, server, planted, plant):
    server.rules |= plant(server) or {}
    assert_found(found(bare, server.url, *planted.args), planted)


def test_nobody_at_the_address(bare, server):
    server.close()
    assert_found(found(bare, server.url), Planted("unreachable", seen="refused", fix="Check the URL"))


def test_a_name_that_nobody_has(bare):
    assert found(bare, "https://no-such-host.invalid/mcp")["fault"] == "unreachable"


def test_an_address_that_takes_and_says_nothing(bare):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        report = found(bare, f"http://127.0.0.1:{silent.getsockname()[1]}/mcp", "--timeout", "0.5")
    assert report["fault"] == "timeout"


@pytest.mark.parametrize("expired", [True, False])
def test_a_certificate_that_nobody_should_trust(bare, tmp_path, expired):
    served = FaultyServer(tls=Authority(tmp_path).server_context("127.0.0.1", expired=expired))
    try:
        assert_found(found(bare, served.url), Planted("tls", seen="certificate", fix="SSL_CERT_FILE"))
    finally:
        served.close()


def test_https_to_a_port_without_tls(bare, server):
    assert found(bare, server.url.replace("http:", "https:"))["fault"] == "tls"


def test_an_old_token(bare, server):
    token = server.mint(exp=int(time.time()) - 3600, aud=server.url)
    server.rules |= challenged(error="invalid_token")(server)
    assert_found(
        found(bare, server.url, "--token", token), Planted("token_expired", seen="expired 36", step="protocol")
    )


def test_every_fault_is_planted_somewhere():
    elsewhere = {"unreachable", "timeout", "tls", "token_expired"}
    planted = {each.fault for each in PLANTED} | {each.fault for each, _ in PLANTED_LATER}
    assert planted | elsewhere == set(FAULTS)
