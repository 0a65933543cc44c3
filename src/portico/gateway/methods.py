"""What each JSON-RPC method does. One table per era; what is not in it is not served and not advertised."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from portico.gateway.request import ACCEPTED, JSON_HEADERS, Reply, Request
from portico.gateway.sessions import Sessions
from portico.model.gateway import Era
from portico.protocol import versions
from portico.protocol.errors import INVALID_PARAMS, METHOD_NOT_FOUND, RpcRefused
from portico.protocol.jsonrpc import Message, encode_result
from portico.protocol.server import EMPTY_RESULT

#: What a client may be asked for later in its session.
_CAPABILITIES: Final = ("elicitation", "sampling", "roots")

_decode_text = msgspec.json.Decoder(str).decode


class _ClientCapabilities(msgspec.Struct):
    elicitation: dict[str, msgspec.Raw] | None = None
    sampling: dict[str, msgspec.Raw] | None = None
    roots: dict[str, msgspec.Raw] | None = None


_read_capabilities = msgspec.json.Decoder(_ClientCapabilities).decode


class Methods:
    """Every method but ``tools/call``, which has a module of its own."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._tables: Mapping[Era, Mapping[str, Callable[[Request], Reply]]] = MappingProxyType(
            {
                "legacy": {"initialize": self._initialize, "ping": _ping, "tools/list": _list_tools},
                "modern": {"server/discover": _discover, "tools/list": _list_tools},
            }
        )

    def answer(self, request: Request) -> Reply:
        """Answer one request or notification.

        Raises:
            RpcRefused: an unknown method, or params that are wrong.
        """
        if request.message.id is None:
            return ACCEPTED
        method = self._tables[request.spoken.era].get(request.message.method)
        if method is None:
            offered = ", ".join(sorted({*self._tables[request.spoken.era], "tools/call"}))
            name = request.message.method
            raise RpcRefused(METHOD_NOT_FOUND, f"Method not found: {name}. This gateway serves {offered}.")
        return method(request)

    def _initialize(self, request: Request) -> Reply:
        gateway = request.gateway
        params = request.message.params
        version = versions.negotiate(_text(request.message, "protocolVersion"), gateway.supported_versions)
        capabilities = _capabilities(params.get("capabilities"))
        reply = with_result(request, request.live.snapshot.initialize[version])
        if not gateway.session_timeout:
            return reply
        session = self._sessions.mint(
            request.principal,
            gateway=gateway.id,
            endpoint=request.endpoint.target,
            version=version,
            capabilities=capabilities,
        )
        return Reply(reply.status, reply.body, (*JSON_HEADERS, (b"mcp-session-id", session)))


def _ping(request: Request) -> Reply:
    return with_result(request, EMPTY_RESULT)


def _discover(request: Request) -> Reply:
    return with_result(request, request.live.snapshot.discover)


def _list_tools(request: Request) -> Reply:
    return with_result(request, request.catalog.page(cursor_of(request.message)))


def cursor_of(message: Message) -> str | None:
    """Return the cursor of a list request, None for the first page.

    Raises:
        RpcRefused: it is no string.
    """
    return _text(message, "cursor") if "cursor" in message.params else None


def with_result(request: Request, result: bytes) -> Reply:
    """Return the answer that holds ``result``, raw JSON."""
    assert request.message.raw_id is not None  # notifications are answered before
    return Reply(200, encode_result(request.message.raw_id, result))


def _text(message: Message, name: str) -> str:
    raw = message.params.get(name)
    try:
        if raw is not None:
            return _decode_text(raw)
    except msgspec.DecodeError:
        pass
    raise RpcRefused(INVALID_PARAMS, f"params.{name} must be a string.")


def _capabilities(raw: msgspec.Raw | None) -> tuple[str, ...]:
    """Return the client capabilities that will matter to its session, by name."""
    try:
        declared = _read_capabilities(b"" if raw is None else raw)
    except msgspec.DecodeError as error:
        raise RpcRefused(INVALID_PARAMS, "params.capabilities must be an object of objects.") from error
    found = [name for name in _CAPABILITIES if getattr(declared, name) is not None]
    if declared.elicitation is not None and "url" in declared.elicitation:
        found.append("elicitation.url")
    return tuple(found)
