"""The access tokens that an issuer gives: our own, with the provider's sealed inside, or the provider's as it is."""

from collections.abc import Mapping
from typing import Any, Final, assert_never

from portico.crypto.keyring import Keyring
from portico.issuer.ledger import Issued
from portico.issuer.powers import Powers
from portico.issuer.store import Issuer
from portico.model.errors import InvalidToken, SealError, ServerError
from portico.model.secret import Secret
from portico.oauth.access_token import AccessToken, read_access_token
from portico.oauth.jwt import parse, refused, verify
from portico.oauth.token import access_token_claims, sign_access_token, token_document
from portico.oauth.upstream import ProviderTokens
from portico.web.sessions import new_token

UPSTREAM: Final = "upstream"  #: the claim of the provider's access token, sealed
MAX_WRAPPED_CHARS: Final = 8 * 1024  #: servers and proxies refuse longer headers

_PURPOSE: Final = "upstream-token"  #: of the seal; the issuer's URL and the token's ``jti`` are its associated data


def answer(powers: Powers, issuer: Issuer, issued: Issued) -> dict[str, Any]:
    """Return the answer of the token endpoint (RFC 6749 section 5.1).

    Raises:
        KeysUnavailable: there is no key to sign with.
        ServerError: the provider's token does not fit into ours.
    """
    if issuer.tokens == "passthrough" and issued.provider is not None:
        return token_document(
            issued.provider.access_token.reveal(),
            lifetime=issued.provider.expires_in,
            scopes=issued.scopes,
            refresh_token=issued.refresh_token,
        )
    lifetime, token_id = _lifetime(issuer, issued), new_token(powers.random)
    claims = access_token_claims(
        issuer=issuer.url,
        resource=issued.resource,
        subject=issued.subject,
        client_id=issued.client_id,
        scopes=issued.scopes,
        now=powers.clock(),
        lifetime=lifetime,
        token_id=token_id,
        grant_id=issued.grant_id,
    )
    match issuer.tokens:
        case "own" | "passthrough":
            token = sign_access_token(claims, issuer.key())
        case "wrap":
            token = _wrapped(powers, issuer, claims, issued.provider)
        case _:
            assert_never(issuer.tokens)
    return token_document(token, lifetime=lifetime, scopes=issued.scopes, refresh_token=issued.refresh_token)


def unwrap(keyring: Keyring, issuer: str, claims: Mapping[str, Any]) -> Secret:
    """Return the provider's access token that lies in a verified one of ours.

    Raises:
        InvalidToken: there is none, or its sealing key was dropped; log in again.
    """
    sealed, token_id = claims.get(UPSTREAM), claims.get("jti")
    if not isinstance(sealed, str) or not isinstance(token_id, str):
        raise refused("The token holds nothing for the server behind this gateway; log in again.")
    try:
        return Secret(keyring.open(_PURPOSE, sealed, aad=f"{issuer}|{token_id}".encode()).decode())
    except SealError as error:
        raise refused("The token was sealed by a key that is gone; log in again.") from error


def own_token(issuer: Issuer, token: str) -> AccessToken | None:
    """Return an access token that this issuer signed, expired or not; None when it is none."""
    try:
        unverified = parse(token.encode())
        key = issuer.verification_keys.get(unverified.kid)
        return None if key is None else read_access_token(verify(unverified, key), issuer=issuer.url, own=True)
    except (InvalidToken, UnicodeEncodeError):
        return None


def _lifetime(issuer: Issuer, issued: Issued) -> int:
    """Return the seconds that a token lives: never longer than the provider's that stands behind it."""
    ours = issuer.settings.access_token_seconds
    return ours if issued.provider is None or issuer.tokens == "own" else min(ours, issued.provider.expires_in)


def _wrapped(powers: Powers, issuer: Issuer, claims: dict[str, Any], provider: ProviderTokens | None) -> str:
    if provider is None:
        raise ServerError("The provider's token is missing; log in again.")
    sealed = powers.keyring.seal(
        _PURPOSE,
        provider.access_token.reveal().encode(),
        aad=f"{issuer.url}|{claims['jti']}".encode(),
        random=powers.random,
    )
    token = sign_access_token({**claims, UPSTREAM: sealed}, issuer.key())
    if len(token) > MAX_WRAPPED_CHARS:
        raise ServerError(
            f"The provider's access token makes ours {len(token)} characters long, over the limit of "
            f"{MAX_WRAPPED_CHARS}. Ask the administrator to set `store`, or `tokens: passthrough`."
        )
    return token
