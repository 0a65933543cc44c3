"""The client's half of MCP, sans-IO: reading and judging what upstream servers answer, both eras.

Results stay raw JSON: they are checked for shape and handed on byte by byte. Nothing that a server sent as content
appears in an error of this module, neither in its texts nor in a chained exception: only sizes, statuses, media
types and the place of a fault do.
"""

import re
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from portico.model.call import Answer, LogLevel, Notification, RpcError
from portico.model.errors import UpstreamInvalid, UpstreamStatus
from portico.model.gateway import MODERN_VERSIONS
from portico.protocol.capabilities import missing_data

PARSE_ERROR = -32700
INTERNAL_ERROR = -32603
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
HEADER_MISMATCH = -32020
MISSING_CLIENT_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022
URL_ELICITATION_REQUIRED = -32042

_OK = 200
_REDIRECTS = range(300, 400)
_CLIENT_ERRORS = range(400, 500)
#: Statuses whose body is not MCP's: credentials, proxies and rate limits stand in front of a server.
IN_FRONT = frozenset({401, 403, 407, 429})

MAX_SHOWN_MEDIA_TYPE = 60  #: characters of a foreign content type that an error may quote

_JSON = b"application/json"
_EVENT_STREAM = b"text/event-stream"
_MEDIA_TYPE = re.compile(rb"[a-z0-9.+-]+/[a-z0-9.+-]+")


# Status and content type


BodyKind = Literal["json", "event-stream"]


def judge_head(status: int, media_type: bytes | None) -> BodyKind:
    """Say how to read the body of the answer to a request, or refuse it by status and content type alone.

    A 4xx with a JSON body passes: MCP sends JSON-RPC errors so, and :func:`read_rejection` tells them from others.

    Raises:
        UpstreamStatus: the status refuses the request.
        UpstreamInvalid: a success that is neither JSON nor an event stream.
    """
    media = (media_type or b"").partition(b";")[0].strip().lower()
    if status == _OK:
        if media == _JSON:
            return "json"
        if media == _EVENT_STREAM:
            return "event-stream"
        raise UpstreamInvalid(
            f"The target answered with {_shown(media)} instead of JSON; is its endpoint the URL of an MCP endpoint?"
        )
    if status in _CLIENT_ERRORS and media == _JSON and status not in IN_FRONT:
        return "json"
    raise status_error(status)


def _shown(media: bytes) -> str:
    if not media:
        return "something without a content type"
    known = len(media) <= MAX_SHOWN_MEDIA_TYPE and _MEDIA_TYPE.fullmatch(media)
    return media.decode("ascii") if known else "an unreadable content type"


_SENTENCES = {
    401: "The target asks for credentials (HTTP 401).",
    403: "The target refuses access (HTTP 403).",
    404: "The target has nothing at this path (HTTP 404); check its endpoint.",
    405: "The target does not accept POST at this path (HTTP 405); check its endpoint.",
    407: "The proxy in front of the target asks for credentials (HTTP 407).",
    429: "The target is busy (HTTP 429); try again later.",
    503: "The target is not available (HTTP 503); try again later.",
}


def status_error(status: int) -> UpstreamStatus:
    """Return the error for an HTTP status that is no answer. It quotes nothing of the response."""
    if status in _REDIRECTS:
        sentence = f"The target redirects (HTTP {status}), which is not followed; set its final URL as endpoint."
    elif status < _REDIRECTS.start:
        sentence = f"The target accepted the request (HTTP {status}) but sent no result."
    else:
        sentence = _SENTENCES.get(status, f"The target answered with HTTP {status}.")
    return UpstreamStatus(sentence, http_status=status)


# Messages


class _ErrorObject(msgspec.Struct):
    code: int
    message: str
    data: Raw | UnsetType = UNSET


class Message(msgspec.Struct):
    """A JSON-RPC message from upstream with its payload raw. Which of its members are set says what it is."""

    jsonrpc: Literal["2.0"]
    id: int | str | None = None
    method: str | None = None
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: _ErrorObject | UnsetType = UNSET


_decode_message = msgspec.json.Decoder(Message).decode
_PLACE = re.compile(r" - at `(\$[^`]*)`$")


def read_message(data: bytes) -> Message:
    """Decode one message.

    Raises:
        UpstreamInvalid: not UTF-8, not JSON, nested too deeply, or not one JSON-RPC 2.0 message.
    """
    if not _is_utf8(data):  # the decoder skips over raw payloads without looking at this
        raise UpstreamInvalid("The target's answer is not valid UTF-8.", detail=f"{len(data)} bytes")
    message, fault = _try_decode(data)
    if message is None:
        raise UpstreamInvalid(f"The target's answer is {fault}.", detail=f"{len(data)} bytes")
    return message


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _try_decode(data: bytes) -> tuple[Message | None, str]:
    """Decode, or name the fault. Raising is left to the caller: a chained decoding error may quote the content."""
    try:
        return _decode_message(data), ""
    except msgspec.ValidationError as error:
        return None, f"not a JSON-RPC 2.0 message (at {place_of(error)})"
    except RecursionError:
        return None, "nested too deeply"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None, "not valid JSON"


def place_of(error: msgspec.ValidationError) -> str:
    """Return where a value has the wrong shape: our own member names. The rest of the text may quote the value."""
    match = _PLACE.search(str(error))
    return match[1] if match else "$"


def check_response(message: Message, request_id: int) -> Message:
    """Check that a message answers our request, with exactly one of result and error.

    Raises:
        UpstreamInvalid: another id, or neither or both of result and error.
    """
    failed = message.error is not UNSET
    if failed == (message.result is not UNSET):
        raise UpstreamInvalid("The target's answer must hold either a result or an error.")
    # JSON-RPC 2.0 section 5: an error about a request whose id could not be read has the id null.
    if message.id != request_id and not (failed and message.id is None):
        raise UpstreamInvalid("The target answered with the id of another request.")
    return message


def read_rejection(status: int, body: bytes) -> Message:
    """Return the JSON-RPC error in the body of a 4xx.

    Its id is not looked at: servers reject before they read it, and HTTP already says what it answers.

    Raises:
        UpstreamStatus: the body holds none; then only the status counts.
    """
    message = _try_decode(body)[0] if _is_utf8(body) else None
    if message is None or message.error is UNSET:
        raise status_error(status)
    return message


# Tool results


class _Block(msgspec.Struct):
    type: str


class AnyObject(msgspec.Struct):
    """Any JSON object."""


class _LegacyResult(msgspec.Struct):
    content: list[_Block]
    isError: bool = False  # noqa: N815  # the wire's name
    structuredContent: AnyObject | UnsetType = UNSET  # noqa: N815  # the wire's name


class _ModernResult(msgspec.Struct):
    content: list[_Block] | UnsetType = UNSET
    isError: bool = False  # noqa: N815  # the wire's name
    # Absent from older servers: treated as complete (2026-07-28 patterns/mrtr).
    resultType: str | UnsetType = UNSET  # noqa: N815  # the wire's name


_decode_legacy_result = msgspec.json.Decoder(_LegacyResult).decode
_decode_modern_result = msgspec.json.Decoder(_ModernResult).decode

_NEEDS_CLIENT = "The target needs to ask the client something, which this gateway does not relay yet."
#: Errors about our envelope, not about the call: the downstream client could do nothing with them.
_ABOUT_US = {
    MISSING_CLIENT_CAPABILITY: _NEEDS_CLIENT,
    URL_ELICITATION_REQUIRED: _NEEDS_CLIENT,
    UNSUPPORTED_VERSION: "The target does not speak the protocol version that it offered; synchronize it again.",
    INVALID_REQUEST: "The target calls the gateway's request malformed.",
    PARSE_ERROR: "The target could not parse the gateway's request.",
}


def tool_answer(message: Message, *, version: str) -> Answer:
    """Judge the response to a ``tools/call``: a result of the right shape, or an error worth handing on.

    ``version`` is the revision in which the target was asked.

    Raises:
        UpstreamInvalid: the result is no tool result, asks for input, or the error is about our own envelope.
    """
    error, result = message.error, message.result
    modern = version in MODERN_VERSIONS
    if not isinstance(error, UnsetType):
        return Answer(error=_judge_error(error, modern=modern), version=version)
    assert not isinstance(result, UnsetType)
    is_error, whole, fault = _judge_modern(result) if modern else _judge_legacy(result)
    if fault:
        raise UpstreamInvalid(fault)
    told = bytes(result) if whole else b'{"resultType":"complete",%b' % bytes(result).lstrip()[1:]
    return Answer(result=told, is_error=is_error, version=version)


def _judge_error(error: _ErrorObject, *, modern: bool) -> RpcError:
    data = None if isinstance(error.data, UnsetType) else bytes(error.data)
    if modern and error.code == MISSING_CLIENT_CAPABILITY and data is not None:
        missing = missing_data(data)
        if missing is not None:  # whether it is the caller's to hear depends on what the caller declared
            return RpcError(code=error.code, message=error.message, data=missing)
    if error.code in _ABOUT_US:
        raise UpstreamInvalid(_ABOUT_US[error.code], detail=f"JSON-RPC error {error.code}")
    return RpcError(code=error.code, message=error.message, data=data)


def _judge_legacy(result: Raw) -> tuple[bool, bool, str]:
    """Return ``isError``, whether all is there that a result must hold, and what is wrong, empty for nothing."""
    try:
        return _decode_legacy_result(result).isError, True, ""
    except msgspec.ValidationError as error:
        return False, False, f"The target's result is not a tool result (at {place_of(error)})."
    except RecursionError:
        return False, False, "The target's result is nested too deeply."


def _judge_modern(result: Raw) -> tuple[bool, bool, str]:
    try:
        shape = _decode_modern_result(result)
    except msgspec.ValidationError as error:
        return False, False, f"The target's result is not a tool result (at {place_of(error)})."
    except RecursionError:
        return False, False, "The target's result is nested too deeply."
    if shape.resultType == "input_required":
        return False, False, _NEEDS_CLIENT
    if shape.resultType is not UNSET and shape.resultType != "complete":
        return False, False, "The target answered with a kind of result that this gateway does not know."
    if shape.content is UNSET:
        return False, False, "The target's result is not a tool result (at $.content)."
    return shape.isError, shape.resultType is not UNSET, ""


# What a stream says before its answer


class _Progress(msgspec.Struct, omit_defaults=True):
    progress: float | int
    total: float | int | UnsetType = UNSET
    message: str | UnsetType = UNSET


class _ProgressWithToken(_Progress, omit_defaults=True):
    progressToken: int | str | None = None  # noqa: N815  # the wire's name


class _LogMessage(msgspec.Struct):
    level: LogLevel
    data: Raw
    logger: str | UnsetType = UNSET


_decode_progress = msgspec.json.Decoder(_ProgressWithToken).decode
_decode_log = msgspec.json.Decoder(_LogMessage).decode
_encode = msgspec.json.Encoder().encode


def notification_of(message: Message, request_id: int) -> Notification | None:
    """Return what of a notification is for the caller of ``request_id``; None for everything else.

    Progress with a foreign token and malformed notifications are dropped: they are no reason to lose the call.
    """
    params = message.params
    if isinstance(params, UnsetType):
        return None
    try:
        if message.method == "notifications/progress":
            told = _decode_progress(params)
            if told.progressToken != request_id:
                return None
            bare = _Progress(progress=told.progress, total=told.total, message=told.message)
            return Notification(kind="progress", params=_encode(bare))
        if message.method == "notifications/message":
            return Notification(kind="message", params=bytes(params), level=_decode_log(params).level)
    except (msgspec.DecodeError, RecursionError):
        return None
    return None


def refusal_of(request: Message) -> bytes:
    """Answer a legacy server's request: a ping gets its pong, anything else is beyond what we declared."""
    answer: dict[str, object] = {"jsonrpc": "2.0", "id": request.id}
    if request.method == "ping":
        answer["result"] = {}
    else:
        answer["error"] = {"code": METHOD_NOT_FOUND, "message": "This client declared no such capability."}
    return _encode(answer)
