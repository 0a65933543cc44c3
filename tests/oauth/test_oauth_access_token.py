import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from portico.model.errors import InvalidToken
from portico.oauth.access_token import LEEWAY, check_time, names_another_kind, read_access_token
from portico.oauth.jwk import load_key
from portico.oauth.jwt import VerifiedToken

ISSUER = "https://issuer.example/t1"
NOW = 1_800_000_000
KEY = load_key(ECKey.generate_key("P-256").as_dict(private=False))
CLAIMS = {
    "iss": ISSUER,
    "sub": "alice",
    "client_id": "c1",
    "aud": "https://gw.example/g/a/mcp",
    "iat": NOW,
    "exp": NOW + 900,
    "scope": "mcp/invoke",
}


def read(claims, *, typ="at+jwt", own=False):
    return read_access_token(VerifiedToken(key=KEY, typ=typ, claims=claims), issuer=ISSUER, own=own)


def test_claims_become_typed():
    token = read(CLAIMS, own=True)
    assert (token.subject, token.client_id, token.expires_at) == ("alice", "c1", NOW + 900)
    assert token.audiences == {"https://gw.example/g/a/mcp"}
    assert token.scopes == {"mcp/invoke"}


@pytest.mark.case("D08")
@pytest.mark.parametrize("typ", ["id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "jose", "oauth-authz-req+jwt"])
def test_tokens_of_another_type_are_no_access_tokens(typ):
    with pytest.raises(InvalidToken) as refused:
        read(CLAIMS, typ=typ)
    assert typ in refused.value.debug_hint


@pytest.mark.case("D08")
@pytest.mark.parametrize(
    "extra",
    [
        {"token_use": "id"},
        {"token_use": None},
        {"at_hash": "x"},
        {"c_hash": "x", "nonce": "n"},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    ],
)
@pytest.mark.parametrize("typ", ["", "jwt"])
def test_an_untyped_token_that_looks_like_another_kind_is_refused(extra, typ):
    with pytest.raises(InvalidToken):
        read({**CLAIMS, **extra}, typ=typ)


@pytest.mark.case("D08")
def test_a_nonce_marks_an_id_token_unless_the_token_has_scope_or_client():
    bare = {"iss": ISSUER, "sub": "a", "aud": "c", "exp": NOW, "nonce": "n"}
    assert names_another_kind(bare)
    assert not names_another_kind({**bare, "scope": "openid"})


@pytest.mark.case("D09")
@pytest.mark.parametrize("typ", ["", "jwt"])
def test_our_own_tokens_must_be_typed(typ):
    assert read(CLAIMS, typ=typ)
    with pytest.raises(InvalidToken):
        read(CLAIMS, typ=typ, own=True)
    assert read(CLAIMS, typ="application/at+jwt", own=True)


@pytest.mark.parametrize("missing", ["sub", "client_id", "aud", "iat", "exp", "iss"])
@pytest.mark.case("T18")
def test_our_own_tokens_have_every_claim_of_rfc_9068(missing):
    with pytest.raises(InvalidToken):
        read({name: value for name, value in CLAIMS.items() if name != missing}, own=True)


@pytest.mark.case("D11")
@pytest.mark.parametrize(
    "iss",
    [
        ISSUER + "/",
        ISSUER.upper(),
        "https://ISSUER.example/t1",
        "https://issuer.example/t2",
        "https://issuer.example",
        "http://issuer.example/t1",
        "",
        None,
        [ISSUER],
        {"a": 1},
    ],
)
def test_the_issuer_is_compared_exactly(iss):
    with pytest.raises(InvalidToken):
        read({**CLAIMS, "iss": iss})


@pytest.mark.parametrize("exp", [None, True, "2000000000", float("inf"), float("nan"), -1, 10**400, [], 2**60])
@pytest.mark.case("T18")
def test_exp_is_a_time_and_never_missing(exp):
    with pytest.raises(InvalidToken):
        read({**CLAIMS, "exp": exp})


@pytest.mark.case("D15")
def test_times_are_judged_with_a_leeway():
    token = read(CLAIMS)
    check_time(token, NOW - LEEWAY)
    check_time(token, NOW + 900 + LEEWAY - 1)
    for now in (NOW - LEEWAY - 1, NOW + 900 + LEEWAY):
        with pytest.raises(InvalidToken):
            check_time(token, now)


@pytest.mark.case("D15")
@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_out_of_the_future_is_refused(claim):
    with pytest.raises(InvalidToken) as refused:
        check_time(read({**CLAIMS, claim: NOW + 3600}), NOW)
    assert "future" in refused.value.debug_hint


@pytest.mark.parametrize("aud", [{"a": 1}, [1], ["a", None], ["a", ["b"]], 5])
def test_an_audience_that_is_no_text_is_refused(aud):
    with pytest.raises(InvalidToken):
        read({**CLAIMS, "aud": aud})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_NAMES = [*CLAIMS, "nbf", "scp", "nonce", "at_hash", "token_use", "typ", "events", "azp", "grant_id"]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(_NAMES), _JSON), st.sampled_from(["", "jwt", "at+jwt"]), st.booleans())
def test_any_claims_are_either_read_or_refused(odd, typ, own):
    try:
        token = read({**CLAIMS, **odd}, typ=typ, own=own)
        check_time(token, NOW)
    except InvalidToken:
        return
    assert token.issuer == ISSUER
