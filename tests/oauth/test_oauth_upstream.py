"""What a provider answers: its callback, its tokens, its ID token, and who the person is."""

import contextlib
import json
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from hypothesis import given, strategies
from joserfc import jws
from joserfc.jwk import ECKey

from portico.model.errors import (
    AccessDenied,
    Forbidden,
    InvalidGrant,
    InvalidRequest,
    ServerError,
    TemporarilyUnavailable,
)
from portico.model.secret import Secret
from portico.oauth.connector_settings import ConnectorSettings
from portico.oauth.id_token import judge_id_token, parse_id_token
from portico.oauth.jwk import load_key
from portico.oauth.parameters import Parameters
from portico.oauth.provider_adapters import adapter_of
from portico.oauth.provider_metadata import ProviderMetadata
from portico.oauth.upstream_callback import judge_callback
from portico.oauth.upstream_person import lacks, merged_claims, person_of, primary_email
from portico.oauth.upstream_tokens import authenticated, judge_token_answer

NOW = 1_800_000_000
TYPES = ("oidc", "cognito", "entra", "okta", "auth0", "keycloak", "google", "github")
ISSUER = "https://login.example.com"
METADATA = ProviderMetadata(issuer=ISSUER, authorization_endpoint="a", token_endpoint="t")
SENDS_ISS = replace(METADATA, sends_iss=True)
TENANT = "0d9c1f0e-4b7a-4f58-8f3c-5a6b7c8d9e0f"
OTHER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
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


# The ID token


class Signer:
    """A provider's key, and the ID token that it signs for a login of Ada's."""

    def __init__(self):
        self.key = ECKey.generate_key("P-256")
        self.jwk = {**self.key.as_dict(private=False), "kid": "k1", "use": "sig", "alg": "ES256"}

    def token(self, *, header, without=(), **claims):
        protected = {"alg": "ES256", "kid": "k1"} | header
        usual = {"iss": ISSUER, "aud": "portico", "sub": "ada", "nonce": "n-1", "iat": NOW, "exp": NOW + 900}
        body = {name: value for name, value in (usual | claims).items() if name not in without}
        protected = {name: value for name, value in protected.items() if value is not None}
        return jws.serialize_compact(protected, json.dumps(body), self.key, algorithms=["ES256"]).encode()


@pytest.fixture(scope="module")
def signer():
    return Signer()


def id_claims(signer, token, *, adapter=None, issuer=ISSUER, nonce="n-1", now=NOW, key=None):
    unverified = parse_id_token(token.decode() if isinstance(token, bytes) else token)
    return judge_id_token(
        unverified,
        key or load_key(signer.jwk),
        adapter=adapter or adapter_of(settings()),
        issuer=issuer,
        client_id="portico",
        nonce=nonce,
        now=now,
    )


def id_token(signer, **claims):
    header = claims.pop("header", {})
    return signer.token(header={"typ": "JWT", **header}, **claims)


def test_a_good_id_token_is_believed(signer):
    assert id_claims(signer, id_token(signer))["sub"] == "ada"
    assert id_claims(signer, id_token(signer, header={"typ": None}))["sub"] == "ada"
    assert id_claims(signer, id_token(signer, aud=["portico"], azp="portico"))["sub"] == "ada"
    assert id_claims(signer, id_token(signer, aud=["portico", "api"], azp="portico"))["sub"] == "ada"
    assert id_claims(signer, id_token(signer, exp=NOW - 30, nbf=NOW + 30, iat=NOW + 30))["sub"] == "ada"


@pytest.mark.case("T18", "T22", "D08")
@pytest.mark.parametrize(
    "claims",
    [
        {"iss": ISSUER + "/"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another-client"},
        {"aud": ["another-client"]},
        {"aud": "portico-too"},
        {"aud": ["portico", "api"]},
        {"aud": ["portico", "api"], "azp": "another-client"},
        {"aud": {"portico": 1}},
        {"azp": "another-client"},
        {"without": ("aud",)},
        {"nonce": "n-2"},
        {"nonce": 1},
        {"nonce": "é"},
        {"without": ("nonce",)},
        {"exp": NOW - 61},
        {"exp": "never"},
        {"exp": True},
        {"without": ("exp",)},
        {"without": ("iat",)},
        {"iat": NOW + 61},
        {"nbf": NOW + 61},
        {"nbf": "x"},
        {"token_use": "access"},
        {"header": {"typ": "at+jwt"}},
        {"header": {"typ": "logout+jwt"}},
        {"tid": 7},
    ],
)
def test_an_id_token_for_another_login_client_or_time_is_refused(signer, claims):
    with pytest.raises(ServerError) as told:
        id_claims(signer, id_token(signer, **claims))
    assert "ID token" in told.value.detail


def test_a_login_without_a_nonce_of_ours_proves_nothing(signer):
    with pytest.raises(ServerError):
        id_claims(signer, id_token(signer, nonce=""), nonce="")


@pytest.mark.case("D01", "D03")
def test_only_the_provider_s_own_key_and_its_algorithms_count(signer):
    other = Signer()
    good = id_token(signer).decode()
    head, payload, signature = good.split(".")
    for token in (
        "",
        "opaque",
        "é.é.é",
        f"{head}.{payload}.",
        f"eyJhbGciOiJub25lIn0.{payload}.",
        f"eyJhbGciOiJIUzI1NiJ9.{payload}.{signature}",
        f"{head}.{payload}x.{signature}",
        id_token(other).decode(),
    ):
        with pytest.raises(ServerError):
            id_claims(signer, token)
    with pytest.raises(ServerError):
        judge_id_token(
            parse_id_token(good),
            None,
            adapter=adapter_of(settings()),
            issuer=ISSUER,
            client_id="portico",
            nonce="n-1",
            now=NOW,
        )


def test_google_s_issuer_may_lack_its_scheme(signer):
    google = "https://accounts.google.com"
    adapter = adapter_of(settings("google"))
    for iss in (google, "accounts.google.com"):
        assert id_claims(signer, id_token(signer, iss=iss), adapter=adapter, issuer=google)
    with pytest.raises(ServerError):
        id_claims(signer, id_token(signer, iss="accounts.google.com"), issuer=google)


@pytest.mark.case("D11")
def test_with_many_tenants_the_issuer_is_that_of_the_tenant(signer):
    def judged(iss_tenant, **claims):
        iss = f"https://login.microsoftonline.com/{iss_tenant}/v2.0"
        return id_claims(signer, id_token(signer, iss=iss, **claims), issuer=TEMPLATE)

    assert judged(TENANT, tid=TENANT)["tid"] == TENANT
    wrong = ((OTHER_TENANT, {"tid": TENANT}), (TENANT, {}), (TENANT, {"tid": ""}), ("x", {"tid": "x"}))
    for iss_tenant, claims in wrong:
        with pytest.raises(ServerError):
            judged(iss_tenant, **claims)


# The person

CLAIMS = {"sub": "248289761001", "name": "Ada\u202e Lovelace", "email": "Ada@Example.com", "email_verified": True}


def person(claims=CLAIMS, made=None, **changes):
    made = made or settings(**changes)
    return person_of(claims, adapter_of(made), made)


def test_a_person_has_a_subject_and_a_name_to_read():
    made = person()
    assert (made.connector, made.subject, made.name, made.email) == (
        "corp",
        "248289761001",
        "Ada Lovelace",
        "ada@example.com",
    )
    assert person({"sub": "x"}) == replace(made, subject="x", name="", email="")


def test_vendors_say_who_it_is_in_other_claims():
    entra = {"sub": "pairwise", "oid": "o-1", "tid": "t-1", "preferred_username": "ada@corp"}
    assert person(entra, settings("entra")).subject == "o-1:t-1"
    assert person(entra, settings("entra")).name == "ada@corp"
    github = {"id": 583231, "login": "ada", "name": None, "email": None}
    assert (person(github, settings("github")).subject, person(github, settings("github")).name) == ("583231", "ada")
    assert person({"uid": "u"}, subject_claim="uid").subject == "u"


@pytest.mark.parametrize(
    "claims", [{}, {"sub": ""}, {"sub": True}, {"sub": None}, {"sub": ["a"]}, {"sub": "a\x00"}, {"sub": "x" * 256}]
)
def test_nobody_in_particular_logs_in(claims):
    with pytest.raises(ServerError):
        person(claims)


def test_two_claims_cannot_be_cut_in_two_ways():
    with pytest.raises(ServerError):
        person({"oid": "a:b", "tid": "c"}, settings("entra"))


def test_claims_of_two_people_are_not_mixed():
    assert merged_claims({"sub": "a"}, {"sub": "a", "name": "A"})["name"] == "A"
    assert merged_claims({"sub": "a", "name": "signed"}, {"sub": "a", "name": "not"})["name"] == "signed"
    for userinfo in ({"sub": "b", "name": "B"}, {"name": "B"}):
        with pytest.raises(ServerError):
            merged_claims({"sub": "a"}, userinfo)


@pytest.mark.parametrize(
    ("rules", "changes", "let_in"),
    [
        ({"allowed_domains": ("example.com",)}, {}, True),
        ({"allowed_domains": ("other.example", "example.com")}, {"email_verified": "true"}, True),
        ({"allowed_domains": ("example.com",)}, {"email_verified": False}, False),
        ({"allowed_domains": ("example.com",)}, {"email_verified": "yes"}, False),
        ({"allowed_domains": ("example.com",)}, {"email_verified": None}, False),
        ({"allowed_domains": ("example.com",)}, {"email": "ada@example.com.evil.example"}, False),
        ({"allowed_domains": ("example.com",)}, {"email": "ada@evil.example@example.com"}, False),
        ({"allowed_domains": ("example.com",)}, {"email": "ada@sub.example.com"}, False),
        ({"allowed_domains": ("example.com",)}, {"email": "ada@\uff45xample.com"}, False),
        ({"allowed_domains": ("example.com",)}, {"email": None}, False),
        ({"allowed_emails": ("ada@example.com",)}, {}, True),
        ({"allowed_emails": ("ada@example.com",)}, {"email_verified": False}, False),
        ({"allowed_emails": ("grace@example.com",)}, {}, False),
        ({"allowed_emails": ("grace@x.example",), "allowed_domains": ("example.com",)}, {}, True),
        ({"required_claims": {"groups": ("staff",)}}, {"groups": ["all", "staff"]}, True),
        ({"required_claims": {"groups": ("staff",)}}, {"groups": "staff"}, True),
        ({"required_claims": {"groups": ("staff",)}}, {"groups": "staffing"}, False),
        ({"required_claims": {"groups": ("staff",)}}, {}, False),
        ({"required_claims": {"groups": ("staff",), "x": ("1",)}}, {"groups": "staff"}, False),
        ({"required_claims": {"admin": ("true",), "level": ("3",)}}, {"admin": True, "level": 3}, True),
        ({"required_claims": {"g": ("a",)}, "allowed_domains": ("o.example",)}, {"g": "a"}, False),
        ({"required_claims": {"groups": ("staff",)}}, {"groups": {"staff": 1}}, False),
    ],
)
def test_only_accounts_that_the_rules_name_are_let_in(rules, changes, let_in):
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    if let_in:
        assert person(claims, **rules).subject == CLAIMS["sub"]
    else:
        with pytest.raises(AccessDenied):
            person(claims, **rules)


def test_google_says_itself_whose_account_it_is():
    rules = {"allowed_domains": ("example.com",)}
    assert person(CLAIMS | {"hd": "example.com", "email_verified": None}, settings("google", **rules))
    with pytest.raises(AccessDenied):  # a personal account with an address of the company
        person(CLAIMS, settings("google", **rules))


def test_entra_s_address_is_nobody_s_proof_by_itself():
    claims = CLAIMS | {"oid": "o", "tid": "t"}
    rules = {"allowed_emails": ("ada@example.com",)}
    with pytest.raises(AccessDenied):
        person(claims, settings("entra", **rules))
    assert person(claims | {"xms_edov": 1}, settings("entra", **rules))


def test_github_s_primary_address_is_the_one():
    old = {"email": "old@x.example", "primary": False, "verified": True}
    assert primary_email([old, {"email": "a@x.example", "primary": True}]) == {
        "email": "a@x.example",
        "email_verified": False,
    }
    assert primary_email("x") == primary_email([]) == primary_email(["x"]) == {}


def test_userinfo_is_asked_only_for_what_is_open():
    def open_questions(claims, **more):
        made = settings(**more)
        return lacks(claims, adapter_of(made), made)

    assert not open_questions({"sub": "a", "name": "A", "email": "a@b"})
    assert open_questions({"sub": "a", "name": "A"})
    assert open_questions({"sub": "a", "name": "A", "email": "a@b"}, allowed_domains=("b",))
    assert open_questions({"sub": "a", "name": "A", "email": "a@b"}, required_claims={"groups": ("x",)})


# Strangers' values

JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    max_leaves=5,
)
CLAIM_NAMES = ("sub", "oid", "tid", "id", "name", "email", "email_verified", "xms_edov", "hd", "groups", "login")


@given(strategies.dictionaries(strategies.sampled_from(CLAIM_NAMES), JSON), strategies.sampled_from(TYPES))
def test_whatever_the_claims_are_there_is_a_person_or_a_refusal(claims, type_):
    made = settings(type_, allowed_domains=("example.com",), required_claims={"groups": ("staff",)})
    with contextlib.suppress(AccessDenied, ServerError):
        assert person_of(claims, adapter_of(made), made).subject


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
