"""Access tokens for the peers, as Portico's issuer makes them: ES256, with audience, client and scope."""

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

LIFETIME = 3600  #: seconds; longer than any section
ISSUER = "http://127.0.0.1/i/bench"
AUDIENCE = "http://127.0.0.1/mcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """A key and what it signs."""

    key: ECKey = field(repr=False)

    @classmethod
    def new(cls) -> "Mint":
        return cls(key=ECKey.generate_key("P-256", {"kid": secrets.token_hex(4)}))

    def write_public_key(self, path: Path) -> None:
        private = self.key.private_key
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        path.write_bytes(private.public_key().public_bytes(serialization.Encoding.PEM, form))

    def token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "bench",
            "client_id": "bench",
            "scope": "mcp/invoke",
            "iat": now,
            "exp": now + LIFETIME,
            "jti": secrets.token_hex(16),
        }
        return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": self.key.kid}, claims, self.key)


def shared_secret_token(secret: str, claims: dict[str, object]) -> str:
    """Sign claims with HS256."""
    now = int(time.time())
    whole = {"iat": now, "exp": now + LIFETIME, "jti": secrets.token_hex(16)} | claims
    return jwt.encode({"alg": "HS256", "typ": "JWT"}, whole, OctKey.import_key(secret))
