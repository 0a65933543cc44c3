"""Who a person is by a provider's claims, and whether they are let in."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, strategies

from portico.model.oauth_errors import AccessDenied, ServerError
from portico.oauth.connector_settings import ConnectorSettings
from portico.oauth.provider_adapters import adapter_of
from portico.oauth.upstream_person import lacks, merged_claims, person_of, primary_email

TYPES = ("oidc", "cognito", "entra", "okta", "auth0", "keycloak", "google", "github")


def settings(type_="oidc", **more):
    return ConnectorSettings(name="corp", type=type_, client_id="portico", **more)


CLAIMS = {"sub": "248289761001", "name": "Ada\u202e Lovelace", "email": "Ada@Example.com", "email_verified": True}


def person(claims=CLAIMS, made=None, **changes):
    made = made or settings(**changes)
    return person_of(claims, adapter_of(made), made)


def test_a_person_has_a_subject_and_a_name_to_read():
    made = person()
    assert (made.connector, made.subject, made.name, made.email) == (
        "corp",
        "248289761001",
        "Ada Lovelace",
        "ada@example.com",
    )
    assert person({"sub": "x"}) == replace(made, subject="x", name="", email="")


def test_vendors_say_who_it_is_in_other_claims():
    entra = {"sub": "pairwise", "oid": "o-1", "tid": "t-1", "preferred_username": "ada@corp"}
    assert person(entra, settings("entra")).subject == "o-1:t-1"
    assert person(entra, settings("entra")).name == "ada@corp"
    github = {"id": 583231, "login": "ada", "name": None, "email": None}
    assert (person(github, settings("github")).subject, person(github, settings("github")).name) == ("583231", "ada")
    assert person({"uid": "u"}, subject_claim="uid").subject == "u"


@pytest.mark.parametrize(
    "claims", [{}, {"sub": ""}, {"sub": True}, {"sub": None}, {"sub": ["a"]}, {"sub": "a\x00"}, {"sub": "x" * 256}]
)
def test_nobody_in_particular_logs_in(claims):
    with pytest.raises(ServerError):
        person(claims)


def test_two_claims_cannot_be_cut_in_two_ways():
    with pytest.raises(ServerError):
        person({"oid": "a:b", "tid": "c"}, settings("entra"))


def test_claims_of_two_people_are_not_mixed():
    assert merged_claims({"sub": "a"}, {"sub": "a", "name": "A"})["name"] == "A"
    assert merged_claims({"sub": "a", "name": "signed"}, {"sub": "a", "name": "not"})["name"] == "signed"
    for userinfo in ({"sub": "b", "name": "B"}, {"name": "B"}):
        with pytest.raises(ServerError):
            merged_claims({"sub": "a"}, userinfo)


@pytest.mark.parametrize(
    ("rules", "changes", "let_in"),
    [
        ({"allowed_domains": ("example.com",)}, {}, True),
        ({"allowed_domains": ("other.example", "example.com")}, {"email_verified": "true"}, True),
        ({"allowed_domains": ("example.com",)}, {"email_verified": False}, False),
        ({"allowed_domains": ("example.com",)}, {"email_verified": "yes"}, False),
        ({"allowed_domains": ("example.com",)}, {"email_verified": None}, False),
        ({"allowed_domains": ("example.com",)}, {"email": "ada@example.com.evil.example"}, False),
        ({"allowed_domains": ("example.com",)}, {"email": "ada@evil.example@example.com"}, False),
        ({"allowed_domains": ("example.com",)}, {"email": "ada@sub.example.com"}, False),
        ({"allowed_domains": ("example.com",)}, {"email": "ada@\uff45xample.com"}, False),
        ({"allowed_domains": ("example.com",)}, {"email": None}, False),
        ({"allowed_emails": ("ada@example.com",)}, {}, True),
        ({"allowed_emails": ("ada@example.com",)}, {"email_verified": False}, False),
        ({"allowed_emails": ("grace@example.com",)}, {}, False),
        ({"allowed_emails": ("grace@x.example",), "allowed_domains": ("example.com",)}, {}, True),
        ({"required_claims": {"groups": ("staff",)}}, {"groups": ["all", "staff"]}, True),
        ({"required_claims": {"groups": ("staff",)}}, {"groups": "staff"}, True),
        ({"required_claims": {"groups": ("staff",)}}, {"groups": "staffing"}, False),
        ({"required_claims": {"groups": ("staff",)}}, {}, False),
        ({"required_claims": {"groups": ("staff",), "x": ("1",)}}, {"groups": "staff"}, False),
        ({"required_claims": {"admin": ("true",), "level": ("3",)}}, {"admin": True, "level": 3}, True),
        ({"required_claims": {"g": ("a",)}, "allowed_domains": ("o.example",)}, {"g": "a"}, False),
        ({"required_claims": {"groups": ("staff",)}}, {"groups": {"staff": 1}}, False),
    ],
)
def test_only_accounts_that_the_rules_name_are_let_in(rules, changes, let_in):
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    if let_in:
        assert person(claims, **rules).subject == CLAIMS["sub"]
    else:
        with pytest.raises(AccessDenied):
            person(claims, **rules)


def test_google_says_itself_whose_account_it_is():
    rules = {"allowed_domains": ("example.com",)}
    assert person(CLAIMS | {"hd": "example.com", "email_verified": None}, settings("google", **rules))
    with pytest.raises(AccessDenied):  # a personal account with an address of the company
        person(CLAIMS, settings("google", **rules))


def test_entra_s_address_is_nobody_s_proof_by_itself():
    claims = CLAIMS | {"oid": "o", "tid": "t"}
    rules = {"allowed_emails": ("ada@example.com",)}
    with pytest.raises(AccessDenied):
        person(claims, settings("entra", **rules))
    assert person(claims | {"xms_edov": 1}, settings("entra", **rules))


def test_github_s_primary_address_is_the_one():
    old = {"email": "old@x.example", "primary": False, "verified": True}
    assert primary_email([old, {"email": "a@x.example", "primary": True}]) == {
        "email": "a@x.example",
        "email_verified": False,
    }
    assert primary_email("x") == primary_email([]) == primary_email(["x"]) == {}


def test_userinfo_is_asked_only_for_what_is_open():
    def open_questions(claims, **more):
        made = settings(**more)
        return lacks(claims, adapter_of(made), made)

    assert not open_questions({"sub": "a", "name": "A", "email": "a@b"})
    assert open_questions({"sub": "a", "name": "A"})
    assert open_questions({"sub": "a", "name": "A", "email": "a@b"}, allowed_domains=("b",))
    assert open_questions({"sub": "a", "name": "A", "email": "a@b"}, required_claims={"groups": ("x",)})


CLAIM_NAMES = ("sub", "oid", "tid", "id", "name", "email", "email_verified", "xms_edov", "hd", "groups", "login")
JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    max_leaves=5,
)


@given(strategies.dictionaries(strategies.sampled_from(CLAIM_NAMES), JSON), strategies.sampled_from(TYPES))
def test_whatever_the_claims_are_there_is_a_person_or_a_refusal(claims, type_):
    made = settings(type_, allowed_domains=("example.com",), required_claims={"groups": ("staff",)})
    with contextlib.suppress(AccessDenied, ServerError):
        assert person_of(claims, adapter_of(made), made).subject
