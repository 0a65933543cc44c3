"""Ending live access tokens: the row, and the counter by which every replica learns of it."""

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.oauth.issuer_settings import MAX_ACCESS_TOKEN_SECONDS
from portico.storage import counters, grants, revocations
from portico.storage.revocations import RevocationKind, RevocationRow


async def end_tokens(conn: AsyncConnection, kind: RevocationKind, issuer_url: str, key: str, now: int) -> None:
    """Make every access token refused that was issued until now for a grant, a client or a subject.

    It is remembered for as long as any issuer may let a token live: the issuer's own setting may have been longer
    when the token was made.
    """
    expires_at = now + MAX_ACCESS_TOKEN_SECONDS
    row = RevocationRow(kind=kind, issuer=issuer_url, key=key, not_before=now, expires_at=expires_at)
    await revocations.add(conn, row)
    await counters.bump(conn, "revocations")


async def end_grants(
    conn: AsyncConnection,
    issuer: str,
    issuer_url: str,
    now: int,
    *,
    subject: str | None = None,
    client_id: str | None = None,
) -> None:
    """Revoke every live grant of a user or of a client: no refresh token and no access token of theirs works again."""
    for grant in await grants.list_all(conn, issuer=issuer, subject=subject, client_id=client_id, live_at=now):
        await revocations.end_grant(conn, issuer_url, grant.id, now)
