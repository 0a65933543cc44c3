"""The client's half of MCP, sans-IO: reading what a server answers to initialize, discover and lists, both eras."""

from typing import Any, TypeVar

import msgspec
from msgspec import Raw, UnsetType

from portico.model.errors import UpstreamInvalid
from portico.protocol.client_answers import AnyObject, Message, place_of


class _Capabilities(msgspec.Struct):
    tools: AnyObject | None = None


class InitializeResult(msgspec.Struct):
    """The members that we read of a legacy server's answer to ``initialize``."""

    protocolVersion: str  # noqa: N815  # the wire's name
    capabilities: _Capabilities

    @property
    def has_tools(self) -> bool:
        """Whether the server declares tools."""
        return self.capabilities.tools is not None


class DiscoverResult(msgspec.Struct):
    """The members that we read of a modern server's answer to ``server/discover``."""

    supportedVersions: list[str]  # noqa: N815  # the wire's name
    capabilities: _Capabilities

    @property
    def has_tools(self) -> bool:
        """Whether the server declares tools."""
        return self.capabilities.tools is not None


class ToolsPage(msgspec.Struct):
    """One page of ``tools/list``, the definitions still raw."""

    tools: list[Raw]
    nextCursor: str | None = None  # noqa: N815  # the wire's name
    ttlMs: Any = None  # noqa: N815  # the wire's name
    cacheScope: Any = None  # noqa: N815  # the wire's name

    @property
    def ttl_ms(self) -> int:
        """How long the page may be kept, in milliseconds: 0 for a hint that is missing or negative, as the spec asks.

        2026-07-28 server/utilities/caching "Time-to-Live (TTL) Field".
        """
        return max(self.ttlMs, 0) if type(self.ttlMs) is int else 0

    @property
    def public(self) -> bool:
        """Whether the page is the same for everybody."""
        return self.cacheScope == "public"


class _UnsupportedVersion(msgspec.Struct):
    supported: list[str]


_Kind = TypeVar("_Kind", InitializeResult, DiscoverResult, ToolsPage)


class Refusal(UpstreamInvalid):
    """A JSON-RPC error in place of the result of a handshake or list."""

    def __init__(self, rpc_code: int) -> None:
        super().__init__(f"The target refused the request (JSON-RPC error {rpc_code}).")
        self.rpc_code = rpc_code


def read_result(message: Message, kind: type[_Kind]) -> _Kind:
    """Decode the result of a handshake or list.

    Raises:
        Refusal: an error instead of a result.
        UpstreamInvalid: a result of another shape.
    """
    if not isinstance(message.error, UnsetType):
        raise Refusal(message.error.code)
    assert not isinstance(message.result, UnsetType)
    place = ""
    try:
        return msgspec.json.decode(message.result, type=kind)
    except msgspec.ValidationError as error:
        place = place_of(error)
    except RecursionError:
        place = "$, nested too deeply"
    raise UpstreamInvalid(f"The target's answer has the wrong shape (at {place}).")


def error_code_of(message: Message) -> int | None:
    """Return the code of a response's error, None for a result."""
    return None if isinstance(message.error, UnsetType) else message.error.code


def supported_versions(message: Message) -> tuple[str, ...]:
    """Return ``data.supported`` of an UnsupportedProtocolVersion error; empty when it has none."""
    error = message.error
    if isinstance(error, UnsetType) or isinstance(error.data, UnsetType):
        return ()
    try:
        return tuple(msgspec.json.decode(error.data, type=_UnsupportedVersion).supported)
    except (msgspec.DecodeError, RecursionError):
        return ()
