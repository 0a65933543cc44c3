import pytest

from portico.model.errors import InputError
from portico.oauth.scope import advertised, parse_scope, scopes_of


def test_a_scope_parameter_keeps_order_and_says_each_once():
    assert parse_scope("b  a b") == ("b", "a")
    assert parse_scope("") == ()


@pytest.mark.case("B21")
@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\tb", "a\nb", "ü", "a" * 5000, "a\x7f", "a\n"])
def test_characters_that_no_scope_may_hold_are_refused(text):
    with pytest.raises(InputError):
        parse_scope(text)


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "a b"}, {"a", "b"}),
        ({"scp": "a b"}, {"a", "b"}),
        ({"scp": ["a", "b c", 5, None]}, {"a", "b c"}),
        ({"scope": ["a"], "scp": "b"}, {"a", "b"}),
        ({"scope": {"a": 1}, "scp": 7}, set()),
        ({}, set()),
    ],
)
def test_scopes_come_from_scope_or_scp_as_text_or_list(claims, scopes):
    assert scopes_of(claims) == scopes


@pytest.mark.case("E13")
def test_offline_access_and_what_is_no_scope_are_not_advertised():
    assert advertised(["offline_access", "a", "b c", "a"]) == ("a",)
