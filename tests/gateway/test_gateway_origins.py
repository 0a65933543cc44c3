"""Browsers: which pages may call, and what a preflight allows."""

import pytest

from targets.servers import modern_server


@pytest.mark.case("T15")
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("origin", ["https://evil.example", "http://evil.example:8080", "null", "", "file://"])
async def test_a_page_of_elsewhere_may_not_call(house, method, origin):
    async with modern_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        async with house.http.request(method, url, data=b"{}", headers={"origin": origin}) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.case("T15")
@pytest.mark.parametrize(
    "origin",
    ["http://localhost.evil.example", "http://127.0.0.1.nip.io", "http://127.0.0.1@evil.example", "http://[::2]"],
)
async def test_names_that_look_like_loopback_are_not(house, origin):
    url = await house.add_gateway()
    assert (await house.modern(url, "tools/list", headers={"origin": origin})).status == 403


@pytest.mark.case("E12")
@pytest.mark.parametrize(
    "origin", ["http://localhost:6274", "http://127.0.0.1:1", "http://[::1]:80", "https://localhost"]
)
async def test_local_pages_may_call_a_local_gateway(house, origin):
    url = await house.add_gateway()
    heard = await house.modern(url, "tools/list", headers={"origin": origin})
    assert heard.status == 200
    assert heard.headers["Access-Control-Allow-Origin"] == origin
    assert heard.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in heard.headers


async def test_origins_are_allowed_by_configuration(house):
    url = await house.add_gateway(extension={"allowedOrigins": ["https://app.example"]})
    allowed = await house.modern(url, "tools/list", headers={"origin": "https://app.example"})
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert (await house.modern(url, "tools/list", headers={"origin": "https://app.example.evil"})).status == 403
    await house.change_gateway(extension={"allowedOrigins": ["*"]})
    anyone = await house.modern(url, "tools/list", headers={"origin": "https://whoever.example"})
    assert anyone.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.case("E12")
async def test_a_preflight_is_answered_before_authentication(house):
    url = await house.add_gateway(jwt_rules={})
    headers = {
        "origin": "http://localhost:6274",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, mcp-param-region, x-evil, mcp-param-\u00e9, content-type",
    }
    async with house.http.options(url, headers=headers) as response:
        assert response.status == 204
        allowed = {name.strip().lower() for name in response.headers["Access-Control-Allow-Headers"].split(",")}
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Origin"] == "http://localhost:6274"
    assert {
        "authorization",
        "content-type",
        "accept",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "mcp-session-id",
        "last-event-id",
        "mcp-param-region",
    } == allowed


@pytest.mark.case("E12")
async def test_a_preflight_of_a_foreign_page_gets_no_permission(house):
    url = await house.add_gateway()
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    async with house.http.options(url, headers=headers) as response:
        assert response.status == 204
        assert not [name for name in response.headers if name.startswith("Access-Control")]


@pytest.mark.case("E12")
async def test_a_page_can_read_the_challenge(house):
    url = await house.add_gateway(jwt_rules={})
    heard = await house.modern(url, "tools/list", headers={"origin": "http://localhost:6274"})
    assert heard.status == 401
    assert heard.headers["Access-Control-Allow-Origin"] == "http://localhost:6274"
    assert "WWW-Authenticate" in heard.headers["Access-Control-Expose-Headers"]
    assert "Mcp-Session-Id" in heard.headers["Access-Control-Expose-Headers"]
