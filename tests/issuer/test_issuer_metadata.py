"""Metadata, keys and cross-origin rules."""

import pytest
from issuer_world import PUBLIC_URL, Browser, World

from portico.net.egress import Egress
from portico.net.fetch import Fetcher

LOCATIONS = [
    "/.well-known/oauth-authorization-server/i/main",
    "/.well-known/openid-configuration/i/main",
    "/i/main/.well-known/openid-configuration",
    "/i/main/.well-known/oauth-authorization-server",
]


@pytest.mark.case("E02", "E03", "T22")
@pytest.mark.parametrize("location", LOCATIONS)
async def test_every_location_tells_the_same_issuer_byte_for_byte(world: World, location: str):
    async with world.http() as http:
        response = await http.get(location)
    assert response.status_code == 200
    document = response.json()
    assert document["issuer"] == f"{PUBLIC_URL}/i/main"
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["client_id_metadata_document_supported"] is True
    assert document["scopes_supported"] == ["mcp/invoke", "mcp/read", "offline_access"]
    assert set(document["token_endpoint_auth_methods_supported"]) == {
        "none",
        "client_secret_basic",
        "client_secret_post",
    }
    for name in ("authorization", "token", "registration", "revocation"):
        assert document[f"{name}_endpoint"].startswith(f"{PUBLIC_URL}/i/main/")


@pytest.mark.case("E02")
async def test_every_endpoint_of_the_metadata_is_served(world: World):
    async with world.http() as http:
        document = (await http.get(LOCATIONS[0])).json()
        for name, url in document.items():
            if name.endswith("_endpoint") or name == "jwks_uri":
                assert (await http.get(url)).status_code in {200, 400, 405}, name


async def test_the_openid_location_has_what_its_readers_demand(world: World):
    async with world.http() as http:
        document = (await http.get(LOCATIONS[1])).json()
    assert document["subject_types_supported"] == ["public"]
    assert document["id_token_signing_alg_values_supported"] == ["ES256"]
    assert document["jwks_uri"] == f"{PUBLIC_URL}/i/main/jwks"


async def test_the_key_set_holds_every_public_key_and_no_private_part(world: World):
    await world.add_key("next")
    await world.add_key("previous")
    async with world.http() as http:
        response = await http.get("/i/main/jwks")
    keys = response.json()["keys"]
    assert len(keys) == 3
    for key in keys:
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert response.headers["cache-control"] == "public, max-age=60"


@pytest.mark.case("D20")
async def test_after_a_rotation_the_new_key_signs_and_a_dropped_one_is_gone(world: World, client_id: str):
    from joserfc import jws

    from portico.storage import signing_keys

    async with world.database.write() as conn:
        [old] = await signing_keys.list_all(conn, issuer="main")
        await signing_keys.drop(conn, old.kid)
    new = await world.add_key()
    issued = await world.tokens(client_id)
    assert jws.extract_compact(issued["access_token"].encode()).headers()["kid"] == new.kid
    async with world.http() as http:
        assert [key["kid"] for key in (await http.get("/i/main/jwks")).json()["keys"]] == [new.kid]


async def test_an_issuer_that_was_deleted_is_gone_after_the_reload(world: World):
    from portico.storage import issuers

    async with world.database.write() as conn:
        await issuers.delete(conn, "main")
    await world.app.reload("main")
    async with world.http() as http:
        for location in LOCATIONS:
            assert (await http.get(location)).status_code == 404


@pytest.mark.case("E12")
@pytest.mark.parametrize(
    ("path", "method"),
    [("/i/main/token", "POST"), ("/i/main/register", "POST"), ("/i/main/revoke", "POST"), ("/i/main/jwks", "GET")]
    + [(location, "GET") for location in LOCATIONS],
)
async def test_what_clients_use_is_open_to_browsers_without_credentials(world: World, path: str, method: str):
    origin = {"origin": "https://inspector.example"}
    async with world.http() as http:
        preflight = await http.options(path, headers={**origin, "access-control-request-method": method})
        answer = await http.request(method, path, headers=origin)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert method in preflight.headers["access-control-allow-methods"]
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-origin"] == "*"
    for response in (preflight, answer):
        assert "access-control-allow-credentials" not in response.headers


async def test_documents_answer_head_requests_too(world: World):
    async with world.http() as http:
        assert (await http.head(LOCATIONS[0])).status_code == 200
        assert (await http.post(LOCATIONS[0])).status_code == 405


async def test_pages_carry_the_issuers_title(world: World, client_id: str):
    await world.settle(title="Example Works")
    assert "Example Works" in (await Browser(world).open(world.request(client_id))).text


async def test_an_issuer_that_can_fetch_no_documents_lets_clients_register_instead(world: World):
    async def nowhere(name: str, _port: int) -> list[str]:
        raise OSError(name)

    world.fetcher = Fetcher(egress=Egress(lookup=nowhere))
    world.restart()
    await world.app.load_all()
    async with world.http() as http:
        refused = await http.get(f"{world.path}/authorize?client_id=https://claude.ai/oauth/client.json")
        assert refused.status_code == 400
        for location in LOCATIONS:
            response = await http.get(location)
            document = response.json()
            assert "client_id_metadata_document_supported" not in document
            assert document["registration_endpoint"]
            assert response.headers["cache-control"] == "public, max-age=30"
    await world.app.aclose()
