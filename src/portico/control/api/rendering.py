"""Outputs and errors as AWS answers them: status, headers and JSON of the protocol restJson1.

What is sent is what the model knows: a member that an operation returns and the model does not have is left out, so
that a row's inner columns cannot leak. Errors carry the exception's name in ``x-amzn-ErrorType``, by which SDKs choose
the class they raise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

import msgspec
import structlog

from portico.control.api.service_model import ModelledOperation
from portico.control.shapes import Shapes, wire_name
from portico.model.errors import (
    ConfigError,
    Conflict,
    Fault,
    Forbidden,
    InputError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    NotOffered,
    PorticoError,
    QuotaExceeded,
    SealError,
    SignatureRefused,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
)
from portico.web.asgi import Header

RETRY_AFTER_SECONDS: Final = 5  #: that a client waits when we do not know better
NO_CONTENT: Final = 204
INTERNAL_ERROR: Final = "An internal error occurred. The log has it under the request id of this answer."

#: Exception and status by class; a class that is not here is rendered as the nearest of those that it extends.
_EXCEPTIONS: Final[Mapping[type[PorticoError], tuple[str, int]]] = {
    InputError: ("ValidationException", 400),
    TooLarge: ("RequestEntityTooLargeException", 413),
    UnsupportedMedia: ("UnsupportedMediaTypeException", 415),
    ConfigError: ("ValidationException", 400),
    SealError: ("ValidationException", 400),
    Unauthenticated: ("UnrecognizedClientException", 403),
    Forbidden: ("AccessDeniedException", 403),
    NotFound: ("ResourceNotFoundException", 404),
    NotOffered: ("NotOfferedException", 501),
    Conflict: ("ConflictException", 409),
    QuotaExceeded: ("ServiceQuotaExceededException", 402),
    LimitExceeded: ("ThrottlingException", 429),
    Unavailable: ("InternalServerException", 503),
    PorticoError: ("InternalServerException", 500),
}
_VALIDATION: Final = "ValidationException"

_log = structlog.stdlib.get_logger("portico.control.api")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, apart from the headers that every one has."""

    status: int
    headers: tuple[Header, ...] = ()
    body: bytes
    error: str = ""  #: the exception's name; empty when all went well


def render_output(operation: ModelledOperation, output: Mapping[str, Any]) -> Answer:
    """Return the answer that holds an operation's output."""
    if operation.status == NO_CONTENT:
        return Answer(status=NO_CONTENT, body=b"")
    body = _rendered(output, operation.output_shape, operation.shapes)
    return Answer(status=operation.status, body=msgspec.json.encode(body))


def render_error(error: PorticoError) -> Answer:
    """Return the answer that tells an error: its public text, and for wrong input each member with its fault."""
    name, status = _exception(error)
    document: dict[str, Any] = {"message": error.public}
    headers: list[Header] = []
    if name == _VALIDATION:
        document |= _validation(error)
    if isinstance(error, LimitExceeded | Unavailable):
        seconds = error.retry_after if isinstance(error, LimitExceeded) else RETRY_AFTER_SECONDS
        headers.append((b"retry-after", b"%d" % max(1, round(seconds))))
    return _error_answer(name, status, document, headers)


def render_failure() -> Answer:
    """Return the answer that tells nothing but that something went wrong here."""
    return _error_answer("InternalServerException", 500, {"message": INTERNAL_ERROR}, [])


def _error_answer(name: str, status: int, document: Mapping[str, Any], headers: Sequence[Header]) -> Answer:
    return Answer(
        status=status,
        headers=((b"x-amzn-errortype", name.encode()), *headers),
        body=msgspec.json.encode(document),
        error=name,
    )


def _exception(error: PorticoError) -> tuple[str, int]:
    if isinstance(error, SignatureRefused):
        return error.aws_code, error.status
    return next(_EXCEPTIONS[kind] for kind in type(error).__mro__ if kind in _EXCEPTIONS)


def _validation(error: PorticoError) -> dict[str, Any]:
    if not isinstance(error, InvalidInput | ConfigError):
        return {"reason": "CannotParse"}
    reason = error.reason if isinstance(error, InvalidInput) else "FieldValidationFailed"
    listed = [{"name": fault.path, "message": fault.message} for fault in error.faults]
    return {"message": _sentence(error.faults), "reason": reason, "fieldList": listed}


def _sentence(faults: Sequence[Fault]) -> str:
    count = f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected"
    return f"{count}: {'; '.join(map(str, faults))}"


def _rendered(value: object, name: str, shapes: Shapes) -> object:
    shape = shapes[name]
    match shape["type"]:
        case "structure" if isinstance(value, Mapping) and not shape.get("document"):
            return _structure(cast("Mapping[str, object]", value), name, shapes)
        case "list" if isinstance(value, list | tuple):
            member = shape["member"]["shape"]
            return [_rendered(entry, member, shapes) for entry in cast("Sequence[object]", value)]
        case "map" if isinstance(value, Mapping):
            member = shape["value"]["shape"]
            entries = cast("Mapping[str, object]", value).items()
            return {key: _rendered(entry, member, shapes) for key, entry in entries}
        case "timestamp" if isinstance(value, int | float):
            return _timestamp(value, shape.get("timestampFormat", "unixTimestamp"))
        case _:
            return cast("object", value)


def _structure(value: Mapping[str, object], name: str, shapes: Shapes) -> dict[str, object]:
    """Render the members that the model has; None stands for one that is not there."""
    specs = {wire_name(member, spec): spec for member, spec in shapes[name].get("members", {}).items()}
    unknown = value.keys() - specs.keys()
    if unknown:
        _log.error("output_not_of_the_model", shape=name, members=sorted(unknown))
    return {
        key: _rendered(entry, specs[key]["shape"], shapes)
        for key, entry in value.items()
        if key in specs and entry is not None
    }


def _timestamp(seconds: float, form: str) -> float | str:
    if form != "iso8601":
        return seconds
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
