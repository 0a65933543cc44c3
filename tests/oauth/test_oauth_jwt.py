"""Forms of tokens, one by one: what is not canonical, not signed, or not signed by the right key is refused."""

import base64
import hmac
import json
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from portico.model.errors import InvalidToken
from portico.oauth.jwk import load_key
from portico.oauth.jwt import MAX_TOKEN_BYTES, parse, verify

EC = ECKey.generate_key("P-256")
EC384 = ECKey.generate_key("P-384")
RSA = RSAKey.generate_key(2048)
ED = OKPKey.generate_key("Ed25519")
CLAIMS = {"iss": "https://issuer.example", "sub": "alice", "exp": 2_000_000_000}


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def as_json(value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def sign(key, alg, claims=CLAIMS, *, sign_as=None, **header):
    """Sign anything at all: ``claims`` may be bytes, ``header`` may hold what it must not."""
    signing_input = b64(as_json({"alg": alg, **header})) + b"." + b64(as_json(claims))
    return signing_input + b"." + b64(JWSRegistry.algorithms[sign_as or alg].sign(signing_input, key))


def public(key, **members):
    return load_key({**key.as_dict(private=False), **members})


def trusted(token, key):
    return verify(parse(token), key)


@pytest.mark.parametrize(
    ("key", "alg"),
    [(EC, "ES256"), (EC384, "ES384"), (RSA, "RS256"), (RSA, "PS256"), (RSA, "RS512"), (ED, "EdDSA"), (ED, "Ed25519")],
)
def test_a_genuine_token_gives_its_claims(key, alg):
    found = trusted(sign(key, alg, typ="AT+JWT", kid="k"), public(key))
    assert found.claims == CLAIMS
    assert found.typ == "at+jwt"


@pytest.mark.case("D01")
@pytest.mark.parametrize("alg", ["none", "NoNe", "NONE", "", "es256", None, 1, ["ES256"]])
def test_unsigned_and_unknown_algorithms_are_refused(alg):
    unsigned = b64(as_json({"alg": alg})) + b"." + b64(as_json(CLAIMS)) + b"."
    for token in (unsigned, unsigned + b64(b"x")):
        with pytest.raises(InvalidToken):
            trusted(token, public(EC))


@pytest.mark.case("D01")
def test_an_empty_signature_is_refused():
    token = sign(EC, "ES256")
    with pytest.raises(InvalidToken):
        parse(token[: token.rindex(b".") + 1])


@pytest.mark.case("D02")
@pytest.mark.parametrize("form", ["pem", "der", "jwk"])
def test_hmac_with_the_public_key_is_refused(form):
    raw: rsa.RSAPublicKey = RSA.public_key
    secret = {
        "pem": raw.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": raw.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": as_json(RSA.as_dict(private=False)),
    }[form]
    signing_input = b64(as_json({"alg": "HS256"})) + b"." + b64(as_json(CLAIMS))
    token = signing_input + b"." + b64(hmac.digest(secret, signing_input, "sha256"))
    with pytest.raises(InvalidToken):
        trusted(token, public(RSA))


@pytest.mark.case("D03")
@pytest.mark.parametrize(
    ("token", "key"),
    [
        (sign(RSA, "PS256"), public(RSA, alg="RS256")),
        (sign(RSA, "RS256"), public(RSA, alg="PS256")),
        (sign(RSA, "RS256"), public(EC)),
        (sign(EC, "ES256"), public(RSA)),
        (sign(EC, "ES256"), public(EC384)),
        (sign(EC, "ES384", sign_as="ES256"), public(EC)),
        (sign(ED, "Ed25519"), public(ED, alg="EdDSA")),
    ],
    ids=["PS as RS", "RS as PS", "RS as EC", "EC as RS", "EC on another curve", "another curve's name", "Ed as EdDSA"],
)
def test_an_algorithm_that_is_not_the_keys_is_refused(token, key):
    with pytest.raises(InvalidToken):
        trusted(token, key)


@pytest.mark.case("D04")
def test_a_token_that_brings_its_key_along_is_refused():
    with pytest.raises(InvalidToken) as refused:
        parse(sign(EC, "ES256", jwk=EC.as_dict(private=False)))
    assert "jwk" in refused.value.debug_hint


@pytest.mark.case("D04")
@pytest.mark.parametrize(
    "pointer", [{"jku": "https://evil.example/jwks"}, {"x5u": "https://evil.example"}, {"x5c": [""]}]
)
def test_where_a_token_points_for_its_key_is_not_looked_at(pointer):
    attacker = ECKey.generate_key("P-256")
    with pytest.raises(InvalidToken):
        trusted(sign(attacker, "ES256", **pointer), public(EC))
    assert trusted(sign(EC, "ES256", **pointer), public(EC)).claims == CLAIMS


@pytest.mark.case("D07")
@pytest.mark.parametrize(
    "header", [{"crit": ["exp"], "exp": 1}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"b64": False}, {"b64": 1}]
)
def test_critical_extensions_are_refused(header):
    with pytest.raises(InvalidToken):
        parse(sign(EC, "ES256", **header))


@pytest.mark.case("D10")
@pytest.mark.parametrize(
    "token",
    [
        b"opaque",
        b"v1.key1.q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ",
        b"a.b.c.d.e",
        b"..",
        b".",
        b"a..c",
        b"a.b.c",
        b"e30.a.YQ",
        b"\xff.a.a",
    ],
)
def test_what_is_no_jwt_is_refused(token):
    with pytest.raises(InvalidToken):
        parse(token)


@pytest.mark.case("D16")
@pytest.mark.parametrize(
    "token",
    [
        b"a" * (MAX_TOKEN_BYTES + 1),
        sign(EC, "ES256", {"pad": "x" * MAX_TOKEN_BYTES}),
        b".".join([b"YQ"] * 100),
        b64(b"\xff\xfe") + b".YQ.YQ",
        b64(b'{"alg":' + b"[" * 4000 + b"]" * 4000 + b"}") + b".YQ.YQ",
        b64(b"[]") + b".YQ.YQ",
        b64(b"null") + b".YQ.YQ",
    ],
    ids=["oversized", "oversized and signed", "many segments", "no text", "deep", "a list", "null"],
)
def test_oversized_many_segmented_deep_and_undecodable_tokens_are_refused(token):
    with pytest.raises(InvalidToken):
        trusted(token, public(EC))


@pytest.mark.case("D16")
@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b"[" * 4000 + b"]" * 4000,
        b'{"a":' * 33 + b"1" + b"}" * 33,
        b'{"sub":"a","sub":"b"}',
        b'{"a":{"b":1,"b":2}}',
        b'{"exp":NaN}',
        b'{"exp":Infinity}',
        b'{"sub":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"sub":"\xff"}',
        b'{"exp":' + b"9" * 5000 + b"}",
        b'"text"',
        b"[1]",
        b"\x00",
    ],
)
def test_claims_that_are_no_clean_object_are_refused_even_when_signed(payload):
    with pytest.raises(InvalidToken):
        trusted(sign(EC, "ES256", payload), public(EC))


@pytest.mark.case("D18")
def test_base64url_has_one_spelling():
    token = sign(EC, "ES256")
    last = token[-1:]
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    sibling = alphabet[alphabet.index(last) ^ 1 : (alphabet.index(last) ^ 1) + 1]  # the same bytes, other spare bits
    variants = [
        token + b"=",
        token + b"==",
        token + b"\n",
        b" " + token,
        token[:-1] + sibling,
        token.replace(b".", b"=."),
    ]
    for variant in variants:
        with pytest.raises(InvalidToken):
            trusted(variant, public(EC))


@pytest.mark.case("D24")
@pytest.mark.parametrize(
    "signature",
    [
        bytes(64),
        bytes(63),
        bytes(65),
        b"\x01" + bytes(63),
        bytes(63) + b"\x01",
        b"\xff" * 64,
        b"\x30\x06\x02\x01\x00\x02\x01\x00",
        pytest.param(
            EC.private_key.private_numbers().public_numbers.x.to_bytes(32, "big") + bytes(32), id="r is a point"
        ),
    ],
    ids=repr,
)
def test_malformed_ecdsa_signatures_are_refused(signature):
    token = sign(EC, "ES256")
    with pytest.raises(InvalidToken):
        trusted(token[: token.rindex(b".") + 1] + b64(signature), public(EC))


@pytest.mark.case("D24")
@pytest.mark.parametrize("signature", [bytes(64), b"\xff" * 64, b"\x00", bytes(63) + b"\x80"])
def test_malformed_eddsa_and_rsa_signatures_are_refused(signature):
    for key, alg in ((ED, "Ed25519"), (RSA, "RS256"), (RSA, "PS256")):
        token = sign(key, alg)
        with pytest.raises(InvalidToken):
            trusted(token[: token.rindex(b".") + 1] + b64(signature), public(key))


def test_a_changed_claim_breaks_the_signature():
    header, _, signature = sign(EC, "ES256").split(b".")
    with pytest.raises(InvalidToken) as refused:
        trusted(b".".join((header, b64(as_json({**CLAIMS, "sub": "bob"})), signature)), public(EC))
    assert "signature" in refused.value.debug_hint


def test_what_a_refusal_quotes_is_bounded_and_never_the_token():
    token = sign(EC, "ES256" * 500, sign_as="ES256")
    with pytest.raises(InvalidToken) as refused:
        parse(token)
    assert len(refused.value.debug_hint) < 400
    assert token.decode() not in str(refused.value)
    assert refused.value.public == "The access token is not valid here."


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_either_parsed_or_refused(token):
    _only_invalid_token(token)


@settings(deadline=None)
@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80))
def test_any_three_segments_are_either_parsed_or_refused(first, second, third):
    _only_invalid_token(b64(first) + b"." + b64(second) + b"." + b64(third))


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "x"]), JSON), st.binary(max_size=70))
def test_any_header_is_either_parsed_or_refused(header, signature):
    _only_invalid_token(b64(as_json(header)) + b"." + b64(as_json(CLAIMS)) + b"." + b64(signature))


@settings(deadline=None)
@given(st.sampled_from(["ES256", "RS256", "PS384", "Ed25519"]), st.binary(max_size=300), JSON)
def test_any_signature_and_claims_are_refused_without_the_key(alg, signature, claims):
    token = b64(as_json({"alg": alg})) + b"." + b64(as_json(claims)) + b"." + b64(signature or b"0")
    for key in (EC, RSA, ED):
        with pytest.raises(InvalidToken):
            trusted(token, public(key))


def _only_invalid_token(token):
    try:
        unverified = parse(token)
    except InvalidToken:
        return
    assert re.fullmatch(rb"[\w-]+\.[\w-]+\.[\w-]+", token)
    assert unverified.alg
