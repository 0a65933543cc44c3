"""Results and definitions from one revision to another, headers made for those who send none, log levels."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.model.gateway import PROTOCOL_VERSIONS
from portico.protocol import mirrored
from portico.protocol.errors import RpcRefused
from portico.protocol.logs import reaches
from portico.protocol.mirrored import headers_for, mirrors_of
from portico.protocol.revisions import result_at, tool_at

LEGACY, MODERN = "2025-11-25", "2026-07-28"

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
RESULTS = st.fixed_dictionaries(
    {"content": st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text()}))},
    optional={
        "structuredContent": VALUES,
        "isError": st.booleans(),
        "resultType": st.just("complete"),
        "_meta": st.dictionaries(st.text(), VALUES),
        "other": VALUES,
    },
)


@given(RESULTS, st.sampled_from(PROTOCOL_VERSIONS), st.sampled_from(PROTOCOL_VERSIONS))
def test_any_result_at_any_revision_says_the_same(result, spoken, wanted):
    told = json.loads(result_at(wanted, json.dumps(result).encode(), spoken=spoken))
    assert told["content"][: len(result["content"])] == result["content"]
    assert told.get("isError") == result.get("isError")
    assert told.get("other") == result.get("other")
    if "structuredContent" in result and "structuredContent" not in told:
        texts = [block["text"] for block in told["content"]]
        assert any(_is_json_of(text, result["structuredContent"]) for text in texts)
    if wanted == MODERN and spoken != MODERN:
        assert told["resultType"] == "complete"


def _is_json_of(text, value):
    try:
        return json.loads(text) == value
    except ValueError:
        return False


def test_the_bytes_of_what_stays_are_not_touched():
    raw = b'{ "content": [ {"type":"text", "text":"\\u00e9"} ], "structuredContent": {"x": 1.0} }'
    assert b'"content": [ {"type":"text", "text":"\\u00e9"} ], "structuredContent": {"x": 1.0}' in result_at(
        MODERN, raw, spoken=LEGACY
    )
    assert result_at(LEGACY, raw, spoken="2025-06-18") is raw


def test_boolean_schemas_are_spelled_out_for_legacy_revisions_only():
    definition = msgspec.json.decode(
        b'{"name":"a","inputSchema":{"type":"object","properties":{"a":true,"b":false,"c":{}}}}',
        type=dict[str, msgspec.Raw],
    )
    legacy = json.loads(bytes(tool_at("2025-06-18", definition)["inputSchema"]))
    assert legacy["properties"] == {"a": {}, "b": {"not": {}}, "c": {}}
    assert tool_at(MODERN, definition) == definition


# Mirrored headers

SCHEMA = {
    "type": "object",
    "properties": {
        "s": {"type": "string", "x-mcp-header": "S"},
        "i": {"type": "integer", "x-mcp-header": "I"},
        "b": {"type": "boolean", "x-mcp-header": "B"},
        "o": {"type": "object", "properties": {"n": {"type": "string", "x-mcp-header": "N"}}},
    },
}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "s": st.text() | st.none(),
            "i": st.integers(-(2**53) + 1, 2**53 - 1) | st.just(5.0),
            "b": st.booleans(),
            "o": st.just({}) | st.fixed_dictionaries({"n": st.text()}),
        },
    )
)
def test_headers_that_we_make_pass_the_check_of_a_server(arguments):
    mirrors = mirrors_of(SCHEMA)
    raw = json.dumps(arguments).encode()
    made = headers_for(mirrors, raw)
    mirrored.check(mirrors, made, raw)
    assert all(value.isascii() and b"\n" not in value and b"\r" not in value for _, value in made)


@pytest.mark.parametrize("arguments", [None, b"{}", b'{"s":1,"i":"5","b":0,"o":[]}', b'{"i":1.5}', b'{"i":true}'])
def test_what_is_absent_or_of_another_type_has_no_header(arguments):
    assert headers_for(mirrors_of(SCHEMA), arguments) == ()


def test_an_argument_that_is_too_long_for_a_header_is_refused():
    with pytest.raises(RpcRefused) as caught:
        headers_for(mirrors_of(SCHEMA), json.dumps({"s": "x" * 10_000}).encode())
    assert "s is too long" in caught.value.public


def test_levels_are_ordered():
    assert reaches("error", "error")
    assert reaches("emergency", "debug")
    assert not reaches("info", "warning")
