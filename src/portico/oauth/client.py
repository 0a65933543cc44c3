"""A client of an issuer, as the rules see it."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, Literal

MAX_CLIENT_ID_CHARS: Final = 2048

#: Compared with when a client has no secret or does not exist, so that time tells nothing.
_NO_SECRET: Final = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A living client: ``registered`` by itself, ``public`` or ``machine`` as an administrator declared it."""

    id: str
    kind: Literal["registered", "public", "machine"]
    name: str
    redirect_uris: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()  #: what it may ask for; empty: machines nothing, others whatever the issuer has
    default_resource: str = ""
    secret_hash: str = ""  #: SHA-256 hex


def has_secret(client: Client | None, secret: str) -> bool:
    """Compare a machine's secret in constant time, also for a client that does not exist (CWE-208)."""
    digest = hashlib.sha256(secret.encode()).hexdigest()
    stored = client.secret_hash if client is not None else ""
    return hmac.compare_digest(digest, stored or _NO_SECRET)
