"""What a provider answers: its callback and its tokens."""

import contextlib
import json
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from hypothesis import given, strategies

from portico.model.errors import Forbidden
from portico.model.oauth_errors import AccessDenied, InvalidGrant, InvalidRequest, ServerError, TemporarilyUnavailable
from portico.model.secret import Secret
from portico.oauth.connector_settings import ConnectorSettings
from portico.oauth.parameters import Parameters
from portico.oauth.provider_adapters import adapter_of
from portico.oauth.provider_metadata import ProviderMetadata
from portico.oauth.upstream_callback import judge_callback
from portico.oauth.upstream_tokens import authenticated, judge_token_answer

ISSUER = "https://login.example.com"
METADATA = ProviderMetadata(issuer=ISSUER, authorization_endpoint="a", token_endpoint="t")
SENDS_ISS = replace(METADATA, sends_iss=True)
TENANT = "0d9c1f0e-4b7a-4f58-8f3c-5a6b7c8d9e0f"
TEMPLATE = "https://login.microsoftonline.com/{tenantid}/v2.0"
ATTACK = "<script>alert(1)</script> call 555-0100\r\nX: y"


def settings(type_="oidc", **more):
    return ConnectorSettings(name="corp", type=type_, client_id="portico", **more)


# The callback


def callback(query, metadata=METADATA):
    return judge_callback(Parameters.parse(query.encode()), metadata)


def test_a_code_comes_back():
    assert callback("code=abc&state=s") == "abc"
    assert callback("code=abc&state=s&session_state=x&iss=https://login.example.com", SENDS_ISS) == "abc"


@pytest.mark.case("B16", "T22")
@pytest.mark.parametrize("answer", ["code=abc", "error=access_denied"])
@pytest.mark.parametrize(
    "iss", ["https://evil.example", ISSUER + "/", ISSUER.upper(), "login.example.com", ISSUER + "%20"]
)
@pytest.mark.parametrize("metadata", [METADATA, SENDS_ISS])
def test_an_answer_with_another_issuer_is_refused_whether_code_or_error(answer, iss, metadata):
    with pytest.raises(Forbidden):
        callback(f"{answer}&iss={iss}", metadata)


@pytest.mark.case("B16")
@pytest.mark.parametrize("answer", ["code=abc", "error=access_denied"])
def test_an_answer_without_issuer_is_refused_when_the_provider_sends_it(answer):
    with pytest.raises(Forbidden):
        callback(answer, SENDS_ISS)


@pytest.mark.case("B16")
def test_several_tenants_have_issuers_of_one_form():
    many = replace(METADATA, issuer=TEMPLATE)
    assert callback(f"code=c&iss=https://login.microsoftonline.com/{TENANT}/v2.0", many) == "c"
    for tenant in ("{tenantid}", "common", "x/v2.0/../" + TENANT, "", "evil"):
        with pytest.raises(Forbidden):
            callback(f"code=c&iss=https://login.microsoftonline.com/{tenant}/v2.0", many)


@pytest.mark.case("B14", "T26")
@pytest.mark.parametrize(
    ("error", "kind", "code", "named"),
    [
        ("access_denied", AccessDenied, "access_denied", ""),
        ("login_required", AccessDenied, "access_denied", ""),
        ("consent_required", AccessDenied, "access_denied", ""),
        ("interaction_required", AccessDenied, "access_denied", ""),
        ("temporarily_unavailable", TemporarilyUnavailable, "temporarily_unavailable", ""),
        ("server_error", ServerError, "server_error", "server_error"),
        ("invalid_scope", ServerError, "server_error", "invalid_scope"),
        ("invalid_target", ServerError, "server_error", "invalid_target"),
        ("unauthorized_client", ServerError, "server_error", "unauthorized_client"),
        ("AADSTS50105", ServerError, "server_error", ""),
        (ATTACK, ServerError, "server_error", ""),
        ("invalid_grant", ServerError, "server_error", ""),
    ],
)
def test_a_provider_s_error_is_told_in_our_words(error, kind, code, named):
    with pytest.raises(kind) as told:
        callback(urlencode({"error": error, "error_description": ATTACK}))
    assert told.value.code == code
    assert ("script" in told.value.public, "555" in told.value.public) == (False, False)
    assert (f"({named})" in told.value.public) is bool(named)
    assert "555-0100" in told.value.detail
    assert "\r" not in told.value.detail


@pytest.mark.parametrize("query", ["", "state=s", "code=", "code=%C3%A9", "code=" + "x" * 5000, "code=a%0Ab"])
def test_neither_code_nor_error_is_the_provider_s_fault(query):
    with pytest.raises(ServerError):
        callback(query)


def test_a_repeated_parameter_is_refused():
    for query in ("code=a&code=b", f"code=a&iss={ISSUER}&iss=https://evil.example", "error=a&error=b"):
        with pytest.raises(InvalidRequest):
            callback(query)


# Tokens

TOKENS = {"access_token": "at", "token_type": "Bearer", "expires_in": 300, "refresh_token": "rt", "id_token": "i.d.t"}


def answered(status=200, content_type="application/json", body=None, kept=None, **changes):
    text = json.dumps({name: value for name, value in (TOKENS | changes).items() if value is not None})
    return judge_token_answer(status, content_type, text.encode() if body is None else body, kept=kept)


def test_tokens_are_taken():
    answer = answered(scope="openid email")
    assert (answer.tokens.access_token.reveal(), answer.tokens.refresh_token.reveal()) == ("at", "rt")
    assert (answer.tokens.expires_in, answer.tokens.scope, answer.unverified_id_token) == (300, "openid email", "i.d.t")


@pytest.mark.case("C30")
def test_what_real_providers_leave_out_is_tolerated():
    answer = answered(token_type=None, expires_in=None, refresh_token=None, id_token=None)
    assert (answer.tokens.expires_in, answer.unverified_id_token) == (3600, "")
    assert not answer.tokens.refresh_token
    assert answered(expires_in="3599").tokens.expires_in == 3599
    assert answered(expires_in=0.2).tokens.expires_in == 1
    form = b"access_token=gho_x&scope=read%3Auser&token_type=bearer"
    assert answered(content_type="application/x-www-form-urlencoded", body=form).tokens.scope == "read:user"


def test_a_refresh_token_that_is_not_replaced_goes_on():
    kept = Secret("old")
    assert answered(refresh_token=None, kept=kept).tokens.refresh_token == kept
    assert answered(kept=kept).tokens.refresh_token == Secret("rt")


@pytest.mark.parametrize("error", ["invalid_grant", "bad_verification_code", "bad_refresh_token"])
def test_a_login_is_over_only_when_the_provider_says_so(error):
    status = 400 if error == "invalid_grant" else 200  # GitHub
    with pytest.raises(InvalidGrant) as told:
        answered(status, body=json.dumps({"error": error, "error_description": ATTACK}).encode())
    assert "555" not in told.value.public


@pytest.mark.case("C30", "B14")
@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (500, "text/html", b"<h1>sorry</h1>"),
        (200, "text/html", b"<h1>log in</h1>"),
        (302, "text/html", b""),
        (503, "application/json", b'{"error":"temporarily_unavailable"}'),
        (400, "application/json", b'{"error":"invalid_client"}'),
        (401, "application/json", b'{"error":"invalid_client","error_description":"555-0100"}'),
        (400, "application/json", b'{"error":"<script>"}'),
        (200, "application/json", b'{"error":"incorrect_client_credentials"}'),
        (200, "application/json", b'{"access_token":7}'),
        (200, "application/json", b'{"access_token":"a","token_type":"DPoP"}'),
        (200, "application/json", b'{"access_token":"a\\r\\nb"}'),
        (200, "application/json", b'{"access_token":"a","refresh_token":{}}'),
        (200, "application/json", b'{"access_token":"a","refresh_token":"\\u0000"}'),
        (200, "application/json", b'{"access_token":"a","access_token":"b"}'),
        (200, "application/json", b"[" * 100_000),
        (200, "application/json", b"\xff\xfe"),
    ],
)
def test_any_other_answer_is_the_provider_s_fault_and_its_words_stay_here(status, kind, body):
    with pytest.raises(ServerError) as told:
        answered(status, kind, body)
    assert told.value.status == 502
    assert not any(words in told.value.public for words in ("555", "script", "sorry"))


@pytest.mark.case("H10")
def test_what_was_sent_does_not_come_back_into_the_log():
    echo = json.dumps(
        {"error": "invalid_grant", "error_description": "the code c-0de with v-erifier is wrong"}
    ).encode()
    with pytest.raises(InvalidGrant) as told:
        judge_token_answer(400, "application/json", echo, hidden=["c-0de", "v-erifier", ""])
    assert told.value.detail == "invalid_grant: the code ******** with ******** is wrong"
    assert told.value.__cause__ is None


def test_we_prove_ourselves_as_the_provider_wants_it():
    def proof(made, methods=()):
        metadata = replace(METADATA, token_auth_methods=frozenset(methods))
        return authenticated({"a": "b"}, adapter_of(made), made, metadata, Secret("p s"))

    basic = {"Authorization": "Basic cG9ydGljbzpwK3M="}
    posted = {"a": "b", "client_id": "portico", "client_secret": "p s"}
    assert (proof(settings()).headers, proof(settings()).form) == (basic, {"a": "b"})
    assert proof(settings(), ["client_secret_post"]).form == posted
    assert proof(settings(), ["client_secret_post", "client_secret_basic"]).headers == basic
    assert proof(settings(token_auth_method="post")).form == posted
    assert proof(settings("github")).form == posted
    assert proof(settings("google", token_auth_method="basic")).headers == basic
    assert proof(settings(token_auth_method="none")).form == {"a": "b", "client_id": "portico"}


# Strangers' values

JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    max_leaves=5,
)


@given(
    strategies.sampled_from([200, 400, 500]),
    strategies.binary() | JSON.map(lambda v: json.dumps({"error": v}).encode()),
)
def test_whatever_the_answer_is_there_are_tokens_or_a_refusal(status, body):
    for kind in ("application/json", "application/x-www-form-urlencoded"):
        with contextlib.suppress(InvalidGrant, ServerError):
            assert judge_token_answer(status, kind, body).tokens.access_token


@given(
    strategies.dictionaries(strategies.sampled_from(["code", "error", "error_description", "iss"]), strategies.text())
)
def test_whatever_comes_back_there_is_a_code_or_a_refusal(parameters):
    query = urlencode(parameters, errors="replace")
    with contextlib.suppress(Forbidden, InvalidRequest, AccessDenied, ServerError, TemporarilyUnavailable):
        assert callback(query, SENDS_ISS)
