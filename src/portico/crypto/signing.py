"""Signing keys for access tokens: ES256 (RFC 7518 section 3.4), named by their RFC 7638 thumbprint."""

import json
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey

SEED_BYTES: Final = 48  #: 128 bits more than the order, so that what is left of it shows no bias

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private ES256 key; ``kid`` is the thumbprint of its public half."""

    key: ECKey
    kid: str

    @classmethod
    def generate(cls) -> "SigningKey":
        """Make a new key."""
        return cls._of(ECKey.generate_key("P-256", private=True))

    @classmethod
    def from_private_json(cls, text: bytes) -> "SigningKey":
        """Read what :meth:`private_json` wrote."""
        return cls._of(ECKey.import_key(json.loads(text)))

    @classmethod
    def derived(cls, seed: bytes) -> "SigningKey":
        """Make the key that ``seed`` stands for, always the same (FIPS 186-5 appendix A.2.1: extra random bits).

        Args:
            seed: :data:`SEED_BYTES` secret, uniformly distributed bytes.
        """
        scalar = int.from_bytes(seed) % (_ORDER - 1) + 1
        private = derive_private_key(scalar, SECP256R1())
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return cls._of(ECKey.import_key(pem))

    @classmethod
    def _of(cls, key: ECKey) -> "SigningKey":
        return cls(key=key, kid=key.thumbprint())

    def private_json(self) -> bytes:
        """Return the private JWK as JSON; seal it before it is stored."""
        return json.dumps(self.key.as_dict(private=True)).encode()

    def public_jwk(self) -> dict[str, Any]:
        """Return the public JWK as it stands in a JWKS (RFC 7517)."""
        return {**self.key.as_dict(private=False), "kid": self.kid, "use": "sig", "alg": "ES256"}

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r})"
