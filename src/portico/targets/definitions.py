"""Which tool definitions of a server are good enough to be published, and why another is not. Pure.

One bad definition must not cost the others: it is dropped with a sentence that names it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from portico.model.gateway import Era
from portico.model.target import Tool

MAX_DEFINITION_BYTES = 256 * 1024
MAX_DEPTH = 64  #: levels of nesting in a definition; clients walk schemas recursively

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")  # 2026-07-28 server/tools "Tool Names"
_HEADER_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_HEADER_KEY = "x-mcp-header"
_HEADER_TYPES = ("string", "integer", "boolean")
#: Members of a schema that hold instances, not schemas: what looks like an annotation there is none.
_INSTANCES = frozenset({"default", "const", "enum", "examples"})
#: Members of a schema that hold schemas by name, not reachable by ``properties`` alone.
_SCHEMAS_BY_NAME = frozenset({"patternProperties", "dependentSchemas", "$defs", "definitions"})
#: Members of a definition by the JSON type that the protocol's schema gives them.
_OBJECTS = ("inputSchema", "outputSchema", "annotations", "_meta", "execution")
_STRINGS = ("title", "description")

_JsonObject = dict[str, Any]


class InvalidDefinition(ValueError):
    """A definition that is not published; its text says why."""


def is_tool_name(name: str) -> bool:
    """Tell whether a tool of this name could be published."""
    return _NAME.fullmatch(name) is not None


def read_definition(raw: bytes, era: Era) -> Tool:
    """Judge one definition and encode it anew, without white space, duplicate members and empty options.

    Raises:
        InvalidDefinition: with the reason, which names the tool as far as its name can be shown.
    """
    definition = _decode(raw)
    name = definition.get("name")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise InvalidDefinition(
            f"a tool was left out: its name {_shown(name)} is not 1 to 128 of the characters A-Z a-z 0-9 _ - ."
        )
    # Some servers send null for what they leave out; the protocol's schema allows only absence.
    definition = {member: value for member, value in definition.items() if value is not None}
    fault = _fault(definition) or (_header_fault(definition["inputSchema"]) if era == "modern" else "")
    if fault:
        raise InvalidDefinition(f"tool {name} was left out: {fault}")
    return Tool(name=name, definition=msgspec.json.encode(definition))


def _decode(raw: bytes) -> _JsonObject:
    if len(raw) > MAX_DEFINITION_BYTES:
        raise InvalidDefinition(f"a tool was left out: its definition is over {MAX_DEFINITION_BYTES} bytes")
    try:
        definition = msgspec.json.decode(raw)
    except RecursionError:
        definition = None
    if not isinstance(definition, dict):
        raise InvalidDefinition("a tool was left out: its definition is not an object")
    members = cast("_JsonObject", definition)
    if _too_deep(members):
        raise InvalidDefinition(f"a tool was left out: its definition is nested deeper than {MAX_DEPTH} levels")
    return members


def _too_deep(value: object, depth: int = 0) -> bool:
    if depth > MAX_DEPTH:
        return True
    return any(_too_deep(child, depth + 1) for child in _children(value))


def _children(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from cast("_JsonObject", value).values()
    elif isinstance(value, list):
        yield from cast("list[object]", value)


def _shown(name: object) -> str:
    """Show a name that was refused: escaped and cut, because it may hold anything."""
    return ascii(name[:40]) if isinstance(name, str) else "(not a text)"


def _fault(definition: Mapping[str, Any]) -> str:
    schema: object = definition.get("inputSchema")
    if not isinstance(schema, dict) or cast("_JsonObject", schema).get("type") != "object":
        return 'its inputSchema is not a JSON Schema with "type": "object"'
    for member in _OBJECTS:
        if not isinstance(definition.get(member, {}), dict):
            return f"its {member} is not an object"
    for member in _STRINGS:
        if not isinstance(definition.get(member, ""), str):
            return f"its {member} is not a text"
    if not isinstance(definition.get("icons", []), list):
        return "its icons are not a list"
    return ""


def _header_fault(schema: _JsonObject) -> str:
    """Judge the ``x-mcp-header`` annotations: clients must leave out a tool with a bad one.

    2026-07-28 server/tools "x-mcp-header".
    """
    seen: set[str] = set()
    for annotated, reachable in _annotated(schema, reachable=True):
        token: object = annotated[_HEADER_KEY]
        if not isinstance(token, str) or _HEADER_TOKEN.fullmatch(token) is None:
            return f"an {_HEADER_KEY} is not an HTTP field name"
        if not reachable or annotated is schema:
            return f"the {_HEADER_KEY} {token} stands where no argument can be found by its properties alone"
        if annotated.get("type") not in _HEADER_TYPES:
            return f"the {_HEADER_KEY} {token} is on something else than a string, integer or boolean"
        if token.lower() in seen:
            return f"the {_HEADER_KEY} {token} is given twice"
        seen.add(token.lower())
    return ""


def _annotated(schema: object, *, reachable: bool) -> Iterator[tuple[_JsonObject, bool]]:
    """Yield every schema that bears an annotation, and whether only ``properties`` lead to it."""
    if isinstance(schema, list):
        for child in cast("list[object]", schema):
            yield from _annotated(child, reachable=False)
    if not isinstance(schema, dict):
        return
    members = cast("_JsonObject", schema)
    if _HEADER_KEY in members:
        yield members, reachable
    for key, value in members.items():
        if key in _INSTANCES or key == _HEADER_KEY:
            continue
        named = key == "properties" or key in _SCHEMAS_BY_NAME
        if named and isinstance(value, dict):
            for child in cast("_JsonObject", value).values():
                yield from _annotated(child, reachable=reachable and key == "properties")
        else:
            yield from _annotated(cast("object", value), reachable=False)
