"""Cross-origin rules as values, and the middleware around a whole application."""

import pytest

from portico.web.asgi import send_response
from portico.web.cors import ANY_ORIGIN, Cors, OriginPolicy, cors_headers, is_preflight, policy_for, preflight_headers


def preflight(origin=b"https://app.example", **headers):
    given = {b"origin": origin, b"access-control-request-method": b"POST"}
    given |= {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return {"type": "http", "method": "OPTIONS", "headers": list(given.items())}


async def run(app, scope):
    sent = []

    async def send(message):
        sent.append(message)

    await app(scope, None, send)
    return sent[0]["status"], dict(sent[0]["headers"])


async def tea(scope, receive, send):
    await send_response(send, 418, [(b"x", b"y")], b"tea")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        (b"https://portico.example", True),
        (b"https://app.example", True),
        (b"https://portico.example:8443", False),
        (b"http://portico.example", False),
        (b"http://localhost:1", False),
        (b"null", False),
        (b"", False),
    ],
)
def test_a_public_gateway_allows_itself_and_what_is_configured(origin, allowed):
    policy = policy_for("https://Portico.example/base", frozenset({"https://app.example"}))
    assert policy.allows(origin) is allowed


@pytest.mark.case("T15")
@pytest.mark.parametrize(
    "origin",
    [
        b"http://localhost.evil",
        b"http://evil.localhost",
        b"http://localhost:123456",
        b"http://localhost\n",
        b"ftp://localhost",
    ],
)
def test_what_only_looks_like_loopback_is_refused(origin):
    assert not OriginPolicy(loopback=True).allows(origin)


def test_a_wildcard_is_never_combined_with_credentials():
    assert dict(cors_headers(ANY_ORIGIN, b"https://x"))[b"access-control-allow-origin"] == b"*"
    for headers in (
        cors_headers(ANY_ORIGIN, b"https://x"),
        preflight_headers(ANY_ORIGIN, preflight()["headers"], methods=b"POST"),
    ):
        assert b"access-control-allow-credentials" not in dict(headers)


def test_no_browser_gets_no_headers():
    assert cors_headers(ANY_ORIGIN, None) == ()


def test_only_what_asks_as_a_preflight_is_one():
    assert is_preflight("OPTIONS", preflight()["headers"])
    assert not is_preflight("OPTIONS", [])
    assert not is_preflight("POST", preflight()["headers"])


@pytest.mark.case("E12")
def test_mirrored_headers_are_allowed_by_name_within_a_bound():
    asked = b", ".join(b"Mcp-Param-%d" % n for n in range(200)) + b", x-other, mcp-param-a b"
    scope = preflight(access_control_request_headers=asked)
    allowed = dict(preflight_headers(ANY_ORIGIN, scope["headers"], methods=b"POST"))[b"access-control-allow-headers"]
    assert b"mcp-param-0" in allowed
    assert b"x-other" not in allowed
    assert b"a b" not in allowed
    assert allowed.count(b"mcp-param-") <= 64


@pytest.mark.case("E12")
async def test_the_middleware_answers_preflights_and_marks_answers():
    app = Cors(tea, methods=b"GET, OPTIONS")
    status, headers = await run(app, preflight())
    assert (status, headers[b"access-control-allow-methods"]) == (204, b"GET, OPTIONS")
    status, headers = await run(app, {"type": "http", "method": "GET", "headers": [(b"origin", b"https://x")]})
    assert (status, headers[b"access-control-allow-origin"], headers[b"x"]) == (418, b"*", b"y")
    status, headers = await run(app, {"type": "http", "method": "GET", "headers": []})
    assert b"access-control-allow-origin" not in headers


async def test_the_middleware_leaves_other_connections_alone():
    seen = []

    async def lifespan(scope, receive, send):
        seen.append(scope["type"])

    await Cors(lifespan, methods=b"GET")({"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]
