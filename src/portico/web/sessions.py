"""Who is logged in to an issuer's pages in this browser: a sealed cookie, no table.

The value is made anew at each login, so one that was planted before is worth nothing after (CWE-384).
"""

import base64
from collections.abc import Callable
from typing import Final

import msgspec

from portico.crypto.keyring import Keyring
from portico.model.errors import SealError

PURPOSE: Final = "browser-session"
SESSION_SECONDS: Final = 8 * 3600  #: then the person logs in again
TOKEN_BYTES: Final = 32


class Session(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A login in one browser. Times are seconds since the epoch."""

    id: str
    subject: str
    authenticated_at: int


class Sessions:
    """Seals and opens session cookies; each issuer's are its own."""

    def __init__(self, keyring: Keyring, *, random: Callable[[int], bytes]) -> None:
        self._keyring = keyring
        self._random = random

    def begin(self, issuer: str, subject: str, now: float) -> str:
        """Return a new cookie value for ``subject``."""
        session = Session(id=new_token(self._random), subject=subject, authenticated_at=int(now))
        return self._keyring.seal(PURPOSE, msgspec.msgpack.encode(session), aad=issuer.encode(), random=self._random)

    def open(self, issuer: str, value: str, now: float) -> Session | None:
        """Return the session of a cookie value, None when it is not ours or over."""
        try:
            plaintext = self._keyring.open(PURPOSE, value, aad=issuer.encode())
        except SealError:
            return None
        session = msgspec.msgpack.decode(plaintext, type=Session)
        return session if now < session.authenticated_at + SESSION_SECONDS else None


def new_token(random: Callable[[int], bytes]) -> str:
    """Return 256 random bits as base64url."""
    return base64.urlsafe_b64encode(random(TOKEN_BYTES)).rstrip(b"=").decode()
