"""How the secrets of credential providers and the tokens that they gave are kept: sealed, bound to their row."""

from collections.abc import Mapping
from typing import Final

import msgspec

from portico.crypto.keyring import Keyring
from portico.model.secret import Secret

PROVIDER_PURPOSE: Final = "credential-provider"
TOKEN_PURPOSE: Final = "outbound-token"  # noqa: S105 - the name of a purpose, no password
#: An API key may have 64 KiB (AWS), and base64 makes a third more of it.
MAX_SEALED_CHARS: Final = 128 * 1024

Secrets = Mapping[str, Secret]


class SealedToken(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed of a token. Times are seconds since the epoch."""

    token: str
    issued_at: float
    granted: str | None = None  #: scopes


def seal_secrets(keyring: Keyring, secrets: Secrets, *, account: str, kind: str, name: str) -> str:
    """Seal the secrets of a provider, by the names of AWS's members."""
    plain = msgspec.json.encode({member: secret.reveal() for member, secret in secrets.items()})
    return keyring.seal(PROVIDER_PURPOSE, plain, aad=f"{account}|{kind}|{name}".encode())


def open_secrets(keyring: Keyring, sealed: str, *, account: str, kind: str, name: str) -> dict[str, Secret]:
    """Return what :func:`seal_secrets` sealed for the same row.

    Raises:
        SealError: it was not sealed for this row, or its key left the keyring.
    """
    aad = f"{account}|{kind}|{name}".encode()
    plain = keyring.open(PROVIDER_PURPOSE, sealed, aad=aad, max_chars=MAX_SEALED_CHARS)
    return {member: Secret(value) for member, value in msgspec.json.decode(plain, type=dict[str, str]).items()}


def seal_token(keyring: Keyring, token: SealedToken, *, account: str, key: str) -> str:
    """Seal a fetched token."""
    return keyring.seal(TOKEN_PURPOSE, msgspec.json.encode(token), aad=f"{account}|{key}".encode())


def open_token(keyring: Keyring, sealed: str, *, account: str, key: str) -> SealedToken:
    """Return what :func:`seal_token` sealed for the same row.

    Raises:
        SealError: it was not sealed for this row, or its key left the keyring.
    """
    plain = keyring.open(TOKEN_PURPOSE, sealed, aad=f"{account}|{key}".encode())
    return msgspec.json.decode(plain, type=SealedToken)
