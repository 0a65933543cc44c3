"""The HTTP headers that MCP reads: collected in one pass, decoded, and held against the body.

Header values are the client's and decide nothing; they only have to agree with the body, because whoever routes on
them (a balancer, a firewall) must have seen the call that is made (MCP 2026-07-28 streamable-http, "Server
Validation").
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from portico.protocol.errors import HEADER_MISMATCH, RpcRefused

MAX_MIRRORED: Final = 64  #: ``Mcp-Param-*`` headers of one request
PARAM_PREFIX: Final = b"mcp-param-"

_FIELDS: Final = {
    b"authorization": "authorization",
    b"origin": "origin",
    b"accept": "accept",
    b"content-type": "content_type",
    b"mcp-protocol-version": "version",
    b"mcp-method": "method",
    b"mcp-name": "name",
    b"mcp-session-id": "session",
}
#: Ours, and those that nearly every request has: whatever else there is may be one of ``Mcp-Param-*``.
_KNOWN: Final = frozenset(
    {*_FIELDS, b"host", b"content-length", b"user-agent", b"accept-encoding", b"accept-language", b"connection"}
)
_NONE: Final = frozenset[str]()
_BASE64: Final = (b"=?base64?", b"?=")
_PLAIN = re.compile(rb"[\t\x20-\x7e]*\Z")


class McpHeaders(msgspec.Struct):
    """The headers of one request; a repeated one keeps its first value and is named in ``repeated``."""

    authorization: bytes | None = None
    origin: bytes | None = None
    accept: bytes = b""
    content_type: bytes = b""
    version: bytes | None = None
    method: bytes | None = None
    name: bytes | None = None
    session: bytes | None = None
    mirrored: list[tuple[bytes, bytes]] = []
    repeated: frozenset[str] = frozenset()

    @property
    def accepts_events(self) -> bool:
        """Tell whether the client reads an answer as a stream of events."""
        return b"text/event-stream" in self.accept


def collect(raw: Sequence[tuple[bytes, bytes]]) -> McpHeaders:
    """Pick the headers that matter out of a request's (names in lower case)."""
    found = dict(raw)
    repeated = _NONE
    if len(found) != len(raw):
        found, repeated = _first_values(raw)
    get = found.get
    others = found.keys() - _KNOWN
    return McpHeaders(
        get(b"authorization"),
        get(b"origin"),
        get(b"accept", b""),
        get(b"content-type", b""),
        get(b"mcp-protocol-version"),
        get(b"mcp-method"),
        get(b"mcp-name"),
        get(b"mcp-session-id"),
        [entry for entry in raw if entry[0].startswith(PARAM_PREFIX)] if others else [],
        repeated,
    )


def _first_values(raw: Iterable[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], frozenset[str]]:
    """Return the first value of each header, and which of ours are repeated."""
    found: dict[bytes, bytes] = {}
    repeated: set[str] = set()
    for key, value in raw:
        if key not in found:
            found[key] = value
        elif key in _FIELDS:
            repeated.add(_FIELDS[key])
    return found, frozenset(repeated)


def decode_value(value: bytes) -> str | None:
    """Return what a header value stands for: itself, or what its ``=?base64?...?=`` form holds.

    None when it holds characters that a header may not, or its encoded form is malformed or not canonical: such a
    value must never equal anything by accident.
    """
    stripped = value.strip(b" \t")
    if not (
        stripped.startswith(_BASE64[0]) and stripped.endswith(_BASE64[1]) and len(stripped) >= len(b"".join(_BASE64))
    ):
        return stripped.decode() if _PLAIN.match(stripped) else None
    payload = stripped[len(_BASE64[0]) : -len(_BASE64[1])]
    try:
        decoded = base64.b64decode(payload, validate=True)
        return decoded.decode() if base64.b64encode(decoded) == payload else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def mismatch(public: str) -> RpcRefused:
    """Return the refusal of headers that disagree with the body."""
    return RpcRefused(HEADER_MISMATCH, f"Header mismatch: {public}", http_status=400)


def check_method(headers: McpHeaders, method: str) -> None:
    """Hold ``Mcp-Method`` against the body.

    Raises:
        RpcRefused: it is missing or differs.
    """
    if headers.method is None:
        raise mismatch("the header Mcp-Method is required and must repeat the body's method.")
    if headers.method != method.encode():
        raise mismatch("the header Mcp-Method differs from the body's method.")


def check_name(headers: McpHeaders, name: str) -> None:
    """Hold ``Mcp-Name`` against the body's ``params.name``.

    Raises:
        RpcRefused: it is missing, malformed or differs.
    """
    sent = headers.name
    if sent is None:
        raise mismatch("the header Mcp-Name is required and must repeat params.name.")
    if _PLAIN.match(sent) and not sent.startswith(_BASE64[0]) and sent.decode() == name:
        return  # the common case
    if decode_value(sent) != name:
        raise mismatch("the header Mcp-Name differs from params.name.")


def check_single(headers: McpHeaders) -> None:
    """Refuse a repeated routing header: readers of the first and of the last copy would see different calls.

    Raises:
        RpcRefused: names the header.
    """
    if not headers.repeated and len(headers.mirrored) <= MAX_MIRRORED:
        return
    for field, name in (("version", "MCP-Protocol-Version"), ("method", "Mcp-Method"), ("name", "Mcp-Name")):
        if field in headers.repeated:
            raise mismatch(f"the header {name} is repeated.")
    if len(headers.mirrored) > MAX_MIRRORED:
        raise mismatch(f"more than {MAX_MIRRORED} Mcp-Param headers.")
