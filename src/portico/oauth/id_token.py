"""A provider's ID token: whether it says who has just logged in, to us (OpenID Connect Core section 3.1.3.7). Pure."""

import hmac
from collections.abc import Mapping
from typing import Any, Final, cast

from portico.model.errors import InvalidToken
from portico.model.oauth_errors import ServerError
from portico.oauth.jwk import VerificationKey
from portico.oauth.jwt import UnverifiedToken, parse, quoted, verify
from portico.oauth.provider_adapters import Adapter
from portico.oauth.upstream_callback import is_issuer

LEEWAY: Final = 60  #: seconds that clocks may differ

#: RFC 8725 section 3.11: an access token (at+jwt) or a logout token is none, whoever signed it.
_TYPES: Final = frozenset({"", "jwt"})


def parse_id_token(text: str) -> UnverifiedToken:
    """Read the form of an ID token.

    Raises:
        ServerError: there is none, or its form or algorithm is refused.
    """
    if not text:
        raise _refused("it is missing; is `openid` among what the client may ask for?")
    try:
        return parse(text.encode())
    except (InvalidToken, UnicodeEncodeError) as error:
        raise _refused(error.debug_hint if isinstance(error, InvalidToken) else "it is not ASCII") from error


def judge_id_token(
    unverified: UnverifiedToken,
    key: VerificationKey | None,
    *,
    adapter: Adapter,
    issuer: str,
    client_id: str,
    nonce: str,
    now: float,
) -> Mapping[str, Any]:
    """Return the claims of an ID token that holds.

    Raises:
        ServerError: any check fails; which one goes to the log.
    """
    if key is None:
        raise _refused(f"no key of the provider fits its kid {quoted(unverified.kid)}")
    try:
        token = verify(unverified, key)
    except InvalidToken as error:
        raise _refused(error.debug_hint) from error
    claims = token.claims
    if token.typ not in _TYPES or claims.get("token_use", "id") != "id":  # Cognito says it in token_use
        raise _refused("it is another kind of token")
    _judge_issuer(claims, adapter, issuer)
    _judge_audience(claims, client_id)
    _judge_times(claims, now)
    said: object = claims.get("nonce")
    if not nonce or not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        raise _refused("nonce is not the one of this login")
    return claims


def _judge_issuer(claims: Mapping[str, Any], adapter: Adapter, issuer: str) -> None:
    iss, tenant = claims.get("iss"), claims.get("tid", "")
    if not isinstance(iss, str) or not isinstance(tenant, str):
        raise _refused("iss or tid is no text")
    if iss not in adapter.issuer_aliases and not is_issuer(iss, issuer, tenant=tenant or "-"):
        raise _refused(f"iss is {quoted(iss)}")


def _judge_audience(claims: Mapping[str, Any], client_id: str) -> None:
    aud: object = claims.get("aud")
    audiences = cast("list[object]", aud) if isinstance(aud, list) else [aud]
    if client_id not in audiences:
        raise _refused("aud is another client")
    if claims.get("azp", client_id if len(audiences) == 1 else None) != client_id:
        raise _refused("azp is another client, or missing beside several audiences")


def _judge_times(claims: Mapping[str, Any], now: float) -> None:
    exp, iat, nbf = _time(claims, "exp"), _time(claims, "iat"), claims.get("nbf", 0)
    if exp is None or exp <= now - LEEWAY:
        raise _refused("exp is missing or over")
    if iat is None or iat > now + LEEWAY:
        raise _refused("iat is missing or in the future")
    if isinstance(nbf, bool) or not isinstance(nbf, int | float) or nbf > now + LEEWAY:
        raise _refused("nbf is in the future")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value: object = claims.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _refused(why: str) -> ServerError:
    return ServerError("The identity provider's answer does not prove who logged in.", detail=f"ID token: {why}")
