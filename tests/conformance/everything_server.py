"""An MCP server on the official Python SDK with the fixtures that the official conformance suite asks for by name.

    python everything_server.py --port PORT

Tools only: nothing else is served through the gateway yet. It speaks both eras, so that each of the suite's
requirement sets meets it on its own wire.
"""

import argparse
import base64
import struct
import zlib
from typing import Annotated

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    ElicitRequest,
    ElicitRequestFormParams,
    EmbeddedResource,
    ImageContent,
    InputRequiredResult,
    SamplingMessage,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel, Field

STEP_SECONDS = 0.05  #: between two notifications of one call

#: One of every keyword of JSON Schema 2020-12 that a gateway on the way could lose.
WIDE_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def _wide_tool() -> Tool:
    """Return a tool whose input schema no Python signature could give."""
    tool = Tool.from_function(lambda: "done", name="json_schema_2020_12_tool", description="Take anything of 2020-12.")
    return tool.model_copy(update={"parameters": WIDE_SCHEMA})


server = MCPServer("conformance-fixtures", version="1.0.0", log_level="WARNING", tools=[_wide_tool()])


def _png() -> str:
    """Return one red pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\x00\xff\x00\x00")
    image = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    return base64.b64encode(image).decode()


def _wav() -> str:
    """Return a few samples of silence."""
    samples = b"\x80" * 8
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(samples)) + samples
    return base64.b64encode(struct.pack("<4sI", b"RIFF", len(body)) + body).decode()


def _image() -> ImageContent:
    return ImageContent(type="image", data=_png(), mime_type="image/png")


def _resource(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


# Kinds of content


@server.tool()
def test_simple_text() -> str:
    """One text block."""
    return "This is a simple text response for testing."


@server.tool()
def test_image_content() -> list[ImageContent]:
    """One image."""
    return [_image()]


@server.tool()
def test_audio_content() -> list[AudioContent]:
    """One sound."""
    return [AudioContent(type="audio", data=_wav(), mime_type="audio/wav")]


@server.tool()
def test_embedded_resource() -> list[EmbeddedResource]:
    """One resource inside the result."""
    return [_resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")]


@server.tool()
def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
    """Text, image and resource together."""
    return [
        TextContent(type="text", text="Multiple content types test:"),
        _image(),
        _resource("test://mixed-content-resource", "application/json", '{"test": "data", "value": 123}'),
    ]


@server.tool()
def test_error_handling() -> str:
    """Fail, so that the result has isError."""
    raise RuntimeError("This tool intentionally returns an error for testing")


# What happens before the result


@server.tool()
async def test_tool_with_progress(ctx: Context) -> str:
    """Report progress three times."""
    for done in (0, 50, 100):
        await ctx.report_progress(progress=done, total=100, message=f"{done} of 100")
        await anyio.sleep(STEP_SECONDS)
    return "done"


@server.tool()
async def test_tool_with_logging(ctx: Context) -> str:
    """Log three times."""
    for text in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(text)
        await anyio.sleep(STEP_SECONDS)
    return "logged"


@server.tool()
async def test_logging_tool(ctx: Context) -> str:
    """Log once; a client that named no log level must not hear it."""
    await ctx.info("Nobody asked for this")
    return "logged"


# Questions to the client


class Answer(BaseModel):
    response: str = Field(description="What the user says")


@server.tool()
async def test_elicitation(message: str, ctx: Context) -> str:
    """Ask the user in mid-call, as legacy servers do."""
    answer = await ctx.elicit(message=message, schema=Answer)
    return f"User response: {answer.model_dump_json()}"


@server.tool()
async def test_sampling(prompt: str, ctx: Context) -> str:
    """Ask the client's model in mid-call, as legacy servers do."""
    asked = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    answer = await ctx.session.create_message(messages=[asked], max_tokens=100, related_request_id=ctx.request_id)
    return f"LLM response: {answer.model_dump_json()}"


@server.tool()
async def test_streaming_elicitation(ctx: Context) -> str | InputRequiredResult:
    """Ask the user by an incomplete result, as modern servers do."""
    _require(ctx, "elicitation")
    wanted = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    question = ElicitRequest(params=ElicitRequestFormParams(message="Your name?", requested_schema=wanted))
    return InputRequiredResult(input_requests={"name": question})


@server.tool()
def test_missing_capability(ctx: Context) -> str:
    """Work only for clients that declare sampling."""
    _require(ctx, "sampling")
    return "The client declares sampling."


def _require(ctx: Context, capability: str) -> None:
    declared = ctx.session.client_capabilities
    if declared is None or getattr(declared, capability) is None:
        raise MCPError(
            code=MISSING_REQUIRED_CLIENT_CAPABILITY,
            message=f"This tool needs the client capability {capability}.",
            data={"requiredCapabilities": {capability: {}}},
        )


# What lists say


@server.tool()
def test_x_mcp_header(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = "none",  # noqa: PT028 - a fixture of the suite, no test
) -> str:
    """Take an argument that is repeated in the header Mcp-Param-Region."""
    return f"region={region}"


def main() -> None:
    """Serve on 127.0.0.1 until terminated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    server.run("streamable-http", host="127.0.0.1", port=parser.parse_args().port)


if __name__ == "__main__":
    main()
