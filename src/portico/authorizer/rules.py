"""A gateway's rules on the claims of a verified token: AND across the fields that are set, OR inside each.

As AgentCore Gateway judges (developer guide, "Inbound JWT authorizer"): audience → 401, client, scope and custom claims
→ 403. Judged on every request, so that a rule that was tightened ends tokens that were accepted a moment ago.
"""

from collections.abc import Iterable
from typing import Any, Final, assert_never, cast

from portico.model.errors import InsufficientScope
from portico.model.gateway import ClaimRule, JwtAuthorizer
from portico.oauth.access_token import AccessToken
from portico.oauth.jwt import quoted, refused

MAX_LISTED: Final = 5  #: values of a list that a hint quotes

#: Where issuers that are not Cognito name the client: Entra v2 and Keycloak, Entra v1, Okta.
OTHER_CLIENT_CLAIMS: Final = ("azp", "appid", "cid")


def judge(rules: JwtAuthorizer, token: AccessToken, *, audience: frozenset[str], own: bool) -> None:
    """Judge a token whose signature, kind and time are right.

    ``audience`` are the resources of the endpoint that is called: a token of one of our ``own`` issuers must name one
    of them, whatever ``allowedAudience`` says. A foreign issuer's token needs at least one field that is set.

    Raises:
        InvalidToken: it is not for this audience.
        InsufficientScope: client, scope or a custom claim do not match.
    """
    if own:
        if token.audiences.isdisjoint(audience):
            raise refused(
                f"The token is for {_listed(token.audiences)}, not for {_listed(audience)}; "
                "ask for a token with that resource."
            )
    elif not (rules.allowed_audience or rules.allowed_clients or rules.allowed_scopes or rules.custom_claims):
        raise refused("The gateway's authorizer has no rule; set allowedAudience, allowedClients or allowedScopes.")
    if rules.allowed_audience and token.audiences.isdisjoint(rules.allowed_audience):
        raise refused(
            f"The token's aud is {_listed(token.audiences)} and not in the gateway's allowedAudience; "
            "add it there or ask for a token with another audience."
        )
    if rules.allowed_clients and token.client_id not in rules.allowed_clients:
        raise _forbidden(_client_hint(token))
    if rules.allowed_scopes and token.scopes.isdisjoint(rules.allowed_scopes):
        raise _forbidden(
            f"The token's scopes are {_listed(token.scopes)}; the gateway's allowedScopes ask for at least one of "
            f"{_listed(rules.allowed_scopes)}."
        )
    for rule in rules.custom_claims:
        _judge_claim(rule, token.claims)


def _judge_claim(rule: ClaimRule, claims: dict[str, Any]) -> None:
    if not _fits(rule, claims.get(rule.claim)):
        actual = quoted(claims[rule.claim]) if rule.claim in claims else "missing"
        raise _forbidden(
            f"The claim {rule.claim} is {actual}; the gateway's customClaims ask for {rule.value_type} "
            f"{rule.operator} {_listed(rule.values)}."
        )


def _fits(rule: ClaimRule, value: object) -> bool:
    match rule.operator:
        case "EQUALS":
            return isinstance(value, str) and value in rule.values
        case "CONTAINS" | "CONTAINS_ANY":
            items = cast("list[object]", value) if isinstance(value, list) else []
            return any(isinstance(item, str) and item in rule.values for item in items)
        case _:
            assert_never(rule.operator)


def _client_hint(token: AccessToken) -> str:
    if token.client_id:
        return f"The token's client_id {quoted(token.client_id)} is not in the gateway's allowedClients; add it there."
    for name in OTHER_CLIENT_CLAIMS:
        if name in token.claims:
            return (
                f"The token has no client_id, which is all that allowedClients compares. It names its client in "
                f"{name} ({quoted(token.claims[name])}): use customClaims with {name} STRING EQUALS instead."
            )
    return "The token has no client_id, which is all that allowedClients compares; use allowedAudience or customClaims."


def _forbidden(hint: str) -> InsufficientScope:
    return InsufficientScope("The access token does not permit this.", detail=hint, debug_hint=hint)


def _listed(values: Iterable[str]) -> str:
    names = sorted(values)
    if not names:
        return "nothing"
    return ", ".join(quoted(name) for name in names[:MAX_LISTED]) + (", ..." if len(names) > MAX_LISTED else "")
