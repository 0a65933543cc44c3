"""Who may call: before any method, on every method, and nothing falls through to anonymous."""

import pytest

from gateway.house import META, until
from portico.crypto.signing import SigningKey
from portico.gateway.recording import UNPROVEN_BURST
from portico.model.errors import KeysUnavailable
from targets.servers import modern_server

CALL = ("tools/call", {"name": "one___echo", "arguments": {"secret": "canary"}})


@pytest.fixture
async def server():
    async with modern_server() as server:
        yield server


@pytest.fixture
async def guarded(house, server):
    """The URL of a gateway that asks for a token, with one target."""
    url = await house.add_gateway(jwt_rules={})
    await house.add_target(server.url)
    return url


@pytest.mark.case("E05", "T12")
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "HEAD", "PATCH", "OPTIONS"])
async def test_every_http_method_needs_a_token(house, guarded, method):
    async with house.http.request(method, guarded, data=b"{nope") as response:
        assert response.status == 401
        challenge = response.headers["WWW-Authenticate"]
    assert challenge == (
        f'Bearer resource_metadata="{house.public_url}/.well-known/oauth-protected-resource/g/shop/mcp"'
    )


@pytest.mark.case("T12")
@pytest.mark.parametrize("name", ["one___echo", "one___hidden", "nothing"])
async def test_a_call_by_name_needs_a_token_like_the_list(house, guarded, name):
    assert (await house.modern(guarded, "tools/call", {"name": name})).status == 401
    assert (await house.modern(guarded, "tools/list")).status == 401
    assert (await house.modern(guarded, "server/discover")).status == 401


@pytest.mark.case("T12")
async def test_a_tool_that_is_not_in_the_list_cannot_be_called(house, guarded, server):
    token = house.token(guarded)
    server.tools.append({"name": "unlisted", "inputSchema": {"type": "object"}})
    for name in ("one___unlisted", "unlisted", "one___echo___echo", "ONE___echo", "one__echo"):
        heard = await house.modern(guarded, "tools/call", {"name": name}, token=token)
        assert (heard.status, heard.error["code"]) == (400, -32602)
    assert server.calls == []


@pytest.mark.case("T10", "E06")
@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer made-up",
        "Bearer a.b.c",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "bearer null",
        "Token x",
        "",
        "Bearer " + "x" * 20_000,
        "é",
    ],
)
async def test_a_credential_that_fails_is_never_anonymous(house, guarded, server, authorization):
    heard = await house.modern(guarded, *CALL, headers={"authorization": authorization})
    assert heard.status == 401
    assert 'error="invalid_token"' in heard.headers["WWW-Authenticate"]
    assert server.calls == []


@pytest.mark.case("T10")
async def test_two_credentials_are_refused(house, guarded):
    token = house.token(guarded)
    headers = [("authorization", f"Bearer {token}"), ("authorization", "Bearer other")]
    async with house.http.post(guarded, data=b"{}", headers=headers) as response:
        assert response.status == 401


@pytest.mark.case("T10")
async def test_a_token_in_the_query_is_not_read(house, guarded):
    heard = await house.modern(f"{guarded}?access_token={house.token(guarded)}", "tools/list")
    assert heard.status == 401


@pytest.mark.case("T18", "D12")
async def test_a_token_without_issuer_or_for_another_audience_is_refused(house, guarded, server):
    for claims in ({"iss": None}, {"aud": None}, {"aud": guarded + "-other"}, {"aud": []}, {"iss": "http://else"}):
        token = house.token(guarded, **claims)
        assert (await house.modern(guarded, *CALL, token=token)).status == 401
    assert (await house.modern(guarded, *CALL, token=house.token(guarded, kind="JWT"))).status == 401
    assert (await house.modern(guarded, *CALL, token=house.token(guarded, key=SigningKey.generate()))).status == 401
    assert server.calls == []


@pytest.mark.case("T18")
async def test_a_token_of_one_gateway_is_refused_at_another_of_the_same_issuer(house, guarded):
    other = await house.add_gateway("second", jwt_rules={})
    assert (await house.modern(guarded, "tools/list", token=house.token(guarded))).status == 200
    assert (await house.modern(other, "tools/list", token=house.token(guarded))).status == 401


async def test_the_endpoint_of_a_target_takes_its_own_audience_or_the_gateways(house, guarded):
    first = f"{guarded}/one"
    second = await house.add_target("http://127.0.0.1:1/mcp", name="two", eras=())
    assert (await house.modern(first, "tools/list", token=house.token(first))).status == 200
    assert (await house.modern(first, "tools/list", token=house.token(guarded))).status == 200
    assert (await house.modern(second, "tools/list", token=house.token(first))).status == 401
    assert (await house.modern(guarded, "tools/list", token=house.token(first))).status == 401


@pytest.mark.case("E11", "T18")
async def test_the_callers_token_never_reaches_a_target(house, guarded, server):
    token = house.token(guarded)
    await house.modern(guarded, *CALL, token=token, headers={"cookie": "a=b", "x-secret": "c"})
    [head] = [head for head in server.heads if head.get("mcp-method") == "tools/call"]
    assert not {"authorization", "cookie", "x-secret"} & set(head)
    assert token not in str(head)


@pytest.mark.case("E06")
async def test_a_caller_that_may_not_gets_403_with_every_scope(house, server):
    url = await house.add_gateway(jwt_rules={"allowedScopes": ["mcp/invoke", "mcp/more", "offline_access"]})
    await house.add_target(server.url)
    heard = await house.modern(url, *CALL, token=house.token(url, scope="else"))
    assert heard.status == 403
    assert 'error="insufficient_scope"' in heard.headers["WWW-Authenticate"]
    assert 'scope="mcp/invoke mcp/more"' in heard.headers["WWW-Authenticate"]
    assert "allowedScopes" not in heard.body.decode()  # only a gateway in debug mode says which check it was


async def test_a_gateway_in_debug_mode_says_which_check_failed(house):
    url = await house.add_gateway(jwt_rules={"allowedClients": ["known"]}, exceptionLevel="DEBUG")
    heard = await house.modern(url, "tools/list", token=house.token(url, client_id="stranger"))
    assert heard.status == 403
    assert "allowedClients" in heard.headers["WWW-Authenticate"]
    assert "allowedClients" in heard.error["message"]


async def test_refused_calls_are_recorded_with_who_it_was(house, server):
    url = await house.add_gateway(jwt_rules={"allowedClients": ["known"]})
    await house.add_target(server.url)
    await house.modern(url, *CALL)
    await house.modern(url, *CALL, token="made-up")
    await house.modern(url, *CALL, token=house.token(url, client_id="stranger"))
    await house.modern(url, *CALL, token=house.token(url, exp=1))
    await house.modern(url, "tools/list")  # no call
    await house.post(url, b"{nope")  # no call either
    records = house.records()
    assert [(r.outcome, r.code) for r in records] == [
        ("denied", "missing_token"),
        ("denied", "invalid_token"),
        ("denied", "insufficient_scope"),
        ("denied", "invalid_token"),
    ]
    assert [(r.user, r.client, r.kind) for r in records] == [
        ("", "", "anonymous"),
        ("", "", "anonymous"),
        ("alice", "stranger", "user"),
        ("alice", "cli", "user"),
    ]
    assert {(r.target, r.tool, r.gateway) for r in records} == {("one", "echo", "shop")}


@pytest.mark.case("T28")
async def test_strangers_cannot_fill_the_journal(house, guarded):
    recorder = house.endpoint._recorder
    recorder._allowance = 3.0
    house.clock.ahead = -1.0
    house.clock.stop()  # no time passes, so nothing is added to the allowance
    for _ in range(10):
        await house.modern(guarded, *CALL)
    assert len(house.records()) == 3
    assert recorder.unrecorded == 7
    assert UNPROVEN_BURST > 10


async def test_rules_are_judged_anew_on_every_request(house, guarded):
    token = house.token(guarded)
    assert (await house.modern(guarded, "tools/list", token=token)).status == 200
    await house.change_gateway(jwt_rules={"allowedClients": ["other"]})
    assert (await house.modern(guarded, "tools/list", token=token)).status == 403
    await house.change_gateway(jwt_rules={})
    assert (await house.modern(guarded, "tools/list", token=token)).status == 200
    house.clock.ahead = 2000.0
    assert (await house.modern(guarded, "tools/list", token=token)).status == 401


async def test_keys_that_cannot_be_had_are_503(house):
    url = await house.add_gateway(jwt_rules={"discoveryUrl": "PLACEHOLDER"})
    await house.change_gateway(
        jwt_rules={"discoveryUrl": f"{house.public_url}/i/gone/.well-known/openid-configuration"}
    )
    heard = await house.modern(url, "tools/list", token=house.token(url))
    assert heard.status == KeysUnavailable.status == 503
    assert "Retry-After" in heard.headers


async def test_a_gateway_without_authorization_serves_anybody_whatever_they_send(house, server):
    url = await house.add_gateway()
    await house.add_target(server.url)
    assert (await house.modern(url, *CALL)).status == 200
    assert (await house.modern(url, *CALL, token="whatever")).status == 200
    assert {record.kind for record in house.records()} == {"anonymous"}
    await until(lambda: not server.running)
    assert META  # the envelope upstream is ours
    assert server.calls[0]["_meta"][f"{META}clientInfo"]["name"] == "portico"
