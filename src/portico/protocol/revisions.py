"""Tools and tool results as each revision of MCP has them: what a target of one says, fit for a client of another.

Nothing that is said gets lost where the older revision has another place for it, and values are handed on as the
bytes they are: members are left out, moved or added around them.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from portico.model.gateway import MODERN_VERSIONS, era_of
from portico.protocol.server import SERVER_INFO_MEMBER, SERVER_INFO_META

_JUNE: Final = "2025-06-18"  #: titles, structured content, resource links, _meta of a tool
#: Since when a member of a tool definition exists. Revisions are dates, so that they compare as texts.
_TOOL_SINCE: Final = {"title": _JUNE, "outputSchema": _JUNE, "_meta": _JUNE, "icons": "2025-11-25"}
_OPEN_BRACE: Final = ord("{")
_COMPLETE: Final = b'"complete"'

_open = msgspec.json.Decoder(dict[str, Raw]).decode
_open_list = msgspec.json.Decoder(list[Raw]).decode
_encode = msgspec.json.Encoder().encode


class _Schema(msgspec.Struct):
    type: str | UnsetType = UNSET
    properties: dict[str, Raw] | UnsetType = UNSET


class _Link(msgspec.Struct):
    type: str
    name: str = ""
    uri: str = ""
    title: str | None = None


class _Text(msgspec.Struct):
    type: str
    text: str = ""


_read_schema = msgspec.json.Decoder(_Schema).decode
_read_link = msgspec.json.Decoder(_Link).decode
_read_text = msgspec.json.Decoder(_Text).decode


def tool_at(version: str, definition: Mapping[str, Raw]) -> dict[str, Raw]:
    """Return the members of a tool definition that a client of ``version`` knows, in the shape that it knows."""
    told = {name: value for name, value in definition.items() if _TOOL_SINCE.get(name, "") <= version}
    if version < _JUNE and "title" in definition:
        told["annotations"] = _titled(definition.get("annotations"), definition["title"])
    if version in MODERN_VERSIONS:
        return told
    for name in ("inputSchema", "outputSchema"):
        if name in told:
            schema = _object_schema(told[name])
            if schema is not None:
                told[name] = schema
            elif name == "outputSchema":  # says what structuredContent is, which must be an object there
                del told[name]
    return told


def _titled(annotations: Raw | None, title: Raw) -> Raw:
    """Return annotations with a title, which is where 2025-03-26 has it."""
    members = {} if annotations is None else _open(annotations)
    return Raw(_encode({"title": title, **members}))


def _object_schema(raw: Raw) -> Raw | None:
    """Return a schema in the form that legacy revisions want: of an object, each property's schema an object too."""
    try:
        schema = _read_schema(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    if schema.type != "object":
        return None
    properties = schema.properties
    if isinstance(properties, UnsetType) or all(memoryview(value)[0] == _OPEN_BRACE for value in properties.values()):
        return raw
    # JSON Schema 2020-12 section 4.3.2: true is {}, false is {"not": {}}.
    spelled = {name: _SPELLED.get(bytes(value), value) for name, value in properties.items()}
    return Raw(_encode({**_open(raw), "properties": spelled}))


_SPELLED: Final = {b"true": Raw(b"{}"), b"false": Raw(b'{"not":{}}')}


def result_at(version: str, result: bytes, *, spoken: str) -> bytes:
    """Return a tool result made at the revision ``spoken`` as a client of ``version`` may get it. Both raw JSON.

    ``result`` must have been judged as a tool result of ``spoken``.
    """
    if era_of(version) == "modern":
        return result if era_of(spoken) == "modern" else _completed(result)
    return result if spoken <= version else _reduced(result, version)


def _completed(result: bytes) -> bytes:
    """Add what a modern result must and should hold."""
    members = _open(result)
    if "resultType" not in members and "_meta" not in members:
        return b'{"resultType":"complete",%b,"_meta":{%b}}' % (result.strip()[1:-1], SERVER_INFO_MEMBER)
    members["resultType"] = Raw(_COMPLETE)  # whatever a legacy server means by it
    meta = members.get("_meta")
    told = _open(meta) if meta is not None and memoryview(meta)[0] == _OPEN_BRACE else {}
    told.pop(SERVER_INFO_META, None)
    others = _encode(told)[1:-1]
    members["_meta"] = Raw(b"{%b%b%b}" % (SERVER_INFO_MEMBER, b"," if others else b"", others))
    return _encode(members)


def _reduced(result: bytes, version: str) -> bytes:
    """Take out what a legacy revision does not have; what the model needs of it becomes text."""
    members = _open(result)
    members.pop("resultType", None)
    structured = members.get("structuredContent")
    if version < _JUNE:
        members["content"] = _without_links(members["content"])
    if structured is not None and (version < _JUNE or memoryview(structured)[0] != _OPEN_BRACE):
        del members["structuredContent"]
        members["content"] = _with_text(members["content"], structured)
    return _encode(members)


def _without_links(content: Raw) -> Raw:
    if b"resource_link" not in bytes(content):
        return content
    return Raw(_encode([_link_as_text(block) for block in _open_list(content)]))


def _link_as_text(block: Raw) -> Raw:
    try:
        link = _read_link(block)
    except msgspec.ValidationError:
        return block
    if link.type != "resource_link":
        return block
    return _text(f"{link.title or link.name}: {link.uri}")


def _with_text(content: Raw, structured: Raw) -> Raw:
    """Return content that says as text what ``structured`` says, as servers should do it by themselves."""
    blocks = _open_list(content)
    value = msgspec.json.decode(structured)
    if any(_says(block, value) for block in blocks):
        return content
    return Raw(_encode([*blocks, _text(bytes(structured).decode())]))


def _says(block: Raw, value: object) -> bool:
    try:
        read = _read_text(block)
        return read.type == "text" and msgspec.json.decode(read.text) == value
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return False


def _text(text: str) -> Raw:
    return Raw(_encode({"type": "text", "text": text}))
