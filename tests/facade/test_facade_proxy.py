"""What passes through the proxy, over real sockets."""

import asyncio

import pytest

from facade.front import BOUND, GOOD, OURS, THEIRS, front
from net.raw_server import answers
from portico.facade.proxy import MAX_REQUEST_BYTES
from portico.model.errors import Unavailable
from portico.model.secret import Secret

SPOOFED = [
    ("Cookie", "session=1"),
    ("Forwarded", "for=10.0.0.1;proto=https"),
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-User", "root"),
    ("X-Forwarded-Access-Token", "stolen"),
    ("X-Real-IP", "10.0.0.1"),
    ("X-Portico-Hop", "v1.k.x"),
    ("X-Portico-Principal", "root"),
    ("X-Amzn-Oidc-Identity", "root"),
    ("X-Amzn-Oidc-Data", "root"),
    ("X-Ms-Client-Principal-Name", "root"),
    ("X-Auth-Request-Email", "root@example.com"),
    ("X-Remote-User", "root"),
    ("Tailscale-User-Login", "root"),
    ("Proxy-Authorization", "Basic x"),
    ("TE", "trailers"),
    ("Keep-Alive", "timeout=9"),
    ("Origin", "https://facade.example"),
]


async def test_a_request_reaches_the_server_with_its_body_and_the_url_that_is_configured(house):
    answer = await house.ask(path="/mcp?access_token=x", data=b'{"id":1}')
    assert (answer.status, answer.whole) == (200, b"hi")
    first, headers, body = house.request()
    assert first == "POST /up?tenant=7 HTTP/1.1"
    assert headers["host"] == house.upstream.url.removeprefix("http://")
    assert body == b'{"id":1}'


async def test_the_headers_of_mcp_pass_in_both_directions(house):
    house.upstream.script = answers(
        b"HTTP/1.1 200 OK\r\nMcp-Session-Id: s2\r\nMCP-Protocol-Version: 2025-11-25\r\n"
        b"Content-Type: application/json\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\n{}"
    )
    sent = {"Mcp-Session-Id": "s1", "MCP-Protocol-Version": "2025-11-25", "Mcp-Method": "tools/call", "Mcp-Name": "a"}
    answer = await house.ask(headers={**GOOD, **sent, "Last-Event-ID": "7", "Mcp-Param-Region": "eu"})
    _, headers, _ = house.request()
    assert {name: headers[name.lower()] for name in sent} == sent
    assert (headers["last-event-id"], headers["mcp-param-region"]) == ("7", "eu")
    assert answer.headers["Mcp-Session-Id"] == "s2"
    assert answer.headers["MCP-Protocol-Version"] == "2025-11-25"
    assert (answer.headers["Content-Type"], answer.headers["Retry-After"]) == ("application/json", "3")


@pytest.mark.case("E11")
async def test_the_callers_token_never_reaches_the_server(house):
    await house.ask()
    assert house.request()[1]["authorization"] == THEIRS
    house.door.authorization = Secret("")
    await house.ask()
    assert "authorization" not in house.request()[1]
    assert not any(OURS.encode() in request for request in house.upstream.requests)


@pytest.mark.case("T9")
async def test_identity_and_internal_headers_of_the_caller_are_not_believed_further_on(house):
    await house.ask(headers=[*GOOD.items(), *SPOOFED, ("Connection", "keep-alive, mcp-name"), ("Mcp-Name", "x")])
    _, headers, _ = house.request()
    expected = {"host", "accept-encoding", "authorization", "accept", "user-agent", "content-length", "content-type"}
    assert set(headers) == expected
    assert headers["accept-encoding"] == "identity"


@pytest.mark.case("T10")
async def test_two_authorization_headers_are_nobody(house):
    answer = await house.ask(headers=[("Authorization", OURS), ("Authorization", OURS)])
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert house.door.shown == []
    assert house.upstream.requests == []


async def test_a_token_of_bytes_that_no_token_has_is_refused(house):
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(b"GET /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer \xff\r\nconnection: close\r\n\r\n")
    async with asyncio.timeout(BOUND):
        assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
    writer.close()
    assert house.door.shown == []


async def test_cookies_cors_and_internals_of_the_server_stop_at_us(house):
    house.upstream.script = answers(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nAccess-Control-Allow-Origin: *\r\nServer: uvicorn\r\n"
        b"Access-Control-Allow-Credentials: true\r\nX-Powered-By: x\r\nVia: 1.1 internal\r\nX-Internal: y\r\n"
        b"X-Request-Id: theirs\r\nCache-Control: public, max-age=900\r\nKeep-Alive: timeout=5\r\n"
        b"WWW-Authenticate: Basic\r\nContent-Length: 2\r\n\r\n{}"
    )
    answer = await house.ask()
    names = {name.lower() for name in answer.headers}
    assert names == {"date", "content-length", "cache-control", "x-request-id"} | {
        "x-content-type-options",
        "referrer-policy",
    }
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers.getall("X-Request-Id") != ["theirs"]


async def test_named_headers_pass_and_pages_may_read_and_send_them():
    async with front(
        request_headers=frozenset({b"x-tenant"}),
        response_headers=frozenset({b"x-cost"}),
        allowed_origins={"https://app.example"},
    ) as house:
        house.upstream.script = answers(b"HTTP/1.1 200 OK\r\nX-Cost: 5\r\nContent-Length: 0\r\n\r\n")
        answer = await house.ask(headers={**GOOD, "X-Tenant": "7", "Origin": "https://app.example"})
        assert house.request()[1]["x-tenant"] == "7"
        assert answer.headers["X-Cost"] == "5"
        assert "x-cost" in answer.headers.getall("Access-Control-Expose-Headers")
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-tenant, x-other"}
        preflight = await house.ask("OPTIONS", {"Origin": "https://app.example", **asked})
        allowed = preflight.headers["Access-Control-Allow-Headers"].lower()
        assert "x-tenant" in allowed
        assert "x-other" not in allowed


@pytest.mark.parametrize("status", [200, 202, 204, 400, 404, 405, 429, 500, 503])
async def test_the_servers_status_and_body_pass_unchanged(house, status):
    body = b"" if status == 204 else b"\x00\xffbytes"
    house.upstream.script = answers(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
    answer = await house.ask()
    assert (answer.status, answer.whole) == (status, body)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_session_is_listened_to_and_ended(house, method):
    answer = await house.ask(method, {**GOOD, "Mcp-Session-Id": "s"})
    first, headers, body = house.request()
    assert answer.status == 200
    assert first.startswith(f"{method} ")
    assert (headers["mcp-session-id"], body) == ("s", b"")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "HEAD", "OPTIONS", "TRACE"])
async def test_other_methods_are_refused_after_the_caller_was_judged(house, method):
    assert (await house.ask(method, {})).status == 401
    answer = await house.ask(method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, POST, DELETE, OPTIONS"
    assert house.upstream.requests == []


@pytest.mark.parametrize("path", ["/mcp/", "/mcp/x", "/mcpx", "/mcp%2e%2e/token"])
async def test_nothing_but_the_endpoint_is_served(house, path):
    assert (await house.ask(path=path)).status == 404
    assert house.upstream.requests == []


async def test_too_large_a_request_is_refused(house):
    assert (await house.ask(data=b"x" * MAX_REQUEST_BYTES)).status == 200
    answer = await house.ask(data=b"x" * (MAX_REQUEST_BYTES + 1))
    assert answer.status == 413
    assert len(house.upstream.requests) == 1


@pytest.mark.case("E05")
async def test_whoever_sends_no_token_learns_where_our_metadata_stands(house):
    answer = await house.ask("GET", {})
    assert answer.status == 401
    assert answer.headers.getall("WWW-Authenticate") == [
        'Bearer resource_metadata="https://facade.example/.well-known/oauth-protected-resource/mcp", scope="mcp/invoke"'
    ]
    assert (await answer.json())["error"]["code"] == 401


@pytest.mark.case("E14")
async def test_whoever_cannot_be_judged_right_now_is_told_to_come_again(house):
    house.door.error = Unavailable("This façade has no keys.")
    answer = await house.ask()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "has no keys" in (await answer.json())["error"]["message"]


async def test_our_own_fault_is_told_without_its_reason(house):
    house.door.error = RuntimeError("secret detail")
    answer = await house.ask()
    assert answer.status == 500
    assert b"secret" not in answer.whole


@pytest.mark.case("E12")
async def test_a_page_that_may_call_can_read_everything_it_needs():
    async with front(allowed_origins={"https://app.example"}) as house:
        asked = {
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, mcp-method, mcp-param-x",
        }
        answer = await house.ask("OPTIONS", asked)
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
        assert allowed >= {
            *("authorization", "content-type", "accept", "mcp-protocol-version", "mcp-method", "mcp-name"),
            *("mcp-session-id", "last-event-id", "mcp-param-x"),
        }
        assert set(answer.headers["Access-Control-Allow-Methods"].split(", ")) == {"GET", "POST", "DELETE", "OPTIONS"}
        house.door.shown.clear()
        for headers in (GOOD, {}):  # a refusal too: its challenge has to be read
            answer = await house.ask(headers={**headers, "Origin": "https://app.example"})
            assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
            exposed = answer.headers["Access-Control-Expose-Headers"]
            assert exposed == "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version"


@pytest.mark.case("T15")
async def test_a_page_that_may_not_call_is_refused_before_anything_else(house):
    answer = await house.ask(headers={**GOOD, "Origin": "https://evil.example"})
    assert answer.status == 403
    assert "Access-Control-Allow-Origin" not in answer.headers
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert "Access-Control-Allow-Origin" not in (await house.ask("OPTIONS", asked)).headers
    assert house.door.shown == []


async def test_many_requests_go_side_by_side(house):
    answers = await asyncio.gather(*(house.ask() for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
