"""One tool call on its way to a target, and what comes back."""

from typing import Literal, Self

import msgspec

from portico.model.credential import Credential
from portico.model.gateway import Era
from portico.model.principal import Principal

#: Of log messages, the least severe first (RFC 5424).
LogLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it is handed to a target: names as the target has them, the envelope still to be built."""

    tool: str
    arguments: bytes | None  #: the ``arguments`` member as raw JSON, None when the client sent none
    era: Era  #: to speak to the target, as it was synchronized; not always the client's own
    version: str  #: the protocol revision that the client speaks
    principal: Principal
    session: str = ""  #: the downstream session's number; empty when there is none
    wants_progress: bool = False  #: the client sent a progress token and its answer may stream
    log_level: LogLevel | None = None  #: modern clients ask for log messages per request; None for none
    trace: bytes | None = None  #: raw JSON object of traceparent, tracestate, baggage members to hand on
    mirrored: tuple[tuple[bytes, bytes], ...] = ()  #: ``Mcp-Param-*`` headers, the client's as sent or made by us
    #: what is added to its requests: the target's credential, and what of the client's request may be passed on
    attached: Credential | None = None
    apart: str = ""  #: a digest of what is passed on, where the call must not share an upstream session with others


class ListCall(msgspec.Struct, frozen=True, kw_only=True):
    """A list as it is asked of a target whose lists are live; members as those of :class:`ToolCall`."""

    era: Era
    version: str
    principal: Principal
    session: str = ""
    attached: Credential | None = None
    apart: str = ""

    def bearing(self, attached: Credential | None) -> Self:
        """Return the same with something else added to its requests."""
        return msgspec.structs.replace(self, attached=attached)


class RpcError(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON-RPC error object as the target sent it."""

    code: int
    message: str
    data: bytes | None = None  #: raw JSON


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How a target answered: exactly one of ``result`` (raw JSON object) and ``error``."""

    result: bytes | None = None
    error: RpcError | None = None
    is_error: bool = False  #: ``result`` is a tool result with ``isError: true``
    version: str = ""  #: the protocol revision whose rules ``result`` follows
    headers: tuple[tuple[bytes, bytes], ...] = ()  #: of the target's HTTP answer, those that the client may see


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a target said before its answer.

    ``params`` is a raw JSON object. For progress it is without the ``progressToken``, which only the two ends know.
    """

    kind: Literal["progress", "message"]
    params: bytes
    level: LogLevel | None = None  #: of a message


#: What an audit record says became of a call.
Outcome = Literal["ok", "tool_error", "protocol_error", "denied", "failed", "cancelled"]
