"""Signing keys for access tokens: ES256 (RFC 7518 section 3.4), named by their RFC 7638 thumbprint."""

import json
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import ECKey


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
