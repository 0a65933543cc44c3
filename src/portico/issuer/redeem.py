"""The two grants that a person stands behind: redeeming a code, rotating a refresh token.

Both run inside the token endpoint's write transaction, which others of its kind may run beside (PostgreSQL): what a
code or a token is used up by is one conditional statement, and whoever loses looks again at what the winner wrote.
Users and clients stay as they were read: only a transaction that is alone changes them.

What must be written although the client is refused (the end of a family whose token was used twice) is returned as an
error, not raised, because raising rolls back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.crypto.keyring import Keyring
from portico.issuer.grants import living_grant
from portico.issuer.ledger import Issued
from portico.issuer.store import Issuer
from portico.model.errors import SealError
from portico.model.oauth_errors import InvalidGrant
from portico.oauth.client import Client
from portico.oauth.resource_indicator import same_resource
from portico.oauth.token import (
    GRACE_SECONDS,
    CodeExchange,
    CodeTerms,
    RefreshExchange,
    judge_code,
    judge_refresh_scopes,
    token_digest,
)
from portico.storage import authorization_codes, refresh_tokens, revocations
from portico.storage.grants import GrantRow
from portico.storage.refresh_tokens import RefreshTokenRow
from portico.web.sessions import new_token

_SUCCESSOR: Final = "refresh-successor"  #: purpose of the seal; the old token's digest is its associated data
_UNKNOWN: Final = "The code or token is unknown, over, or another client's."
_REUSED: Final = "It was used before; everything issued under this grant is revoked."


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What codes and tokens are made with."""

    keyring: Keyring
    clock: Callable[[], float]
    random: Callable[[int], bytes]


async def redeem_code(
    conn: AsyncConnection, means: Means, issuer: Issuer, client: Client, asked: CodeExchange
) -> Issued | InvalidGrant:
    """Use an authorization code up (RFC 6749 section 4.1.3); a second use ends its grant (section 4.1.2).

    Raises:
        InvalidGrant: the code is not this client's, or does not fit; nothing changed.
        InvalidTarget: another resource than the authorized one.
    """
    now, digest = int(means.clock()), token_digest(asked.code)
    row = await authorization_codes.find(conn, digest)
    if row is None or (row.issuer, row.client_id) != (issuer.name, client.id):
        raise InvalidGrant(_UNKNOWN)
    if row.used_at is None:
        terms = CodeTerms(
            client_id=row.client_id,
            redirect_uri=row.redirect_uri,
            code_challenge=row.code_challenge,
            resource=row.resource,
            expires_at=row.expires_at,
            pkce_required=client.needs_pkce,
        )
        judge_code(asked, terms, now=now)
        grant, user = await living_grant(conn, issuer, row.grant_id, now)
        if await authorization_codes.take(conn, digest, now) is not None:
            if user.connector and not grant.upstream:  # nobody could be asked whether the person may still
                return _issued(grant, grant.scopes, "")
            token = new_token(means.random)
            await _add_refresh(conn, issuer, grant, token, now)
            return _issued(grant, grant.scopes, token)
    await revocations.end_grant(conn, issuer.url, row.grant_id, now)
    return InvalidGrant(_REUSED)


async def rotate(
    conn: AsyncConnection, means: Means, issuer: Issuer, client: Client, asked: RefreshExchange
) -> Issued | InvalidGrant:
    """Exchange a refresh token for its successor (RFC 6749 section 6, RFC 9700 section 4.14.2).

    Within :data:`GRACE_SECONDS` after the rotation the old token gives the same successor again, for clients that lost
    the answer or refresh twice at once, as long as nobody went on with it. Any other second use ends the grant.

    Raises:
        InvalidGrant: the token is not this client's, or its grant no longer holds; nothing changed.
        InvalidScope: more scopes than were granted.
        InvalidTarget: another resource than the authorized one.
    """
    now, digest = int(means.clock()), token_digest(asked.token)
    row = await refresh_tokens.find(conn, digest)
    if row is None or (row.issuer, row.client_id) != (issuer.name, client.id):
        raise InvalidGrant(_UNKNOWN)
    grant, _ = await living_grant(conn, issuer, row.grant_id, now)
    scopes = judge_refresh_scopes(asked.scope, grant.scopes) if row.used_at is None else ()
    same_resource(asked.resource, grant.resource)
    if row.used_at is None:
        if now >= row.expires_at:
            raise InvalidGrant(_UNKNOWN)
        token = new_token(means.random)
        sealed = means.keyring.seal(_SUCCESSOR, token.encode(), aad=digest.encode(), random=means.random)
        if await refresh_tokens.take(conn, digest, now, sealed) is not None:
            await _add_refresh(conn, issuer, grant, token, now)
            return _issued(grant, scopes, token)
        row = await refresh_tokens.find(conn, digest)
    token = await _successor(conn, means, row, now) if row is not None else ""
    if token:
        return _issued(grant, judge_refresh_scopes(asked.scope, grant.scopes), token)
    await revocations.end_grant(conn, issuer.url, grant.id, now)
    return InvalidGrant(_REUSED)


async def _successor(conn: AsyncConnection, means: Means, row: RefreshTokenRow, now: int) -> str:
    """Return the successor of a rotated token when it may be given again, else nothing."""
    if row.used_at is None or now > row.used_at + GRACE_SECONDS:
        return ""
    try:
        token = means.keyring.open(_SUCCESSOR, row.successor, aad=row.token_hash.encode()).decode()
    except SealError:
        return ""
    successor = await refresh_tokens.find(conn, token_digest(token))
    return token if successor is not None and successor.used_at is None else ""


async def _add_refresh(conn: AsyncConnection, issuer: Issuer, grant: GrantRow, token: str, now: int) -> None:
    await refresh_tokens.add(
        conn,
        RefreshTokenRow(
            token_hash=token_digest(token),
            issuer=issuer.name,
            grant_id=grant.id,
            client_id=grant.client_id,
            issued_at=now,
            expires_at=min(now + issuer.settings.refresh_idle_seconds, grant.expires_at),
        ),
    )


def _issued(grant: GrantRow, scopes: tuple[str, ...], refresh_token: str) -> Issued:
    return Issued(
        subject=grant.subject,
        client_id=grant.client_id,
        scopes=scopes,
        resource=grant.resource,
        grant_id=grant.id,
        refresh_token=refresh_token,
    )
