"""Parameters, PKCE, scopes and resources as pure rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.model.errors import ConfigError
from portico.model.oauth_errors import InvalidGrant, InvalidRequest, InvalidScope, InvalidTarget, OAuthError
from portico.oauth.authorize import judge_scopes, redirect_with
from portico.oauth.issuer_settings import parse_issuer_settings
from portico.oauth.parameters import MAX_PARAMETERS, Parameters
from portico.oauth.pkce import judge_challenge, judge_verifier
from portico.oauth.refusal import refusal
from portico.oauth.resource_indicator import choose_resource, same_resource

#: RFC 7636 appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

GATEWAY = "https://h.example/g/a/mcp"
OTHER = "https://h.example/g/b/mcp"


def test_the_example_of_the_rfc_fits():
    assert judge_challenge(CHALLENGE, "S256") == CHALLENGE
    judge_verifier(VERIFIER, CHALLENGE)


@pytest.mark.case("B03", "B04")
@pytest.mark.parametrize("verifier", ["", "x" * 42, "x" * 129, VERIFIER[:-1] + "K", VERIFIER + "\n", CHALLENGE])
def test_no_other_verifier_fits(verifier: str):
    with pytest.raises(InvalidGrant):
        judge_verifier(verifier, CHALLENGE)
    with pytest.raises(InvalidGrant):
        judge_verifier(VERIFIER, "")


@pytest.mark.case("B01", "B02")
@pytest.mark.parametrize(
    ("challenge", "method"),
    [
        ("", "S256"),
        (CHALLENGE, ""),
        (CHALLENGE, "plain"),
        (CHALLENGE, "s256"),
        (CHALLENGE + "\n", "S256"),
        (CHALLENGE[:42], "S256"),
        ("a" * 129, "S256"),
        (CHALLENGE[:-1] + "=", "S256"),
        (CHALLENGE[:-1] + "+", "S256"),
    ],
)
def test_no_other_challenge_is_taken(challenge: str, method: str):
    with pytest.raises(InvalidRequest):
        judge_challenge(challenge, method)


@pytest.mark.case("B01", "B02")
@pytest.mark.parametrize(("challenge", "method"), [("", "S256"), ("", "plain"), (CHALLENGE, ""), ("short", "S256")])
def test_who_is_excused_from_pkce_sends_a_whole_challenge_or_none(challenge: str, method: str):
    assert judge_challenge("", "", required=False) == ""
    assert judge_challenge(CHALLENGE, "S256", required=False) == CHALLENGE
    with pytest.raises(InvalidRequest):
        judge_challenge(challenge, method, required=False)


@pytest.mark.case("B03", "B04", "T4")
def test_a_verifier_comes_with_every_challenge_and_with_nothing_else():
    judge_verifier("", "", required=False)
    judge_verifier(VERIFIER, CHALLENGE, required=False)
    for verifier, challenge in ((VERIFIER, ""), ("x", ""), ("", CHALLENGE)):
        with pytest.raises(InvalidGrant):
            judge_verifier(verifier, challenge, required=False)
    with pytest.raises(InvalidGrant):
        judge_verifier("", "")


def test_an_empty_parameter_is_as_good_as_none_and_a_plus_is_a_space():
    parameters = Parameters.parse(b"a=&b=1+2&c=%C3%A9&&d")
    assert parameters.pairs == (("b", "1 2"), ("c", "é"))
    assert parameters.one("a") == ""


@pytest.mark.case("C17")
@pytest.mark.parametrize(
    "text", [b"a=%zz", b"a=%", b"a=\xff", b"%ff=1", b"a=b%00c", b"%00=1", b"&".join([b"a=1"] * (MAX_PARAMETERS + 1))]
)
def test_malformed_parameters_are_refused(text: bytes):
    with pytest.raises(InvalidRequest):
        Parameters.parse(text)


@given(st.binary(max_size=200))
def test_parsing_parameters_ends_in_a_value_or_in_a_refusal(text: bytes):
    try:
        parameters = Parameters.parse(text)
        parameters.no_repeats(but="resource")
    except InvalidRequest:
        return
    assert len({name for name, _ in parameters.pairs if name != "resource"}) <= len(parameters.pairs)


@pytest.mark.case("B21", "C10")
def test_scopes_come_in_the_issuers_order_each_once():
    assert judge_scopes("b a b", allowed=("a", "b", "c"), default=()) == ("a", "b")
    assert judge_scopes("", allowed=("a",), default=("a",)) == ("a",)
    assert judge_scopes("openid email", allowed=("a",), default=("a",)) == ("a",)
    assert judge_scopes("openid", allowed=("openid",), default=()) == ("openid",)
    for scope in ("d", "a d", 'a"', "a\\", "a\nb", "é", "a" * 5000):
        with pytest.raises(InvalidScope):
            judge_scopes(scope, allowed=("a",), default=("a",))


@pytest.mark.case("B19", "B20", "D12")
def test_a_resource_is_a_gateway_or_one_of_its_targets():
    def choose(*asked: str, default: str = "") -> str:
        return choose_resource(asked, default=default, resources=[GATEWAY, OTHER])

    assert choose(GATEWAY) == choose(GATEWAY + "/") == choose("HTTPS://H.example:443/g/a/mcp") == GATEWAY
    assert choose(GATEWAY + "/calculator") == GATEWAY + "/calculator"
    assert choose(default=OTHER) == OTHER
    refused = [
        GATEWAY + "-other",
        GATEWAY + "/a/b",
        GATEWAY + "/a_b",
        GATEWAY + "#",
        GATEWAY + "?",
        "/g/a/mcp",
        "x",
        "",
    ]
    for resource in refused:
        with pytest.raises(InvalidTarget):
            choose(resource)
    with pytest.raises(InvalidTarget):
        choose(GATEWAY, OTHER)
    with pytest.raises(InvalidTarget) as ambiguous:
        choose()
    assert GATEWAY in ambiguous.value.public
    assert OTHER in ambiguous.value.public


def test_the_only_gateway_is_meant_when_none_is_named():
    assert choose_resource((), default="", resources=[GATEWAY]) == GATEWAY
    assert choose_resource((), default="", resources=[GATEWAY, GATEWAY + "/calculator"]) == GATEWAY
    with pytest.raises(InvalidTarget):
        choose_resource((), default="", resources=[])


@pytest.mark.case("C06")
def test_the_resource_of_a_token_request_is_the_authorized_one():
    same_resource((), GATEWAY)
    same_resource((GATEWAY, GATEWAY + "/"), GATEWAY)
    for asked in ((OTHER,), (GATEWAY, OTHER), (GATEWAY + "/calculator",)):
        with pytest.raises(InvalidTarget):
            same_resource(asked, GATEWAY)


def test_parameters_are_added_to_whatever_query_there_is():
    assert redirect_with("http://a/cb", {"x": "1 2", "y": ""}) == "http://a/cb?x=1+2"
    assert redirect_with("http://a/cb?z=1", {"x": "1"}) == "http://a/cb?z=1&x=1"
    assert redirect_with("http://a/cb?", {"x": "1"}) == "http://a/cb?x=1"


@pytest.mark.case("G11", "T26")
@given(st.text(max_size=400))
def test_descriptions_hold_only_what_the_rfc_allows(text: str):
    told = refusal(OAuthError(text))["error_description"]
    assert len(told) <= 300
    assert all(c in "\x20\x21" or "\x23" <= c <= "\x5b" or "\x5d" <= c <= "\x7e" for c in told)


def test_an_issuers_settings_are_judged_all_at_once():
    with pytest.raises(ConfigError) as refused:
        parse_issuer_settings(
            "Main",
            {
                "name": "other",
                "accessTokenSeconds": 5,
                "refreshIdleSeconds": 1,
                "refreshAbsoluteSeconds": 0,
                "scopes": ["a b"],
                "defaultScopes": ["c"],
                "scopeDescriptions": {"d": "D"},
                "allowedRedirectUris": ["http://localhost/cb", "javascript:x", "https://app.example/cb"],
            },
        )
    paths = {fault.path.removeprefix("issuers.Main.") for fault in refused.value.faults}
    assert paths == {
        *("name", "accessTokenSeconds", "refreshIdleSeconds", "refreshAbsoluteSeconds"),
        *("scopes", "defaultScopes", "scopeDescriptions", "allowedRedirectUris"),
    }


@pytest.mark.parametrize("document", [{"scope": ["x"]}, {"scopes": "x"}, {"scopes": []}, {"accessTokenSeconds": "x"}])
def test_an_issuers_settings_have_no_unknown_members_and_no_wrong_types(document: dict):
    with pytest.raises(ConfigError):
        parse_issuer_settings("main", document)


def test_an_issuer_needs_no_settings_at_all():
    settings = parse_issuer_settings("main", {})
    assert settings.scopes == ("mcp/invoke",)
    assert settings.access_token_seconds == 900
