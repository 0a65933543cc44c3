"""``x-mcp-header``: arguments that a modern client repeats in ``Mcp-Param-*`` headers.

The annotations of a tool are read once, when its gateway is compiled; a call then costs a look only when its tool
has some (MCP 2026-07-28 streamable-http, "Custom Headers from Tool Parameters"). A legacy client knows nothing of
it: in front of a modern target the headers are made here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from portico.model.errors import InputError
from portico.protocol.client import header_value
from portico.protocol.errors import INVALID_PARAMS, RpcRefused
from portico.protocol.headers import PARAM_PREFIX, decode_value, mismatch

ANNOTATION: Final = "x-mcp-header"
#: Bytes of one header that we make; servers refuse larger ones, and say less about it.
MAX_HEADER_BYTES: Final = 8 * 1024
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}\Z")
_DECIMAL = re.compile(r"-?[0-9]{1,64}(\.0{1,64})?\Z")
_TYPES: Final = ("string", "integer", "boolean")
#: Keywords of JSON Schema 2020-12 that hold one schema, a list of them, or a map of them.
_SINGLE: Final = (
    "items",
    "contains",
    "additionalProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "contentSchema",
)
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS: Final = ("patternProperties", "dependentSchemas", "$defs", "definitions")


class InvalidAnnotation(InputError):
    """A tool's ``x-mcp-header`` breaks the rules; clients must drop such a tool, and so do we."""


class Mirror(msgspec.Struct, frozen=True):
    """One annotated argument."""

    path: tuple[str, ...]  #: keys from the root of ``arguments``
    header: bytes  #: the header's whole name in lower case
    type: str


def mirrors_of(input_schema: object) -> tuple[Mirror, ...]:
    """Return the annotated arguments of a tool's ``inputSchema``, sorted by header.

    Raises:
        InvalidAnnotation: says which rule is broken.
    """
    found: dict[bytes, Mirror] = {}
    for path, schema in _schemas(input_schema):
        if ANNOTATION not in schema:
            continue
        mirror = _mirror(path, schema)
        if mirror.header in found:
            raise InvalidAnnotation(f"{ANNOTATION} {schema[ANNOTATION]!r} is used twice.")
        found[mirror.header] = mirror
    return tuple(found[header] for header in sorted(found))


def check(mirrors: Sequence[Mirror], headers: Sequence[tuple[bytes, bytes]], arguments: bytes | None) -> None:
    """Hold the ``Mcp-Param-*`` headers of a call against its arguments.

    Raises:
        RpcRefused: -32020; a header is missing, repeated, malformed or differs.
    """
    values: object = {} if arguments is None else _decode(arguments)
    for mirror in mirrors:
        name = mirror.header.decode()
        sent = [value for key, value in headers if key == mirror.header]
        expected = _value_at(values, mirror.path)
        if expected is None:
            if sent:
                raise mismatch(f"the header {name} is sent, but its argument is absent.")
            continue
        if len(sent) != 1:
            raise mismatch(f"the header {name} must be sent once and repeat the argument {'.'.join(mirror.path)}.")
        if not _equal(decode_value(sent[0]), expected, mirror.type):
            raise mismatch(f"the header {name} differs from the argument {'.'.join(mirror.path)}.")


def headers_for(mirrors: Sequence[Mirror], arguments: bytes | None) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of a call whose client does not send them.

    An argument that is absent, null, or of another type than it is declared has none; the last is for the target to
    refuse.

    Raises:
        RpcRefused: -32602; the arguments cannot be read, or one of them is too long for a header.
    """
    values: object = {} if arguments is None else _decode(arguments)
    made: list[tuple[bytes, bytes]] = []
    for mirror in mirrors:
        text = _as_text(_value_at(values, mirror.path), mirror.type)
        if text is None:
            continue
        value = header_value(text)
        if len(value) > MAX_HEADER_BYTES:
            where = ".".join(mirror.path)
            raise RpcRefused(INVALID_PARAMS, f"The argument {where} is too long for the header that repeats it.")
        made.append((mirror.header, value))
    return tuple(made)


def _as_text(value: object, declared: str) -> str | None:
    match value:
        case bool() if declared == "boolean":
            return "true" if value else "false"
        case str() if declared == "string":
            return value
        case int() if declared == "integer" and not isinstance(value, bool):
            return str(value)
        case float() if declared == "integer" and value.is_integer():
            return str(int(value))
        case _:
            return None


def _mirror(path: tuple[str, ...] | None, schema: Mapping[str, Any]) -> Mirror:
    token = schema[ANNOTATION]
    if not path:
        raise InvalidAnnotation(f"{ANNOTATION} stands where `properties` alone does not lead.")
    if not isinstance(token, str) or not _TOKEN.match(token):
        raise InvalidAnnotation(f"{ANNOTATION} of {'.'.join(path)!r} is no header name.")
    if schema.get("type") not in _TYPES:
        raise InvalidAnnotation(f"{ANNOTATION} of {'.'.join(path)!r} is allowed on string, integer and boolean only.")
    return Mirror(path, PARAM_PREFIX + token.lower().encode(), cast("str", schema["type"]))


def _schemas(root: object) -> Iterator[tuple[tuple[str, ...] | None, Mapping[str, Any]]]:
    """Yield every schema in ``root`` with its path of properties, None where another keyword led to it."""
    waiting: list[tuple[tuple[str, ...] | None, object]] = [((), root)]
    while waiting:
        path, node = waiting.pop()
        if not isinstance(node, dict):
            continue
        schema = cast("dict[str, Any]", node)
        yield path, schema
        for name, child in _items(schema.get("properties")):
            waiting.append((None if path is None else (*path, name), child))
        waiting.extend((None, schema.get(keyword)) for keyword in _SINGLE)
        for keyword in _LISTS:
            listed = schema.get(keyword)
            waiting.extend((None, child) for child in (cast("list[Any]", listed) if isinstance(listed, list) else ()))
        for keyword in _MAPS:
            waiting.extend((None, child) for _, child in _items(schema.get(keyword)))


def _items(value: object) -> list[tuple[str, Any]]:
    return list(cast("dict[str, Any]", value).items()) if isinstance(value, dict) else []


def _decode(arguments: bytes) -> object:
    try:
        return msgspec.json.decode(arguments)
    except ValueError as error:  # msgspec's own errors are of it, and so is an integer of absurd length
        raise RpcRefused(INVALID_PARAMS, "params.arguments holds a value that cannot be read.") from error


def _value_at(values: object, path: tuple[str, ...]) -> object:
    for key in path:
        if not isinstance(values, dict):
            return None
        values = cast("dict[str, Any]", values).get(key)
    return values


def _equal(sent: str | None, expected: object, declared: str) -> bool:
    if sent is None:
        return False
    if isinstance(expected, bool):
        return sent == ("true" if expected else "false")
    if declared == "integer" and isinstance(expected, int | float) and _DECIMAL.match(sent):
        return int(sent.partition(".")[0]) == expected
    if isinstance(expected, str):
        return sent == expected
    return isinstance(expected, int) and sent == msgspec.json.encode(expected).decode()
