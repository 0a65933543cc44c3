"""Which tool definitions are published, and what is said about the others."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.targets.definitions import MAX_DEFINITION_BYTES, InvalidDefinition, read_definition


def definition(**members):
    return json.dumps({"name": "t", "inputSchema": {"type": "object"}} | members).encode()


def reason(raw, era="modern"):
    with pytest.raises(InvalidDefinition) as caught:
        read_definition(raw, era)
    return str(caught.value)


def schema(**properties):
    return definition(inputSchema={"type": "object", "properties": properties})


def test_a_definition_is_encoded_anew_with_everything_it_holds():
    raw = b'{ "name": "t", "inputSchema": {"type":"object"}, "x-own": [1, {"a": null}], "title": "T" }'
    tool = read_definition(raw, "legacy")
    assert tool.name == "t"
    assert tool.definition == b'{"name":"t","inputSchema":{"type":"object"},"x-own":[1,{"a":null}],"title":"T"}'


def test_duplicate_members_do_not_survive():
    raw = b'{"name":"a","name":"t","inputSchema":{"type":"object","type":"object"}}'
    assert read_definition(raw, "legacy").definition == b'{"name":"t","inputSchema":{"type":"object"}}'


def test_options_that_are_null_are_left_out():
    assert b"null" not in read_definition(definition(description=None, outputSchema=None), "legacy").definition


@pytest.mark.parametrize("name", ["", "a b", "a/b", "größe", "x" * 129, "a\n", None, 5, ["t"]])
def test_a_name_outside_the_specifications_alphabet_is_left_out_with_its_name_shown_safely(name):
    said = reason(definition(name=name))
    assert "its name" in said
    assert said.isascii()
    assert "\n" not in said
    assert len(said) < 200


@pytest.mark.parametrize(
    "members",
    [
        {"inputSchema": None},
        {"inputSchema": {}},
        {"inputSchema": {"type": "array"}},
        {"inputSchema": []},
        {"outputSchema": []},
        {"annotations": "x"},
        {"description": 5},
        {"title": []},
        {"icons": {}},
    ],
)
def test_a_member_of_the_wrong_type_is_named(members):
    assert f"its {next(iter(members))}" in reason(definition(**members))


def test_size_and_depth_are_bounded():
    assert "over" in reason(definition(description="x" * MAX_DEFINITION_BYTES))
    deep = b'{"name":"t","inputSchema":' + b'{"a":' * 70 + b"1" + b"}" * 71
    assert "nested deeper" in reason(deep)
    assert "not an object" in reason(b"[" * 100_000 + b"]" * 100_000)
    assert "not an object" in reason(b"5")


def test_headers_may_be_asked_for_at_primitive_arguments_found_by_properties_alone():
    raw = schema(
        a={"type": "string", "x-mcp-header": "Region"},
        b={"type": "object", "properties": {"c": {"type": "integer", "x-mcp-header": "Count"}}},
        properties={"type": "boolean", "x-mcp-header": "Flag"},
    )
    assert b'"x-mcp-header":"Count"' in read_definition(raw, "modern").definition


def test_a_property_or_value_that_is_only_called_like_the_annotation_is_none():
    raw = schema(**{"x-mcp-header": {"type": "number"}, "a": {"default": {"x-mcp-header": ""}, "enum": [{}]}})
    assert read_definition(raw, "modern")


@pytest.mark.parametrize(
    "raw",
    [
        schema(a={"type": "string", "x-mcp-header": ""}),
        schema(a={"type": "string", "x-mcp-header": "a b"}),
        schema(a={"type": "string", "x-mcp-header": "a\r\nb"}),
        schema(a={"type": "string", "x-mcp-header": 5}),
        schema(a={"type": "number", "x-mcp-header": "A"}),
        schema(a={"type": ["string"], "x-mcp-header": "A"}),
        schema(a={"type": "string", "x-mcp-header": "A"}, b={"type": "string", "x-mcp-header": "a"}),
        schema(a={"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}),
        schema(a={"anyOf": [{"type": "string", "x-mcp-header": "A"}]}),
        schema(a={"if": {"type": "string", "x-mcp-header": "A"}}),
        definition(inputSchema={"type": "object", "x-mcp-header": "A"}),
        definition(inputSchema={"type": "object", "$defs": {"a": {"type": "string", "x-mcp-header": "A"}}}),
        definition(inputSchema={"type": "object", "allOf": [{"properties": {"a": {"x-mcp-header": "A"}}}]}),
    ],
)
def test_a_bad_header_annotation_leaves_the_tool_out_in_the_modern_era_only(raw):
    assert "x-mcp-header" in reason(raw)
    assert read_definition(raw, "legacy").name == "t"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "properties", "x-mcp-header", "items", "a"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(schema=_json, name=_json, more=_json)
def test_any_json_is_either_published_or_left_out(schema, name, more):
    raw = json.dumps({"name": name, "inputSchema": schema, "annotations": more}).encode()
    for era in ("legacy", "modern"):
        try:
            tool = read_definition(raw, era)
        except InvalidDefinition:
            continue
        assert json.loads(tool.definition)["name"] == tool.name
