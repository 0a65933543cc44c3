"""What is read out of a foreign challenge, and what is written in its place."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.facade.challenges import FORBADE, REFUSED, Challenges, read_bearer

METADATA = "https://facade.example/.well-known/oauth-protected-resource/mcp"
TAIL = f'resource_metadata="{METADATA}", scope="mcp/invoke"'
CHALLENGES = Challenges(resource_metadata=METADATA, scopes=["mcp/invoke"], scope_names={"gw/call": "mcp/invoke"})


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ([b"Bearer"], {}),
        ([b"bearer error=invalid_token"], {"error": "invalid_token"}),
        ([b'Bearer realm="a, b", error="invalid_token"'], {"realm": "a, b", "error": "invalid_token"}),
        ([b'Bearer ERROR = "invalid_token"'], {"error": "invalid_token"}),
        ([b'Bearer error_description="say \\"no\\""'], {"error_description": 'say "no"'}),
        ([b'Basic realm="x", Bearer scope="a b"'], {"scope": "a b"}),
        ([b"Negotiate abc==", b'Bearer scope="a"'], {"scope": "a"}),
        ([b'Bearer scope="a", Basic realm="x", error="y"'], {"scope": "a"}),
        ([b'Bearer scope="first", scope="second"'], {"scope": "first"}),
        ([b'Basic realm="Bearer error=invalid_token"'], None),
        ([b'Basic realm="x"'], None),
        ([b""], None),
        ([], None),
        ([b"Bearer " + b"x" * 9000], None),
    ],
    ids=range(14),
)
def test_the_first_bearer_challenge_is_read(values, fields):
    assert read_bearer(values) == fields


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_nothing_that_a_server_sends_breaks_the_reading(values):
    CHALLENGES.rewritten(401, values)
    CHALLENGES.rewritten(403, values)


@pytest.mark.parametrize(
    "evil",
    [b'Bearer a="' + b"\\" * 8000, b"Bearer " + b"a=" * 4000, b"," * 8000, b"a " * 4000, b'Bearer a="b" ' * 600],
    ids=["escapes", "equals", "commas", "words", "fields"],
)
def test_reading_takes_no_longer_than_its_length_allows(evil):
    began = time.process_time()  # what the reading costs, however little of the machine it gets
    read_bearer([evil])
    assert time.process_time() - began < 1


def test_a_401_without_a_challenge_gets_ours():
    ours = CHALLENGES.rewritten(401, []).decode()
    assert ours == f'Bearer error="invalid_token", {TAIL}, error_description="{REFUSED}"'


def test_a_401_that_points_at_the_provider_points_at_us():
    theirs = b'Bearer resource_metadata="https://idp.example/meta", error="invalid_token", error_description="expired"'
    ours = CHALLENGES.rewritten(401, [theirs]).decode()
    assert ours == f'Bearer error="invalid_token", {TAIL}, error_description="expired"'


def test_a_missing_scope_is_asked_for_by_the_name_that_it_has_here():
    theirs = b'Bearer error="insufficient_scope", scope="gw/call other"'
    ours = CHALLENGES.rewritten(403, [theirs]).decode()
    assert ours == f'Bearer error="insufficient_scope", {TAIL}, error_description="{FORBADE}"'


@pytest.mark.parametrize(
    "scope", ["unknown", "\x01", "x" * 5000, "offline_access"], ids=["unknown", "no scope", "too long", "offline"]
)
def test_scopes_that_nobody_here_knows_become_all_of_ours(scope):
    theirs = f'Bearer error="insufficient_scope", scope="{scope}"'.encode("latin-1")
    assert b'scope="mcp/invoke"' in CHALLENGES.rewritten(403, [theirs])


@pytest.mark.parametrize(
    ("status", "value"),
    [(403, b""), (403, b"Bearer"), (403, b'Bearer error="access_denied"'), (403, b'Basic realm="x"'), (200, b"Bearer")],
)
def test_what_asks_for_no_other_token_has_no_challenge(status, value):
    assert CHALLENGES.rewritten(status, [value]) is None


@pytest.mark.parametrize(
    "text",
    ['x", resource_metadata=https://evil.example', "a\r\nset-cookie: b", "=".join("abc")],
    ids=["field", "header", "equals"],
)
def test_a_description_cannot_add_a_field(text):
    escaped = text.replace('"', '\\"')
    ours = CHALLENGES.rewritten(401, [f'Bearer error_description="{escaped}"'.encode()])
    assert ours.count(b"=") == 4
    assert b"\r" not in ours
    assert read_bearer([ours])["resource_metadata"] == METADATA
