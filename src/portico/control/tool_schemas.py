"""``mcpToolSchema``: tools that an administrator states instead of having them read from the server. Pure.

The schema is JSON text as ``tools/list`` answers it: ``{"tools": [...]}``, or the list alone. Nobody finds out later
what is wrong with it, so one bad definition refuses the whole: what is stated is what can be called.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from portico.control.not_built import lookup
from portico.control.quotas import Quotas
from portico.model.errors import Fault
from portico.model.gateway import LEGACY_VERSIONS, MODERN_VERSIONS, Era
from portico.model.target import EraTools, Tool
from portico.targets.definitions import InvalidDefinition, read_definition

SCHEMA: Final = "targetConfiguration.mcp.mcpServer.mcpToolSchema"
_LISTING_MODE: Final = "targetConfiguration.mcp.mcpServer.listingMode"
_INLINE: Final = f"{SCHEMA}.inlinePayload"

_DECODER = msgspec.json.Decoder(list[msgspec.Raw])


class _Listing(msgspec.Struct, frozen=True):
    tools: list[msgspec.Raw]


_LISTING = msgspec.json.Decoder(_Listing)


def has_schema(document: Mapping[str, Any]) -> bool:
    """Say whether a target's tools are stated in its document."""
    return lookup(document, SCHEMA) is not None


def schema_faults(document: Mapping[str, Any], quotas: Quotas) -> list[Fault]:
    """Return everything for which the stated tools of a CreateGatewayTarget document are refused."""
    if has_schema(document) and lookup(document, _LISTING_MODE) == "DYNAMIC":
        return [Fault(path=SCHEMA, message="has no effect with listingMode DYNAMIC; leave one of the two out")]
    payload = lookup(document, _INLINE)
    if not isinstance(payload, str):
        return []
    if len(payload.encode("utf-8", "surrogatepass")) > quotas.inline_schema_bytes:
        message = f"is over {quotas.inline_schema_bytes} bytes; the setting quotas.inline_schema_bytes raises that"
        return [Fault(path=_INLINE, message=message)]
    try:
        listed = _listed(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        message = 'must be JSON text of {"tools": [...]}, as tools/list answers it'
        return [Fault(path=_INLINE, message=message)]
    if len(listed) > quotas.tools_per_target:
        message = f"has more than {quotas.tools_per_target} tools; the setting quotas.tools_per_target raises that"
        return [Fault(path=_INLINE, message=message)]
    return list(_tool_faults(listed))


def stated_tools(document: Mapping[str, Any]) -> tuple[Tool, ...]:
    """Return the tools that a document states, which :func:`schema_faults` found nothing wrong with."""
    payload = lookup(document, _INLINE)
    assert isinstance(payload, str)
    return tuple(read_definition(bytes(raw), "modern") for raw in _listed(payload))


def stated_eras(document: Mapping[str, Any], era: str) -> tuple[EraTools, ...]:
    """Return the stated tools as a synchronization would have found them; ``era`` is the target's setting.

    Which revision the server speaks nobody has asked yet. The older ones are assumed where the setting does not say;
    a server that turns out to speak another is spoken to in that one.
    """
    spoken: Era = "modern" if era == "modern" else "legacy"
    version = MODERN_VERSIONS[-1] if spoken == "modern" else LEGACY_VERSIONS[-1]
    return (EraTools(era=spoken, version=version, tools=stated_tools(document)),)


def _listed(payload: str) -> list[msgspec.Raw]:
    text = payload.encode()
    return _DECODER.decode(text) if payload.lstrip().startswith("[") else _LISTING.decode(text).tools


def _tool_faults(listed: list[msgspec.Raw]) -> Iterator[Fault]:
    names: set[str] = set()
    if not listed:
        yield Fault(path=_INLINE, message="states no tools; leave mcpToolSchema out to have them read from the server")
    for index, raw in enumerate(listed):
        try:
            tool = read_definition(bytes(raw), "modern")
        except InvalidDefinition as error:
            yield Fault(path=_INLINE, message=f"tools[{index}] cannot be published: {error}")
            continue
        if tool.name in names:
            yield Fault(path=_INLINE, message=f"tools[{index}] has the name {tool.name} of another one")
        names.add(tool.name)
