"""Registration by anybody: public clients only, sealed ids, no secret, no privileges."""

import json

import pytest
from issuer_world import REDIRECT, World

CURSOR = [
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "https://www.cursor.example/agents/mcp/oauth/callback",
    "http://localhost:8787/callback",
]


async def post(world: World, body: object, **headers: str):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with world.http() as http:
        return await http.post(
            "/i/main/register", content=content, headers={"content-type": "application/json", **headers}
        )


@pytest.mark.case("F01", "T1")
@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post", "private_key_jwt", None])
async def test_no_secret_is_ever_given_out(world: World, method: str | None):
    response = await post(world, {"redirect_uris": [REDIRECT], "token_endpoint_auth_method": method})
    assert response.status_code == 201
    document = response.json()
    assert document["token_endpoint_auth_method"] == "none"
    assert "client_secret" not in document
    assert document["redirect_uris"] == [REDIRECT]
    assert response.headers["cache-control"] == "no-store"


async def test_usual_client_ids_are_short(world: World):
    await world.settle(allowedRedirectUris=CURSOR[:2])
    assert len(await world.register([REDIRECT], client_name="Claude Code (portico)")) < 200
    assert len(await world.register(CURSOR, client_name="Cursor")) < 400


@pytest.mark.case("A12", "T5")
@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://x/y",
        "http://evil.example/cb",
        "http://*/callback",
        "https://*.example/cb",
        "https://localhost@evil.example/",
        "http://127.0.0.1/cb#x",
        "",
        "/relative",
        "x" * 600,
    ],
)
async def test_a_dangerous_redirect_uri_spoils_the_registration(world: World, uri: str):
    for uris in ([uri], [REDIRECT, uri]):
        response = await post(world, {"redirect_uris": uris})
        assert (response.status_code, response.json()["error"]) == (400, "invalid_redirect_uri")


@pytest.mark.case("A20")
@pytest.mark.parametrize(("kind", "uri"), [("web", "http://localhost:1234/cb"), ("native", "http://app.example/cb")])
async def test_the_application_type_must_not_contradict_the_redirect_uri(world: World, kind: str, uri: str):
    response = await post(world, {"redirect_uris": [uri], "application_type": kind})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_redirect_uri")


async def test_hosted_callbacks_beside_a_loopback_one_are_left_out_until_allowed(world: World):
    assert (await post(world, {"redirect_uris": CURSOR})).json()["redirect_uris"] == CURSOR[2:]
    refused = await post(world, {"redirect_uris": CURSOR[:2]})
    assert refused.json()["error"] == "invalid_redirect_uri"
    assert "allowedRedirectUris" in refused.json()["error_description"]
    await world.settle(allowedRedirectUris=CURSOR[:2])
    assert (await post(world, {"redirect_uris": CURSOR})).json()["redirect_uris"] == CURSOR


@pytest.mark.case("F06")
@pytest.mark.parametrize(
    "more",
    [
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["authorization_code", "client_credentials"]},
        {"grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"]},
        {"grant_types": ["refresh_token"]},
        {"grant_types": ["implicit"]},
        {"response_types": ["token"]},
        {"response_types": ["code", "id_token"]},
        {"scope": "admin"},
        {"scope": "mcp/invoke admin"},
    ],
)
async def test_privileged_grants_and_scopes_are_refused(world: World, more: dict):
    response = await post(world, {"redirect_uris": [REDIRECT], **more})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_client_metadata")


async def test_what_clients_add_by_habit_is_no_reason_to_refuse(world: World):
    response = await post(
        world,
        {
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
            "scope": "openid profile mcp/invoke offline_access",
            "logo_uri": "http://169.254.169.254/",
            "client_uri": None,
            "software_statement": 7,
        },
    )
    assert response.status_code == 201
    assert response.json()["grant_types"] == ["authorization_code", "refresh_token"]
    assert "logo_uri" not in response.json()


@pytest.mark.case("F03", "T28")
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"redirect_uris": ["' + b"a" * 16_400 + b'"]}', 413, "invalid_request"),
        ({"redirect_uris": [f"http://127.0.0.1/{n}" for n in range(500)]}, 400, "invalid_redirect_uri"),
        (b"[" * 8000 + b"]" * 8000, 400, "invalid_client_metadata"),
        (b'{"x":' * 2000 + b"1" + b"}" * 2000, 400, "invalid_client_metadata"),
        (b"", 400, "invalid_client_metadata"),
        (b"null", 400, "invalid_client_metadata"),
        (b"[]", 400, "invalid_client_metadata"),
        (b"\xff\xfe", 400, "invalid_client_metadata"),
        (b'{"redirect_uris": ["\\ud800"]}', 400, "invalid_client_metadata"),
        (b'{"redirect_uris": [], "redirect_uris": ["http://127.0.0.1/"]}', 400, "invalid_client_metadata"),
        ({"redirect_uris": "http://127.0.0.1/"}, 400, "invalid_client_metadata"),
        ({"redirect_uris": [7]}, 400, "invalid_client_metadata"),
        ({"redirect_uris": [REDIRECT], "client_name": 7}, 400, "invalid_client_metadata"),
        ({"redirect_uris": []}, 400, "invalid_redirect_uri"),
        ({}, 400, "invalid_redirect_uri"),
        ({"redirect_uris": [f"http://127.0.0.1/{str(n) * 400}" for n in range(10)]}, 400, "invalid_client_metadata"),
    ],
)
async def test_bad_registrations_are_refused_with_a_reason(world: World, body: object, status: int, code: str):
    response = await post(world, body)
    assert (response.status_code, response.json()["error"]) == (status, code)
    assert response.json()["error_description"]


@pytest.mark.case("F03", "T28")
async def test_a_flood_from_one_address_is_held_up(world: World):
    from portico.issuer.register import BURST

    answers = [(await post(world, {"redirect_uris": [REDIRECT]})) for _ in range(BURST + 1)]
    assert answers[-2].status_code == 201
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    world.clock.forward(2)
    assert (await post(world, {"redirect_uris": [REDIRECT]})).status_code == 201


async def test_a_registration_is_json(world: World):
    response = await post(world, {"redirect_uris": [REDIRECT]}, **{"content-type": "text/plain"})
    assert (response.status_code, response.json()["error"]) == (415, "invalid_request")


async def test_registration_needs_no_database(world: World):
    await world.database.aclose()
    assert (await post(world, {"redirect_uris": [REDIRECT]})).status_code == 201
