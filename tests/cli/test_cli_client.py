"""The small client's parts that need no gateway: what is kept, what is printed, what the callback takes."""

import asyncio
import json
import stat

import httpx2
import pytest
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp.types import CallToolResult, ImageContent, ListToolsResult, TextContent, Tool
from pydantic import AnyUrl

from portico.cli.client.callback import LoopbackCallback
from portico.cli.client.commands import UNAVAILABLE_TARGETS, _tell_unavailable
from portico.cli.client.credentials import Login
from portico.cli.client.rendering import result_text, tool_text
from portico.model.errors import PorticoError

URL = "https://mcp.example.com/g/tools/mcp"
AUTHORIZE = "https://mcp.example.com/i/main/authorize?client_id=x&state=s1"


def login(tmp_path, url=URL, now=1000.0):
    return Login(url, file=tmp_path / "portico" / "logins.json", clock=lambda: now)


async def test_logins_are_kept_per_url_in_a_private_file(tmp_path):
    first, second = login(tmp_path), login(tmp_path, url="https://other.example.com/mcp")
    await first.set_tokens(OAuthToken(access_token="a", refresh_token="r", expires_in=900))
    await second.set_tokens(OAuthToken(access_token="b"))
    assert stat.S_IMODE(first.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.file.parent.stat().st_mode) == 0o700
    kept = await login(tmp_path).get_tokens()
    assert kept is not None
    assert (kept.access_token, kept.refresh_token) == ("a", "r")


async def test_forgetting_a_login_keeps_the_registration_and_everybody_else(tmp_path):
    first, second = login(tmp_path), login(tmp_path, url="https://other.example.com/mcp")
    await first.set_client_info(OAuthClientInformationFull(client_id="c"))
    await first.set_tokens(OAuthToken(access_token="a"))
    await second.set_tokens(OAuthToken(access_token="b"))
    first.forget()
    assert await first.get_tokens() is None
    assert (await first.get_client_info()).client_id == "c"
    assert (await second.get_tokens()).access_token == "b"
    first.forget(registration=True)
    assert await first.get_client_info() is None


async def test_the_expiry_and_the_token_endpoint_survive_the_process(tmp_path):
    kept = login(tmp_path)
    await kept.set_tokens(OAuthToken(access_token="a", refresh_token="r", expires_in=900))
    issuer = "https://mcp.example.com/i/main"
    record = json.loads(kept.file.read_text())
    record[URL]["metadata"] = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "response_types_supported": ["code"],
    }
    kept.file.write_text(json.dumps(record))
    metadata = OAuthClientMetadata(redirect_uris=[AnyUrl("http://127.0.0.1:1/callback")])
    provider = OAuthClientProvider(URL, metadata, kept)
    kept.restore(provider)
    assert provider.context.token_expiry_time == 1900.0
    assert str(provider.context.oauth_metadata.token_endpoint) == f"{issuer}/token"


async def test_a_damaged_file_is_named_with_the_way_out(tmp_path):
    kept = login(tmp_path)
    kept.file.parent.mkdir()
    kept.file.write_text("{")
    with pytest.raises(PorticoError, match="delete it and log in again"):
        await kept.get_tokens()


class Browser:
    """What the person's browser does with the redirect."""

    def __init__(self, callback):
        self.callback = callback

    async def open(self, query, path="/callback"):
        async with httpx2.AsyncClient(trust_env=False) as http:
            return await http.get(f"http://127.0.0.1:{self.callback.port}{path}?{query}")


@pytest.fixture
async def callback():
    listening = LoopbackCallback()
    await listening.open()
    listening.expect(AUTHORIZE)
    yield listening
    await listening.aclose()


async def test_the_callback_returns_code_state_and_issuer(callback):
    answer = await Browser(callback).open("code=c1&state=s1&iss=https%3A%2F%2Fmcp.example.com%2Fi%2Fmain")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    result = await callback.result()
    assert (result.code, result.state, result.iss) == ("c1", "s1", "https://mcp.example.com/i/main")


@pytest.mark.parametrize("query", ["code=stolen&state=other", "code=stolen", "error=access_denied", ""])
async def test_a_page_that_calls_the_port_without_the_state_changes_nothing(callback, query):
    assert (await Browser(callback).open(query)).status_code == 400
    await Browser(callback).open("code=c1&state=s1")
    assert (await callback.result()).code == "c1"


async def test_other_paths_and_methods_are_not_the_callback(callback):
    assert (await Browser(callback).open("code=c1&state=s1", path="/")).status_code == 404
    async with httpx2.AsyncClient(trust_env=False) as http:
        posted = await http.post(f"{callback.redirect_uri}?code=c1&state=s1")
    assert posted.status_code == 404


async def test_a_refusal_is_told_in_plain_words(callback):
    await Browser(callback).open("error=access_denied&state=s1")
    with pytest.raises(PorticoError, match="declined"):
        await callback.result()


async def test_bytes_that_are_no_http_do_not_end_the_wait(callback):
    reader, writer = await asyncio.open_connection("127.0.0.1", callback.port)
    writer.write(b"\x16\x03\x01\x00\xff" * 10_000)
    await writer.drain()
    await reader.read()
    writer.close()
    await Browser(callback).open("code=c1&state=s1")
    assert (await callback.result()).code == "c1"


def test_a_tool_reads_like_its_call():
    tool = Tool(
        name="calculator___add",
        description="Add   two\nnumbers.",
        input_schema={
            "type": "object",
            "properties": {
                "a": {"type": "number"},
                "mode": {"enum": ["fast", "exact"]},
                "b": {"type": ["null", "string"]},
            },
            "required": ["a"],
        },
    )
    assert tool_text(tool) == (
        'calculator___add(a: number, mode?: "fast" | "exact", b?: null | string)\n    Add two numbers.'
    )


@pytest.mark.case("T26")
def test_what_servers_write_cannot_steer_the_terminal():
    evil = "\x1b]0;owned\x07\x1b[2Jhello\u202e"
    shown = tool_text(Tool(name=evil, description=evil, input_schema={"type": "object"}))
    shown += result_text(CallToolResult(content=[TextContent(type="text", text=evil)]))
    assert "hello" in shown
    assert not any(char in shown for char in "\x1b\x07\u202e")


def test_a_result_shows_text_and_names_what_is_no_text():
    result = CallToolResult(
        content=[
            TextContent(type="text", text="one\ntwo"),
            ImageContent(type="image", data="aGk=", mime_type="image/png"),
        ]
    )
    assert result_text(result) == "one\ntwo\n[image image/png, 4 characters of base64]"
    assert json.loads(result_text(CallToolResult(content=[], structured_content={"a": 1}))) == {"a": 1}


def test_targets_that_are_left_out_are_named_beside_the_list(capsys):
    left_out = [{"target": "wiki", "reason": "Target 'wiki' was not read yet."}]
    _tell_unavailable(ListToolsResult(tools=[], _meta={UNAVAILABLE_TARGETS: left_out}))
    _tell_unavailable(ListToolsResult(tools=[]))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "Left out: Target 'wiki' was not read yet.\n"
