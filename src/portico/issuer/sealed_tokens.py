"""What an authorization code and a refresh token hold where no table keeps it."""

from typing import Final, TypeVar

import msgspec

from portico.issuer.redeem import Means
from portico.issuer.store import Issuer
from portico.model.errors import SealError
from portico.model.oauth_errors import InvalidGrant

CODE: Final = "sealed-code"  #: purposes of the seal; the issuer's URL is the associated data
REFRESH: Final = "sealed-refresh"
OUTCOME: Final = "refresh-outcome"  #: with the digest of the token that it came of
MAX_TOKEN_CHARS: Final = 32 * 1024  #: a provider's refresh token may have 16 K, and grows by a third here

_UNKNOWN: Final = "The code or token is unknown, over, or another client's."
T = TypeVar("T", bound=msgspec.Struct)


class SealedCode(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An authorization code: the provider's, and what it was issued for. Times are seconds since the epoch."""

    code: str  #: the provider's
    verifier: str  #: of our own PKCE towards the provider
    nonce: str
    connector: str
    client: bytes  #: SHA-256 of the client's id
    redirect_uri: str
    code_challenge: str
    scopes: tuple[str, ...]
    resource: str
    grant_id: str
    issued_at: int


class SealedRefresh(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A refresh token: the provider's, and the grant that it stands for."""

    token: str  #: the provider's refresh token; of a provider without them its access token
    by_access_token: bool
    connector: str
    rules: bytes  #: digest of who the connector lets in; when that changes, everybody is judged anew
    subject: str
    client: bytes
    scopes: tuple[str, ...]
    resource: str
    grant_id: str
    number: bytes  #: random: no two refresh tokens are alike, also where the provider's stays the same
    issued_at: int
    expires_at: int  #: absolute end of the grant


class Outcome(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What came of a refresh: given again to a client that lost the answer, or asked two replicas at once."""

    refresh_token: str
    access_token: str  #: the provider's
    expires_at: int  #: of the provider's access token


def seal(means: Means, issuer: Issuer, purpose: str, value: msgspec.Struct, *, of: str = "") -> str:
    """Return ``value`` as a token; ``of`` names what else it belongs to, where it lies in a store."""
    plaintext = msgspec.msgpack.encode(value)
    return means.keyring.seal(purpose, plaintext, aad=_associated(issuer, of), random=means.random)


def unseal(
    means: Means,
    issuer: Issuer,
    purpose: str,
    token: str,
    kind: type[T],
    *,
    of: str = "",
    max_chars: int = MAX_TOKEN_CHARS,
) -> T:
    """Return what a token holds; one that is longer than ``max_chars`` is not looked at.

    Raises:
        InvalidGrant: it was not issued here, for this purpose and ``of`` this, or its key was dropped.
    """
    try:
        plaintext = means.keyring.open(purpose, token, aad=_associated(issuer, of), max_chars=max_chars)
        return msgspec.msgpack.decode(plaintext, type=kind)
    except (SealError, msgspec.DecodeError) as error:
        raise InvalidGrant(_UNKNOWN) from error


def _associated(issuer: Issuer, of: str) -> bytes:
    return (f"{issuer.url}|{of}" if of else issuer.url).encode()
