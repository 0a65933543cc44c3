"""Signing keys and password hashes."""

from argon2 import PasswordHasher

from portico.crypto.passwords import DECOY_HASH, hash_password, verify_password
from portico.crypto.signing import SigningKey


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
