"""The providers of the façade's tests have the gaps that they claim, asked in raw HTTP."""

import asyncio
import contextlib
import time
from urllib.parse import urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from provider_course import CALLBACK, VERIFIER, Course, opened

from support.alternating import alternating
from support.ports import free_port
from support.provider.identity_provider import (
    API_ID,
    PASSWORD,
    PROFILES,
    TENANT,
    error,
    html_page,
    huge,
    identity_provider,
    server_error,
    slow,
)
from support.provider.other_gateway import other_gateway

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("facade-rig")]

RESOURCE = "https://facade.example/mcp"


@pytest.fixture(scope="module")
def providers():
    """Each profile's provider, started when it is first asked for."""
    running = {}
    with contextlib.ExitStack() as stack:

        def provider(profile):
            if profile not in running:
                made = identity_provider(profile, redirect_uris=[CALLBACK], resources=[RESOURCE], access_seconds=300)
                running[profile] = stack.enter_context(made)
            return running[profile]

        yield provider


@pytest.fixture
def course(providers):
    """Log in at a profile's provider."""
    used = []
    with httpx2.Client(trust_env=False, timeout=30) as http:

        def course(profile):
            idp = providers(profile)
            used.append(idp)
            idp.forget_requests()
            return Course(idp=idp, http=http)

        yield course
        for idp in used:
            idp.heal()


# What every profile does


@pytest.mark.parametrize("profile", PROFILES)
def test_a_person_logs_in_and_the_id_token_is_for_the_client(course, profile):
    taken = course(profile)
    tokens = taken.log_in(**({"resource": RESOURCE} if profile == "strict" else {}))
    keys = KeySet.import_key_set(taken.http.get(taken.idp.metadata()["jwks_uri"]).json())
    claims = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (taken.idp.issuer, taken.idp.client_id, "n-1")
    assert claims["email"] == "ada@example.com"
    assert tokens["expires_in"] == 300
    assert taken.idp.metadata()["issuer"] == taken.idp.issuer


@pytest.mark.parametrize("profile", PROFILES)
def test_nobody_registers_and_redirects_are_exact(course, profile):
    taken = course(profile)
    metadata = taken.idp.metadata()
    assert "registration_endpoint" not in metadata
    assert taken.http.post(f"{taken.idp.origin}/reg", json={"redirect_uris": [CALLBACK]}).status_code == 404
    for wrong in (CALLBACK.replace("18999", "18998"), f"{CALLBACK}/", f"{CALLBACK}?a=b"):
        assert taken.http.get(taken.url(redirect_uri=wrong)).status_code == 400


@pytest.mark.parametrize("profile", PROFILES)
def test_a_client_without_its_secret_gets_nothing(course, profile):
    taken = course(profile)
    code = taken.answer()["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    form["client_id"] = taken.idp.client_id
    assert taken.http.post(taken.idp.metadata()["token_endpoint"], data=form).json()["error"] == "invalid_client"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_refresh_token_needs_what_this_provider_wants_for_it(course, profile):
    taken = course(profile)
    if profile == "okta":
        taken.idp.change(grace_seconds=0)
    assert ("refresh_token" in taken.log_in()) == (profile == "cognito")
    first = taken.log_in_offline()
    renewed = taken.refresh(first["refresh_token"]).json()
    assert renewed["access_token"] != first["access_token"]
    assert (renewed.get("refresh_token", first["refresh_token"]) == first["refresh_token"]) == (
        profile in ("cognito", "google")
    )
    again = taken.refresh(first["refresh_token"])
    assert (again.status_code, again.json().get("error")) == (
        (400, "invalid_grant") if profile in ("okta", "strict") else (200, None)
    )
    if profile in ("okta", "strict"):
        assert taken.refresh(renewed["refresh_token"]).json()["error"] == "invalid_grant", "the family is gone"


def test_okta_forgives_reuse_for_a_while(course):
    taken = course("okta")
    taken.idp.change(grace_seconds=30)
    first = taken.log_in_offline()["refresh_token"]
    [one, other] = [taken.refresh(first).json()["refresh_token"] for _ in range(2)]
    assert len({first, one, other}) == 3
    assert taken.refresh(one).status_code == 200


@pytest.mark.parametrize("profile", PROFILES)
def test_unknown_scopes_are_refused(course, profile):
    assert course(profile).answer(scope="mcp/unheard-of")["error"] == "invalid_scope"


@pytest.mark.parametrize("profile", ["cognito", "google"])
def test_offline_access_is_no_scope_there(course, profile):
    assert course(profile).answer(scope="offline_access")["error"] == "invalid_scope"


@pytest.mark.parametrize("profile", PROFILES)
def test_s256_rfc_8414_and_iss_are_there_or_not(course, profile):
    taken = course(profile)
    metadata = taken.idp.metadata()
    path = urlsplit(taken.idp.issuer).path
    found = taken.http.get(f"{taken.idp.origin}/.well-known/oauth-authorization-server{path}").status_code
    assert ("code_challenge_methods_supported" in metadata) == (profile in ("okta", "google", "strict"))
    assert found == (200 if profile in ("okta", "strict") else 404)
    assert metadata.get("authorization_response_iss_parameter_supported", False) == (profile == "strict")
    assert ("iss" in taken.answer()) == (profile == "strict")


@pytest.mark.parametrize("profile", ["cognito", "okta", "google"])
def test_resource_is_ignored(course, profile):
    taken = course(profile)
    answered = taken.redeem(taken.answer(resource=RESOURCE)["code"], resource=RESOURCE)
    assert answered.status_code == 200
    assert RESOURCE not in str([opened(token) for token in answered.json().values() if str(token).count(".") == 2])
    assert [seen.query["resource"] for seen in taken.idp.requests("authorization")] == [RESOURCE]


# What one does


def test_cognitos_access_token_has_no_audience(course):
    header, claims = opened(course("cognito").log_in()["access_token"])
    assert "aud" not in claims
    assert (claims["client_id"], claims["token_use"], claims["scope"]) == (
        "facade",
        "access",
        "openid email profile mcp/invoke",
    )
    assert set(header) == {"alg", "kid", "typ"}


def test_entra_refuses_resource_at_both_endpoints(course):
    taken = course("entra")
    refused = taken.answer(resource=RESOURCE)
    assert (refused["error"], refused["state"]) == ("invalid_target", "s-1")
    assert "AADSTS9010010" in refused["error_description"]
    answered = taken.redeem(taken.answer()["code"], resource=RESOURCE)
    assert answered.status_code == 400
    assert "AADSTS9010010" in answered.json()["error_description"]


def test_entras_tokens_name_a_bare_guid_a_tenant_and_a_subject_of_this_application(course):
    tokens = course("entra").log_in()
    _, access = opened(tokens["access_token"])
    _, identity = opened(tokens["id_token"])
    assert (access["aud"], access["scp"], access["tid"]) == (API_ID, "openid email profile mcp.invoke", TENANT)
    assert identity["oid"] == access["oid"] != identity["sub"]
    assert identity["sub"] != "ada"


def test_oktas_scopes_are_a_list(course):
    _, claims = opened(course("okta").log_in()["access_token"])
    assert claims["scp"] == ["openid", "email", "profile", "mcp.invoke"]
    assert (claims["aud"], claims["cid"]) == ("api://default", "facade")
    assert not {"scope", "client_id"} & set(claims)


def test_googles_access_tokens_are_opaque_and_its_people_have_domains(course):
    taken = course("google")
    tokens = taken.log_in()
    assert "." not in tokens["access_token"]
    assert opened(tokens["id_token"])[1]["hd"] == "example.com"


@pytest.mark.parametrize("profile", ["cognito", "okta", "google"])
def test_userinfo_knows_the_access_token_until_the_account_is_disabled(course, profile):
    taken = course(profile)
    lines = {"authorization": f"Bearer {taken.log_in()['access_token']}"}
    url = taken.idp.metadata()["userinfo_endpoint"]
    assert taken.http.get(url, headers=lines).json()["email"] == "ada@example.com"
    taken.idp.change(disabled=["ada"])
    assert taken.http.get(url, headers=lines).status_code == 401


def test_strict_binds_tokens_to_the_resource_and_demands_pkce(course):
    taken = course("strict")
    _, claims = opened(taken.log_in(resource=RESOURCE)["access_token"])
    assert claims["aud"] == RESOURCE
    assert taken.answer(resource="https://other.example/mcp")["error"] == "invalid_target"
    assert taken.answer(code_challenge=None, code_challenge_method=None)["error"] == "invalid_request"


def test_strict_asks_for_consent_on_a_page_of_its_own(course):
    taken = course("strict")
    person = taken.idp.person()
    person.walk(taken.url())
    assert ["log in" in page for page in person.pages] == [True, False]


# Handles


def test_a_wrong_password_gets_nowhere(course):
    taken = course("cognito")
    person = taken.idp.person()
    person.password = f"not {PASSWORD}"
    with pytest.raises(AssertionError, match="no end"):
        person.walk(taken.url())


def test_silence_denial_and_a_disabled_account(course):
    taken = course("okta")
    taken.idp.change(silent="grace")
    person = taken.idp.person("nobody")
    assert "code=" in person.walk(taken.url())
    assert person.pages == []
    taken.idp.change(silent=None, denies=True)
    assert taken.answer()["error"] == "access_denied"
    taken.idp.heal()
    tokens = taken.log_in_offline()
    taken.idp.change(disabled=["ada"])
    assert taken.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_revoked_grant_is_not_refreshed(course, profile):
    taken = course(profile)
    of_ada, of_grace = taken.log_in_offline("ada"), taken.log_in_offline("grace")
    assert taken.idp.revoke("ada")
    assert taken.refresh(of_ada["refresh_token"]).json()["error"] == "invalid_grant"
    assert taken.refresh(of_grace["refresh_token"]).status_code == 200


@pytest.mark.parametrize("keep", [True, False])
def test_keys_rotate_under_a_login(course, keep):
    taken = course("cognito")
    url = taken.idp.metadata()["jwks_uri"]
    before = taken.http.get(url).json()["keys"]
    code = taken.answer()["code"]
    taken.idp.rotate(keep=keep)
    after = [key["kid"] for key in taken.http.get(url).json()["keys"]]
    assert (before[0]["kid"] in after) == keep
    header, _ = opened(taken.redeem(code).json()["access_token"])
    assert header["kid"] == after[0] != before[0]["kid"]


def test_the_token_endpoint_fails_in_every_way(course):
    taken = course("cognito")
    for fault, status, size in [(server_error(), 500, 24), (html_page(), 502, 38), (huge(), 200, 2 << 20)]:
        taken.idp.fail("token", fault)
        answered = taken.redeem("any")
        assert (answered.status_code, len(answered.content)) == (status, size)
    taken.idp.fail("token", error("invalid_grant"))
    assert taken.redeem("any").json() == {"error": "invalid_grant"}
    taken.idp.fail("token", slow(0.2))
    before = time.monotonic()
    assert taken.redeem("any").json()["error"] == "invalid_grant"
    assert time.monotonic() - before >= 0.2
    assert [seen.form["code"] for seen in taken.idp.requests("token")] == ["any"] * 5


def test_answers_are_patched(course):
    taken = course("strict")
    taken.idp.change(
        patch={
            "callback": {"iss": "https://evil.example"},
            "id_token": {"nonce": "other"},
            "token": {"expires_in": None},
            "discovery": {"issuer": "https://evil.example"},
        },
        header={"id_token": {"typ": "at+jwt"}},
    )
    answered = taken.answer()
    assert answered["iss"] == "https://evil.example"
    tokens = taken.redeem(answered["code"]).json()
    assert "expires_in" not in tokens
    header, claims = opened(tokens["id_token"])
    assert (header["typ"], claims["nonce"]) == ("at+jwt", "other")
    assert taken.idp.metadata()["issuer"] == "https://evil.example"


# The gateway behind it


async def call(url, token, tool, arguments, mode="auto"):
    """Call a tool with the SDK's client; returns the result and the progress heard."""
    heard = []

    async def hear(done, total, _message):
        heard.append((done, total))

    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=30, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        return await client.call_tool(tool, arguments, progress_callback=hear), heard


@pytest.mark.parametrize("profile", PROFILES)
async def test_the_other_gateway_takes_the_providers_tokens_only(course, tmp_path, profile):
    taken = course(profile)
    tokens = await asyncio.to_thread(taken.log_in, **({"resource": RESOURCE} if profile == "strict" else {}))
    with other_gateway(taken.idp, log=tmp_path / "log") as gateway:
        for mode in ("legacy", "2026-07-28"):
            result, heard = await call(gateway.mcp_url, tokens["access_token"], "count", {"steps": 3}, mode)
            assert (result.structured_content, heard) == ({"result": 3}, [(1, 3), (2, 3), (3, 3)])
        told, _ = await call(gateway.mcp_url, tokens["access_token"], "whoami", {}, mode)
        assert told.structured_content["token"] == tokens["access_token"]
        for wrong in (tokens["id_token"], "made-up"):
            answered = taken.http.post(gateway.mcp_url, headers={"authorization": f"Bearer {wrong}"}, json={})
            assert answered.status_code == 401
        challenge = answered.headers["www-authenticate"]
        document = taken.http.get(challenge.split('resource_metadata="')[1].split('"')[0]).json()
        assert document["authorization_servers"][0].rstrip("/") == taken.idp.issuer


# The proxy before two replicas


async def test_the_proxy_alternates_and_streams(course, tmp_path):
    taken = course("cognito")
    token = (await asyncio.to_thread(taken.log_in))["access_token"]
    with (
        other_gateway(taken.idp, log=tmp_path / "a", stateless=True) as one,
        other_gateway(taken.idp, log=tmp_path / "b", stateless=True) as other,
        alternating(free_port(), [one.port, other.port]) as proxy,
    ):
        for mode in ("legacy", "2026-07-28"):
            result, heard = await call(f"{proxy.url}/mcp", token, "count", {"steps": 3, "seconds": 0.05}, mode)
            assert (result.structured_content, len(heard)) == ({"result": 3}, 3)
        ports = [port for port, _line in proxy.seen]
        assert ports[:4] == [one.port, other.port, one.port, other.port]
