"""JSON-RPC error codes of every MCP revision, the HTTP status each travels with, and the one refusal type.

Codes from -32020 to -32099 belong to the specification and are used with its meaning only; those from -32000 to
-32019 are not used by us at all (MCP 2026-07-28 basic/index, "Error Codes").
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from portico.model.errors import InputError
from portico.model.gateway import Era

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
MISSING_CLIENT_CAPABILITY: Final = -32021
UNSUPPORTED_PROTOCOL_VERSION: Final = -32022

#: MCP 2025-11-25 and earlier say "resource not found" with it; a modern answer must not (it says -32602).
LEGACY_NOT_FOUND: Final = -32002
#: MCP 2025-11-25 only: URL elicitation required.
URL_ELICITATION_REQUIRED: Final = -32042
#: What only the specification may define; a target's error with such a code concerns its talk with us.
RESERVED_CODES: Final = range(-32099, -32019)

#: Modern errors carry their status on the wire; codes that are not here travel with 200.
MODERN_STATUS: Final[Mapping[int, int]] = MappingProxyType(
    {
        PARSE_ERROR: 400,
        INVALID_REQUEST: 400,
        INVALID_PARAMS: 400,
        HEADER_MISMATCH: 400,
        MISSING_CLIENT_CAPABILITY: 400,
        UNSUPPORTED_PROTOCOL_VERSION: 400,
        METHOD_NOT_FOUND: 404,
    }
)
LEGACY_STATUS: Final = 200  #: a legacy client reads a JSON-RPC error only from a 2xx answer


class RpcRefused(InputError):
    """A JSON-RPC message is refused with a code of the protocol.

    ``http_status`` is set where HTTP itself decides (malformed bodies, sessions, unsupported versions); otherwise
    the era decides, see :func:`status_of`. ``request_id`` is the raw id when the decoder could still read it.
    """

    def __init__(
        self,
        rpc_code: int,
        public: str,
        *,
        data: Mapping[str, Any] | None = None,
        http_status: int | None = None,
        request_id: bytes | None = None,
    ) -> None:
        super().__init__(public)
        self.rpc_code = rpc_code
        self.data = data
        self.http_status = http_status
        self.request_id = request_id


def status_of(rpc_code: int, era: Era) -> int:
    """Return the HTTP status with which an error of a well-formed request travels in ``era``."""
    return MODERN_STATUS.get(rpc_code, 200) if era == "modern" else LEGACY_STATUS


def encode_error(request_id: bytes | None, code: int, message: str, data: bytes | None = None) -> bytes:
    """Return an error response; ``request_id`` and ``data`` are raw JSON, an unknown id is left out.

    Every revision's transport page allows an error response without ``id`` in the body of an HTTP error.
    """
    head = b"" if request_id is None else b'"id":%b,' % request_id
    tail = b"" if data is None else b',"data":%b' % data
    text = msgspec.json.encode(message)
    return b'{"jsonrpc":"2.0",%b"error":{"code":%d,"message":%b%b}}' % (head, code, text, tail)


def encode_refusal(refusal: RpcRefused, request_id: bytes | None) -> bytes:
    """Return the error response of a refusal; ``request_id`` counts unless the refusal knows its own."""
    data = None if refusal.data is None else msgspec.json.encode(refusal.data)
    return encode_error(refusal.request_id or request_id, refusal.rpc_code, refusal.public, data)
