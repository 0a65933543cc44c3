"""Which era and revision a request speaks, read from body and header together, which must agree.

*Modern* requests carry their revision in ``params._meta`` and repeat it in ``MCP-Protocol-Version``; *legacy* ones
say it in the header only, from 2025-06-18 on. A body and a header that disagree are refused and never guessed.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from portico.model.gateway import MODERN_VERSIONS, Era
from portico.protocol.errors import INVALID_PARAMS, RpcRefused
from portico.protocol.headers import McpHeaders, check_method, check_name, check_single, mismatch
from portico.protocol.jsonrpc import Message, RequestId
from portico.protocol.versions import ASSUMED_VERSION, legacy, newest_first, unsupported

PROTOCOL_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
CLIENT_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
CLIENT_INFO: Final = "io.modelcontextprotocol/clientInfo"
PROGRESS_TOKEN: Final = "progressToken"  # noqa: S105 - a JSON member's name, no password
#: What a modern request hands on for tracing (MCP 2026-07-28 basic/index, "_meta").
TRACE_MEMBERS: Final = frozenset({"traceparent", "tracestate", "baggage"})

_decode_text = msgspec.json.Decoder(str).decode
_decode_token = msgspec.json.Decoder(RequestId).decode


class Spoken(msgspec.Struct, frozen=True):
    """What a message speaks. A legacy ``version`` of an ``initialize`` is in its params, not here."""

    era: Era
    version: str


def classify(message: Message, headers: McpHeaders, offered: Sequence[str]) -> Spoken:
    """Return era and revision of ``message`` at a gateway that offers the revisions ``offered``.

    Raises:
        RpcRefused: -32020 header and body disagree, -32022 a revision that is not offered, -32602 a modern envelope
            that lacks what it must hold.
    """
    declared = message.meta.get(PROTOCOL_VERSION)
    if "version" in headers.repeated:
        raise mismatch("the header MCP-Protocol-Version is repeated.")
    if declared is not None:
        return _modern(message, headers, offered, declared)
    said = None if headers.version is None else headers.version.decode("latin-1").strip()
    if said in MODERN_VERSIONS and message.id is not None:
        raise RpcRefused(
            INVALID_PARAMS,
            f"params._meta must hold {PROTOCOL_VERSION} and {CLIENT_CAPABILITIES} at this protocol version.",
            http_status=400,
        )
    return _legacy(message, said, offered, in_session=headers.session is not None)


def progress_token(message: Message) -> bytes | None:
    """Return the progress token as raw JSON, None when the client wants no progress.

    Raises:
        RpcRefused: -32602; it is neither a string nor an integer.
    """
    raw = message.meta.get(PROGRESS_TOKEN)
    if raw is None:
        return None
    try:
        _decode_token(raw)
    except msgspec.DecodeError as error:
        raise RpcRefused(INVALID_PARAMS, "params._meta.progressToken must be a string or an integer.") from error
    return bytes(raw)


def trace_members(message: Message) -> bytes | None:
    """Return the raw JSON object of the tracing members, None when there are none."""
    meta = message.meta
    if TRACE_MEMBERS.isdisjoint(meta):
        return None
    return b"{%b}" % b",".join(
        b'"%b":%b' % (name.encode(), bytes(meta[name])) for name in meta if name in TRACE_MEMBERS
    )


def _modern(message: Message, headers: McpHeaders, offered: Sequence[str], declared: msgspec.Raw) -> Spoken:
    version = _text(declared, f"params._meta.{PROTOCOL_VERSION}")
    if message.id is not None or headers.version is not None:
        _agree(headers, version)
    if version not in offered or version not in MODERN_VERSIONS:
        raise unsupported(version, offered)
    if message.id is not None:
        _check_request(message, headers)
    return Spoken("modern", version)


def _agree(headers: McpHeaders, version: str) -> None:
    if headers.version is None:
        raise mismatch(f"the header MCP-Protocol-Version is required and must repeat params._meta.{PROTOCOL_VERSION}.")
    if headers.version.strip() != version.encode():
        raise mismatch(f"the header MCP-Protocol-Version differs from params._meta.{PROTOCOL_VERSION}.")


def _check_request(message: Message, headers: McpHeaders) -> None:
    check_single(headers)
    check_method(headers, message.method)
    if CLIENT_CAPABILITIES not in message.meta:
        raise RpcRefused(INVALID_PARAMS, f"params._meta must hold {CLIENT_CAPABILITIES}.", http_status=400)
    for key in (CLIENT_CAPABILITIES, CLIENT_INFO):
        raw = message.meta.get(key)
        if raw is not None and memoryview(raw)[0] != ord("{"):
            raise RpcRefused(INVALID_PARAMS, f"params._meta.{key} must be an object.", http_status=400)
    name = message.params.get("name")
    if message.method == "tools/call" and name is not None:
        check_name(headers, _text(name, "params.name"))


def _legacy(message: Message, said: str | None, offered: Sequence[str], *, in_session: bool) -> Spoken:
    if message.method == "initialize":  # negotiates in its params; the header cannot be known yet
        return Spoken("legacy", "")
    if said is None:
        choices = legacy(offered)
        if ASSUMED_VERSION in choices or message.id is None:
            return Spoken("legacy", ASSUMED_VERSION)
        if choices and in_session:  # the session will say which
            return Spoken("legacy", choices[0])
        raise mismatch(f"the header MCP-Protocol-Version is required; offered are {', '.join(newest_first(offered))}.")
    if said not in offered:
        raise unsupported(said, offered)
    return Spoken("modern" if said in MODERN_VERSIONS else "legacy", said)


def _text(raw: msgspec.Raw, where: str) -> str:
    try:
        return _decode_text(raw)
    except msgspec.DecodeError as error:
        raise RpcRefused(INVALID_PARAMS, f"{where} must be a string.", http_status=400) from error
