"""Building upstream requests: the envelope is ours, arguments travel untouched, headers mirror the body."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico import __version__
from portico.protocol.client import (
    INITIALIZED,
    call_body,
    cancelled_notification,
    header_value,
    initialize_request,
    legacy_headers,
    legacy_request,
    modern_headers,
    modern_request,
    prepare_legacy_call,
    prepare_modern_call,
)

_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def body(prepared, **given_):
    return json.loads(call_body(prepared, request_id=7, **({"arguments": b"{}"} | given_)))


def test_a_modern_call_carries_our_envelope_and_nothing_of_the_clients():
    assert body(prepare_modern_call("add"), arguments=b'{"a": 1}') == {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": {
            "name": "add",
            "arguments": {"a": 1},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "portico", "version": __version__},
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    }


def test_a_legacy_call_has_no_meta_unless_there_is_something_to_say():
    assert body(prepare_legacy_call("add"), arguments=None) == {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": {"name": "add"},
    }


@pytest.mark.parametrize("prepare", [prepare_modern_call, prepare_legacy_call])
def test_the_progress_token_is_our_own_request_id(prepare):
    assert body(prepare("add"), wants_progress=True)["params"]["_meta"]["progressToken"] == 7
    assert "progressToken" not in body(prepare("add"))["params"].get("_meta", {})


def test_the_log_level_goes_upstream_in_the_modern_era_only():
    modern = body(prepare_modern_call("add"), log_level="info")
    assert modern["params"]["_meta"]["io.modelcontextprotocol/logLevel"] == "info"
    assert "_meta" not in body(prepare_legacy_call("add"), log_level="info")["params"]


@pytest.mark.parametrize("prepare", [prepare_modern_call, prepare_legacy_call])
def test_of_a_trace_only_its_three_members_are_handed_on(prepare):
    trace = (
        b'{"traceparent": "00-a", "baggage": "k=v", "io.modelcontextprotocol/protocolVersion": "1", "progressToken": 1}'
    )
    meta = body(prepare("add"), trace=trace)["params"]["_meta"]
    assert {"traceparent": "00-a", "baggage": "k=v"}.items() <= meta.items()
    assert meta.get("io.modelcontextprotocol/protocolVersion", "2026-07-28") == "2026-07-28"
    assert "progressToken" not in meta


@pytest.mark.parametrize("trace", [b"{}", b'{"traceparent": 1}', b"[", b'{"traceparent": "\xff"}', b"[" * 100_000])
def test_a_trace_that_cannot_be_read_costs_nothing_but_itself(trace):
    assert "_meta" not in body(prepare_legacy_call("add"), trace=trace)["params"]


def test_arguments_travel_byte_by_byte():
    raw = b'{ "a" : 1.0e2, "b":"\\u00e9" }'
    assert raw in call_body(prepare_modern_call("add"), request_id=1, arguments=raw)


@given(name=_names)
def test_every_tool_name_makes_a_valid_body_and_a_header_that_agrees_with_it(name):
    prepared = prepare_modern_call(name)
    assert body(prepared)["params"]["name"] == name
    value = dict(prepared.headers)[b"mcp-name"]
    assert all(0x20 <= byte <= 0x7E for byte in value)
    assert value == value.strip()
    if value.startswith(b"=?base64?"):
        assert base64.b64decode(value[9:-2]).decode() == name
    else:
        assert value.decode() == name


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("us-west1", b"us-west1"),
        ("Hello, 世界", b"=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", b"=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", b"=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", b"=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("", b"=?base64??="),
    ],
)
def test_header_values_are_encoded_as_the_specification_shows(text, value):
    assert header_value(text) == value


def test_modern_headers_mirror_the_body_and_accept_both_kinds_of_answer():
    headers = dict(modern_headers("tools/call", "add"))
    assert headers[b"mcp-protocol-version"] == b"2026-07-28"
    assert headers[b"mcp-method"] == b"tools/call"
    assert headers[b"mcp-name"] == b"add"
    assert headers[b"accept"] == b"application/json, text/event-stream"
    assert b"mcp-name" not in dict(modern_headers("tools/list"))


def test_legacy_headers_carry_what_was_negotiated_and_nothing_before_that():
    assert {b"mcp-protocol-version", b"mcp-session-id"}.isdisjoint(dict(legacy_headers(None, None)))
    headers = dict(legacy_headers("2025-06-18", b"s1"))
    assert headers[b"mcp-protocol-version"] == b"2025-06-18"
    assert headers[b"mcp-session-id"] == b"s1"


def test_handshakes_and_lists_are_what_their_revisions_ask_for():
    initialize = json.loads(initialize_request(0, "2025-06-18"))
    assert initialize["params"]["protocolVersion"] == "2025-06-18"
    assert initialize["params"]["capabilities"] == {}
    assert json.loads(INITIALIZED) == {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert json.loads(legacy_request("tools/list", 2, cursor=""))["params"] == {"cursor": ""}
    assert json.loads(legacy_request("tools/list", 2))["params"] == {}
    modern = json.loads(modern_request("tools/list", 3, cursor='a"b'))
    assert modern["id"] == 3
    assert modern["params"]["cursor"] == 'a"b'
    assert modern["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] == {}
    assert json.loads(cancelled_notification(9))["params"] == {"requestId": 9}
