"""The seal of the internal hop: how one replica knows that another one speaks, and what it said.

A request between replicas carries a header that only holders of the keyring can make. It is bound to the replica that
it is for, to method, path and body, lives for 30 s and counts once. Nothing about it can be guessed or derived from
anything but the keyring, and the public address strips every header of its kind (incident T9).
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec

from portico.crypto.keyring import Keyring
from portico.model.errors import PorticoError, SealError

PURPOSE: Final = "internal-hop"
HEADER_PREFIX: Final = b"portico-"  #: of every header that only replicas may send
HEADER: Final = HEADER_PREFIX + b"hop"
HOP_SECONDS: Final = 30  #: that a seal counts, and that the clocks of two replicas may differ
#: Seals that are remembered so that none counts twice; past it none is accepted until some have expired.
MAX_REMEMBERED: Final = 100_000
_NONCE_BYTES: Final = 16


class HopRefused(PorticoError):
    """A request to the internal endpoint that no replica has sent, or that came before."""

    code = "access_denied"
    status = 403


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    to: str
    method: str
    path: str
    digest: str  #: SHA-256 of the body, hex
    issued: float  #: seconds since the epoch, by the sender's clock
    nonce: str


class HopSeal:
    """Seals and checks requests between replicas."""

    def __init__(self, *, keyring: Keyring, replica: str, clock: Callable[[], float]) -> None:
        self._keyring = keyring
        self._replica = replica
        self._clock = clock
        self._used: OrderedDict[str, float] = OrderedDict()  # nonce -> when it may be forgotten
        self._decode = msgspec.json.Decoder(_Sealed).decode

    def seal(self, *, to: str, method: str, path: str, body: bytes) -> bytes:
        """Return the header's value for one request to the replica ``to``."""
        nonce = secrets.token_hex(_NONCE_BYTES)
        sealed = _Sealed(to, method, path, sha256(body).hexdigest(), self._clock(), nonce)
        return self._keyring.seal(PURPOSE, msgspec.json.encode(sealed)).encode()

    def check(self, header: bytes | None, *, method: str, path: str, body: bytes) -> None:
        """Accept a request, once.

        Raises:
            HopRefused: without a seal of ours, for another replica or another request, too old, or seen before.
        """
        sealed = self._open(header)
        now = self._clock()
        said = (self._replica, method, path, sha256(body).hexdigest())
        if (sealed.to, sealed.method, sealed.path, sealed.digest) != said:
            raise HopRefused("The request is not the one that was sealed.")
        if abs(now - sealed.issued) > HOP_SECONDS:
            raise HopRefused("The seal is too old, or the clocks of two replicas differ.")
        self._use(sealed, now)

    def _open(self, header: bytes | None) -> _Sealed:
        try:
            return self._decode(self._keyring.open(PURPOSE, (header or b"").decode("latin-1")))
        except (SealError, msgspec.DecodeError) as error:
            raise HopRefused("Only other replicas may ask this.") from error

    def _use(self, sealed: _Sealed, now: float) -> None:
        while self._used and next(iter(self._used.values())) < now:
            self._used.popitem(last=False)
        if sealed.nonce in self._used or len(self._used) >= MAX_REMEMBERED:
            raise HopRefused("The request came before.")
        # From now on, not from its issue: then the oldest is always the first, and none is forgotten too early.
        self._used[sealed.nonce] = now + 2 * HOP_SECONDS
