"""Golden transcripts: what is said on the wire, per revision, byte for byte but for what changes with every run.

Each file under ``golden/`` is a conversation. Run with ``PORTICO_UPDATE_GOLDEN=1`` to write them anew, then read the
difference. Every message that we send is also checked against its revision's JSON schema.
"""

import asyncio
import json
import os
from pathlib import Path

import pytest

from gateway.house import LEGACY, MODERN, Heard, initialize_params, legacy_request, modern_request, until
from support import schemas
from targets.servers import legacy_server, misbehaving_server, modern_server, tool

GOLDEN = Path(__file__).with_name("golden")
UPDATE = "PORTICO_UPDATE_GOLDEN" in os.environ
LEGACY_VERSIONS = schemas.VERSIONS[:3]
SHOWN_HEADERS = ("content-type", "www-authenticate", "allow", "mcp-session-id", "retry-after", "x-accel-buffering")
STREAMING = {"protocolConfiguration": {"mcp": {"streamingConfiguration": {"enableResponseStreaming": True}}}}


class Conversation:
    """Says things to a gateway and writes down both sides."""

    def __init__(self, house, version):
        self.house = house
        self.version = version
        self.modern = version == MODERN
        self.url = ""
        self.secrets = {}  # what changes with every run, and what stands for it
        self.lines = []

    async def say(self, title, method, params=None, *, number=1, headers=None, token=None, meta=None):
        if self.modern:
            message, sent = modern_request(method, params, number=number, meta=meta)
        else:
            given = params if meta is None else {**(params or {}), "_meta": meta}
            message = legacy_request(method, given, number=number)
            # 2025-03-26 does not know the header
            known = method != "initialize" and self.version != "2025-03-26"
            sent = {"mcp-protocol-version": self.version} if known else {}
        return await self.send(title, message, {**sent, **(headers or {})}, token=token)

    async def send(self, title, message, headers=None, *, token=None):
        heard = await self.house.post(self.url, message, headers=headers or {}, token=token)
        self.write(title, message, headers or {}, heard, token=token)
        return heard

    def write(self, title, message, headers, heard, *, token=None):
        events = heard.headers.get("Content-Type") == "text/event-stream"
        said = heard.events if events else [heard.json] if heard.body else []
        method = message.get("method") if isinstance(message, dict) else None
        for spoken in said:
            schemas.check(self.version, spoken, method)
        shown = {name: heard.headers[name] for name in SHOWN_HEADERS if name in heard.headers}
        self.lines.append(
            {
                "title": title,
                "request": {
                    "headers": headers | ({"authorization": "Bearer …"} if token else {}),
                    "body": message.decode() if isinstance(message, bytes) else message,
                },
                "response": {"status": heard.status, "headers": shown, "events" if events else "body": said},
            }
        )

    def close(self, name):
        text = json.dumps(self.lines, indent=1, ensure_ascii=False)
        for secret, stands_for in {self.house.public_url: "http://gateway.test", **self.secrets}.items():
            text = text.replace(secret, stands_for)
        path = GOLDEN / self.version / f"{name}.json"
        if UPDATE:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        assert text + "\n" == path.read_text()


@pytest.fixture(params=schemas.VERSIONS)
def conversation(house, request):
    return Conversation(house, request.param)


def server_for(version, **settings):
    return modern_server(**settings) if version == MODERN else legacy_server(**settings)


async def test_opening_and_listing(house, conversation):
    async with server_for(conversation.version) as server:
        conversation.url = await house.add_gateway(protocolConfiguration={"mcp": {"instructions": "Ask for tools."}})
        await house.add_target(server.url)
        if conversation.modern:
            await conversation.say("discover", "server/discover")
        else:
            await conversation.say("initialize", "initialize", initialize_params(conversation.version))
            await conversation.say("initialized", "notifications/initialized", number=None)
            await conversation.say("ping", "ping", number=2)
        await conversation.say("list", "tools/list", number="three")
    conversation.close("open_and_list")


async def test_a_list_in_pages(house, conversation):
    tools = [tool(name, title=name.upper()) for name in ("alpha", "beta", "gamma")]
    async with server_for(conversation.version, tools=tools) as server:
        conversation.url = await house.add_gateway(extension={"pageSize": 2})
        await house.add_target(server.url)
        first = await conversation.say("first page", "tools/list")
        cursor = first.result["nextCursor"]
        await conversation.say("last page", "tools/list", {"cursor": cursor}, number=2)
        await conversation.say("bad cursor", "tools/list", {"cursor": "bogus"}, number=3)
    conversation.close("list_in_pages")


async def test_a_target_of_the_other_era_is_served(house, conversation):
    other = legacy_server if conversation.modern else modern_server
    async with other(tools=[tool("echo", title="Echo", icons=[{"src": "https://a.example/i.png"}])]) as stranger:
        conversation.url = await house.add_gateway()
        await house.add_target(stranger.url, name="other")
        await conversation.say("list", "tools/list")
        await conversation.say("call", "tools/call", {"name": "other___echo", "arguments": {"n": 1.50}}, number=2)
    conversation.close("target_of_the_other_era")


async def test_a_target_that_was_never_synchronized_is_named(house, conversation):
    conversation.url = await house.add_gateway()
    await house.add_target("http://127.0.0.1:1/mcp", name="other", eras=())
    await conversation.say("list", "tools/list")
    await conversation.say("call", "tools/call", {"name": "other___echo", "arguments": {}}, number=2)
    conversation.close("target_not_synchronized")


async def test_calls_answered_as_json(house, conversation):
    async with server_for(conversation.version) as server:
        conversation.url = await house.add_gateway()
        await house.add_target(server.url)
        arguments = {"text": "grüße", "n": 1.5}
        await conversation.say("call", "tools/call", {"name": "one___echo", "arguments": arguments})
        await conversation.say("tool error", "tools/call", {"name": "one___fail", "arguments": {}}, number=2)
        await conversation.say("target's own error", "tools/call", {"name": "one___broken"}, number=3)
        await conversation.say("unknown tool", "tools/call", {"name": "one___nothing"}, number=4)
        await conversation.say("no name", "tools/call", {"arguments": {}}, number=5)
        await conversation.say("bad arguments", "tools/call", {"name": "one___echo", "arguments": []}, number=6)
    conversation.close("call_json")


async def test_calls_with_progress(house, conversation):
    async with server_for(conversation.version, answers="sse") as server:
        conversation.url = await house.add_gateway(**STREAMING)
        await house.add_target(server.url)
        params = {"name": "one___progress", "arguments": {"steps": 2}}
        await conversation.say("with progress", "tools/call", params, meta={"progressToken": "p1"})
        await conversation.say("nobody asked for progress", "tools/call", params, number=2)
        await conversation.say(
            "cannot read events",
            "tools/call",
            params,
            number=3,
            meta={"progressToken": 7},
            headers={"accept": "application/json"},
        )
    conversation.close("call_with_progress")


@pytest.mark.parametrize("version", LEGACY_VERSIONS)
async def test_a_cancelled_call(house, version):
    conversation = Conversation(house, version)
    async with server_for(version) as server:
        conversation.url = await house.add_gateway()
        await house.add_target(server.url)
        call = asyncio.create_task(conversation.say("call", "tools/call", {"name": "one___wait"}, number="w"))
        await until(lambda: server.running)
        cancel = {"requestId": "w", "reason": "enough"}
        await conversation.say("cancel", "notifications/cancelled", cancel, number=None)
        await call
        await until(lambda: server.cancelled)
    conversation.close("cancel")


async def test_a_modern_call_cancelled_by_closing_the_connection(house):
    conversation = Conversation(house, MODERN)
    async with server_for(MODERN) as server:
        conversation.url = await house.add_gateway()
        await house.add_target(server.url)
        call = asyncio.create_task(conversation.say("call", "tools/call", {"name": "one___wait"}))
        await until(lambda: server.running)
        call.cancel()
        await until(lambda: server.cancelled)
        await until(house.records)
        conversation.lines.append({"title": "connection closed", "recorded": house.records()[0].outcome})
    conversation.close("cancel")


@pytest.mark.parametrize("version", LEGACY_VERSIONS)
async def test_sessions(house, version):
    conversation = Conversation(house, version)
    async with server_for(conversation.version) as server:
        conversation.url = await house.add_gateway(
            protocolConfiguration={"mcp": {"sessionConfiguration": {"sessionTimeoutInSeconds": 900}}}
        )
        await house.add_target(server.url)
        opened = await conversation.say("initialize", "initialize", initialize_params(conversation.version))
        session = opened.headers["Mcp-Session-Id"]
        conversation.secrets[session] = "v1.session"
        inside = {"mcp-session-id": session}
        await conversation.say("in session", "tools/list", number=2, headers=inside)
        await conversation.say("without", "tools/list", number=3)
        await conversation.say("unknown", "tools/list", number=4, headers={"mcp-session-id": "made-up"})
        async with house.http.delete(conversation.url, headers=inside) as ended:
            assert ended.status == 204
        await conversation.say("after DELETE", "tools/list", number=5, headers=inside)
    conversation.close("session")


async def test_malformed_messages(house, conversation):
    conversation.url = await house.add_gateway()
    known = {} if conversation.version == "2025-03-26" else {"mcp-protocol-version": conversation.version}
    for title, body in {
        "no JSON": b"{nope",
        "not UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"\xff"}'.replace(b"\xff", b"\xc3("),
        "batch": b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
        "repeated member": b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}',
        "letter case": b'{"jsonrpc":"2.0","id":1,"Method":"ping"}',
        "deep": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":' + b"[" * 70 + b"]" * 70 + b"}}",
        "no version": b'{"id":1,"method":"ping"}',
        "null id": b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
        "params array": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}',
        "a response": b'{"jsonrpc":"2.0","id":1,"result":{}}',
    }.items():
        shown = body.decode("latin-1").encode() if title == "not UTF-8" else body
        heard = await house.post(conversation.url, body, headers=known)
        conversation.write(title, shown, known, heard)
    conversation.close("malformed")


async def test_refused_methods_and_versions(house, conversation):
    conversation.url = await house.add_gateway(
        protocolConfiguration={"mcp": {"supportedVersions": ["2025-06-18", conversation.version]}}
    )
    await conversation.say("unknown method", "prompts/list")
    if conversation.modern:
        await conversation.say("initialize in a modern envelope", "initialize", initialize_params(LEGACY))
        message, headers = modern_request("tools/list")
        await conversation.send("no header", message, {})
        await conversation.send("another method", message, {**headers, "mcp-method": "tools/call"})
        await conversation.send("a legacy header", message, {**headers, "mcp-protocol-version": LEGACY})
        message, headers = modern_request("tools/list", version="2030-01-01")
        await conversation.send("a revision of the future", message, headers)
        message, headers = modern_request("tools/call", {"name": "a"})
        await conversation.send("another name", message, {**headers, "mcp-name": "b"})
        del message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
        await conversation.send("no capabilities", message, headers)
    else:
        await conversation.say("newest instead", "initialize", initialize_params("2030-01-01"))
        headers = {"mcp-protocol-version": "2030-01-01"}
        await conversation.send("a revision of the future", legacy_request("tools/list"), headers)
    conversation.close("refused")


async def test_errors_of_http(house, conversation):
    conversation.url = await house.add_gateway()
    message = modern_request("tools/list")[0] if conversation.modern else legacy_request("tools/list")
    await conversation.send("another content type", message, {"content-type": "text/plain"})
    await conversation.send("a foreign page", message, {"origin": "https://evil.example"})
    for method in ("GET", "DELETE", "PUT"):
        async with house.http.request(method, conversation.url) as response:
            conversation.write(method, "", {}, Heard(response, await response.read()))
    conversation.url = conversation.url.replace("shop", "unknown")
    await conversation.send("no such gateway", message)
    conversation.close("http")


async def test_refused_callers(house, conversation):
    async with server_for(conversation.version) as server:
        conversation.url = await house.add_gateway(jwt_rules={"allowedScopes": ["mcp/invoke"]}, exceptionLevel="DEBUG")
        await house.add_target(server.url)
        call = ("tools/call", {"name": "one___echo", "arguments": {}})
        await conversation.say("no token", *call)
        await conversation.say("no token at all", *call, token="gibberish")
        await conversation.say("for another audience", *call, token=house.token("http://else.test/mcp"))
        await conversation.say("too small a scope", *call, token=house.token(conversation.url, scope="other"))
        await conversation.say("accepted", *call, token=house.token(conversation.url))
    conversation.close("authorization")


async def test_failing_targets(house, conversation):
    async with misbehaving_server("html") as server:
        conversation.url = await house.add_gateway()
        await house.add_target(server.url)
        for fault in ("html", "die", "invalid_json", "big", "end_in_stream", "500", "redirect"):
            server.fault = fault
            await conversation.say(fault, "tools/call", {"name": "one___echo", "arguments": {}})
    conversation.close("failing_target")
