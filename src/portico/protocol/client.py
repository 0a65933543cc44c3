"""The client's half of MCP, sans-IO: building upstream requests, both eras. Its answers: ``client_answers``.

The envelope that goes upstream is always ours: identity, version, capabilities, ids and progress tokens are never
the downstream client's. ``arguments`` travel as raw JSON. We declare no client capabilities, so a target may not
ask us anything.
"""

import base64
import re

import msgspec
from msgspec import UNSET, Raw, UnsetType

from portico import __version__
from portico.model.gateway import MODERN_VERSIONS

#: The modern revision that we speak upstream.
MODERN_VERSION = MODERN_VERSIONS[-1]

Headers = tuple[tuple[bytes, bytes], ...]

_BASE_HEADERS: Headers = (
    (b"content-type", b"application/json"),
    # Both, always: the server chooses (2026-07-28 streamable-http "Sending Messages" 2).
    (b"accept", b"application/json, text/event-stream"),
    (b"user-agent", b"portico/" + __version__.encode()),
)
_CLIENT_INFO = msgspec.json.encode({"name": "portico", "version": __version__})
_MODERN_META = b"".join(
    (
        b'"io.modelcontextprotocol/protocolVersion":',
        msgspec.json.encode(MODERN_VERSION),
        b',"io.modelcontextprotocol/clientInfo":',
        _CLIENT_INFO,
        b',"io.modelcontextprotocol/clientCapabilities":{}',
    )
)
_PLAIN_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")


class _Trace(msgspec.Struct, omit_defaults=True):
    """The only members that a caller's trace object can add to ``_meta``."""

    traceparent: str | UnsetType = UNSET
    tracestate: str | UnsetType = UNSET
    baggage: str | UnsetType = UNSET


_decode_trace = msgspec.json.Decoder(_Trace).decode


class PreparedCall(msgspec.Struct, frozen=True):
    """What of a ``tools/call`` is the same every time: the front of the body and the headers."""

    front: bytes  #: everything up to the inside of ``_meta``; in the legacy era up to the name
    headers: Headers
    modern: bool


def header_value(text: str) -> bytes:
    """Encode a value for ``Mcp-Name`` (2026-07-28 streamable-http "Value Encoding")."""
    plain = _PLAIN_HEADER_VALUE.fullmatch(text) is not None
    if plain and not (text.startswith("=?base64?") and text.endswith("?=")):
        return text.encode("ascii")
    return b"=?base64?" + base64.b64encode(text.encode()) + b"?="


def modern_headers(method: str, name: str | None = None) -> Headers:
    """Return the headers of a modern request; they mirror the body that goes with them."""
    headers = (
        *_BASE_HEADERS,
        (b"mcp-protocol-version", MODERN_VERSION.encode()),
        (b"mcp-method", method.encode()),
    )
    return headers if name is None else (*headers, (b"mcp-name", header_value(name)))


def legacy_headers(version: str | None, session_id: bytes | None) -> Headers:
    """Return the headers of a legacy message: without a version before one was negotiated."""
    headers = _BASE_HEADERS
    if version is not None:
        headers = (*headers, (b"mcp-protocol-version", version.encode()))
    return headers if session_id is None else (*headers, (b"mcp-session-id", session_id))


def prepare_modern_call(tool: str) -> PreparedCall:
    """Build what every modern call of ``tool`` shares."""
    front = b"".join(
        (
            b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":',
            msgspec.json.encode(tool),
            b',"_meta":{',
            _MODERN_META,
        )
    )
    return PreparedCall(front, modern_headers("tools/call", tool), modern=True)


def prepare_legacy_call(tool: str) -> PreparedCall:
    """Build what every legacy call of ``tool`` shares; its headers belong to the session."""
    front = b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":' + msgspec.json.encode(tool)
    return PreparedCall(front, (), modern=False)


def call_body(
    prepared: PreparedCall,
    *,
    request_id: int,
    arguments: bytes | None,
    wants_progress: bool = False,
    log_level: str | None = None,
    trace: bytes | None = None,
) -> bytes:
    """Build the body of a ``tools/call``. The progress token is our request id.

    ``log_level`` counts in the modern era only. ``arguments`` and ``trace`` must be valid JSON already.
    """
    number = b"%d" % request_id
    meta: list[bytes] = []
    if wants_progress:
        meta.append(b'"progressToken":' + number)
    if log_level is not None and prepared.modern:
        meta.append(b'"io.modelcontextprotocol/logLevel":' + msgspec.json.encode(log_level))
    if trace is not None and (members := _trace_members(trace)):
        meta.append(members)
    parts = [prepared.front]
    if prepared.modern:
        parts.extend(b"," + member for member in meta)
        parts.append(b"}")
    elif meta:
        parts += (b',"_meta":{', b",".join(meta), b"}")
    if arguments is not None:
        parts += (b',"arguments":', arguments)
    parts += (b'},"id":', number, b"}")
    return b"".join(parts)


def _trace_members(trace: bytes) -> bytes:
    try:
        return msgspec.json.encode(_decode_trace(trace))[1:-1]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b""  # a trace that cannot be read is not worth a call


def modern_request(method: str, request_id: int, *, cursor: str | None = None) -> bytes:
    """Build ``server/discover`` or ``tools/list`` of the modern era."""
    return b"".join(
        (
            b'{"jsonrpc":"2.0","id":%d,"method":' % request_id,
            msgspec.json.encode(method),
            b',"params":{"_meta":{',
            _MODERN_META,
            b"}",
            b"" if cursor is None else b',"cursor":' + msgspec.json.encode(cursor),
            b"}}",
        )
    )


def legacy_request(method: str, request_id: int, *, cursor: str | None = None) -> bytes:
    """Build a legacy request that has no parameters but a cursor."""
    params = {} if cursor is None else {"cursor": cursor}
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def initialize_request(request_id: int, version: str) -> bytes:
    """Build ``initialize`` without any capability: what we do not declare, a server may not ask."""
    params: dict[str, object] = {"protocolVersion": version, "capabilities": {}, "clientInfo": Raw(_CLIENT_INFO)}
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "method": "initialize", "params": params})


INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'


def cancelled_notification(request_id: int) -> bytes:
    """Build the legacy ``notifications/cancelled`` for one of our requests."""
    return b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}' % request_id
