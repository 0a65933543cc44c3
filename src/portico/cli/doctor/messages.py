"""The MCP messages that a walk sends, in both eras, with their headers. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from portico.model.gateway import MODERN_VERSIONS
from portico.protocol import client

LIST: Final = "tools/list"
CALL: Final = "tools/call"
DISCOVER: Final = "server/discover"
#: Before it, clients sent no ``MCP-Protocol-Version``.
_FIRST_WITH_HEADER: Final = "2025-06-18"

Sent = tuple[dict[str, str], bytes]


def is_modern(version: str) -> bool:
    """Tell whether a version has no handshake."""
    return version in MODERN_VERSIONS


def first_message(versions: Sequence[str]) -> Sent:
    """Return the message with which a client of ``versions`` begins."""
    return discover() if is_modern(versions[0]) else initialize(versions[0])


def discover() -> Sent:
    """Return ``server/discover``."""
    return _headers(client.modern_headers(DISCOVER)), client.modern_request(DISCOVER, 1)


def initialize(version: str) -> Sent:
    """Return ``initialize``."""
    return _headers(client.legacy_headers(None, None)), client.initialize_request(1, version)


def initialized(version: str, session: str) -> Sent:
    """Return the notification that ends the handshake."""
    return legacy_headers(version, session), client.INITIALIZED


def list_tools(version: str, session: str) -> Sent:
    """Return ``tools/list``."""
    if is_modern(version):
        return _headers(client.modern_headers(LIST)), client.modern_request(LIST, 2)
    return legacy_headers(version, session), client.legacy_request(LIST, 2)


def call_tool(version: str, session: str, name: str, arguments: Mapping[str, Any]) -> Sent:
    """Return ``tools/call``."""
    modern = is_modern(version)
    prepared = client.prepare_modern_call(name) if modern else client.prepare_legacy_call(name)
    headers = _headers(prepared.headers) if modern else legacy_headers(version, session)
    return headers, client.call_body(prepared, request_id=3, arguments=json.dumps(arguments).encode())


def legacy_headers(version: str, session: str) -> dict[str, str]:
    """Return the headers of a legacy request after the handshake."""
    named = version if version >= _FIRST_WITH_HEADER else None
    return _headers(client.legacy_headers(named, session.encode() or None))


def _headers(headers: client.Headers) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers if name != b"user-agent"}
