"""Gateways whose callers sign, as a whole process serves them: AWS_IAM and AUTHENTICATE_ONLY."""

import json
import time

import pytest
from portico_process import Portico

from support.signing import SECRET, Signer

PATH_KEYS = {"invoker": "PORTICO_AN_INVOKER_1", "reader": "PORTICO_A_READER_123", "confined": "PORTICO_CONFINED_123"}
META = "io.modelcontextprotocol/"


def document():
    keys = [
        {"accessKeyId": PATH_KEYS["invoker"], "name": "agent", "role": "invoker", "secret": SECRET},
        {"accessKeyId": PATH_KEYS["reader"], "name": "auditor", "role": "reader", "secret": SECRET},
        {
            "accessKeyId": PATH_KEYS["confined"],
            "name": "other",
            "role": "invoker",
            "secret": SECRET,
            "gateways": ["any"],
        },
    ]
    sessions = {"mcp": {"sessionConfiguration": {"sessionTimeoutInSeconds": 900}}}
    gateway = {"protocolType": "MCP", "protocolConfiguration": sessions}
    return {
        "accessKeys": keys,
        "gateways": [
            gateway | {"name": "iam", "authorizerType": "AWS_IAM", "exceptionLevel": "DEBUG"},
            gateway | {"name": "any", "authorizerType": "AUTHENTICATE_ONLY"},
        ],
    }


@pytest.fixture
async def portico(tmp_path):
    made = Portico(tmp_path, document())
    async with made.running():
        yield made


@pytest.fixture
def send(portico):
    """Sign a message as one of the keys and send it; ``tamper`` changes the request after it was signed."""

    async def send(gateway, key, message, *, method="POST", tamper=lambda sent: sent, **headers):
        url = (await portico.gateways())[gateway].mcp_url
        body = b"" if message is None else json.dumps(message).encode()
        lines = {"content-type": "application/json", "accept": "application/json, text/event-stream"} | headers
        sent = tamper(Signer(key_id=PATH_KEYS[key]).sign(method, url, now=time.time(), body=body, headers=lines))
        return await portico.http.request(
            method, url, content=sent.body, headers=[entry for entry in sent.headers if entry[0] != b"host"]
        )

    return send


def modern(method, **params):
    meta = {f"{META}protocolVersion": "2026-07-28", f"{META}clientCapabilities": {}}
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"_meta": meta}}


def lines(method, name=None):
    return {"mcp-protocol-version": "2026-07-28", "mcp-method": method} | ({"mcp-name": name} if name else {})


async def list_tools(send, gateway, key, **more):
    return await send(gateway, key, modern("tools/list"), **lines("tools/list"), **more)


async def test_a_signed_call_is_served_and_refusals_hold_no_challenge_for_a_token(portico, send):
    served = await list_tools(send, "iam", "invoker")
    assert (served.status_code, served.json()["result"]["tools"]) == (200, [])
    assert (await list_tools(send, "any", "reader")).status_code == 200
    for gateway, key, code in (
        ("iam", "reader", "AccessDeniedException"),
        ("iam", "confined", "AccessDeniedException"),
    ):
        refused = await list_tools(send, gateway, key)
        assert (refused.status_code, refused.headers["x-amzn-errortype"]) == (403, code)
        assert "www-authenticate" not in refused.headers
    url = (await portico.gateways())["any"].mcp_url
    unsigned = await portico.modern(url, None, "tools/list")
    assert unsigned.status_code == 403
    assert unsigned.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    token = await portico.modern(url, "eyJhbGciOiJFUzI1NiJ9.e30.AA", "tools/list")
    assert (token.status_code, "www-authenticate" in token.headers) == (403, False)
    metadata = await portico.http.get(f"/.well-known/oauth-protected-resource{url.removeprefix(portico.url)}")
    assert metadata.status_code == 404


async def test_a_body_that_was_changed_on_its_way_is_refused(send):
    refused = await list_tools(
        send, "iam", "invoker", tamper=lambda sent: type(sent)(**_parts(sent) | {"body": sent.body + b" "})
    )
    assert refused.status_code == 403
    assert refused.headers["x-amzn-errortype"] == "InvalidSignatureException"


async def test_a_session_belongs_to_whoever_signed_its_beginning(send):
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    begun = await send("any", "invoker", {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
    assert begun.status_code == 200
    session = {"mcp-session-id": begun.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    assert (await send("any", "invoker", ping, **session)).status_code == 200
    assert (await send("any", "reader", ping, **session)).status_code == 404
    assert (await send("any", "invoker", None, method="DELETE", **session)).status_code == 204


async def test_a_denied_call_is_in_the_audit_with_who_it_was(portico, send):
    call = modern("tools/call", name="calc___add", arguments={})
    denied = await send("iam", "reader", call, **lines("tools/call", "calc___add"))
    assert denied.status_code == 403
    journal = b"".join(path.read_bytes() for path in (portico.directory / "data" / "journal").iterdir())
    assert PATH_KEYS["reader"].encode() in journal


def _parts(sent):
    return {name: getattr(sent, name) for name in ("method", "raw_path", "query", "headers", "body")}
