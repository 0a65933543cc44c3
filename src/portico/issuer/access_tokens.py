"""The access tokens that an issuer gives: our own, with the provider's sealed inside, or the provider's as it is."""

from functools import partial
from typing import Any, Final, assert_never

from portico.issuer.ledger import Issued
from portico.issuer.powers import Powers
from portico.issuer.store import Issuer
from portico.model.errors import InvalidToken
from portico.model.oauth_errors import ServerError
from portico.oauth.access_token import AccessToken, read_access_token
from portico.oauth.jwt import parse, verify
from portico.oauth.token import access_token_claims, sign_access_token, token_document
from portico.web.sessions import new_token

EARLY_SECONDS: Final = (5, 60)  #: that a client is made to refresh before the provider's token ends, at least and most
EARLY_PART: Final = 10  #: of the token's life, between the two


async def answer(powers: Powers, issuer: Issuer, issued: Issued) -> dict[str, Any]:
    """Return the answer of the token endpoint (RFC 6749 section 5.1).

    Raises:
        KeysUnavailable: there is no key to sign with.
        ServerError: the provider's token does not fit into ours.
        StorageUnavailable: it was to be kept in the store.
    """
    lifetime = _lifetime(issuer, issued)
    return token_document(
        await _token(powers, issuer, issued, lifetime),
        lifetime=lifetime,
        scopes=issued.scopes,
        refresh_token=issued.refresh_token,
    )


def own_token(issuer: Issuer, token: str) -> AccessToken | None:
    """Return an access token that this issuer signed, expired or not; None when it is none."""
    try:
        unverified = parse(token.encode())
        key = issuer.verification_keys.get(unverified.kid)
        return None if key is None else read_access_token(verify(unverified, key), issuer=issuer.url, own=True)
    except (InvalidToken, UnicodeEncodeError):
        return None


async def _token(powers: Powers, issuer: Issuer, issued: Issued, lifetime: int) -> str:
    claims = access_token_claims(
        issuer=issuer.url,
        resource=issued.resource,
        subject=issued.subject,
        client_id=issued.client_id,
        scopes=issued.scopes,
        now=powers.clock(),
        lifetime=lifetime,
        token_id=new_token(powers.random),
        grant_id=issued.grant_id,
    )
    if issuer.tokens == "own":
        return sign_access_token(claims, issuer.key())
    if issued.provider is None:
        raise ServerError("The provider's token is missing; log in again.")
    match issuer.tokens:
        case "wrap":
            assert powers.wrapping is not None
            sign = partial(sign_access_token, key=issuer.key())
            return await powers.wrapping.wrap(claims, issued.provider.access_token, sign)
        case "passthrough":
            return issued.provider.access_token.reveal()
        case _:
            assert_never(issuer.tokens)


def _lifetime(issuer: Issuer, issued: Issued) -> int:
    """Return the seconds that a token lives, or is said to live: shorter than the provider's that stands behind it."""
    ours = issuer.settings.access_token_seconds
    if issued.provider is None or issuer.tokens == "own":
        return ours
    theirs = _cut(issued.provider.expires_in)
    return theirs if issuer.tokens == "passthrough" else min(ours, theirs)


def _cut(seconds: int) -> int:
    """Return after how many seconds a client should take a token to have ended that ends after ``seconds``.

    A client counts from when it got our answer, the provider from before. Told the whole time, it would bear the token
    into a refusal, and some then send their person to log in instead of refreshing (the MCP Python SDK).
    """
    least, most = EARLY_SECONDS
    early = max(least, min(seconds // EARLY_PART, most))
    return max(1, seconds - min(early, seconds // 2))
