"""From a request to an operation's input document, as the protocol restJson1 places its members.

https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html. What comes out bears the model's member names and is
not judged yet: text that does not read as its shape's type stays text, so that one check finds every fault. Members
that nobody knows stay too, to be refused by name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, cast
from urllib.parse import parse_qsl, unquote_to_bytes

from portico.control.api.service_model import Route
from portico.control.shapes import MAX_FAULTS, Shapes, member_path, wire_name
from portico.crypto.sigv4 import SignedRequest
from portico.model.errors import Fault, InputError, UnsupportedMedia
from portico.oauth.strict_json import parse_object

MAX_DEPTH: Final = 64  #: levels of objects and lists in a body
MAX_QUERY_FIELDS: Final = 256  #: of one request; 200 tag keys may be named at once

_MEDIA_TYPE: Final = b"application/json"
_PLACES: Final = {"uri": "path", "querystring": "query", "header": "header"}
_WHOLE = re.compile(r"-?[0-9]{1,19}")
_ESCAPED_NUL: Final = b"\\u0000"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedInput:
    """An input document, and what is wrong with where its members stood."""

    document: dict[str, Any]
    faults: tuple[Fault, ...]


def parse_input(route: Route, head: SignedRequest, body: bytes) -> ParsedInput:
    """Return the input document of the operation that a request asks for.

    Raises:
        InputError: path, query or body cannot be read.
        UnsupportedMedia: the body is something else than JSON.
    """
    faults: list[Fault] = []
    document = _body_members(route, _decoded(head, body), faults)
    document |= _query(route, head.query, faults)
    document |= _headers(route, head)
    document |= {name: _text(label) for name, label in _labels(route)}
    if _may_hold_nul(head, body):
        faults += islice(_nuls(document, ""), MAX_FAULTS)
    return ParsedInput(document=document, faults=tuple(faults))


def _decoded(head: SignedRequest, body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    media_type = _header(head, b"content-type").partition(b";")[0].strip().lower()
    if media_type != _MEDIA_TYPE:
        raise UnsupportedMedia("The body must be JSON: send it with Content-Type: application/json.")
    try:
        return parse_object(body, max_depth=MAX_DEPTH)
    except UnicodeError as error:
        raise InputError("The body is not UTF-8, or holds half of a surrogate pair.", detail=str(error)) from error
    except ValueError as error:
        raise InputError(
            "The body is not one JSON object, or repeats a member, or is nested too deeply.", detail=str(error)
        ) from error


def _body_members(route: Route, body: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """Take what belongs into a body; a second name of the resource, which somebody else may believe, is refused."""
    operation = route.operation
    found = cast("dict[str, Any]", _without_nulls(body, operation.input_shape, operation.shapes))
    for name, spec in operation.input_members.items():
        if "location" in spec and found.pop(name, None) is not None:
            faults.append(
                Fault(path=name, message=f"must not stand in the body; it is given by the {_PLACES[spec['location']]}")
            )
    return found


def _labels(route: Route) -> Iterator[tuple[str, str]]:
    for name, spec in route.operation.input_members.items():
        if spec.get("location") == "uri":
            yield name, route.labels[spec["locationName"]]


def _query(route: Route, query: bytes, faults: list[Fault]) -> dict[str, Any]:
    """Read every member by its type."""
    specs = {
        spec["locationName"]: (name, route.operation.shapes[spec["shape"]])
        for name, spec in route.operation.input_members.items()
        if spec.get("location") == "querystring"
    }
    found: dict[str, Any] = {}
    for key, text in _pairs(query):
        if key not in specs:
            known = ", ".join(sorted(specs)) or "nothing"
            faults.append(Fault(path=key, message=f"is not known in this query; known are: {known}"))
            continue
        name, shape = specs[key]
        if shape["type"] == "list":
            found.setdefault(name, []).append(_typed(route.operation.shapes[shape["member"]["shape"]], text))
        elif name in found:
            faults.append(Fault(path=name, message="stands more than once in the query"))
        else:
            found[name] = _typed(shape, text)
    return found


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS
        )
    except ValueError as error:
        raise InputError("The query string cannot be read.", detail=str(error)) from error


def _headers(route: Route, head: SignedRequest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, spec in route.operation.input_members.items():
        if spec.get("location") == "header":
            value = _header(head, spec["locationName"].lower().encode())
            if value:
                found[name] = _typed(route.operation.shapes[spec["shape"]], value.decode("latin-1"))
    return found


def _header(head: SignedRequest, name: bytes) -> bytes:
    return next(iter(head.values(name)), b"")


def _text(label: str) -> str:
    try:
        return unquote_to_bytes(label).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("The path is not UTF-8 once its percent signs are decoded.") from error


def _typed(shape: Mapping[str, Any], text: str) -> object:
    """Read text as what its shape asks for; what cannot be read stays text, which the check of types refuses."""
    match shape["type"]:
        case "integer" | "long":
            return int(text) if _WHOLE.fullmatch(text) else text
        case "boolean":
            return {"true": True, "false": False}.get(text, text)
        case _:
            return text


def _without_nulls(value: object, name: str | None, shapes: Shapes) -> object:
    """Take a member that is null for one that is not there, as AWS does; free-form documents keep theirs."""
    if name is None:
        return value
    shape = shapes[name]
    match shape.get("type"):
        case "structure" if isinstance(value, dict) and not shape.get("document"):
            specs = {wire_name(member, spec): spec for member, spec in shape.get("members", {}).items()}
            return {
                key: _without_nulls(entry, specs[key]["shape"] if key in specs else None, shapes)
                for key, entry in cast("dict[str, object]", value).items()
                if entry is not None or key not in specs
            }
        case "list" if isinstance(value, list):
            member = shape["member"]["shape"]
            return [_without_nulls(entry, member, shapes) for entry in cast("list[object]", value)]
        case "map" if isinstance(value, dict):
            member = shape["value"]["shape"]
            entries = cast("dict[str, object]", value).items()
            return {key: _without_nulls(entry, member, shapes) for key, entry in entries}
        case _:
            return cast("object", value)


def _may_hold_nul(head: SignedRequest, body: bytes) -> bool:
    return _ESCAPED_NUL in body or b"%00" in head.raw_path or b"%00" in head.query


def _nuls(value: object, path: str) -> Iterator[Fault]:
    """Find NUL: PostgreSQL stores none, and what reads C strings would see another text than we."""
    if isinstance(value, dict):
        for key, entry in cast("dict[str, object]", value).items():
            yield from _nuls(key, path)
            yield from _nuls(entry, member_path(path, key.replace("\0", "\N{SYMBOL FOR NULL}")))
    elif isinstance(value, list):
        for index, entry in enumerate(cast("list[object]", value)):
            yield from _nuls(entry, f"{path}[{index}]")
    elif isinstance(value, str) and "\0" in value:
        yield Fault(path=path, message="must not hold the character NUL")
