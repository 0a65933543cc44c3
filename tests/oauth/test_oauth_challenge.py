import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.model.errors import InsufficientScope, InvalidToken, MissingToken
from portico.oauth.challenge import bearer_challenge

METADATA = "https://gw.example/.well-known/oauth-protected-resource/g/a/mcp"


def field(challenge, name):
    """Find a field the way MCP clients do: by a regular expression over the whole header."""
    found = re.search(rf'{name}=(?:"([^"]+)"|([^\s,]+))', challenge.decode("ascii"))
    return found and (found[1] or found[2])


@pytest.mark.case("E05")
def test_without_a_token_there_is_no_error_code():
    challenge = bearer_challenge(MissingToken("Send a token."), resource_metadata=METADATA, scopes=["a", "b"])
    assert challenge == f'Bearer resource_metadata="{METADATA}", scope="a b"'.encode()


@pytest.mark.case("E06")
def test_a_bad_token_is_told_so():
    challenge = bearer_challenge(InvalidToken("Not valid here."), resource_metadata=METADATA, scopes=["a"])
    assert challenge.startswith(b'Bearer error="invalid_token", ')
    assert field(challenge, "resource_metadata") == METADATA
    assert field(challenge, "error_description") == "Not valid here."


@pytest.mark.case("E06")
def test_a_small_scope_is_told_all_scopes_at_once():
    challenge = bearer_challenge(
        InsufficientScope("No."), resource_metadata=METADATA, scopes=["mcp/invoke", "mcp/list"]
    )
    assert field(challenge, "error") == "insufficient_scope"
    assert field(challenge, "scope") == "mcp/invoke mcp/list"


@pytest.mark.case("E13")
def test_offline_access_is_never_asked_for():
    challenge = bearer_challenge(InvalidToken("x"), resource_metadata=METADATA, scopes=["offline_access", "a"])
    assert field(challenge, "scope") == "a"
    assert b"scope" not in bearer_challenge(
        MissingToken("x"), resource_metadata=METADATA, scopes=["offline_access", 'b"ad', "two words"]
    )


def test_the_hint_shows_in_debug_mode_only():
    error = InvalidToken("Not valid here.", debug_hint="The token has expired.")
    assert b"expired" not in bearer_challenge(error, resource_metadata=METADATA)
    assert b"expired" in bearer_challenge(error, resource_metadata=METADATA, debug=True)


def test_text_of_a_token_cannot_forge_a_field_or_split_the_header():
    hint = 'x", scope="admin", resource_metadata=https://evil.example\r\nSet-Cookie: a=b \\" ü'
    challenge = bearer_challenge(InvalidToken("No.", debug_hint=hint), resource_metadata=METADATA, debug=True)
    assert field(challenge, "scope") is None
    assert field(challenge, "resource_metadata") == METADATA
    assert b"\r" not in challenge
    assert b"\n" not in challenge


@settings(deadline=None)
@given(st.text(), st.text(max_size=60), st.lists(st.text(max_size=10)))
def test_any_text_gives_one_clean_challenge(text, url, scopes):
    challenge = bearer_challenge(InvalidToken(text, debug_hint=text), resource_metadata=url, scopes=scopes, debug=True)
    assert re.fullmatch(
        rb'Bearer [a-z_]+="[\x20-\x21\x23-\x5b\x5d-\x7e]*"(, [a-z_]+="[\x20-\x21\x23-\x5b\x5d-\x7e]*")*', challenge
    )
