"""Use cases on grants: what users allowed clients."""

from dataclasses import dataclass

from portico.control.arns import own_arn
from portico.control.changes import BY_PROCESS
from portico.control.operations.context import Changes
from portico.control.relaxations import Ground
from portico.model.errors import NotFound
from portico.storage import clients, grants, revocations, users
from portico.storage.engine import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantSummary:
    """What is told of a grant. Times are seconds since the epoch."""

    id: str
    issuer: str
    subject: str
    user: str  #: login name; empty when the user was deleted
    client_id: str
    client: str  #: the client's name; empty when it has no row
    scopes: tuple[str, ...]
    resource: str
    created_at: int
    expires_at: int
    revoked_at: int | None


async def list_all(
    database: Database, *, now: int, issuer: str | None = None, with_ended: bool = False
) -> list[GrantSummary]:
    """Return the live grants, newest first; with ``with_ended`` those that are over or revoked too."""
    async with database.read() as conn:
        found = await grants.list_all(conn, issuer=issuer, live_at=None if with_ended else now)
        names = {row.subject: row.name for row in await users.list_all(conn, issuer=issuer)}
        every_client = await clients.list_all(conn, issuer=issuer, with_deleted=True)
        titles = {(row.issuer, row.client_id): row.name for row in every_client}
    return [
        GrantSummary(
            id=row.id,
            issuer=row.issuer,
            subject=row.subject,
            user=names.get(row.subject, ""),
            client_id=row.client_id,
            client=titles.get((row.issuer, row.client_id), ""),
            scopes=row.scopes,
            resource=row.resource,
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
        )
        for row in found
    ]


async def revoke(database: Database, *, ground: Ground, grant_id: str, now: int, changes: Changes = BY_PROCESS) -> None:
    """Take back what a user allowed a client: refresh tokens end now, access tokens at the next poll.

    Raises:
        NotFound: there is no such grant. One that was revoked before is no error.
    """
    async with database.write() as conn:
        row = await grants.get(conn, grant_id)
        if row is None:
            raise NotFound(f"There is no grant {grant_id!r}.")
        await revocations.end_grant(conn, ground.issuer_url(row.issuer), grant_id, now)
        if row.revoked_at is None:
            before = {
                "subject": row.subject,
                "client_id": row.client_id,
                "scopes": row.scopes,
                "resource": row.resource,
                "revoked_at": None,
            }
            arn = own_arn("issuer", row.issuer, "grant", row.id)
            await changes.record(conn, "RevokeGrant", arn, before, before | {"revoked_at": now})
