"""Whether a grant still holds."""

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.issuer.store import Issuer
from portico.model.errors import InvalidGrant
from portico.storage import grants, users
from portico.storage.grants import GrantRow


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
