"""Which headers pass through the façade, in each direction: those that are known to be harmless, and no others.

A list of what is taken away could never be complete: every proxy and identity product has invented a header that the
server behind it believes (``X-Forwarded-User``, ``X-Amzn-Oidc-Identity``, ``X-Ms-Client-Principal``...; incident T9).
So a header passes when MCP or HTTP's content negotiation needs it, or when the administrator has named it.
"""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from portico.net.request import OWNED
from portico.web.asgi import Header, header_values

MCP_PREFIX: Final = b"mcp-"  #: ``Mcp-Session-Id``, ``Mcp-Protocol-Version``, ``Mcp-Method``, ``Mcp-Param-*``...

#: From the client to the upstream server, beside those of MCP.
REQUEST_HEADERS: Final = frozenset(
    (
        b"accept",
        b"accept-language",
        b"content-encoding",
        b"content-type",
        b"last-event-id",
        b"traceparent",
        b"tracestate",
        b"user-agent",
    )
)
#: From the upstream server to the client, beside those of MCP. ``WWW-Authenticate`` is written anew, CORS is ours.
RESPONSE_HEADERS: Final = frozenset(
    (
        b"allow",
        b"content-language",
        b"content-type",
        b"ratelimit",
        b"ratelimit-policy",
        b"retry-after",
    )
)

#: What cannot be named by an administrator either: identity, cookies, what is ours to write.
_FORBIDDEN: Final = OWNED | {
    b"authorization",
    b"cache-control",
    b"cookie",
    b"date",
    b"forwarded",
    b"server",
    b"set-cookie",
    b"set-cookie2",
    b"vary",
    b"via",
    b"www-authenticate",
    b"x-accel-buffering",
    b"x-real-ip",
    b"x-request-id",
}
_FORBIDDEN_PREFIXES: Final = (
    b"access-control-",
    b"x-amz-",
    b"x-amzn-oidc-",
    b"x-forwarded-",
    b"x-portico-",
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,128}\Z")  # RFC 9110 section 5.6.2, lower case


def header_name_fault(name: str) -> str:
    """Say why an administrator cannot let the header ``name`` (lower case) pass; empty when nothing is against it."""
    if _TOKEN.match(name) is None:
        return "is not the name of a header"
    if name.encode() in _FORBIDDEN or name.encode().startswith(_FORBIDDEN_PREFIXES):
        return "never passes: it says who calls, belongs to one connection, or is the façade's own"
    return ""


def passed_on(headers: Sequence[Header], further: AbstractSet[bytes]) -> list[Header]:
    """Return what of a request's headers goes upstream; ``further`` are names that were configured."""
    return _passing(headers, REQUEST_HEADERS, further)


def handed_back(headers: Sequence[Header], further: AbstractSet[bytes]) -> list[Header]:
    """Return what of an answer's headers goes to the client; ``further`` are names that were configured."""
    return _passing(headers, RESPONSE_HEADERS, further)


def _passing(headers: Sequence[Header], known: AbstractSet[bytes], further: AbstractSet[bytes]) -> list[Header]:
    hop = _named_by_connection(headers)
    return [
        (name, value)
        for name, value in headers
        if (name in known or name.startswith(MCP_PREFIX) or name in further) and name not in hop
    ]


def _named_by_connection(headers: Sequence[Header]) -> frozenset[bytes]:
    """Return the names that ``Connection`` confines to this hop (RFC 9110 section 7.6.1)."""
    listed = b",".join(header_values(headers, b"connection"))
    return frozenset(name.strip().lower() for name in listed.split(b",")) if listed else frozenset()
