"""Legacy sessions: a sealed ``Mcp-Session-Id`` that any replica can read, and the few that ended before their time.

A session id says whose session it is and proves nothing: every request authenticates first, and an id is good only
for the principal, gateway and endpoint that it was made for (incident T11). As on AgentCore a session is absolute:
it ends ``Gateway.session_timeout`` seconds after ``initialize``.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec

from portico.crypto.keyring import Keyring
from portico.model.errors import SealError
from portico.model.principal import Principal
from portico.protocol.errors import INVALID_REQUEST, RpcRefused

PURPOSE: Final = "mcp-session"
MAX_SESSION_CHARS: Final = 4096  #: longer ids are not opened
#: Sessions ended by DELETE that are remembered until they would have expired; past it the oldest is forgotten.
MAX_ENDED: Final = 100_000
_NUMBER_BYTES: Final = 16
_DIGEST_CHARS: Final = 32


class Session(msgspec.Struct, frozen=True, array_like=True):
    """What a session id seals."""

    owner: str  #: the replica that holds what belongs to it
    number: str
    principal: str  #: digest of ``Principal.key``
    gateway: str
    endpoint: str  #: the target's name on its own endpoint, else empty
    version: str
    capabilities: tuple[str, ...]  #: what the client declared, by name
    issued: int  #: seconds since the epoch


class Sessions:
    """Mints and opens session ids."""

    def __init__(self, *, keyring: Keyring, replica: str, clock: Callable[[], float]) -> None:
        self._keyring = keyring
        self._replica = replica
        self._clock = clock
        self._ended: OrderedDict[str, float] = OrderedDict()
        self._decode = msgspec.json.Decoder(Session).decode

    def mint(
        self, principal: Principal, *, gateway: str, endpoint: str, version: str, capabilities: tuple[str, ...]
    ) -> bytes:
        """Return a new session id for ``principal``."""
        session = Session(
            self._replica,
            secrets.token_hex(_NUMBER_BYTES),
            _digest(principal),
            gateway,
            endpoint,
            version,
            capabilities,
            int(self._clock()),
        )
        return self._keyring.seal(PURPOSE, msgspec.json.encode(session)).encode()

    def open(self, sealed: bytes | None, principal: Principal, *, gateway: str, endpoint: str, timeout: int) -> Session:
        """Return the session of a request.

        Raises:
            RpcRefused: HTTP 400 without an id; 404 when it is unknown, expired, ended, or another's (one answer for
                all of them, so that nobody learns which).
        """
        if sealed is None:
            raise RpcRefused(
                INVALID_REQUEST, "The header Mcp-Session-Id is required; initialize returns it.", http_status=400
            )
        session = self._unseal(sealed)
        now = self._clock()
        if (
            session is None
            or session.principal != _digest(principal)
            or session.gateway != gateway
            or session.endpoint != endpoint
            or session.issued + timeout <= now
            or session.number in self._ended
        ):
            raise RpcRefused(INVALID_REQUEST, "The session is not known here; initialize again.", http_status=404)
        return session

    def end(self, session: Session, *, timeout: int) -> None:
        """End a session before its time, on this replica."""
        self.remember(session.number, session.issued + timeout)

    def remember(self, number: str, expires_at: float) -> bool:
        """Refuse a session from now on until it would have ended by itself; False when that was known."""
        if number in self._ended:
            return False
        now = self._clock()
        self._ended[number] = expires_at
        while self._ended:
            oldest = next(iter(self._ended))
            if self._ended[oldest] > now and len(self._ended) <= MAX_ENDED:
                break
            del self._ended[oldest]
        return True

    def ended(self) -> int:
        """Return how many ended sessions are remembered."""
        return len(self._ended)

    def _unseal(self, sealed: bytes) -> Session | None:
        if len(sealed) > MAX_SESSION_CHARS:
            return None
        try:
            return self._decode(self._keyring.open(PURPOSE, sealed.decode("latin-1")))
        except (SealError, msgspec.DecodeError):
            return None


def _digest(principal: Principal) -> str:
    return sha256(principal.key.encode()).hexdigest()[:_DIGEST_CHARS]
