"""The fast proofs of single members and bounded depth, against slow references."""

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portico.protocol.strict_json import MAX_DEPTH, RepeatedMember, TooDeep, check_depth, members

KNOWN = frozenset({"id", "method", "params"})


def reference(text):
    """Read ``text`` with every pair; returns the members as JSON texts, or the name that is refused."""
    pairs = json.loads(text, object_pairs_hook=tuple)
    seen = set()
    for key, _ in pairs:
        folded = key.casefold()
        if folded in seen or (key not in KNOWN and folded in {name.casefold() for name in KNOWN}):
            return None
        seen.add(folded)
    return [key for key, _ in pairs]


def braced(text):
    return "{" + text + "}"


def quoted(text):
    return f'"{text}"'


_SPACE = st.text(alphabet=" \t\r\n", max_size=2)
_NAMES = st.sampled_from(
    ["id", "ID", "Id", "method", "params", "a", "b", "é", '"', "\\", "\u212a", "k", "", "\u017f", "s"]
)
_SCALARS = st.sampled_from(
    ["1", "12", "-1", "1.5", "1e3", "true", "false", "null", '""', '"a,b"', '"}"', '"\\""', '"\\\\"']
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]")
        | st.lists(st.tuples(_NAMES, inner), max_size=3).map(
            lambda pairs: braced(", ".join(f"{json.dumps(key)}: {value}" for key, value in pairs))
        )
    ),
    max_leaves=6,
)
_KEYS = st.one_of(
    _NAMES.map(json.dumps),
    _NAMES.map(lambda name: json.dumps(name, ensure_ascii=False)),
    _NAMES.map(lambda name: quoted("".join(f"\\u{ord(c):04x}" for c in name))),
)


@st.composite
def objects(draw):
    """The text of an object in any spelling, often with repeated members."""
    parts = [
        f"{draw(_SPACE)}{draw(_KEYS)}{draw(_SPACE)}:{draw(_SPACE)}{draw(_VALUES)}{draw(_SPACE)}"
        for _ in range(draw(st.integers(0, 5)))
    ]
    compact = draw(st.booleans())
    text = braced(",".join(part.strip() if compact else part for part in parts))
    return (text if compact else draw(_SPACE) + text + draw(_SPACE)).encode()


@settings(max_examples=1500)
@given(objects())
@example(b'{"id":1,"id":12}')
@example(b'{"id":12,"id":1}')
@example(b'{"id":1,"i\\u0064":1}')
@example(b'{"id":1 ,"id":1}')
@example(b'{"a":"\\"","a":"\\""}')
@example(b"{ }")
@example(b'{"":1,"":1}')
def test_repeated_members_are_found_as_the_reference_finds_them(text):
    expected = reference(text.decode())
    try:
        found = members(text, KNOWN)
    except RepeatedMember:
        assert expected is None
    else:
        assert list(found) == expected
        whole = json.loads(text)
        assert {key: json.loads(bytes(value)) for key, value in found.items()} == whole


@given(st.binary(max_size=60) | objects().map(lambda text: text[:-1]))
def test_what_is_no_object_is_refused_by_the_decoder_and_nothing_else(text):
    try:
        members(text, KNOWN)
    except (msgspec.DecodeError, RepeatedMember, UnicodeDecodeError):
        return
    with suppress(UnicodeDecodeError):  # whoever calls has looked at the encoding before
        assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize("name", ["ID", "Method", "PARAMS", "param\u017f"])
def test_a_name_that_differs_from_a_known_one_by_case_is_refused(name):
    with pytest.raises(RepeatedMember):
        members(json.dumps({name: 1}).encode(), KNOWN)


def test_a_long_object_is_walked_in_linear_time():
    text = json.dumps({f"k{n}": "x" * 20 for n in range(20_000)}).encode()  # with spaces: the long way
    assert len(members(text, KNOWN)) == 20_000


def _depth(text):
    deepest = depth = 0
    inside = escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif inside:
            escaped = character == "\\"
            inside = character != '"'
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


@given(st.text(alphabet='[]{}"\\a,:', max_size=300), st.integers(0, 80))
def test_depth_is_judged_as_the_reference_judges_it(text, more):
    text = "[" * more + text
    opened = _depth(text)
    try:
        check_depth(text.encode())
    except TooDeep:
        assert opened > MAX_DEPTH or '"' in text  # an open string is no JSON anyhow
    else:
        assert opened <= MAX_DEPTH or text.count("[") + text.count("{") <= MAX_DEPTH


@given(_VALUES, st.integers(0, 2 * MAX_DEPTH))
def test_valid_texts_are_refused_exactly_when_they_are_too_deep(value, more):
    text = '{"a":' * more + value + "}" * more
    assert json.loads(text) is not Ellipsis
    refused = False
    try:
        check_depth(text.encode())
    except TooDeep:
        refused = True
    assert refused == (_depth(text) > MAX_DEPTH)


def test_brackets_in_strings_do_not_count():
    check_depth(json.dumps({"a": "[{" * 1000 + '\\"[' * 100}).encode())


def test_an_enormous_depth_is_refused_at_once():
    with pytest.raises(TooDeep):
        check_depth(b"[" * 1_000_000)
