"""Public keys that verify tokens (RFC 7517): which keys of a set are used, and for which algorithms.

A key is bound to its algorithms when it is loaded, so that a token can never choose how it is verified (RFC 8725
section 3.1).
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

MIN_RSA_BITS: Final = 2048  #: RFC 7518 section 3.3
MAX_RSA_BITS: Final = 8192  #: a longer one makes verification a denial of service
MAX_KEYS: Final = 100  #: of one set; the rest is not read

#: Members of a private or symmetric key (RFC 7518 section 6). A signing key whose private half is published signs
#: for everyone.
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_PUBLIC_MEMBERS: Final = {"EC": ("kty", "crv", "x", "y"), "RSA": ("kty", "n", "e"), "OKP": ("kty", "crv", "x")}
_RSA_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVE_ALGORITHMS: Final = {
    "P-256": frozenset({"ES256"}),
    "P-384": frozenset({"ES384"}),
    "P-521": frozenset({"ES512"}),
    "Ed25519": frozenset({"EdDSA", "Ed25519"}),  # RFC 8037 section 3.1, RFC 9864 section 2.2
}

#: Every algorithm that any key may be used with. No HMAC: with it, whoever can verify can sign.
ALGORITHMS: Final = _RSA_ALGORITHMS.union(*_CURVE_ALGORITHMS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A public key; the ``thumbprint`` (RFC 7638) tells whether a key that bears the same ``kid`` is still the same."""

    kid: str  #: the thumbprint when the set names none
    thumbprint: str
    algorithms: frozenset[str]
    key: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedKeys:
    """The usable keys of a set by ``kid``, and why the others are not used."""

    keys: Mapping[str, VerificationKey]
    ignored: tuple[str, ...]


class KeyIgnored(ValueError):
    """A key of a set is not used; the text says why."""


def load_keys(document: Mapping[str, Any]) -> LoadedKeys:
    """Return the keys of a JWK set (RFC 7517 section 5); keys that cannot be used are left out, not an error.

    A key without ``kid`` goes by its thumbprint. Of several keys with the same ``kid`` the first is kept.

    Raises:
        ValueError: there is no ``keys`` array.
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise ValueError("the key set has no keys array")  # noqa: TRY004 - callers translate one kind of fault
    keys: dict[str, VerificationKey] = {}
    ignored: list[str] = []
    for number, entry in enumerate(cast("list[object]", entries)[:MAX_KEYS]):
        try:
            loaded = load_key(entry)
        except KeyIgnored as reason:
            ignored.append(f"keys[{number}]: {reason}")
        else:
            keys.setdefault(loaded.kid, loaded)
    return LoadedKeys(keys=keys, ignored=tuple(ignored))


def load_key(entry: object) -> VerificationKey:
    """Return one key of a set.

    Raises:
        KeyIgnored: it is private, symmetric, weak, malformed, or made for something else than signatures.
    """
    if not isinstance(entry, dict):
        raise KeyIgnored("is not an object")
    jwk = cast("dict[str, Any]", entry)
    members = _PUBLIC_MEMBERS.get(str(jwk.get("kty")))
    if members is None:
        raise KeyIgnored("is of a type that is not used (oct, unknown)")
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise KeyIgnored("publishes its private half")
    _check_purpose(jwk)
    algorithms = _algorithms(jwk)
    key = _import({name: jwk.get(name) for name in members})
    thumbprint = key.thumbprint()
    kid: object = jwk.get("kid") or thumbprint
    if not isinstance(kid, str):
        raise KeyIgnored("has a kid that is no string")
    return VerificationKey(kid=kid, thumbprint=thumbprint, algorithms=algorithms, key=key)


def _check_purpose(jwk: Mapping[str, Any]) -> None:
    if jwk.get("use", "sig") != "sig":
        raise KeyIgnored("is not for signatures (use)")
    operations: object = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise KeyIgnored("is not for verification (key_ops)")


def _algorithms(jwk: Mapping[str, Any]) -> frozenset[str]:
    """RFC 7517 section 4.4: ``alg`` narrows what the type of the key allows, it never widens it."""
    possible = _RSA_ALGORITHMS if jwk["kty"] == "RSA" else _CURVE_ALGORITHMS.get(str(jwk.get("crv")), frozenset[str]())
    chosen: object = jwk.get("alg")
    usable = possible if chosen is None else possible & {str(chosen)}
    if not usable:
        raise KeyIgnored("has a curve or algorithm that is not used")
    return usable


def _import(public: dict[str, Any]) -> Key:
    if public["kty"] == "RSA":
        bits = _modulus_bits(public["n"])
        if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
            raise KeyIgnored(f"is an RSA key of {bits} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted")
    kinds: dict[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    try:
        return kinds[public["kty"]].import_key(public)
    except (JoseError, ValueError, TypeError, OverflowError, AttributeError) as error:
        raise KeyIgnored("is malformed") from error


def _modulus_bits(text: object) -> int:
    if not isinstance(text, str) or len(text) > MAX_RSA_BITS:  # base64url of the longest modulus is far shorter
        return 0
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return 0
    return int.from_bytes(raw, "big").bit_length()
