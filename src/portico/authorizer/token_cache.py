"""Verified signatures, so that the same token is not verified for every call.

What is cached is that a key signed these claims, never a decision: rules, time and revocations are judged every time.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from portico.authorizer.keys import IssuerKeys
from portico.model.principal import Principal
from portico.oauth.access_token import AccessToken

MAX_TOKENS: Final = 10_000  #: entries; some 3 KB each
SWEEP_EVERY: Final = 256  #: new entries, after which those that have ended are dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedToken:
    """A token that was verified, the key that did it, and the caller that it proves."""

    kid: str
    thumbprint: str
    own: bool
    token: AccessToken
    principal: Principal

    def holds(self, keys: IssuerKeys) -> bool:
        """Tell whether the key still is one of the issuer's: a dropped or exchanged key voids the entry."""
        key = keys.keys.get(self.kid)
        return (
            key is not None
            and key.thumbprint == self.thumbprint
            and self.token.issuer == keys.issuer
            and self.own == keys.own
        )


class TokenCache:
    """The most recently used tokens by SHA-256 of the token; the token itself is not kept."""

    def __init__(self, max_tokens: int = MAX_TOKENS) -> None:
        self._max = max_tokens
        self._entries: OrderedDict[bytes, CachedToken] = OrderedDict()
        self._put = 0  # since the last sweep

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, digest: bytes) -> CachedToken | None:
        """Return the entry and make it the most recent."""
        entry = self._entries.get(digest)
        if entry is not None:
            self._entries.move_to_end(digest)
        return entry

    def put(self, digest: bytes, entry: CachedToken, now: float) -> None:
        """Remember an entry; the one that was not used for longest makes room, and those that have ended do."""
        self._put += 1
        if self._put >= SWEEP_EVERY:
            self._put = 0
            for ended in [key for key, known in self._entries.items() if known.token.expires_at <= now]:
                del self._entries[ended]
        self._entries[digest] = entry
        self._entries.move_to_end(digest)
        if len(self._entries) > self._max:
            self._entries.popitem(last=False)

    def forget(self, digest: bytes) -> None:
        """Drop an entry, if it is there."""
        self._entries.pop(digest, None)
