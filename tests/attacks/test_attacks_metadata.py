"""What is said in public about an issuer and its resource, to whom, and what is never said without keys."""

import dataclasses

import pytest
import yaml

from attacks.attack_world import AttackedWorld, Browser, FacadeWorld, ProviderWorld, planted, query_of, refused_at_token
from portico.crypto.keyring import generate_line
from portico.model.errors import ConfigError
from portico.service.facade import Facade
from portico.service.facade_settings import check_facade, load_facade_settings

ORIGIN = {"origin": "https://app.example"}


def places(world: AttackedWorld) -> list[str]:
    """Return where a client looks for the issuer's metadata, in its order."""
    if not world.path:
        return ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]
    return [
        f"/.well-known/oauth-authorization-server{world.path}",
        f"/.well-known/openid-configuration{world.path}",
        f"{world.path}/.well-known/openid-configuration",
    ]


@pytest.mark.case("E01", "E13")
@pytest.mark.connector("oidc", worlds=("facade",))
async def test_the_resource_is_the_url_that_is_called_and_its_issuer_is_us(world: FacadeWorld):
    async with world.http() as http:
        for path in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"):
            lies = {"x-forwarded-host": "evil.example", "x-forwarded-proto": "http", "forwarded": "host=evil.example"}
            answer = await http.get(path, headers=lies)
            assert answer.json()["resource"] == f"{world.public_url}/mcp"
            assert answer.json()["authorization_servers"] == [world.url]
            assert "offline_access" not in answer.json()["scopes_supported"]
            assert world.idp.netloc not in answer.text


@pytest.mark.case("E02", "E03", "T22", "B17")
@pytest.mark.connector("local", "oidc")
async def test_the_issuer_names_itself_and_only_itself_at_each_place(world: AttackedWorld):
    async with world.http() as http:
        for place in places(world):
            told = (await http.get(place, headers={"x-forwarded-host": "evil.example"})).json()
            assert told["issuer"] == world.url
            assert told["code_challenge_methods_supported"] == ["S256"]
            assert told["authorization_response_iss_parameter_supported"] is True
            assert told["client_id_metadata_document_supported"] is True
            endpoints = [value for name, value in told.items() if name.endswith("_endpoint") or name == "jwks_uri"]
            assert all(value.startswith(f"{world.url}/") for value in endpoints)
            if world.kind == "oidc":
                assert world.idp.netloc not in str(told)


@pytest.mark.case("E03", "C13", "C16")
@pytest.mark.connector("oidc", worlds=("facade",))
async def test_a_facade_offers_two_grants(world: FacadeWorld):
    async with world.http() as http:
        told = (await http.get(places(world)[0])).json()
    assert set(told["grant_types_supported"]) == {"authorization_code", "refresh_token"}
    assert told["response_types_supported"] == ["code"]


@pytest.mark.case("E05", "E13", "E06")
@pytest.mark.connector("oidc", worlds=("facade",))
async def test_the_challenge_says_where_to_go_and_no_more(world: FacadeWorld):
    async with world.http() as http:
        answer = await http.post("/mcp", content=b"{}")
        bad = await http.post("/mcp", content=b"{}", headers={"authorization": "Bearer x"})
    challenge = answer.headers["www-authenticate"]
    assert answer.status_code == 401
    assert f'resource_metadata="{world.url}/.well-known/oauth-protected-resource/mcp"' in challenge
    assert "scope=" in challenge
    assert "error" not in challenge
    assert "offline_access" not in challenge
    assert 'error="invalid_token"' in bad.headers["www-authenticate"]


@pytest.mark.case("E06")
@pytest.mark.connector("oidc", worlds=("facade",))
async def test_a_scope_that_is_too_small_for_the_server_is_told_in_our_names(world: FacadeWorld, client_id: str):
    from net.raw_server import answers

    token = (await world.tokens(client_id))["access_token"]
    world.upstream.script = answers(
        b'HTTP/1.1 403 X\r\nWWW-Authenticate: Bearer error="insufficient_scope", scope="mcp/invoke"\r\n'
        b"Content-Length: 0\r\n\r\n"
    )
    answer = await world.call(token)
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert 'scope="mcp/invoke"' in answer.headers["www-authenticate"]
    assert world.url in answer.headers["www-authenticate"]


@pytest.mark.case("E12")
@pytest.mark.connector("local", "oidc")
async def test_pages_are_read_across_origins_by_nobody_and_documents_by_everybody(world: AttackedWorld, client_id: str):
    asked = {**ORIGIN, "access-control-request-method": "POST"}
    async with world.http() as http:
        for path in ("authorize", "login", "consent", "callback", "logout"):
            for answer in (
                await http.options(f"{world.path}/{path}", headers=asked),
                await http.get(f"{world.path}/{path}", headers=ORIGIN),
            ):
                assert not [name for name in answer.headers if name.startswith("access-control-")]
        for path in (*places(world), f"{world.path}/token", f"{world.path}/register"):
            answer = await http.options(path, headers=asked)
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.case("E14", "T13")
@pytest.mark.connector("oidc", worlds=("facade",))
@pytest.mark.parametrize("keys", ["", "k1:" + "00" * 32, "k1:" + "ab" * 8, "k1:changeme", "not a keyring"])
async def test_without_good_keys_nothing_is_issued_and_everything_says_so(world: FacadeWorld, tmp_path, keys: str):
    settings = dataclasses.replace(
        world.facade.settings,
        keyring_file=tmp_path / "none",
        keyring_keys=type(world.facade.settings.keyring_keys)(keys),
    )
    world.facade = Facade(settings)
    world.closing.push_async_callback(world.facade._fetcher.aclose)
    world.closing.push_async_callback(world.facade._relay.aclose)
    async with world.http() as http:
        for method, path in (
            ("POST", "/mcp"),
            ("POST", "/token"),
            ("POST", "/register"),
            ("GET", "/authorize"),
            ("GET", "/callback"),
            ("GET", "/jwks"),
        ):
            answer = await http.request(method, path, headers={"authorization": "Bearer x"})
            assert answer.status_code == 503
            assert "retry-after" in answer.headers
            assert planted(answer) == {}
        assert (await http.get("/healthz")).status_code == 200
    assert world.upstream.requests == []
    assert world.idp.requests() == []


@pytest.mark.case("E15", "T13")
@pytest.mark.connector("oidc", worlds=("facade",))
@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"public_url": "http://facade.example"}, "public_url"),
        ({"public_url": "https://facade.example/path"}, "public_url"),
        ({"upstream": {"url": "http://upstream.example/mcp"}}, "upstream.url"),
        ({"upstream": {"url": "https://169.254.169.254/mcp"}}, "upstream.url"),
        ({"upstream": {"url": "https://facade.example/mcp"}}, "upstream.url"),
        ({"upstream": {"url": "https://up.example/", "allowedRequestHeaders": ["X-Forwarded-User"]}}, "upstream"),
        ({"upstream": {"url": "https://up.example/", "allowedRequestHeaders": ["authorization"]}}, "upstream"),
    ],
)
def test_a_dangerous_setting_refuses_to_start_and_is_named(world: FacadeWorld, tmp_path, change: dict, path: str):
    document = yaml.safe_load((tmp_path / "facade.example.yaml").read_text())
    file = tmp_path / "changed.yaml"
    file.write_text(yaml.safe_dump(document | change))
    environ = {"PORTICO_KEYRING_KEYS": generate_line("k1")}
    with pytest.raises(ConfigError) as told:
        load_facade_settings(file, environ=environ)
    assert any(fault.path.startswith(path) for fault in told.value.faults)
    assert check_facade(file, environ=environ)


@pytest.mark.case("T28", "G07")
@pytest.mark.connector("oidc")
async def test_whoever_floods_the_callback_waits_for_nobody_else(world: ProviderWorld, client_id: str):
    """A forged callback costs a look at a cookie: the provider hears nothing of it."""
    async with world.http("203.0.113.66") as http:
        for number in range(100):
            forged = await http.get(f"{world.path}/callback?state={'A' * 43}&code={number}")
            assert forged.status_code in {403, 429}
    assert world.idp.requests() == []
    browser = Browser(world)
    assert "code" in query_of(await world.to_client(browser, await world.consent_page(browser, client_id)))


@pytest.mark.case("H05", "B06", "C01", "T13")
@pytest.mark.connector("oidc", worlds=("facade",))
async def test_a_key_that_was_dropped_ends_what_it_sealed_and_nothing_fails(world: FacadeWorld, client_id: str):
    issued, code = await world.tokens(client_id), await world.code(client_id)
    browser = Browser(world)
    url = await world.captured(browser, client_id)
    world.keys = generate_line("k2")
    world.restart()
    assert (await browser.http.get(url)).status_code == 403
    assert (await world.call(issued["access_token"])).status_code == 401
    refused_at_token(await world.refresh(client_id, issued["refresh_token"]), "invalid_client", 401)
    refused_at_token(await world.redeem(client_id, code), "invalid_client", 401)
    fresh = await world.register()
    refused_at_token(await world.refresh(fresh, issued["refresh_token"]), "invalid_grant")
    refused_at_token(await world.redeem(fresh, code), "invalid_grant")
    assert (await world.call((await world.tokens(fresh))["access_token"])).status_code == 200
