"""An ID token proves a login: this one, of now, to us, by the provider's own key."""

import json

import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from portico.model.oauth_errors import ServerError
from portico.oauth.connector_settings import ConnectorSettings
from portico.oauth.id_token import judge_id_token, parse_id_token
from portico.oauth.jwk import load_key
from portico.oauth.provider_adapters import adapter_of

NOW = 1_800_000_000
ISSUER = "https://login.example.com"
TENANT = "0d9c1f0e-4b7a-4f58-8f3c-5a6b7c8d9e0f"
OTHER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
TEMPLATE = "https://login.microsoftonline.com/{tenantid}/v2.0"


def settings(type_="oidc", **more):
    return ConnectorSettings(name="corp", type=type_, client_id="portico", **more)


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
