"""What `portico tools` and `call` say about endpoints that do not work; tests/e2e has those that do."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mcp.types import (
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
)

from portico.cli.client.rendering import result_text, tool_text


class Endpoint:
    """An HTTP server that answers every request alike, by a table from path to (status, headers, body)."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self):
                size = int(self.headers.get("content-length", 0))
                endpoint.asked.append((self.path, dict(self.headers), self.rfile.read(size)))
                status, headers, body = endpoint.answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815  # the base class's names

            def log_message(self, *_args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/mcp"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint():
    served = Endpoint()
    yield served
    served.close()


@pytest.fixture
def client(bare):
    """A place whose commands keep logins in a directory of its own."""
    kept = bare.directory / "config"

    class Client:
        logins = kept / "portico" / "logins.json"

        def fail(self, *args, **env):
            return bare.fail(*args, HOME=str(bare.directory), XDG_CONFIG_HOME=str(kept), **env)

        def run(self, *args, **more):
            return bare.run(*args, HOME=str(bare.directory), XDG_CONFIG_HOME=str(kept), **more)

    return Client()


def test_an_address_where_nobody_listens(client, endpoint):
    endpoint.close()
    told = client.fail("tools", endpoint.url, "--token", "t")
    assert told.startswith(f"Cannot connect to {endpoint.url}. Is the gateway running there?")


def test_an_address_that_is_no_mcp_endpoint(client, endpoint):
    told = client.fail("tools", endpoint.url, "--token", "t", "--protocol", "legacy")
    assert told == f"{endpoint.url} is no MCP endpoint (HTTP 404). Check the URL."


@pytest.mark.parametrize("protocol", ["auto", "legacy", "modern"])
def test_a_page_of_html_is_no_traceback(client, endpoint, protocol):
    endpoint.answers["/mcp"] = (200, {"content-type": "text/html"}, b"<h1>It works!</h1>")
    client.fail("tools", endpoint.url, "--token", "t", "--protocol", protocol, "--timeout", "10")


def test_a_refused_token_is_told_with_the_words_of_the_challenge(client, endpoint):
    challenge = 'Bearer error="invalid_token", error_description="The token has expired."'
    endpoint.answers["/mcp"] = (401, {"www-authenticate": challenge}, b"{}")
    assert client.fail("tools", endpoint.url, "--token", "t") == (
        f"{endpoint.url} refused the token: The token has expired."
    )


def test_a_lacking_scope_is_told_with_the_words_of_the_challenge(client, endpoint):
    challenge = 'Bearer error="insufficient_scope", error_description="The scope mcp/invoke is missing."'
    endpoint.answers["/mcp"] = (403, {"www-authenticate": challenge}, b"{}")
    told = client.fail("call", endpoint.url, "tool", "--token", "t")
    assert told == f"{endpoint.url} does not allow this: The scope mcp/invoke is missing."


def test_a_machine_secret_goes_to_no_other_origin_unless_it_is_named(client, endpoint):
    elsewhere = "https://login.example"
    metadata = {"resource": endpoint.url, "authorization_servers": [elsewhere]}
    endpoint.answers["/.well-known/oauth-protected-resource/mcp"] = (200, {}, json.dumps(metadata).encode())
    told = client.fail("tools", endpoint.url, PORTICO_CLIENT_ID="agent", PORTICO_CLIENT_SECRET="very secret")
    assert told.endswith(f"If your secret is for that, add --issuer {elsewhere}")
    assert not any(b"very" in body or "very" in str(headers) for _, headers, body in endpoint.asked)


@pytest.mark.parametrize(
    "metadata", [b"", b"{}", b"[]", b'{"resource": "https://x.example", "authorization_servers": []}']
)
def test_unusable_resource_metadata_is_said(client, endpoint, metadata):
    endpoint.answers["/.well-known/oauth-protected-resource/mcp"] = (200, {}, metadata)
    told = client.fail("tools", endpoint.url, "--client-id", "agent", "--client-secret", "s")
    assert told.startswith(f"{endpoint.url} publishes unusable resource metadata.")


def test_no_resource_metadata_asks_for_the_issuer(client, endpoint):
    told = client.fail("tools", endpoint.url, "--client-id", "agent", "--client-secret", "s")
    assert told == f"{endpoint.url} publishes no resource metadata; name its authorization server with --issuer."


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("tools", "mcp.example.com/mcp"), "http or https"),
        (("tools", "file:///etc/passwd"), "http or https"),
        (("tools", "http://h/mcp", "--token", "t", "--client-id", "c"), "not both"),
        (("tools", "http://h/mcp", "--client-id", "c"), "needs --client-secret"),
        (("tools", "http://h/mcp", "--protocol", "2024"), "--protocol"),
        (("call", "http://h/mcp", "tool", "{"), "is not JSON"),
        (("call", "http://h/mcp", "tool", "[1]"), "must be a JSON object"),
        (("call", "http://h/mcp", "tool", "[" * 100_000), "is not JSON"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_sent(client, args, told):
    done = client.run(*args)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


def test_arguments_come_from_standard_input_too(client):
    done = client.run("call", "http://h/mcp", "tool", "-", stdin="[]")
    assert (done.code, done.out) == (2, "")
    assert "must be a JSON object" in done.err


@pytest.mark.parametrize("kept", [b"{", b"\xff", b"[" * 100_000])
def test_logins_that_cannot_be_read_are_said_with_the_way_out(client, endpoint, kept):
    client.logins.parent.mkdir(parents=True)
    client.logins.write_bytes(kept)
    assert "cannot be read; delete it and log in again" in client.fail("tools", endpoint.url)


def test_a_result_of_every_kind_is_readable():
    blocks = [
        TextContent(type="text", text="plain"),
        ImageContent(type="image", data="QUJD", mime_type="image/png"),
        ResourceLink(type="resource_link", name="report", uri="file:///report"),
        EmbeddedResource(type="resource", resource=TextResourceContents(uri="file:///note", text="noted")),
    ]
    assert result_text(CallToolResult(content=blocks)).splitlines() == [
        "plain",
        "[image image/png, 4 characters of base64]",
        "[link report: file:///report]",
        "[resource file:///note]",
        "noted",
    ]
    assert json.loads(result_text(CallToolResult(content=[], structured_content={"a": 1}))) == {"a": 1}


@pytest.mark.case("T26")
def test_servers_cannot_steer_the_terminal():
    evil = "\x1b]0;owned\x07\x9b2J\u202e"
    tool = Tool(
        name=f"a{evil}", description=evil, input_schema={"type": "object", "properties": {evil: {"type": evil}}}
    )
    text = tool_text(tool) + result_text(CallToolResult(content=[TextContent(type="text", text=evil)]))
    assert not any(char in text for char in "\x1b\x07\x9b\u202e")


def test_a_tool_looks_as_it_is_called():
    schema = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "limit": {"type": ["integer", "null"]},
            "order": {"enum": ["up", "down"]},
            "any": True,
        },
        "required": ["text"],
    }
    shown = tool_text(Tool(name="search", description="Find\n  things.", input_schema=schema))
    assert shown.splitlines() == [
        'search(text: string, limit?: integer | null, order?: "up" | "down", any?: any)',
        "    Find things.",
    ]
