import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from portico.oauth.jwk import MAX_KEYS, KeyIgnored, load_key, load_keys

EC = ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)


def public(key, **members):
    return {**key.as_dict(private=False), **members}


def test_a_key_is_bound_to_the_algorithms_of_its_type_and_curve():
    assert load_key(public(EC)).algorithms == {"ES256"}
    assert load_key(public(ECKey.generate_key("P-521"))).algorithms == {"ES512"}
    assert load_key(public(RSA, alg="RS256")).algorithms == {"RS256"}
    assert load_key(public(RSA)).algorithms == {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


def test_a_key_without_kid_goes_by_its_thumbprint():
    loaded = load_key(public(EC, kid=""))
    assert loaded.kid == loaded.thumbprint == EC.thumbprint()


def test_of_two_keys_with_one_kid_the_first_is_kept():
    loaded = load_keys({"keys": [public(EC, kid="a"), public(RSA, kid="a")]})
    assert loaded.keys["a"].thumbprint == EC.thumbprint()


@pytest.mark.case("D21")
@pytest.mark.parametrize(
    "jwk",
    [
        {**EC.as_dict(private=True), "kid": "a"},
        {**RSA.as_dict(private=True), "kid": "a"},
        {**public(RSA), "d": ""},
        {**OctKey.generate_key(256).as_dict(private=True), "kid": "a"},
        {"kty": "oct", "k": ""},
    ],
)
def test_private_and_symmetric_keys_are_ignored(jwk):
    loaded = load_keys({"keys": [jwk, public(EC, kid="good")]})
    assert set(loaded.keys) == {"good"}
    assert len(loaded.ignored) == 1
    assert loaded.ignored[0].startswith("keys[0]: ")


@pytest.mark.case("D22")
@pytest.mark.parametrize("bits", [512, 1024, 2040])
@pytest.mark.filterwarnings("ignore:Key size should be")
def test_short_rsa_keys_are_refused(bits):
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    numbers = RSA.public_key.public_numbers()
    short = RSAPublicNumbers(numbers.e, (numbers.n >> (2048 - bits)) | 1)
    jwk = {"kty": "RSA", "e": RSA.as_dict(private=False)["e"], "n": _b64(short.n)}
    with pytest.raises(KeyIgnored, match=f"{bits} bits"):
        load_key(jwk)


@pytest.mark.case("D22")
def test_leading_zeros_do_not_make_a_short_key_long():
    padded = _b64((RSA.public_key.public_numbers().n >> 1024) | 1, length=256)
    with pytest.raises(KeyIgnored, match="1024 bits"):
        load_key({"kty": "RSA", "e": "AQAB", "n": padded})


def test_an_overlong_rsa_key_is_refused():
    with pytest.raises(KeyIgnored):
        load_key({"kty": "RSA", "e": "AQAB", "n": _b64((1 << 16384) - 1)})


@pytest.mark.case("D03")
@pytest.mark.parametrize(
    "jwk",
    [
        public(EC, use="enc"),
        public(EC, key_ops=["deriveKey"]),
        public(EC, key_ops="verify"),
        public(EC, alg="ES384"),
        public(EC, alg="HS256"),
        public(RSA, alg="RSA-OAEP"),
        public(OKPKey.generate_key("X25519")),
        public(ECKey.generate_key("secp256k1")),
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256"},
        {"kty": "EC", "crv": ["P-256"], "x": 1, "y": None},
        {"kty": "RSA", "n": 5, "e": []},
        {"kty": ["RSA"]},
        public(EC, kid=7),
        "text",
        None,
        [],
    ],
)
def test_keys_for_something_else_and_malformed_keys_are_ignored(jwk):
    with pytest.raises(KeyIgnored):
        load_key(jwk)


@pytest.mark.parametrize("document", [{}, {"keys": {}}, {"keys": "x"}, {"keys": None}])
def test_a_set_without_an_array_of_keys_is_an_error(document):
    with pytest.raises(ValueError):
        load_keys(document)


def test_only_so_many_keys_of_a_set_are_read():
    loaded = load_keys({"keys": [None] * (MAX_KEYS + 50)})
    assert len(loaded.ignored) == MAX_KEYS


_VALUES = st.none() | st.integers() | st.text(max_size=90) | st.lists(st.text(max_size=5), max_size=2) | st.just("AQAB")


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {"kty": st.sampled_from(["EC", "RSA", "OKP", "oct"])},
        optional=dict.fromkeys(("n", "e", "crv", "x", "y", "alg", "use", "key_ops", "kid"), _VALUES),
    )
)
def test_any_key_is_either_loaded_or_ignored(jwk):
    loaded = load_keys({"keys": [jwk]})
    assert len(loaded.keys) + len(loaded.ignored) == 1


def _b64(number, *, length=None):
    import base64

    raw = number.to_bytes(length or (number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
