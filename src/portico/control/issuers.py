"""Use cases on the issuers that Portico serves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control.arns import own_arn
from portico.control.operations.context import Changes
from portico.model.errors import NotFound
from portico.oauth.metadata import issuer_url
from portico.storage import counters, grants, issuers, signing_keys
from portico.storage.engine import Database
from portico.storage.issuers import IssuerRow


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSummary:
    """What is told of an issuer. Times are seconds since the epoch."""

    name: str
    url: str  #: as it stands in ``iss``
    managed_by: str
    created_at: int
    updated_at: int


async def list_all(database: Database, *, public_url: str) -> list[IssuerSummary]:
    """Return every issuer, by name."""
    async with database.read() as conn:
        rows = await issuers.list_all(conn)
    return [
        IssuerSummary(
            name=row.name,
            url=issuer_url(public_url, row.name),
            managed_by=row.managed_by,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]


# Steps that run in the caller's transaction.


async def put(
    conn: AsyncConnection,
    *,
    name: str,
    document: Mapping[str, Any],
    managed_by: str,
    now: int,
    changes: Changes,
    resealed: bool = False,
) -> bool:
    """Make an issuer or change its settings; says whether anything changed.

    ``document`` holds the secrets of its connectors sealed; with ``resealed`` it says what was said before, under a
    newer key, and that is no change that anybody made.
    """
    stored = await issuers.get(conn, name)
    if stored is not None and (stored.document, stored.managed_by) == (dict(document), managed_by):
        return False
    row = IssuerRow(name=name, document=dict(document), managed_by=managed_by, created_at=now, updated_at=now)
    await issuers.put(conn, row)
    await counters.bump(conn, f"issuer/{name}")
    if resealed:
        return True
    action = "CreateIssuer" if stored is None else "UpdateIssuer"
    before = None if stored is None else stored.document
    await changes.record(conn, action, own_arn("issuer", name), before, row.document)
    return True


async def remove(conn: AsyncConnection, row: IssuerRow, *, now: int, changes: Changes) -> None:
    """Take an issuer away with its keys and grants.

    Its other users and clients stay: an issuer that was renamed by mistake must not cost the whole directory. No
    token of theirs is left, and none can be had while the issuer is away.
    """
    name = row.name
    for key in await signing_keys.list_all(conn, issuer=name):
        await signing_keys.drop(conn, key.kid)
    for grant in await grants.list_all(conn, issuer=name, live_at=now):  # their tokens died with the keys
        await grants.revoke(conn, grant.id, now)
    await issuers.delete(conn, name)
    await counters.bump(conn, f"issuer/{name}")
    await changes.record(conn, "DeleteIssuer", own_arn("issuer", name), row.document, None)


async def require_issuer(conn: AsyncConnection, name: str) -> IssuerRow:
    """Return the issuer.

    Raises:
        NotFound: there is none; names those that there are.
    """
    row = await issuers.get(conn, name)
    if row is None:
        known = ", ".join(row.name for row in await issuers.list_all(conn)) or "none"
        hint = "One that portico.yaml declares is made when portico serve starts."
        raise NotFound(f"There is no issuer {name!r}; there are: {known}. {hint}")
    return row
