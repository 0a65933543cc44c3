"""A client of an issuer, as the rules see it."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, Literal

MAX_CLIENT_ID_CHARS: Final = 2048

#: Compared with when a client has no secret or does not exist, so that time tells nothing.
_NO_SECRET: Final = "0" * 64


#: ``registered`` by itself; ``document``: its id is the URL of its metadata; the others as an administrator made them:
#: ``public`` and ``confidential`` for people to log in with, ``machine`` for itself.
ClientKind = Literal["registered", "document", "public", "confidential", "machine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A living client."""

    id: str
    kind: ClientKind
    name: str
    redirect_uris: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()  #: what it may ask for; empty: machines nothing, others whatever the issuer has
    default_resource: str = ""
    secret_hash: str = ""  #: SHA-256 hex; of machines and confidential clients
    pkce_required: bool = True  #: always, but for a confidential client that cannot do it and was made so by name

    @property
    def named_itself(self) -> bool:
        """Whether nobody but the client says what it is called."""
        return self.kind in {"registered", "document"}

    @property
    def held(self) -> bool:
        """Whether an administrator made it for people to log in with: its redirect URIs are its own allow-list."""
        return self.kind in {"public", "confidential"}

    @property
    def needs_pkce(self) -> bool:
        """Whether its codes need PKCE: always, unless it proves by a secret who it is and was excused by name."""
        return self.pkce_required or self.kind != "confidential"

    @property
    def authenticates(self) -> bool:
        """Whether it proves itself by a secret."""
        return self.kind in {"confidential", "machine"}


def has_secret(client: Client | None, secret: str) -> bool:
    """Compare a client's secret in constant time, also for a client that does not exist (CWE-208)."""
    digest = hashlib.sha256(secret.encode()).hexdigest()
    stored = client.secret_hash if client is not None else ""
    return hmac.compare_digest(digest, stored or _NO_SECRET)
