"""Protected resource metadata at every location, byte for byte what clients compare it with."""

import pytest

from portico.gateway.resource_metadata import ResourceMetadata

WELL_KNOWN = "/.well-known/oauth-protected-resource"


async def get(house, path, **headers):
    async with house.http.get(house.public_url + path, headers=headers) as response:
        return response.status, response.headers, await response.json()


@pytest.mark.case("E01")
async def test_the_resource_is_the_url_that_clients_use(house):
    url = await house.add_gateway(jwt_rules={"allowedScopes": ["mcp/invoke"]})
    one = await house.add_target("http://127.0.0.1:1/mcp", eras=())
    for path, resource in {
        f"{WELL_KNOWN}/g/shop/mcp": url,
        f"{WELL_KNOWN}/g/shop/mcp/one": one,
        f"/g/shop{WELL_KNOWN}": url,
    }.items():
        status, headers, document = await get(house, path)
        assert status == 200
        assert headers["Content-Type"] == "application/json"
        assert document == {
            "resource": resource,
            "authorization_servers": [house.issuer],
            "scopes_supported": ["mcp/invoke"],
            "bearer_methods_supported": ["header"],
            "resource_name": "shop",
        }


@pytest.mark.case("E01")
async def test_the_challenge_points_at_the_document(house):
    await house.add_gateway(jwt_rules={})
    one = await house.add_target("http://127.0.0.1:1/mcp", eras=())
    heard = await house.modern(one, "tools/list")
    assert f'resource_metadata="{house.public_url}{WELL_KNOWN}/g/shop/mcp/one"' in heard.headers["WWW-Authenticate"]


@pytest.mark.case("E13")
async def test_offline_access_is_not_asked_for(house):
    url = await house.add_gateway(jwt_rules={"allowedScopes": ["mcp/invoke", "offline_access"]})
    _, _, document = await get(house, f"{WELL_KNOWN}/g/shop/mcp")
    assert document["scopes_supported"] == ["mcp/invoke"]
    assert "offline_access" not in (await house.modern(url, "tools/list")).headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "path",
    [
        WELL_KNOWN,
        f"{WELL_KNOWN}/",
        f"{WELL_KNOWN}/g/unknown/mcp",
        f"{WELL_KNOWN}/g/shop/mcp/unknown",
        f"{WELL_KNOWN}/g/shop/mcp/",
        f"{WELL_KNOWN}/g/shop",
        f"{WELL_KNOWN}-other/g/shop/mcp",
        f"/g/unknown{WELL_KNOWN}",
        f"/g/open{WELL_KNOWN}",
    ],
)
async def test_nothing_is_said_of_what_is_not_there(house, path):
    await house.add_gateway(jwt_rules={})
    await house.add_gateway("open")
    status, _, document = await get(house, path)
    assert (status, document) == (404, {"error": "not_found"})


async def test_the_root_form_describes_the_default_gateway(house):
    url = await house.add_gateway(jwt_rules={})
    house.metadata = ResourceMetadata(snapshots=house.snapshots, authorizer=house.authorizer, default_gateway="shop")
    assert (await get(house, WELL_KNOWN))[2]["resource"] == url


@pytest.mark.case("E12")
async def test_every_page_may_read_it(house):
    await house.add_gateway(jwt_rules={})
    _, headers, _ = await get(house, f"{WELL_KNOWN}/g/shop/mcp", origin="https://whoever.example")
    assert headers["Access-Control-Allow-Origin"] == "*"
    preflight = {"origin": "https://whoever.example", "access-control-request-method": "GET"}
    async with house.http.options(f"{house.public_url}{WELL_KNOWN}/g/shop/mcp", headers=preflight) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Methods"] == "GET, OPTIONS"


async def test_it_is_read_only(house):
    await house.add_gateway(jwt_rules={})
    async with house.http.post(f"{house.public_url}{WELL_KNOWN}/g/shop/mcp") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET")


async def test_an_issuer_whose_keys_cannot_be_had_is_503(house):
    await house.add_gateway(jwt_rules={"discoveryUrl": "http://127.0.0.1:1/.well-known/openid-configuration"})
    status, _, document = await get(house, f"{WELL_KNOWN}/g/shop/mcp")
    assert (status, document) == (503, {"error": "keys_unavailable"})
