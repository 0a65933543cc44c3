"""Whatever is sent, no endpoint fails: never a 500, always an answer of the right kind."""

from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from issuer_world import REDIRECT, World

FUZZ = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

NAMES = st.sampled_from(
    [
        *("client_id", "client_secret", "redirect_uri", "response_type", "scope", "state", "resource", "prompt"),
        *("code_challenge", "code_challenge_method", "grant_type", "code", "code_verifier", "refresh_token", "token"),
        *("nonce", "request", "response_mode", "flow", "name", "password", "decision", "x"),
    ]
)
VALUES = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            *("code", "S256", "authorization_code", "refresh_token", "client_credentials", REDIRECT, "mcp/invoke"),
            *("robot", "http://127.0.0.1:8080/g/tools/mcp", "http://[::1", "v1.k1.AAAA", "v1.k1." + "A" * 60, "none"),
            *("a" * 43, "http://[", "//", "allow", "\x00", "\ud7ff", "\u202e"),
        ]
    ),
)
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=12)
RAW = st.one_of(st.binary(max_size=200), PAIRS.map(lambda pairs: urlencode(pairs).encode()))
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.case("D16")
@FUZZ
@given(raw=RAW, header=st.one_of(st.none(), st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)))
async def test_the_token_endpoint_never_fails(world: World, raw: bytes, header: str | None):
    headers = FORM if header is None else {**FORM, "authorization": header}
    async with world.http() as http:
        for path in ("token", "revoke"):
            response = await http.post(f"/i/main/{path}", content=raw, headers=headers)
            assert response.status_code in {400, 401}
            assert response.json()["error"]
            assert all(" " <= c <= "~" for c in response.json()["error_description"])


@FUZZ
@given(pairs=PAIRS, raw=st.binary(max_size=80))
async def test_the_authorization_endpoint_never_fails_and_never_redirects_elsewhere(
    world: World, pairs: list[tuple[str, str]], raw: bytes
):
    known = await known_client(world)
    queries = [
        urlencode(pairs),
        urlencode([*world.request(known).items(), *pairs]),
        urlencode({**world.request(known), **dict(pairs), "client_id": known}),
        raw.hex(" ").replace(" ", "%"),
    ]
    async with world.http() as http:
        for query in queries:
            response = await http.get(f"/i/main/authorize?{query}")
            assert response.status_code in {200, 303, 400}
            if response.status_code == 303:
                assert response.headers["location"].startswith("http://127.0.0.1:53682/callback?")


@FUZZ
@given(raw=RAW)
async def test_login_and_consent_never_fail(world: World, raw: bytes):
    async with world.http() as http:
        for path in ("login", "consent"):
            response = await http.post(f"/i/main/{path}", content=raw, headers=FORM)
            assert response.status_code in {400, 403}
            assert "location" not in response.headers


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.just(REDIRECT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
MEMBERS = st.sampled_from(
    ["redirect_uris", "client_name", "grant_types", "response_types", "scope", "application_type", "logo_uri"]
)


@FUZZ
@given(
    document=st.dictionaries(MEMBERS, st.one_of(JSON, st.lists(st.text(max_size=40), max_size=3)), max_size=7),
    raw=st.binary(max_size=100),
)
async def test_registration_never_fails(world: World, document: dict, raw: bytes):
    import json

    async with world.http() as http:
        for body in (json.dumps(document).encode(), raw):
            world.clock.forward(10)
            response = await http.post("/i/main/register", content=body, headers={"content-type": "application/json"})
            assert response.status_code in {201, 400}
            assert "client_secret" not in response.json()


async def known_client(world: World) -> str:
    if world.known is None:
        world.known = await world.register()
    return world.known
