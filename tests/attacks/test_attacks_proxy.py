"""At the façade's MCP endpoint: whose token opens it, and what a caller can make the server behind it believe."""

import base64
import json

import pytest
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import OctKey

from attacks.attack_world import ELSEWHERE, FACADE, Browser, FacadeWorld, WorldMaker, claims_of
from net.raw_server import answers
from portico.crypto.keyring import generate_line
from portico.crypto.signing import SEED_BYTES, SigningKey
from portico.oauth.token import sign_access_token

pytestmark = pytest.mark.connector("oidc", worlds=("facade",))

#: Headers by which some server somewhere believes who calls.
SPOOFED = [
    ("X-Forwarded-User", "root"),
    ("X-Forwarded-Email", "root@example.com"),
    ("X-Forwarded-Access-Token", "stolen"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "http"),
    ("Forwarded", "for=127.0.0.1;host=evil.example"),
    ("X-Real-IP", "127.0.0.1"),
    ("X-Portico-Hop", "v1.k1.x"),
    ("X-Portico-Principal", "root"),
    ("X-Portico-Subject", "root"),
    ("X-Amzn-Oidc-Identity", "root"),
    ("X-Amzn-Oidc-Data", "e30.e30."),
    ("X-Amz-Security-Token", "x"),
    ("X-Ms-Client-Principal", "cm9vdA=="),
    ("X-Ms-Token-Aad-Access-Token", "x"),
    ("X-Goog-Authenticated-User-Email", "root@example.com"),
    ("X-Goog-Iap-Jwt-Assertion", "e30.e30."),
    ("Cf-Access-Jwt-Assertion", "e30.e30."),
    ("X-Auth-Request-User", "root"),
    ("X-Remote-User", "root"),
    ("Remote-User", "root"),
    ("X-Authenticated-Userid", "root"),
    ("X-Api-Key", "k"),
    ("X-Original-Url", "/admin"),
    ("X-Rewrite-Url", "/admin"),
    ("X-Http-Method-Override", "DELETE"),
    ("Proxy-Authorization", "Basic x"),
    ("Cookie", "session=1"),
    ("Tailscale-User-Login", "root"),
    ("Transfer-Encoding", "identity"),
]


def told(world: FacadeWorld) -> dict[str, str]:
    """Return the headers of the one request that reached the server behind, names in lower case."""
    [request] = world.upstream.requests
    lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


async def refused(world: FacadeWorld, token: str) -> None:
    """Assert that a bearer opens nothing and is told where to log in."""
    answer = await world.call(token)
    assert answer.status_code == 401, answer.text
    challenge = answer.headers["www-authenticate"]
    assert 'error="invalid_token"' in challenge
    assert f'resource_metadata="{world.url}/.well-known/oauth-protected-resource/mcp"' in challenge
    assert world.idp.netloc not in challenge
    assert world.upstream.requests == []


def ours(world: FacadeWorld) -> SigningKey:
    """Return the façade's own signing key: what an attacker must not be able to have."""
    seeds = world.keyring.derive(f"signing-key|{world.url}", SEED_BYTES)
    return SigningKey.derived(next(iter(seeds.values())))


# Tokens


@pytest.mark.case("E11", "T18")
async def test_the_callers_token_stays_with_us_and_the_providers_goes_on(world: FacadeWorld, client_id: str):
    issued = await world.tokens(client_id)
    assert (await world.call(issued["access_token"])).status_code == 200
    [request] = world.upstream.requests
    assert issued["access_token"].encode() not in request
    assert claims_of(told(world)["authorization"].removeprefix("Bearer "))["iss"] == world.idp.issuer


@pytest.mark.case("T10", "E05")
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer null",
        "Bearer undefined",
        "Basic cm9vdDpyb290",
        "Negotiate x",
        "bearer,",
        "Bearer a b",
        "Token x",
        "DPoP e30.e30.e30",
    ],
)
async def test_a_credential_that_failed_never_falls_through_to_anybody(world: FacadeWorld, authorization: str | None):
    headers = {} if authorization is None else {"authorization": authorization}
    async with world.http() as http:
        answer = await http.post("/mcp", headers=headers, content=b"{}")
    assert answer.status_code == 401
    assert "resource_metadata=" in answer.headers["www-authenticate"]
    assert world.upstream.requests == []


@pytest.mark.case("D08", "D10", "T18")
async def test_nothing_else_that_we_or_the_provider_made_is_an_access_token(world: FacadeWorld, client_id: str):
    issued, code = await world.tokens(client_id), await world.code(client_id)
    page = await world.consent_page(Browser(world), client_id)
    for thing in (issued["refresh_token"], code, client_id, page.text.partition('name="flow" value="')[2][:400]):
        await refused(world, thing.partition('"')[0])


@pytest.mark.case("T18", "C29", "D08", "E11")
async def test_the_providers_own_tokens_open_nothing(world: FacadeWorld, client_id: str):
    """Its access token is for the server behind: who has one calls there, and not through us as somebody."""
    issued = await world.tokens(client_id)
    assert (await world.call(issued["access_token"])).status_code == 200
    upstream_token = told(world)["authorization"].removeprefix("Bearer ")
    world.upstream.requests.clear()
    await refused(world, upstream_token)
    id_token = {**claims_of(upstream_token), "aud": world.idp.client_id, "nonce": "x"}
    forged = ".".join(encoded(part) for part in ({"alg": "RS256", "typ": "JWT"}, id_token)) + ".AAAA"
    await refused(world, forged)


@pytest.mark.case("D11", "D12", "T18", "T13")
async def test_tokens_of_another_facade_with_the_same_keys_are_foreign(
    world: FacadeWorld, make_world: WorldMaker, client_id: str
):
    other = await make_world("facade", public_url=ELSEWHERE, keys=world.keys)
    token = (await other.tokens(await other.register()))["access_token"]
    assert (await other.call(token)).status_code == 200
    world.upstream.requests.clear()
    await refused(world, token)
    assert ours(world).kid != ours(other).kid


@pytest.mark.case("T13", "D11")
async def test_tokens_of_a_facade_with_other_keys_are_foreign(world: FacadeWorld, make_world: WorldMaker, tmp_path):
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    other = await make_world("facade", keys=generate_line("k1"), directory=elsewhere)
    token = (await other.tokens(await other.register()))["access_token"]
    await refused(world, token)


@pytest.mark.case("D12", "D15", "D08", "D11", "T18")
@pytest.mark.parametrize(
    "change",
    [
        {"aud": "https://facade.example/mcp-other"},
        {"aud": "https://facade.example"},
        {"aud": []},
        {"aud": None},
        {"iss": "https://elsewhere.example"},
        {"iss": "https://facade.example/"},
        {"iss": None},
        {"exp": 1},
        {"exp": None},
        {"upstream": None},
        {"upstream": "v1.k1.AAAA"},
        {"upstream": 7},
        {"jti": "another"},
        {"sub": None},
    ],
    ids=str,
)
async def test_even_signed_by_us_a_token_must_be_whole(world: FacadeWorld, client_id: str, change: dict):
    """What a flaw elsewhere might let somebody sign with our key."""
    claims = claims_of((await world.tokens(client_id))["access_token"]) | change
    await refused(world, sign_access_token({k: v for k, v in claims.items() if v is not None}, ours(world)))


@pytest.mark.case("D10", "T18")
async def test_the_sealed_token_of_one_login_does_not_open_another(world: FacadeWorld, client_id: str):
    """Taking what is sealed in one token into another: it is bound to issuer and token id."""
    one, other = [claims_of((await world.tokens(client_id))["access_token"]) for _ in range(2)]
    await refused(world, sign_access_token({**one, "upstream": other["upstream"]}, ours(world)))


@pytest.mark.case("D01", "D02", "D03", "D04", "D18")
@pytest.mark.parametrize("how", ["none", "hmac", "embedded", "cut", "padded", "newline", "foreign", "two"])
async def test_a_token_that_we_did_not_sign_is_none(world: FacadeWorld, client_id: str, how: str):
    token = (await world.tokens(client_id))["access_token"]
    claims = claims_of(token)
    kid = ours(world).kid
    secret = OctKey.import_key(json.dumps(ours(world).public_jwk()).encode())
    mine = SigningKey.generate()
    head, body, signature = token.split(".")
    embedded = {"alg": "ES256", "typ": "at+jwt", "kid": kid, "jwk": mine.public_jwk()}
    forged = {
        "none": f"{encoded({'alg': 'none', 'typ': 'at+jwt'})}.{body}.",
        "hmac": joserfc_jwt.encode({"alg": "HS256", "kid": kid, "typ": "at+jwt"}, claims, secret),
        "embedded": f"{encoded(embedded)}.{body}.{signature}",
        "cut": token[:-4],
        "padded": f"{token}==",
        "newline": f"{head}.{body}.{signature}A",
        "foreign": sign_access_token(claims, mine),
        "two": f"{token}.{token}",
    }[how]
    await refused(world, forged)


@pytest.mark.case("E06", "C12")
async def test_an_access_token_ends(world: FacadeWorld, client_id: str):
    issued = await world.tokens(client_id)
    world.clock.forward(issued["expires_in"] + 120)
    await refused(world, issued["access_token"])


# Headers


@pytest.mark.case("T9")
async def test_no_spoofed_header_reaches_the_server(world: FacadeWorld, client_id: str):
    token = (await world.tokens(client_id))["access_token"]
    for name, value in SPOOFED:
        world.upstream.requests.clear()
        await world.call(token, **{name: value})
        headers = told(world)
        assert name.lower() not in headers
        assert "root" not in str(headers)
        assert headers["host"] == world.upstream.url.removeprefix("http://")
        assert headers["authorization"] != f"Bearer {token}"


@pytest.mark.case("T10")
async def test_two_credentials_are_none(world: FacadeWorld, client_id: str):
    token = (await world.tokens(client_id))["access_token"]
    async with world.http() as http:
        for second in (f"Bearer {token}", "Bearer x", "Basic cm9vdDpyb290"):
            for pair in ([f"Bearer {token}", second], [second, f"Bearer {token}"]):
                headers = [("authorization", value) for value in pair]
                assert (await http.post("/mcp", headers=headers, content=b"{}")).status_code == 401
        assert (await http.post(f"/mcp?access_token={token}", content=b"{}")).status_code == 401
    assert world.upstream.requests == []


@pytest.mark.case("T15")
@pytest.mark.parametrize("host", ["evil.example", "facade.example.evil.example", "10.0.0.1", "169.254.169.254", ""])
async def test_a_rebound_name_is_served_nothing(world: FacadeWorld, client_id: str, host: str):
    token = (await world.tokens(client_id))["access_token"]
    headers = {"host": host, "authorization": f"Bearer {token}"}
    async with world.http() as http:
        for path in ("/mcp", "/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server"):
            answer = await http.request("POST" if path == "/mcp" else "GET", path, headers=headers)
            assert answer.status_code in (400, 421)
        assert (await http.get("/authorize", params=world.request(client_id), headers=headers)).status_code in (
            400,
            421,
        )
    assert world.upstream.requests == []


@pytest.mark.case("T15", "E12")
async def test_a_page_of_another_origin_calls_nothing(world: FacadeWorld, client_id: str):
    token = (await world.tokens(client_id))["access_token"]
    for origin in ("https://evil.example", "null", "https://facade.example.evil.example", "http://facade.example"):
        answer = await world.call(token, origin=origin)
        assert answer.status_code == 403
        assert "access-control-allow-credentials" not in answer.headers
    assert world.upstream.requests == []


@pytest.mark.case("T17")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_of_the_server_takes_no_token_anywhere(world: FacadeWorld, client_id: str, status: int):
    token = (await world.tokens(client_id))["access_token"]
    location = f"{world.upstream.url}/elsewhere".encode()
    world.upstream.script = answers(b"HTTP/1.1 %d X\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (status, location))
    answer = await world.call(token)
    assert answer.status_code == 502
    assert "location" not in answer.headers
    assert len(world.upstream.requests) == 1


@pytest.mark.case("E06", "T26")
async def test_the_servers_challenge_leads_nobody_away_from_us(world: FacadeWorld, client_id: str):
    token = (await world.tokens(client_id))["access_token"]
    challenge = b'Bearer resource_metadata="https://evil.example/", error="invalid_token", realm="<script>"'
    world.upstream.script = answers(
        b"HTTP/1.1 401 X\r\nWWW-Authenticate: %b\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n" % challenge
    )
    answer = await world.call(token)
    assert answer.status_code == 401
    assert "evil.example" not in str(answer.headers)
    assert "set-cookie" not in answer.headers
    assert world.url in answer.headers["www-authenticate"]


@pytest.mark.case("T9")
@pytest.mark.parametrize(
    "path", ["/mcp/../up", "/mcp/..%2fup", "/mcp%2f..%2fadmin", "//mcp", "/mcp/", "/MCP", "/mcp;x", "/mcp%00", "/up"]
)
async def test_only_the_one_path_is_passed_on(world: FacadeWorld, client_id: str, path: str):
    token = (await world.tokens(client_id))["access_token"]
    async with world.http() as http:
        answer = await http.post(f"{FACADE}{path}", headers={"authorization": f"Bearer {token}"}, content=b"{}")
    assert answer.status_code in (400, 404, 405)
    assert world.upstream.requests == []


# Modes


@pytest.mark.case("T10", "T18")
async def test_passthrough_opens_nothing_of_ours(make_world: WorldMaker, world: FacadeWorld, client_id: str):
    """The provider's token goes on as it is, for the server behind to judge; a wrapped one is never opened there."""
    wrapped = (await world.tokens(client_id))["access_token"]
    through = await make_world("facade", tokens_mode="passthrough", keys=world.keys)
    await through.call(wrapped)
    assert told(through)["authorization"] == f"Bearer {wrapped}"
    through.upstream.requests.clear()
    async with through.http() as http:
        assert (await http.post("/mcp", content=b"{}")).status_code == 401
    assert through.upstream.requests == []


def encoded(part: dict) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
