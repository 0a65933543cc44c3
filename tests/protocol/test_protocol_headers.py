"""Headers, names, cursors and mirrored arguments."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.protocol import cursors, naming
from portico.protocol.errors import RpcRefused
from portico.protocol.headers import MAX_MIRRORED, check_single, collect, decode_value
from portico.protocol.mirrored import InvalidAnnotation, check, mirrors_of


def sentinel(text):
    return b"=?base64?" + base64.b64encode(text.encode()) + b"?="


@given(st.text())
def test_an_encoded_value_stands_for_its_text(text):
    assert decode_value(sentinel(text)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"us-west1", "us-west1"),
        (b"  padded\t", "padded"),
        (b"", ""),
        (b"=?base64??=", ""),
        (b"=?base64?", "=?base64?"),
        (b"=?base64?=", "=?base64?="),
        (b"=?Base64?YQ==?=", "=?Base64?YQ==?="),
    ],
)
def test_a_plain_value_stands_for_itself(value, text):
    assert decode_value(value) == text


@pytest.mark.parametrize(
    "value", [b"\xff", b"a\x00b", b"=?base64?YQ?=", b"=?base64?YR==?=", b"=?base64?/w==?=", b"=?base64? YQ==?="]
)
def test_a_value_that_stands_for_nothing_equals_nothing(value):
    assert decode_value(value) is None


def test_headers_are_collected_in_one_pass():
    found = collect(
        [
            (b"host", b"x"),
            (b"accept", b"application/json, text/event-stream"),
            (b"mcp-param-a", b"1"),
            (b"mcp-param-b", b"2"),
            (b"mcp-name", b"n"),
            (b"mcp-name", b"m"),
        ]
    )
    assert found.name == b"n"
    assert found.repeated == {"name"}
    assert found.accepts_events
    assert found.mirrored == [(b"mcp-param-a", b"1"), (b"mcp-param-b", b"2")]
    with pytest.raises(RpcRefused):
        check_single(found)
    assert collect([]).mirrored == []


def test_mirrored_headers_are_bounded():
    with pytest.raises(RpcRefused):
        check_single(collect([(b"mcp-param-%d" % n, b"") for n in range(MAX_MIRRORED + 1)]))


def test_names_split_at_the_first_separator():
    assert naming.split(naming.join("one", "a___b")) == ("one", "a___b")
    assert naming.split("plain") == ("", "plain")
    assert naming.split("___x") == ("", "x")


@given(st.text(min_size=1), st.text())
def test_cursors_come_back_where_they_belong(after, scope):
    cursor = cursors.encode(scope, after)
    assert cursors.decode(scope, cursor) == after
    with pytest.raises(RpcRefused):
        cursors.decode(scope + "x", cursor)


@given(st.text())
def test_other_cursors_are_refused(cursor):
    with pytest.raises(RpcRefused) as caught:
        cursors.decode("list", cursor)
    assert caught.value.rpc_code == -32602


def annotated(**property_):
    return {"type": "object", "properties": {"a": property_}}


def test_annotations_are_found_along_properties():
    schema = {
        "properties": {
            "b": {"type": "boolean", "x-mcp-header": "Flag"},
            "o": {"properties": {"i": {"type": "integer", "x-mcp-header": "Count"}}},
            "plain": {"type": "string", "default": {"x-mcp-header": "no annotation, data"}},
        }
    }
    assert [(m.path, m.header) for m in mirrors_of(schema)] == [
        (("o", "i"), b"mcp-param-count"),
        (("b",), b"mcp-param-flag"),
    ]
    assert mirrors_of(None) == mirrors_of(True) == mirrors_of({}) == ()


@pytest.mark.parametrize(
    "schema",
    [
        annotated(type="number", **{"x-mcp-header": "A"}),
        annotated(**{"x-mcp-header": "A"}),
        annotated(type=["string", "null"], **{"x-mcp-header": "A"}),
        annotated(type="string", **{"x-mcp-header": ""}),
        annotated(type="string", **{"x-mcp-header": "a b"}),
        annotated(type="string", **{"x-mcp-header": "a\r\nb"}),
        annotated(type="string", **{"x-mcp-header": 7}),
        {"type": "string", "x-mcp-header": "Root"},
        {"items": {"type": "string", "x-mcp-header": "A"}},
        {"anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]},
        {"$defs": {"a": {"type": "string", "x-mcp-header": "A"}}},
        {
            "properties": {
                "a": {"type": "string", "x-mcp-header": "A"},
                "b": {"type": "string", "x-mcp-header": "a"},
            }
        },
    ],
)
def test_annotations_that_break_the_rules_are_refused(schema):
    with pytest.raises(InvalidAnnotation):
        mirrors_of(schema)


_KEYWORDS = st.sampled_from(["properties", "items", "anyOf", "$defs", "type", "x-mcp-header", "not", "a"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.sampled_from(["string", "integer", "A"]) | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYWORDS, inner, max_size=4),
        max_leaves=12,
    )
)
def test_any_schema_has_mirrors_or_is_refused(schema):
    try:
        found = mirrors_of(schema)
    except InvalidAnnotation:
        return
    check(found, [], b"{}")


@pytest.mark.parametrize("arguments", [b'{"a":1' + b"0" * 5000 + b"}", b'{"a":1e999}', b'{"a":true}', b'{"a":[1]}'])
def test_values_that_no_header_can_repeat_are_a_mismatch(arguments):
    with pytest.raises(RpcRefused):
        check(mirrors_of(annotated(type="integer", **{"x-mcp-header": "A"})), [(b"mcp-param-a", b"1")], arguments)


@given(st.integers(), st.booleans())
def test_integers_are_compared_as_numbers(number, with_fraction):
    mirrors = mirrors_of(annotated(type="integer", **{"x-mcp-header": "A"}))
    sent = f"{number}{'.0' if with_fraction else ''}".encode()
    check(mirrors, [(b"mcp-param-a", sent)], b'{"a":%d}' % number)
    with pytest.raises(RpcRefused):
        check(mirrors, [(b"mcp-param-a", sent)], b'{"a":%d}' % (number + 1))
