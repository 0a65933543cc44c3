"""The stub's answers over stdio, for mcp-proxy, which has no HTTP backends. Run with any Python; it needs nothing."""

import json
import sys

TEXT = "The quick brown fox jumps over the lazy dog. " * 8
TOOL = {
    "name": "echo",
    "description": "Answers with some 400 characters of text.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
}
RESULTS = {
    "tools/call": {"content": [{"type": "text", "text": TEXT}], "isError": False},
    "tools/list": {"tools": [TOOL]},
    "ping": {},
}


def answer(message: dict) -> dict:
    method = message["method"]
    if method == "initialize":
        version = message["params"]["protocolVersion"]
        info = {"name": "stub", "version": "1"}
        return {"result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}}
    if method in RESULTS:
        return {"result": RESULTS[method]}
    return {"error": {"code": -32601, "message": "Unknown method"}}


for line in sys.stdin:
    received = json.loads(line)
    if "id" in received and "method" in received:
        sent = {"jsonrpc": "2.0", "id": received["id"]} | answer(received)
        sys.stdout.write(json.dumps(sent, separators=(",", ":")) + "\n")
        sys.stdout.flush()
