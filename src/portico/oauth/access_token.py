"""What makes a verified JWT an access token (RFC 9068), and what it says in typed form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from portico.oauth.jwt import VerifiedToken, quoted, refused
from portico.oauth.scope import scopes_of

LEEWAY: Final = 30.0  #: seconds that the clocks of an issuer and ours may differ
MAX_TIME: Final = 2**53  #: seconds since the epoch; beyond it NumericDates lose precision

#: RFC 9068 section 2.1 and RFC 7515 section 4.1.9; lower case.
ACCESS_TOKEN_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
#: What issuers that do not follow RFC 9068 put there: Cognito nothing, Entra, Keycloak, Okta and Auth0 ``JWT``.
UNTYPED: Final = frozenset({"", "jwt"})

_LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
#: Claims that stand in ID tokens only (OpenID Connect Core section 3.3.2.11, FAPI 1.0 part 2 section 5.1).
_ID_TOKEN_HASHES: Final = ("at_hash", "c_hash", "s_hash")
#: Keycloak's own ``typ`` claim of the tokens that are not access tokens.
_KEYCLOAK_KINDS: Final = frozenset({"ID", "Refresh", "Offline", "Logout"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """The claims of a verified access token. Times are seconds since the epoch."""

    issuer: str
    subject: str  #: empty when there is none
    client_id: str  #: the claim of that name only; empty when there is none
    audiences: frozenset[str]
    scopes: frozenset[str]
    expires_at: float
    not_before: float  #: the later of ``nbf`` and ``iat``; 0 when there is neither
    claims: dict[str, Any]


def read_access_token(verified: VerifiedToken, *, issuer: str, own: bool) -> AccessToken:
    """Return what a token says if it is an access token of ``issuer``; time and audience are not judged here.

    Tokens of our ``own`` issuers must be typed ``at+jwt`` and hold every claim of RFC 9068 section 2.2; of a foreign
    issuer's, one that is not so typed must not look like another kind of token.

    Raises:
        InvalidToken: another kind of token, another issuer, or a claim of the wrong form.
    """
    claims = verified.claims
    _check_kind(verified.typ, claims, own=own)
    if claims.get("iss") != issuer:  # exact: RFC 8725 section 3.8
        raise refused(f"The token's iss {quoted(claims.get('iss'))} is not the gateway's issuer {issuer!r}.")
    token = AccessToken(
        issuer=issuer,
        subject=_text(claims, "sub"),
        client_id=_text(claims, "client_id"),
        audiences=_audiences(claims),
        scopes=scopes_of(claims),
        expires_at=_time(claims, "exp", None),
        not_before=max(_time(claims, "nbf", 0.0), _time(claims, "iat", 0.0)),
        claims=claims,
    )
    if own and not (token.subject and token.client_id and token.audiences and "iat" in claims):
        raise refused("The token lacks sub, client_id, aud or iat (RFC 9068 section 2.2).")
    return token


def check_time(token: AccessToken, now: float) -> None:
    """Judge ``exp``, ``nbf`` and ``iat`` (RFC 7519 section 4.1) with :data:`LEEWAY`.

    Raises:
        InvalidToken: expired, or not valid yet.
    """
    if now >= token.expires_at + LEEWAY:
        raise refused("The token has expired; get a new one.")
    if now < token.not_before - LEEWAY:
        raise refused("The token is not valid yet (nbf or iat lies in the future); compare the clocks.")


def names_another_kind(claims: Mapping[str, Any]) -> str:
    """Return how the claims show that this is no access token, or nothing (RFC 8725 section 3.11).

    The one rule for issuers that do not type their tokens: Cognito's ``token_use``, Keycloak's ``typ`` claim, hashes
    that only ID tokens have, a logout event, and a ``nonce`` in a token that names neither scope nor client (Keycloak
    before 24 puts the nonce into access tokens too, but those have a scope).
    """
    if claims.get("token_use", "access") != "access":
        return f"token_use is {quoted(claims['token_use'])}"
    if isinstance(claims.get("typ"), str) and claims["typ"] in _KEYCLOAK_KINDS:
        return f"the claim typ is {quoted(claims['typ'])}"
    for name in _ID_TOKEN_HASHES:
        if name in claims:
            return f"it has {name}"
    events = claims.get("events")
    if isinstance(events, dict) and _LOGOUT_EVENT in events:
        return "it is a logout token"
    if "nonce" in claims and not any(name in claims for name in ("scope", "scp", "client_id")):
        return "it has a nonce and neither scope nor client_id"
    return ""


def _check_kind(typ: str, claims: Mapping[str, Any], *, own: bool) -> None:
    if typ in ACCESS_TOKEN_TYPES:
        return
    if own or typ not in UNTYPED:
        raise refused(f"The token's typ {quoted(typ)} is not that of an access token (at+jwt).")
    kind = names_another_kind(claims)
    if kind:
        raise refused(f"The token is not an access token: {kind}. Send the access token, not the ID token.")


def _audiences(claims: Mapping[str, Any]) -> frozenset[str]:
    value: object = claims.get("aud", [])
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list):
        raise refused("The token's aud is neither a string nor a list of strings.")
    items = cast("list[object]", values)
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) < len(items):
        raise refused("The token's aud is neither a string nor a list of strings.")
    return frozenset(texts)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str):
        raise refused(f"The token's {name} is not a string.")
    return value


def _time(claims: Mapping[str, Any], name: str, default: float | None) -> float:
    value: object = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused(f"The token's {name} is missing or not a number.")
    if not 0 <= value <= MAX_TIME:  # also false for NaN; an int too long for a float is never converted
        raise refused(f"The token's {name} is not a time.")
    return float(value)
