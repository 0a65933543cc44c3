"""Protocol revisions: which a gateway offers, and how initialize and discover name them."""

from collections.abc import Sequence
from typing import Any

from portico.model.gateway import LEGACY_VERSIONS, MODERN_VERSIONS, PROTOCOL_VERSIONS
from portico.protocol.errors import UNSUPPORTED_PROTOCOL_VERSION, RpcRefused

#: What a request without ``MCP-Protocol-Version`` speaks (MCP 2025-06-18 basic/transports, "should assume").
ASSUMED_VERSION = "2025-03-26"


def newest_first(versions: Sequence[str]) -> list[str]:
    """Return ``versions`` that are known to us, newest first."""
    return [version for version in reversed(PROTOCOL_VERSIONS) if version in versions]


def modern(versions: Sequence[str]) -> list[str]:
    """Return the modern ones of ``versions``, newest first."""
    return [version for version in newest_first(versions) if version in MODERN_VERSIONS]


def legacy(versions: Sequence[str]) -> list[str]:
    """Return the legacy ones of ``versions``, newest first."""
    return [version for version in newest_first(versions) if version in LEGACY_VERSIONS]


def negotiate(requested: str, offered: Sequence[str]) -> str:
    """Return the revision that an ``initialize`` is answered with.

    The requested one when it is offered, else the newest legacy one that is (MCP basic/lifecycle, "Version
    Negotiation").

    Raises:
        RpcRefused: no legacy revision is offered at all.
    """
    choices = legacy(offered)
    if not choices:
        raise unsupported(requested, offered)
    return requested if requested in choices else choices[0]


def unsupported(requested: str, offered: Sequence[str]) -> RpcRefused:
    """Return the refusal of a revision, which names those that are offered."""
    data: dict[str, Any] = {"supported": newest_first(offered), "requested": requested[:64]}
    return RpcRefused(
        UNSUPPORTED_PROTOCOL_VERSION,
        f"Unsupported protocol version. This gateway offers {', '.join(data['supported'])}.",
        data=data,
        http_status=400,
    )
