"""One JSON-RPC message: bytes in, a typed :class:`Message` or a refusal out; results and notifications back to bytes.

Batches are refused at every revision, also at 2025-03-26 which had them: one message is one call, one decision, one
audit record (docs/adr/0004). Values that we do not judge (``arguments``, results) stay raw bytes.
"""

from typing import Final

import msgspec

from portico.protocol import strict_json
from portico.protocol.errors import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, RpcRefused

MAX_ID_BYTES: Final = 256  #: of a request id, which is echoed and remembered
MAX_METHOD_CHARS: Final = 128

RequestId = str | int

_ENVELOPE: Final = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_PARAMS: Final = frozenset({"_meta", "name", "arguments", "cursor", "requestId", "protocolVersion", "capabilities"})
_META_PREFIX: Final = "io.modelcontextprotocol/"
_META: Final = frozenset(
    {
        f"{_META_PREFIX}protocolVersion",
        f"{_META_PREFIX}clientCapabilities",
        f"{_META_PREFIX}clientInfo",
        f"{_META_PREFIX}logLevel",
        "progressToken",
        "traceparent",
        "tracestate",
        "baggage",
    }
)
_VERSION: Final = b'"2.0"'

_decode_id = msgspec.json.Decoder(RequestId).decode
_decode_text = msgspec.json.Decoder(str).decode


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A request (``id`` is set) or a notification, its params one level open."""

    id: RequestId | None
    raw_id: bytes | None  #: as it came, to be echoed byte for byte
    method: str
    params: dict[str, msgspec.Raw]
    meta: dict[str, msgspec.Raw]  #: the members of ``params._meta``


def decode(body: bytes) -> Message:
    """Decode one message.

    Raises:
        RpcRefused: with the code and a sentence that say what is wrong; its HTTP status is 400.
    """
    try:
        _check_text(body)
        envelope = strict_json.members(body, _ENVELOPE)
    except msgspec.ValidationError as error:
        raise _refused(INVALID_REQUEST, _not_an_object(body)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(PARSE_ERROR, "The body is not valid JSON in UTF-8.") from error
    except (strict_json.RepeatedMember, strict_json.TooDeep) as error:
        raise _refused(INVALID_REQUEST, error.public) from error
    raw_id = envelope.get("id")
    request_id = None if raw_id is None else _request_id(raw_id)
    echo = None if raw_id is None else bytes(raw_id)
    try:
        return _open(envelope, request_id, echo)
    except RpcRefused as refusal:
        refusal.request_id = echo
        raise


def encode_result(request_id: bytes, result: bytes) -> bytes:
    """Return the response of a request; both arguments are raw JSON."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (request_id, result)


def encode_notification(method: str, params: bytes) -> bytes:
    """Return a notification; ``params`` is a raw JSON object."""
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (method.encode(), params)


def object_members(raw: msgspec.Raw, where: str) -> dict[str, msgspec.Raw]:
    """Return the members of an object inside params.

    Raises:
        RpcRefused: it is no object, or a member is repeated.
    """
    try:
        return strict_json.members(raw, _META)
    except msgspec.DecodeError as error:
        raise _refused(INVALID_PARAMS, f"{where} must be an object.") from error
    except strict_json.RepeatedMember as error:
        raise _refused(INVALID_REQUEST, error.public) from error


def _check_text(body: bytes) -> None:
    if not body.isascii():
        body.decode()  # msgspec does not look at the bytes of strings that it skips
    strict_json.check_depth(body)


def _open(envelope: dict[str, msgspec.Raw], request_id: RequestId | None, echo: bytes | None) -> Message:
    if bytes(envelope.get("jsonrpc", b"")) != _VERSION:
        raise _refused(INVALID_REQUEST, 'The member "jsonrpc" must be "2.0".')
    raw_method = envelope.get("method")
    if raw_method is None or "result" in envelope or "error" in envelope:
        raise _refused(INVALID_REQUEST, _no_method(envelope))
    params = envelope.get("params")
    opened = {} if params is None else _params(params)
    meta = opened.get("_meta")
    return Message(
        id=request_id,
        raw_id=echo,
        method=_method(raw_method),
        params=opened,
        meta={} if meta is None else object_members(meta, "params._meta"),
    )


def _params(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return strict_json.members(raw, _PARAMS)
    except msgspec.DecodeError as error:
        raise _refused(INVALID_PARAMS, "The member params must be an object.") from error
    except strict_json.RepeatedMember as error:
        raise _refused(INVALID_REQUEST, error.public) from error


def _request_id(raw: msgspec.Raw) -> RequestId:
    try:
        if len(memoryview(raw)) <= MAX_ID_BYTES:
            return _decode_id(raw)
    except msgspec.DecodeError:
        pass
    raise _refused(INVALID_REQUEST, f"The member id must be a string or an integer of at most {MAX_ID_BYTES} bytes.")


def _method(raw: msgspec.Raw) -> str:
    try:
        method = _decode_text(raw)
    except msgspec.DecodeError:
        method = ""
    if not method or len(method) > MAX_METHOD_CHARS:
        raise _refused(INVALID_REQUEST, f"The member method must be a string of 1 to {MAX_METHOD_CHARS} characters.")
    return method


def _not_an_object(body: bytes) -> str:
    if body.lstrip()[:1] == b"[":
        return "Batches are not supported; send one JSON-RPC message per request."
    return "The body must be one JSON-RPC message, an object."


def _no_method(envelope: dict[str, msgspec.Raw]) -> str:
    if "method" not in envelope and ("result" in envelope or "error" in envelope):
        return "This gateway has asked nothing, so there is no request that this response answers."
    return "The message must have a method, and neither result nor error."


def _refused(code: int, public: str) -> RpcRefused:
    return RpcRefused(code, public, http_status=400)
