"""Signing keys and password hashes."""

import base64
import os

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey

from portico.crypto.passwords import DECOY_HASH, hash_password, verify_password
from portico.crypto.signing import SEED_BYTES, SigningKey

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256: SEC 2 section 2.4.2


def test_a_signing_key_survives_storage_and_never_shows_its_private_half():
    key = SigningKey.generate()
    again = SigningKey.from_private_json(key.private_json())
    assert again.kid == key.kid
    assert "d" not in key.public_jwk()
    assert {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256"}.items() <= key.public_jwk().items()
    assert repr(key) == f"SigningKey(kid={key.kid!r})"


def test_a_password_verifies_against_its_own_hash_only():
    stored = hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert verify_password(stored, "correct horse")
    assert not verify_password(stored, "wrong horse")
    assert not verify_password(DECOY_HASH, "correct horse")
    assert not verify_password("not a hash", "correct horse")


def test_the_decoy_takes_as_long_as_a_password_that_is_hashed_now():
    assert not PasswordHasher().check_needs_rehash(DECOY_HASH)
    assert DECOY_HASH.split("$")[1:4] == hash_password("x").split("$")[1:4]


def test_the_same_seed_makes_the_same_key_and_another_seed_another():
    seed = os.urandom(SEED_BYTES)
    one, again, other = (SigningKey.derived(each) for each in (seed, seed, os.urandom(SEED_BYTES)))
    assert one.public_jwk() == again.public_jwk()
    assert one.private_json() == again.private_json()
    assert one.kid == again.kid != other.kid


def test_a_derived_key_signs_what_its_public_half_verifies():
    key, other = SigningKey.derived(b"\x01" * SEED_BYTES), SigningKey.derived(b"\x02" * SEED_BYTES)
    token = jwt.encode({"alg": "ES256", "kid": key.kid}, {"sub": "ada"}, key.key, algorithms=["ES256"])
    assert jwt.decode(token, ECKey.import_key(key.public_jwk()), algorithms=["ES256"]).claims == {"sub": "ada"}
    with pytest.raises(BadSignatureError):
        jwt.decode(token, ECKey.import_key(other.public_jwk()), algorithms=["ES256"])


@given(st.binary(min_size=SEED_BYTES, max_size=SEED_BYTES))
def test_every_seed_makes_a_key_of_the_curve_and_never_shows_it(seed):
    key = SigningKey.derived(seed)
    assert "d" not in key.public_jwk()
    assert SigningKey.from_private_json(key.private_json()).kid == key.kid


@pytest.mark.parametrize(
    ("seed", "scalar"),
    [(0, 1), (ORDER - 2, ORDER - 1), (ORDER - 1, 1), (ORDER, 2)],
    ids=["least", "greatest", "wraps", "beyond"],
)
def test_a_seed_becomes_a_scalar_from_one_to_the_order_less_one(seed, scalar):
    """FIPS 186-5 appendix A.2.1: d = (c mod (n - 1)) + 1."""
    private = SigningKey.derived(seed.to_bytes(SEED_BYTES)).key.as_dict(private=True)["d"]
    assert int.from_bytes(base64.urlsafe_b64decode(private + "=" * (-len(private) % 4))) == scalar
