"""Revocations: what ends live access tokens before they expire."""

from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.oauth.issuer_settings import MAX_ACCESS_TOKEN_SECONDS
from portico.storage import counters, grants
from portico.storage.rows import fetch_all, insert_row
from portico.storage.schema import DEFAULT_ACCOUNT, revocations

RevocationKind = Literal["grant", "client", "subject"]

MARGIN_SECONDS: Final = 60  #: beyond a token's own end: leeway and clocks of other replicas


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationRow:
    """One row of ``revocations``. Times are seconds since the epoch."""

    kind: RevocationKind
    issuer: str  #: the issuer's URL as it stands in ``iss``
    key: str  #: grant id, client id or subject
    not_before: int  #: tokens with ``iat`` at or before it are dead
    expires_at: int  #: no token that it concerns lives longer
    account: str = DEFAULT_ACCOUNT
    id: int = 0  #: given by the database


async def add(conn: AsyncConnection, row: RevocationRow) -> None:
    """Insert a revocation; bump the counter ``revocations`` in the same transaction."""
    await insert_row(conn, revocations, row, conflict="The revocation exists already.", without=("id",))


async def end_grant(conn: AsyncConnection, issuer_url: str, grant_id: str, now: int, *, tell: bool = True) -> bool:
    """Revoke a grant with its refresh tokens and its living access tokens; False when it was revoked before.

    Its provider is told by a job, unless ``tell`` is off because the provider knows (:func:`grants.revoke`).

    A grant never lives again, so no token of it is spared: neither one that another replica with a fast clock signs,
    nor one whose transaction came first and that is signed a moment after this one.
    """
    if not await grants.revoke(conn, grant_id, now, tell=tell):
        return False
    end = now + MAX_ACCESS_TOKEN_SECONDS + MARGIN_SECONDS
    await add(conn, RevocationRow(kind="grant", issuer=issuer_url, key=grant_id, not_before=end, expires_at=end))
    await counters.bump(conn, "revocations")
    return True


async def list_live(conn: AsyncConnection, now: int) -> list[RevocationRow]:
    """Return the revocations that may still concern a living token."""
    statement = select(revocations).where(revocations.c.expires_at >= now).order_by(revocations.c.id)
    return await fetch_all(conn, statement, RevocationRow)


async def prune(conn: AsyncConnection, now: int) -> None:
    """Delete the revocations that no living token can be concerned by."""
    await conn.execute(delete_from(revocations).where(revocations.c.expires_at < now))
