"""What we say about ourselves: the results of ``initialize`` and ``server/discover``, and the members of a result.

Nothing is advertised that is not served: tools, without change notifications.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from portico import __version__
from portico.protocol.versions import newest_first

SERVER_NAME: Final = "portico"
SERVER_INFO_META: Final = "io.modelcontextprotocol/serverInfo"
#: Milliseconds that a modern client may keep a list or a discovery; short, because we announce no changes yet.
CACHE_MS: Final = 30_000
SERVER_INFO: Final = {"name": SERVER_NAME, "version": __version__}
#: The member of ``_meta`` by which a modern result says who answered.
SERVER_INFO_MEMBER: Final = b'"%b":%b' % (SERVER_INFO_META.encode(), msgspec.json.encode(SERVER_INFO))
#: The empty result of ``ping``.
EMPTY_RESULT: Final = b"{}"

_CAPABILITIES: Final[dict[str, Any]] = {"tools": {}}
_LOGGING: Final[dict[str, Any]] = {"logging": {}}


def cache_hints(ttl_ms: int = CACHE_MS, *, public: bool = False) -> bytes:
    """Return the members that every modern result holds which may be kept, each after a comma.

    ``public`` is for what does not depend on the authorization that was presented (MCP 2026-07-28 caching).
    """
    scope = b"public" if public else b"private"
    return b',"resultType":"complete","ttlMs":%d,"cacheScope":"%b"' % (ttl_ms, scope)


def initialize_result(version: str, *, title: str, instructions: str) -> bytes:
    """Return the result of ``initialize`` for the negotiated revision, raw JSON."""
    result: dict[str, Any] = {
        "protocolVersion": version,
        "capabilities": _CAPABILITIES,
        "serverInfo": {**SERVER_INFO, "title": title},
    }
    if instructions:
        result["instructions"] = instructions
    return msgspec.json.encode(result)


def discover_result(offered: Sequence[str], *, instructions: str, logging: bool = False) -> bytes:
    """Return the result of ``server/discover``, raw JSON.

    ``logging`` says that answers may stream, so that log messages can reach who asks for them.
    """
    capabilities = {**_LOGGING, **_CAPABILITIES} if logging else _CAPABILITIES
    head: dict[str, Any] = {"supportedVersions": newest_first(offered), "capabilities": capabilities}
    if instructions:
        head["instructions"] = instructions
    return b'%b%b,"_meta":{%b}}' % (msgspec.json.encode(head)[:-1], cache_hints(), SERVER_INFO_MEMBER)


def error_result(text: str, *, modern: bool, debug: str = "") -> bytes:
    """Return a tool result that says why a call failed, raw JSON; ``debug`` is AWS's ``_meta.debug``."""
    told = [SERVER_INFO_MEMBER] if modern else []
    if debug:
        told.append(b'"debug":%b' % msgspec.json.encode({"type": "text", "text": debug}))
    meta = b',"_meta":{%b}' % b",".join(told) if told else b""
    kind = b',"resultType":"complete"' if modern else b""
    content = msgspec.json.encode([{"type": "text", "text": text}])
    return b'{"content":%b,"isError":true%b%b}' % (content, kind, meta)
