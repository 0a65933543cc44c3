"""Which headers pass, and which cannot be made to."""

import pytest

from portico.facade.headers import handed_back, header_name_fault, passed_on

MCP = [
    (b"mcp-session-id", b"s"),
    (b"mcp-protocol-version", b"2026-07-28"),
    (b"mcp-method", b"tools/call"),
    (b"mcp-name", b"add"),
    (b"mcp-param-region", b"eu"),
    (b"last-event-id", b"7"),
    (b"content-type", b"application/json"),
    (b"accept", b"application/json, text/event-stream"),
    (b"traceparent", b"00-1-2-00"),
]


def test_the_headers_of_mcp_and_of_http_pass():
    assert passed_on(MCP, frozenset()) == MCP


def test_a_header_that_nobody_knows_passes_only_when_it_is_named():
    headers = [(b"x-tenant", b"7"), (b"x-other", b"8")]
    assert passed_on(headers, frozenset({b"x-tenant"})) == [(b"x-tenant", b"7")]
    assert handed_back(headers, frozenset({b"x-other"})) == [(b"x-other", b"8")]


def test_what_connection_names_stays_on_its_hop():
    headers = [(b"connection", b"close, Mcp-Session-Id"), (b"connection", b"x-tenant"), *MCP, (b"x-tenant", b"7")]
    assert passed_on(headers, frozenset({b"x-tenant"})) == MCP[1:]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "authorization",
            "cookie",
            "host",
            "forwarded",
            "x-forwarded-user",
            "x-real-ip",
            "x-portico-hop",
            "set-cookie",
        ),
        *(
            "x-amzn-oidc-identity",
            "access-control-allow-origin",
            "transfer-encoding",
            "www-authenticate",
            "cache-control",
        ),
        *("a b", "", "Upper", "a:b"),
    ],
)
def test_no_setting_lets_identity_framing_or_our_own_headers_pass(name):
    assert header_name_fault(name)


def test_other_names_may_be_set():
    assert header_name_fault("x-amzn-bedrock-agentcore-runtime-session-id") == ""
