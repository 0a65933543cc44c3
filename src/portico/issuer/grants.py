"""Ending grants: whatever was issued under one dies at once, on every replica at its next look."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.issuer.store import Issuer
from portico.model.errors import InvalidGrant
from portico.oauth.issuer_settings import MAX_ACCESS_TOKEN_SECONDS
from portico.storage import counters, grants, revocations, users
from portico.storage.grants import GrantRow
from portico.storage.revocations import RevocationRow

MARGIN_SECONDS: Final = 60  #: beyond a token's own end: leeway and clocks of other replicas


async def end_grant(conn: AsyncConnection, issuer: Issuer, grant_id: str, now: int) -> None:
    """Revoke a grant with its refresh tokens and its living access tokens."""
    if not await grants.revoke(conn, grant_id, now):
        return
    end = now + MAX_ACCESS_TOKEN_SECONDS + MARGIN_SECONDS
    # A grant never lives again, so there is no token of it to spare, whatever another replica's clock wrote into it.
    await revocations.add(
        conn, RevocationRow(kind="grant", issuer=issuer.url, key=grant_id, not_before=end, expires_at=end)
    )
    await counters.bump(conn, "revocations")


async def living_grant(conn: AsyncConnection, issuer: Issuer, grant_id: str, now: int) -> GrantRow:
    """Return a grant that still holds.

    Raises:
        InvalidGrant: revoked or over, or its user is gone, disabled or has a new password since.
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
    ):
        raise InvalidGrant("The grant was revoked or is over; log in again.")
    return grant
