"""What a server's answer says about the eras it speaks. Pure.

A verdict is learnt only from an answer that a server of the other era gives. Credentials, overload, faults and
silence (401, 403, 407, 429, 5xx, no connection) say nothing about eras (2026-07-28 streamable-http "Backward
Compatibility").
"""

from typing import Final

from portico.model.errors import UpstreamError, UpstreamInvalid, UpstreamStatus, UpstreamTooLarge
from portico.model.gateway import Era
from portico.protocol.client_answers import (
    HEADER_MISMATCH,
    IN_FRONT,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    MISSING_CLIENT_CAPABILITY,
    UNSUPPORTED_VERSION,
)
from portico.protocol.client_handshakes import Refusal

OTHER: Final[dict[Era, Era]] = {"modern": "legacy", "legacy": "modern"}

_REFUSALS: Final = range(400, 500)  #: HTTP
#: JSON-RPC errors that tell of a fault, or of a modern server that could not take our modern request. To initialize
#: only a modern server answers with the latter two.
_NO_VERDICT: Final[dict[Era, frozenset[int]]] = {
    "modern": frozenset({INTERNAL_ERROR, HEADER_MISMATCH, MISSING_CLIENT_CAPABILITY}),
    "legacy": frozenset({INTERNAL_ERROR}),
}

#: HTTP statuses by which a server turns a request away before it does anything.
_TURNED_AWAY: Final = frozenset({400, 404, 405, 406, 415, 422})
#: JSON-RPC errors of legacy SDKs about sessions and versions (-32000 to -32019 were theirs to define).
_LEGACY_CODES: Final = (INVALID_REQUEST, *range(-32019, -31999))
#: JSON-RPC errors of a modern server about an envelope that it misses.
_MODERN_CODES: Final = frozenset({-32602, INVALID_REQUEST, HEADER_MISMATCH, UNSUPPORTED_VERSION})


def denies(era: Era, error: UpstreamError) -> bool:
    """Tell whether a refused handshake or probe of ``era`` shows that the server does not speak it."""
    match error:
        case UpstreamStatus(http_status=status):
            return status in _REFUSALS and status not in IN_FRONT
        case Refusal(rpc_code=code):
            return code not in _NO_VERDICT[era]
        case _:
            return isinstance(error, UpstreamInvalid | UpstreamTooLarge)


def doubts(era: Era, status: int, code: int | None) -> bool:
    """Tell whether a call in ``era`` was turned away, undone, in a way that makes one ask for the other era.

    Args:
        era: in which the call was sent.
        status: HTTP status of the answer.
        code: of its JSON-RPC error, None when it holds none.
    """
    if code == UNSUPPORTED_VERSION:
        return True
    if status not in _TURNED_AWAY:
        return False
    return code is None or code in (_LEGACY_CODES if era == "modern" else _MODERN_CODES)
