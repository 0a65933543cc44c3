"""Whatever is sent: a code of the protocol and a sentence, never a 500, and the next call works."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.house import modern_request
from portico.gateway.endpoint import MAX_REQUEST_BYTES
from targets.servers import modern_server

JSON = "application/json"


@pytest.fixture
async def url(house):
    async with modern_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        yield url
        assert (await house.modern(url, "tools/call", {"name": "one___echo"})).status == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
async def test_another_content_type_is_415(house, url, content_type):
    heard = await house.post(url, b"{}", headers={"content-type": content_type})
    assert heard.status == 415
    assert "application/json" in heard.error["message"]


async def test_parameters_and_case_of_the_content_type_do_not_matter(house, url):
    message, headers = modern_request("tools/list")
    heard = await house.post(url, message, headers={**headers, "content-type": "Application/JSON; charset=utf-8"})
    assert heard.status == 200


async def test_a_body_over_the_limit_is_413(house, url):
    heard = await house.post(url, b" " * (MAX_REQUEST_BYTES + 1))
    assert heard.status == 413
    assert str(MAX_REQUEST_BYTES) in heard.error["message"]


async def test_a_body_over_the_limit_in_chunks_is_413(house, url):
    async def chunks():
        for _ in range(MAX_REQUEST_BYTES // 65536 + 2):
            yield b" " * 65536

    async with house.http.post(url, data=chunks(), headers={"content-type": JSON}) as response:
        assert response.status == 413


async def test_a_large_call_within_the_limit_is_made(house, url):
    arguments = {"text": "x" * (1024 * 1024), "many": [[{"a": n}] for n in range(10_000)]}
    heard = await house.modern(url, "tools/call", {"name": "one___echo", "arguments": arguments})
    assert heard.result["structuredContent"] == arguments


@pytest.mark.parametrize(
    "path",
    ["/g/unknown/mcp", "/g/shop/mcp/unknown", "/g/shop/mcp/", "/g/shop", "/g/shop/mcp/one/more", "/g//mcp", "/g/", "/"],
)
async def test_an_unknown_place_is_404(house, url, path):
    heard = await house.modern(house.public_url + path, "tools/list")
    assert (heard.status, heard.error["code"]) == (404, 404)


async def test_the_place_is_read_as_it_was_decoded_once(house, url):
    assert (await house.modern(f"{house.public_url}/g/shop%2Fmcp", "tools/list")).status in {200, 404}
    assert (await house.modern(f"{house.public_url}/g/shop/mcp%2e%2e", "tools/list")).status == 404


@pytest.mark.parametrize("name", ["mcp-method", "mcp-name", "mcp-protocol-version"])
async def test_a_repeated_routing_header_is_refused(house, url, name):
    message, headers = modern_request("tools/call", {"name": "one___echo"})
    sent = [*headers.items(), (name, headers[name]), ("content-type", JSON)]
    async with house.http.post(url, data=json.dumps(message), headers=sent) as response:
        assert response.status == 400
        assert (await response.json())["error"]["code"] == -32020


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("one___echo", 200),
        ("=?base64?b25lX19fZWNobw==?=", 200),
        ("=?base64?b25lX19fZWNobw?=", 400),
        ("=?base64?b25lX19fZWNobx==?=", 400),
        ("=?BASE64?b25lX19fZWNobw==?=", 400),
        ("One___echo", 400),
        ("", 400),
    ],
)
async def test_the_name_in_the_header_must_be_the_name_in_the_body(house, url, said, status):
    heard = await house.modern(url, "tools/call", {"name": "one___echo"}, headers={"mcp-name": said})
    assert heard.status == status
    if status == 400:
        assert heard.error["code"] == -32020


async def test_arguments_that_a_tool_wants_in_headers_must_stand_there(house):
    schema = {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {"type": "object", "properties": {"count": {"type": "integer", "x-mcp-header": "Count"}}},
        },
    }
    tool = {"name": "echo", "inputSchema": schema}
    async with modern_server(tools=[tool]) as server:
        url = await house.add_gateway()
        await house.add_target(server.url)

        async def call(arguments, **headers):
            sent = {f"mcp-param-{name}": value for name, value in headers.items()}
            return await house.modern(url, "tools/call", {"name": "one___echo", "arguments": arguments}, headers=sent)

        assert (await call({})).status == 200
        assert (await call({"region": "eu"}, region="eu")).status == 200
        assert (await call({"region": "eü"}, region="=?base64?ZcO8?=")).status == 200
        assert (await call({"deep": {"count": 42}}, count="42.0")).status == 200
        assert server.heads[-1]["mcp-param-count"] == "42.0"
        assert (await call({}, other="x")).status == 200  # unknown ones are handed on
        assert server.heads[-1]["mcp-param-other"] == "x"
        for arguments, headers in (
            ({"region": "eu"}, {}),
            ({"region": "eu"}, {"region": "us"}),
            ({"region": None}, {"region": "eu"}),
            ({}, {"region": "eu"}),
            ({"deep": {"count": 42}}, {"count": "43"}),
            ({"deep": {"count": True}}, {"count": "1"}),
            ({"region": "eü"}, {"region": "eü"}),
        ):
            heard = await call(arguments, **headers)
            assert (heard.status, heard.error["code"]) == (400, -32020)


@pytest.mark.parametrize(
    "params",
    [
        {"name": "one___echo", "arguments": "text"},
        {"name": "one___echo", "arguments": 7},
        {"name": ""},
        {"name": ["one___echo"]},
    ],
)
async def test_params_of_a_call_that_are_wrong_are_32602(house, url, params):
    heard = await house.modern(url, "tools/call", params, headers={"mcp-name": "one___echo"})
    assert heard.status == 400
    assert heard.error["code"] in {-32602, -32020}


async def test_null_arguments_are_none(house, url):
    assert (await house.modern(url, "tools/call", {"name": "one___echo", "arguments": None})).status == 200


async def test_a_call_without_an_id_is_not_made(house, url):
    heard = await house.modern(url, "tools/call", {"name": "one___echo"}, number=None)
    assert (heard.status, heard.body) == (202, b"")
    assert house.records() == []


async def test_a_client_that_leaves_before_its_body_is_complete(house, url):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(house.public_url.rpartition(":")[2]))
    writer.write(
        b"POST /g/shop/mcp HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
    )
    await writer.drain()
    writer.close()
    assert await reader.read() == b""


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_NAMES = st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "Params", "x"])
_METHODS = st.sampled_from(
    ["initialize", "ping", "tools/list", "tools/call", "server/discover", "notifications/cancelled", "prompts/get", ""]
)
_META = st.dictionaries(
    st.sampled_from(
        [
            "io.modelcontextprotocol/protocolVersion",
            "io.modelcontextprotocol/clientCapabilities",
            "io.modelcontextprotocol/clientInfo",
            "progressToken",
            "traceparent",
        ]
    ),
    st.sampled_from(["2026-07-28", "2025-06-18", {}, {"a": 1}, 7, None, "x"]),
)
_PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["one___echo", "", 7, None, "x" * 300]) | _VALUES,
        "arguments": _VALUES,
        "cursor": _VALUES,
        "requestId": _VALUES,
        "protocolVersion": st.sampled_from(["2025-11-25", "2030-01-01", 7]),
        "capabilities": _VALUES,
        "_meta": _META | _VALUES,
    },
)
_MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | _VALUES,
        "id": st.integers() | st.text(max_size=5) | _VALUES,
        "method": _METHODS | _VALUES,
        "params": _PARAMS | _VALUES,
    },
) | st.dictionaries(_NAMES, _VALUES)
_BODIES = st.binary(max_size=200) | _MESSAGES.map(lambda message: json.dumps(message).encode())
_HEADERS = st.fixed_dictionaries(
    {"content-type": st.just(JSON)},
    optional={
        "mcp-protocol-version": st.sampled_from(["2026-07-28", "2025-11-25", "2025-03-26", "x", "2030-01-01"]),
        "mcp-method": st.sampled_from(["tools/call", "tools/list", "é"]),
        "mcp-name": st.sampled_from(["one___echo", "=?base64?x?=", ""]),
        "mcp-session-id": st.sampled_from(["x", "v1.k1.AAAA"]),
        "authorization": st.sampled_from(["Bearer x", "x"]),
        "accept": st.sampled_from(["*/*", "text/event-stream"]),
        "origin": st.sampled_from(["null", "http://localhost:1"]),
    },
)


@pytest.mark.parametrize("sessions", [False, True])
async def test_no_input_is_a_500(house, sessions):
    configuration = {"streamingConfiguration": {"enableResponseStreaming": True}}
    if sessions:
        configuration["sessionConfiguration"] = {"sessionTimeoutInSeconds": 900}
    async with modern_server() as server:
        url = await house.add_gateway(protocolConfiguration={"mcp": configuration})
        await house.add_target(server.url)
        loop = asyncio.get_running_loop()

        async def send(body, headers):
            heard = await house.post(url, body, headers=headers)
            assert heard.status < 500, (body, headers, heard.body)
            if heard.body and heard.headers["Content-Type"] == JSON:
                assert heard.json["jsonrpc"] == "2.0"

        def fuzz():
            @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
            @given(body=_BODIES, headers=_HEADERS)
            def run(body, headers):
                asyncio.run_coroutine_threadsafe(send(body, headers), loop).result(30)

            run()

        await asyncio.to_thread(fuzz)
