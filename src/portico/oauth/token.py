"""The token endpoint's rules: requests, client authentication, what a code or refresh token may still do, the answer.

Each grant is a typed request; every grant passes the same steps in :mod:`portico.issuer.token`.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import unquote_plus

from joserfc import jwt

from portico.crypto.signing import SigningKey
from portico.model.oauth_errors import (
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    UnauthorizedClient,
    UnsupportedGrantType,
)
from portico.model.secret import Secret
from portico.oauth.authorize import judge_scopes
from portico.oauth.client import Client, has_secret
from portico.oauth.parameters import Parameters
from portico.oauth.pkce import judge_verifier
from portico.oauth.resource_indicator import same_resource

CODE_SECONDS: Final = 60  #: lifetime of an authorization code
GRACE_SECONDS: Final = 30  #: how long a rotated refresh token still answers with the same successor
MAX_SECRET_CHARS: Final = 1024
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - the media type of RFC 9068 section 2.1, no password

_BASIC = re.compile(r"basic +([A-Za-z0-9+/]{1,8192}={0,2})\Z", re.ASCII | re.IGNORECASE)
_VSCHAR = re.compile(r"[ -~]*\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeExchange:
    """``grant_type=authorization_code`` (RFC 6749 section 4.1.3)."""

    code: str
    redirect_uri: str
    verifier: str
    resource: tuple[str, ...]
    grant: Literal["authorization_code"] = "authorization_code"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshExchange:
    """``grant_type=refresh_token`` (RFC 6749 section 6)."""

    token: str
    scope: str
    resource: tuple[str, ...]
    grant: Literal["refresh_token"] = "refresh_token"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """``grant_type=client_credentials`` (RFC 6749 section 4.4)."""

    scope: str
    resource: tuple[str, ...]
    grant: Literal["client_credentials"] = "client_credentials"


TokenRequest = CodeExchange | RefreshExchange | ClientCredentials


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedClient:
    """Who a token request says that it comes from; nothing of it is proven yet."""

    client_id: str
    secret: Secret  #: empty for public clients


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTerms:
    """What an authorization code was issued for."""

    client_id: str
    redirect_uri: str
    code_challenge: str
    resource: str
    expires_at: int
    pkce_required: bool = True  #: of the client, as it is now


def parse_token_request(parameters: Parameters) -> TokenRequest:
    """Return the grant that is asked for.

    Raises:
        InvalidRequest: a parameter is missing or repeated.
        UnsupportedGrantType: any other grant, ``password`` and the like among them (RFC 9700 section 2.4).
    """
    parameters.no_repeats(but="resource")
    resource = parameters.every("resource")
    match parameters.required("grant_type"):
        case "authorization_code":
            return CodeExchange(
                code=parameters.required("code"),
                redirect_uri=parameters.required("redirect_uri"),
                verifier=parameters.one("code_verifier"),
                resource=resource,
            )
        case "refresh_token":
            return RefreshExchange(
                token=parameters.required("refresh_token"), scope=parameters.one("scope"), resource=resource
            )
        case "client_credentials":
            return ClientCredentials(scope=parameters.one("scope"), resource=resource)
        case _:
            raise UnsupportedGrantType("grant_type must be authorization_code, refresh_token or client_credentials.")


def parse_client(authorization: str | None, parameters: Parameters) -> ClaimedClient:
    """Read the client out of the Basic header or the body, never out of both (RFC 6749 section 2.3).

    Raises:
        InvalidRequest: two ways of authentication, or two different client ids.
        InvalidClient: no client id, or a header that is not Basic.
    """
    client_id, secret = parameters.one("client_id"), parameters.one("client_secret")
    if parameters.one("client_assertion"):
        raise InvalidClient("Client assertions are not supported; use a secret or none.")
    if authorization is not None:
        if secret:
            raise InvalidRequest("Authenticate in one way: by the Authorization header or in the body.")
        named, secret = _basic(authorization)
        if client_id not in {"", named}:
            raise InvalidRequest("client_id differs from the one in the Authorization header.")
        client_id = named
    if not client_id:
        raise InvalidClient("client_id is missing.")
    if len(secret) > MAX_SECRET_CHARS or not _VSCHAR.match(client_id):
        raise refused_client()
    return ClaimedClient(client_id=client_id, secret=Secret(secret))


def judge_client(claimed: ClaimedClient, client: Client | None) -> Client:
    """Return the client when it is proven: those that have a secret by it, others by sending none.

    Raises:
        InvalidClient: unknown, deleted, disabled or a wrong secret; the answer does not say which.
    """
    proven = has_secret(client, claimed.secret.reveal())
    if client is None or (not proven if client.authenticates else claimed.secret):
        raise refused_client()
    return client


def refused_client() -> InvalidClient:
    """Return the one refusal for whatever is wrong with a client."""
    return InvalidClient("The client is unknown or its secret is wrong; register again.")


def judge_grant_type(request: TokenRequest, client: Client) -> None:
    """Check that the client may use the grant: machines their own, the others what a person granted.

    A confidential client has a secret and yet no tokens for itself: it acts for people only.

    Raises:
        UnauthorizedClient: it may not (RFC 6749 section 5.2).
    """
    if isinstance(request, ClientCredentials) != (client.kind == "machine"):
        raise UnauthorizedClient(f"This client may not use the grant {request.grant}.")


def judge_code(request: CodeExchange, terms: CodeTerms, *, now: float) -> None:
    """Check a code of this client that was not used before.

    Raises:
        InvalidGrant: too old, another redirect URI, or a verifier that does not fit.
        InvalidTarget: another resource than the authorized one.
    """
    if now >= terms.expires_at:
        raise InvalidGrant("The code is over; start again.")
    if request.redirect_uri != terms.redirect_uri:
        raise InvalidGrant("redirect_uri differs from the one of the authorization request.")
    judge_verifier(request.verifier, terms.code_challenge, required=terms.pkce_required)
    same_resource(request.resource, terms.resource)


def judge_refresh_scopes(scope: str, granted: Sequence[str]) -> tuple[str, ...]:
    """Return the scopes of a refreshed access token: those of the grant, or the part that is asked for.

    Raises:
        InvalidScope: more is asked for than was granted (RFC 6749 section 6).
    """
    try:
        return judge_scopes(scope, allowed=granted, default=granted)
    except InvalidScope as error:
        raise InvalidScope("scope holds more than was granted; ask the person again.") from error


def access_token_claims(
    *,
    issuer: str,
    resource: str,
    subject: str,
    client_id: str,
    scopes: Sequence[str],
    now: float,
    lifetime: int,
    token_id: str,
    grant_id: str = "",
) -> dict[str, Any]:
    """Return the claims of an access token (RFC 9068 section 2.2); machine tokens have no ``grant_id``."""
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": resource,
        "sub": subject,
        "client_id": client_id,
        "iat": int(now),
        "exp": int(now) + lifetime,
        "jti": token_id,
        "scope": " ".join(scopes),
    }
    return {**claims, "grant_id": grant_id} if grant_id else claims


def sign_access_token(claims: dict[str, Any], key: SigningKey) -> str:
    """Return the claims as a signed ``at+jwt`` (ES256)."""
    return jwt.encode({"alg": "ES256", "typ": TOKEN_TYPE, "kid": key.kid}, claims, key.key, algorithms=["ES256"])


def token_document(
    access_token: str, *, lifetime: int, scopes: Sequence[str], refresh_token: str = ""
) -> dict[str, Any]:
    """Return the answer of the token endpoint (RFC 6749 section 5.1)."""
    document: dict[str, Any] = {
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": lifetime,
        "scope": " ".join(scopes),
    }
    return {**document, "refresh_token": refresh_token} if refresh_token else document


def token_digest(token: str) -> str:
    """Return how a code or refresh token is stored: SHA-256 hex of what has 256 random bits needs no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


def _basic(authorization: str) -> tuple[str, str]:
    """Decode a Basic header; id and secret are form-encoded inside (RFC 6749 section 2.3.1)."""
    found = _BASIC.match(authorization)
    if found is None:
        raise InvalidClient("The Authorization header is not Basic.")
    try:
        name, colon, secret = base64.b64decode(found[1], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidClient("The Authorization header is malformed.") from error
    if not colon or not name:
        raise InvalidClient("The Authorization header is malformed.")
    return unquote_plus(name), unquote_plus(secret)
