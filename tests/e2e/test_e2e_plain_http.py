"""A machine with nothing but HTTP: what curl does with the line that the demo prints."""

import json

import httpx2
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]


@pytest.fixture
def token(demo):
    machine = demo.facts["machine"]
    answer = httpx2.post(
        machine["token_url"],
        data={"grant_type": "client_credentials", "scope": machine["scope"]},
        auth=(machine["client_id"], machine["client_secret"]),
        trust_env=False,
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "refresh_token" not in answer.json()
    return answer.json()["access_token"]


def post(url, token, message, **headers):
    base = {"authorization": f"Bearer {token}", "accept": "application/json, text/event-stream"}
    return httpx2.post(url, json=message, headers=base | headers, timeout=30, trust_env=False)


def test_legacy_calls_a_tool_of_each_target_through_the_one_url(demo, token):
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "curl", "version": "0"}}
    opened = post(demo.mcp_url, token, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
    assert opened.status_code == 200, opened.text
    session = {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
    ready = post(demo.mcp_url, token, {"jsonrpc": "2.0", "method": "notifications/initialized"}, **session)
    assert ready.status_code == 202
    for number, (tool, arguments, expected) in enumerate(
        [
            ("calculator___multiply_numbers", {"a": 6, "b": 7}, "42"),
            ("everything___echo", {"message": "hello through one URL"}, "hello through one URL"),
        ]
    ):
        call = {"jsonrpc": "2.0", "id": f"c{number}", "method": "tools/call"}
        answer = post(demo.mcp_url, token, call | {"params": {"name": tool, "arguments": arguments}}, **session)
        assert answer.status_code == 200, answer.text
        body = answer.text if answer.text.startswith("{") else answer.text.split("data: ", 1)[1].splitlines()[0]
        assert expected in json.dumps(json.loads(body)["result"])


def test_modern_calls_a_tool_in_one_request(demo, token):
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "calculator___greet_user", "arguments": {"name": "Ada"}, "_meta": meta},
    }
    headers = {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "calculator___greet_user",
    }
    answer = post(demo.mcp_url, token, call, **headers)
    assert answer.status_code == 200, answer.text
    assert "Ada" in answer.text


def test_without_a_token_the_challenge_leads_to_the_issuer(demo):
    answer = httpx2.get(demo.mcp_url, trust_env=False, timeout=30)
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    location = challenge.split('resource_metadata="')[1].split('"')[0]
    metadata = httpx2.get(location, trust_env=False, timeout=30).json()
    assert metadata["resource"] == demo.mcp_url
    assert metadata["authorization_servers"] == [demo.facts["issuer"]]
