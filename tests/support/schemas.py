"""The JSON schema of every MCP revision, and the judgement of a message by it.

The schemas are not ours and are not committed: they are taken out of the installed conformance suite at test time.
"""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import jsonschema

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("extract_schemas.mjs")
CACHE = ROOT / ".artifacts" / "schemas"
BUNDLE = Path("@modelcontextprotocol/conformance/dist/index.js")
VERSIONS = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
#: Revisions whose schema wants an id in every error, although their transport page allows an error without one.
ERRORS_NEED_AN_ID = VERSIONS[:2]

RESULTS = {
    "initialize": "InitializeResult",
    "ping": "EmptyResult",
    "tools/list": "ListToolsResult",
    "tools/call": "CallToolResult",
    "server/discover": "DiscoverResult",
}
NOTIFICATIONS = {"notifications/progress": "ProgressNotification"}


def check(version, message, method=None):
    """Fail unless ``message``, which we sent in answer to ``method``, is valid at ``version``."""
    if "method" in message:
        _validator(version, "JSONRPCNotification").validate(message)
        _validator(version, NOTIFICATIONS[message["method"]]).validate(message)
    elif "error" in message:
        given = {"id": 0, **message} if version in ERRORS_NEED_AN_ID else message
        _validator(version, _name(version, "JSONRPCError", "JSONRPCErrorResponse")).validate(given)
    else:
        _validator(version, _name(version, "JSONRPCResponse", "JSONRPCResultResponse")).validate(message)
        _validator(version, RESULTS[method]).validate(message["result"])


def check_sent(version, message):
    """Fail unless ``message``, which we sent to a server that speaks ``version``, is valid there."""
    if "method" not in message:
        check(version, message, "ping")
    elif "id" not in message:
        _validator(version, _sent_name(version, message["method"])).validate(message)
    elif message["method"] in SENT:
        name = SENT[message["method"]]
        if name in _definitions(version)[1]:
            _validator(version, name).validate(message)


#: Requests and notifications of ours to servers.
SENT = {
    "initialize": "InitializeRequest",
    "server/discover": "DiscoverRequest",
    "tools/list": "ListToolsRequest",
    "tools/call": "CallToolRequest",
}


def _sent_name(version, method):
    names = {"notifications/initialized": "InitializedNotification", "notifications/cancelled": "CancelledNotification"}
    return names[method]


def _name(version, *names):
    """Return the last of ``names`` that the revision defines: later revisions split definitions."""
    return next(name for name in reversed(names) if name in _definitions(version)[1])


@cache
def _validator(version, name):
    place, _ = _definitions(version)
    schema = {**_schema(version), "$ref": f"#/{place}/{name}"}
    return jsonschema.validators.validator_for(schema)(schema)


def _definitions(version):
    schema = _schema(version)
    place = "$defs" if "$defs" in schema else "definitions"
    return place, schema[place]


@cache
def _schema(version):
    bundle = _modules() / BUNDLE
    path = CACHE / f"{version}.json"
    if not path.exists() or path.stat().st_mtime < bundle.stat().st_mtime:
        fresh = CACHE.with_name(f"schemas.{os.getpid()}")
        subprocess.run([node_program(), SCRIPT, bundle, fresh], check=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        for made in fresh.iterdir():
            os.utime(made)
            made.replace(CACHE / made.name)
        fresh.rmdir()
    return json.loads(path.read_text())


def _modules():
    places = [ROOT / "node_modules", Path(os.environ.get("PORTICO_NODE_MODULES", ROOT / "node_modules"))]
    for place in places:
        if (place / BUNDLE).exists():
            return place
    raise AssertionError(f"{BUNDLE.parts[0]}/{BUNDLE.parts[1]} is not installed: run `make setup`")


def node_program():
    own = _modules() / ".bin" / "node"
    found = str(own) if own.exists() else shutil.which("node")
    assert found, "node is not installed: run `make setup`"
    return found
