import pytest

from portico.authorizer.rules import judge
from portico.model.errors import InsufficientScope, InvalidToken
from portico.model.gateway import ClaimRule, JwtAuthorizer
from portico.oauth.access_token import AccessToken
from portico.oauth.scope import scopes_of

GATEWAY = "https://gw.example/g/a/mcp"
OURS = frozenset({GATEWAY})


def token(*, aud=(), **claims):
    return AccessToken(
        issuer="https://i.example",
        subject="alice",
        client_id=claims.get("client_id", ""),
        audiences=frozenset(aud),
        scopes=scopes_of(claims),
        expires_at=2e9,
        not_before=0,
        claims=claims,
    )


def rules(**fields):
    lists = {name: frozenset(value) if isinstance(value, list) else value for name, value in fields.items()}
    return JwtAuthorizer(discovery_url="https://i.example/.well-known/openid-configuration", **lists)


def claim(name, operator, *values):
    value_type = "STRING" if operator == "EQUALS" else "STRING_ARRAY"
    return (ClaimRule(claim=name, value_type=value_type, operator=operator, values=frozenset(values)),)


def refusal(error, rule, judged, *, own=False):
    with pytest.raises(error) as refused:
        judge(rule, judged, audience=OURS, own=own)
    return refused.value.debug_hint


@pytest.mark.case("D12")
@pytest.mark.parametrize(
    "aud",
    [[], ["other"], [GATEWAY[:-1]], [GATEWAY + "-other"], [GATEWAY + "/"], [GATEWAY.upper()], ["https://gw.example"]],
)
def test_our_own_token_must_name_this_gateway_exactly(aud):
    assert "resource" in refusal(InvalidToken, rules(), token(aud=aud), own=True)


@pytest.mark.case("D12", "T18")
def test_our_own_audience_rule_holds_whatever_the_lists_allow():
    permissive = rules(allowed_audience=["other"], allowed_clients=["c"])
    refusal(InvalidToken, permissive, token(aud=["other"], client_id="c"), own=True)
    judge(rules(), token(aud=["other", GATEWAY]), audience=OURS, own=True)


@pytest.mark.case("D12")
def test_a_foreign_token_needs_one_of_the_allowed_audiences():
    rule = rules(allowed_audience=["api://a", "api://b"])
    judge(rule, token(aud=["x", "api://b"]), audience=OURS, own=False)
    for aud in ([], ["api://c"], ["api://a-other"], ["api://"]):
        assert "allowedAudience" in refusal(InvalidToken, rule, token(aud=aud))


def test_without_any_rule_no_foreign_token_passes():
    refusal(InvalidToken, rules(), token(aud=[GATEWAY], client_id="c"))


@pytest.mark.case("D13")
def test_allowed_clients_compares_client_id_only():
    rule = rules(allowed_clients=["c1", "c2"])
    judge(rule, token(client_id="c2"), audience=OURS, own=False)
    assert "'c3'" in refusal(InsufficientScope, rule, token(client_id="c3"))
    assert "allowedAudience" in refusal(InsufficientScope, rule, token())


@pytest.mark.parametrize("name", ["azp", "appid", "cid"])
def test_a_client_under_another_name_is_refused_with_the_way_out(name):
    hint = refusal(InsufficientScope, rules(allowed_clients=["c1"]), token(**{name: "c1"}))
    assert f"customClaims with {name}" in hint
    judge(rules(custom_claims=claim(name, "EQUALS", "c1")), token(**{name: "c1"}), audience=OURS, own=False)


@pytest.mark.parametrize("carried", [{"scope": "x a"}, {"scp": "a"}, {"scp": ["x", "a"]}, {"scope": ["a"]}])
def test_one_allowed_scope_is_enough_wherever_it_stands(carried):
    judge(rules(allowed_scopes=["a", "b"]), token(**carried), audience=OURS, own=False)


@pytest.mark.case("E06")
@pytest.mark.parametrize("carried", [{}, {"scope": ""}, {"scope": "ab"}, {"scp": ["a b"]}, {"scope": {"a": 1}}])
def test_no_allowed_scope_is_insufficient(carried):
    assert "allowedScopes" in refusal(InsufficientScope, rules(allowed_scopes=["a", "b"]), token(**carried))


@pytest.mark.parametrize(
    ("rule", "value", "fits"),
    [
        (claim("g", "EQUALS", "x"), "x", True),
        (claim("g", "EQUALS", "x"), "X", False),
        (claim("g", "EQUALS", "x"), ["x"], False),
        (claim("g", "EQUALS", "1"), 1, False),
        (claim("g", "EQUALS", "true"), True, False),
        (claim("g", "EQUALS", "x"), None, False),
        (claim("g", "CONTAINS", "x"), ["y", "x"], True),
        (claim("g", "CONTAINS", "x"), ["xy"], False),
        (claim("g", "CONTAINS", "x"), "x", False),
        (claim("g", "CONTAINS", "1"), [1, None, {}], False),
        (claim("g", "CONTAINS_ANY", "x", "y"), ["z", "y"], True),
        (claim("g", "CONTAINS_ANY", "x", "y"), ["z"], False),
        (claim("g", "CONTAINS_ANY", "x", "y"), [], False),
        (claim("g", "CONTAINS_ANY", "x", "y"), {"x": 1}, False),
        (claim("h", "EQUALS", "x"), "x", False),
    ],
)
def test_custom_claims_by_type_and_operator(rule, value, fits):
    if fits:
        judge(rules(custom_claims=rule), token(g=value), audience=OURS, own=False)
    else:
        assert "customClaims" in refusal(InsufficientScope, rules(custom_claims=rule), token(g=value))


def test_every_field_that_is_set_must_hold():
    good = {"aud": ["A"], "client_id": "c", "scope": "s", "g": "x", "h": ["y"]}
    rule = rules(
        allowed_audience=["A"],
        allowed_clients=["c"],
        allowed_scopes=["s"],
        custom_claims=(*claim("g", "EQUALS", "x"), *claim("h", "CONTAINS", "y")),
    )
    judge(rule, token(**good), audience=OURS, own=False)
    for name, error in {"aud": InvalidToken, "client_id": InsufficientScope, "scope": InsufficientScope}.items():
        refusal(error, rule, token(**{**good, name: "wrong"}))
    for name in ("g", "h"):
        refusal(InsufficientScope, rule, token(**{**good, name: ["wrong"]}))


def test_a_hint_quotes_little_of_a_long_value():
    hint = refusal(InsufficientScope, rules(custom_claims=claim("g", "EQUALS", "x")), token(g="s" * 5000))
    assert len(hint) < 400
    many = refusal(InvalidToken, rules(allowed_audience=["a"]), token(aud=[f"{n}" * 300 for n in range(50)]))
    assert len(many) < 1400
