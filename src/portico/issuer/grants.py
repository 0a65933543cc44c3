"""Grants as rows: writing one with its first code, and whether one still holds."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.issuer.clients import remembered
from portico.issuer.store import Issuer
from portico.model.oauth_errors import InvalidGrant
from portico.oauth.authorize import AuthorizationRequest
from portico.oauth.client import Client
from portico.oauth.token import CODE_SECONDS, token_digest
from portico.storage import authorization_codes, clients, grants, users
from portico.storage.authorization_codes import AuthorizationCodeRow
from portico.storage.grants import GrantRow
from portico.storage.users import UserRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What a person allowed."""

    grant_id: str  #: it came with the form, so one form makes one grant, on every replica
    subject: str
    request: AuthorizationRequest
    code: str
    upstream: str = ""  #: what the person's provider is asked again with, sealed


async def write_grant(conn: AsyncConnection, issuer: Issuer, client: Client, granted: Granted, *, now: int) -> None:
    """Write a grant and its code; a client that named itself becomes a row with its first grant.

    Raises:
        Conflict: the grant exists already.
    """
    asked = granted.request
    if client.named_itself:
        await clients.remember_registered(conn, remembered(client, issuer.name, now))
    await grants.add(
        conn,
        GrantRow(
            id=granted.grant_id,
            issuer=issuer.name,
            subject=granted.subject,
            client_id=client.id,
            scopes=asked.scopes,
            resource=asked.resource,
            created_at=now,
            expires_at=now + issuer.settings.refresh_absolute_seconds,
            upstream=granted.upstream,
            upstream_checked_at=now if granted.upstream else 0,
        ),
    )
    await authorization_codes.add(
        conn,
        AuthorizationCodeRow(
            code_hash=token_digest(granted.code),
            issuer=issuer.name,
            grant_id=granted.grant_id,
            client_id=client.id,
            redirect_uri=asked.redirect_uri,
            code_challenge=asked.code_challenge,
            scopes=asked.scopes,
            resource=asked.resource,
            nonce=asked.nonce,
            expires_at=now + CODE_SECONDS,
        ),
    )


async def living_grant(conn: AsyncConnection, issuer: Issuer, grant_id: str, now: int) -> tuple[GrantRow, UserRow]:
    """Return a grant that still holds, and whose it is.

    Raises:
        InvalidGrant: revoked or over; or its user is gone, disabled or has a new password since; or people do not log
            in that way any more.
    """
    grant = await grants.get(conn, grant_id)
    user = await users.by_subject(conn, grant.subject) if grant is not None else None
    if (
        grant is None
        or user is None
        or grant.revoked_at is not None
        or now >= grant.expires_at
        or user.issuer != issuer.name
        or user.disabled_at is not None
        or user.password_changed_at > grant.created_at
        or not _still_offered(issuer, user.connector)
    ):
        raise InvalidGrant("The grant was revoked or is over; log in again.")
    return grant, user


def _still_offered(issuer: Issuer, connector: str) -> bool:
    if not connector:
        return issuer.local
    return any(one.name == connector for one in issuer.connectors)
