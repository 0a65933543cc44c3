"""Tools and results as a person reads them."""

import json
import textwrap
from typing import Any, Final, cast

from mcp.types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
)

from portico.cli.printing import printable

_WIDTH: Final = 100  #: columns of a tool's description


def tool_text(tool: Tool) -> str:
    """Return a tool as its call looks, with its description below."""
    description = textwrap.fill(
        " ".join((tool.description or "").split()), _WIDTH, initial_indent="    ", subsequent_indent="    "
    )
    return printable(f"{tool.name}({_parameters(tool.input_schema)})\n{description}".rstrip())


def result_text(result: CallToolResult) -> str:
    """Return a result's content, one block after the other."""
    blocks = [_block(block) for block in result.content]
    if not blocks and result.structured_content is not None:
        blocks = [json.dumps(result.structured_content, indent=2, ensure_ascii=False)]
    return printable("\n".join(blocks))


def _parameters(schema: dict[str, Any]) -> str:
    properties = cast("dict[str, Any]", schema.get("properties") or {})
    required = cast("list[str]", schema.get("required") or [])
    return ", ".join(
        f"{name}{'' if name in required else '?'}: {_type_name(definition)}" for name, definition in properties.items()
    )


def _type_name(definition: object) -> str:
    if not isinstance(definition, dict):
        return "any"
    schema = cast("dict[str, Any]", definition)
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    kind = schema.get("type", "any")
    return " | ".join(cast("list[str]", kind)) if isinstance(kind, list) else str(kind)


def _block(block: ContentBlock) -> str:
    match block:
        case TextContent():
            return block.text
        case ImageContent() | AudioContent():
            return f"[{block.type} {block.mime_type}, {len(block.data)} characters of base64]"
        case ResourceLink():
            return f"[link {block.name}: {block.uri}]"
        case EmbeddedResource(resource=TextResourceContents() as resource):
            return f"[resource {resource.uri}]\n{resource.text}"
        case EmbeddedResource():
            return f"[resource {block.resource.uri}]"
