"""Steps on workload identities, inside the caller's transaction.

A gateway's identity is made and deleted with the gateway; only where people may be sent back to can be set on it, by
whoever may use the API, whoever manages the gateway: a file has no place for it.
"""

from collections.abc import Mapping
from dataclasses import replace as changed
from typing import Any, Final

from portico.control.arns import workload_identity_arn
from portico.control.quotas import ensure_room
from portico.control.tags import ensure_tags
from portico.control.transaction import Transaction
from portico.model.errors import Conflict, Fault, InUse
from portico.oauth.redirect_uri import DANGEROUS_SCHEMES
from portico.storage import tags, workload_identities
from portico.storage.workload_identities import WorkloadIdentityRow

RETURN_URLS: Final = "allowedResourceOauth2ReturnUrls"


def identity_faults(document: Mapping[str, Any]) -> list[Fault]:
    """Return for what a request is refused, beyond what the service model says: no browser is sent to such a URL."""
    urls: list[str] = document.get(RETURN_URLS, [])
    message = "is of a scheme to which no browser may be sent"
    return [
        Fault(path=f"{RETURN_URLS}[{index}]", message=message)
        for index, url in enumerate(urls)
        if url.partition(":")[0].lower() in DANGEROUS_SCHEMES
    ]


async def put(tx: Transaction, document: Mapping[str, Any], wanted_tags: Mapping[str, str]) -> None:
    """Make the workload identity of that name or replace it as a whole, tags included.

    Raises:
        Conflict: somebody else manages it, or it is a gateway's.
        QuotaExceeded: there are as many as there may be, or it would have too many tags.
    """
    stored = await workload_identities.get(tx.conn, document["name"], account=tx.account)
    if stored is None:
        await create(tx, document, wanted_tags)
        return
    if stored.owner:
        raise Conflict(f"The workload identity {stored.name!r} is made and deleted with the gateway of that id.")
    row = await update(tx, stored, document)
    had = await tags.get(tx.conn, _arn(tx, row), account=tx.account)
    if had == dict(wanted_tags):
        return
    ensure_tags(wanted_tags, tx.quotas.tags_per_resource)
    await tags.remove(tx.conn, _arn(tx, row), had.keys() - wanted_tags.keys(), account=tx.account)
    await tags.put(tx.conn, _arn(tx, row), wanted_tags, account=tx.account)
    shown = {"tags": had}, {"tags": dict(wanted_tags)}
    await tx.changes.record(tx.conn, "TagResource", _arn(tx, row), *shown)


async def create(tx: Transaction, document: Mapping[str, Any], wanted_tags: Mapping[str, str]) -> WorkloadIdentityRow:
    """Make a workload identity.

    Raises:
        Conflict: the name is taken.
        QuotaExceeded: there are as many as there may be, those of gateways not counted.
    """
    name: str = document["name"]
    if await workload_identities.get(tx.conn, name, account=tx.account) is not None:
        raise Conflict(f"A workload identity named {name!r} exists already.")
    count = await workload_identities.count(tx.conn, account=tx.account)
    ensure_room(count, tx.quotas.workload_identities, setting="workload_identities", of="workload identities")
    ensure_tags(wanted_tags, tx.quotas.tags_per_resource)
    row = WorkloadIdentityRow(
        name=name,
        document=dict(document),
        managed_by=tx.managed_by,
        created_at=tx.now,
        updated_at=tx.now,
        account=tx.account,
    )
    await workload_identities.add(tx.conn, row)
    await tags.put(tx.conn, _arn(tx, row), wanted_tags, account=tx.account)
    await tx.changes.record(tx.conn, "CreateWorkloadIdentity", _arn(tx, row), None, row.document)
    return row


async def update(tx: Transaction, stored: WorkloadIdentityRow, document: Mapping[str, Any]) -> WorkloadIdentityRow:
    """Replace a workload identity.

    Raises:
        Conflict: somebody else manages it.
    """
    if not stored.owner:
        tx.protect("workload identity", stored)
    if stored.document == dict(document):
        return stored
    row = changed(stored, document=dict(document), updated_at=tx.now)
    await workload_identities.replace(tx.conn, row)
    await tx.changes.record(tx.conn, "UpdateWorkloadIdentity", _arn(tx, row), stored.document, row.document)
    return row


async def remove(tx: Transaction, row: WorkloadIdentityRow) -> None:
    """Delete a workload identity.

    Raises:
        Conflict: somebody else manages it.
        InUse: it is a gateway's.
    """
    if row.owner:
        message = f"the workload identity {row.name!r} is the gateway's of that id; it goes when the gateway is deleted"
        raise InUse([Fault(path="name", message=message)])
    tx.protect("workload identity", row)
    arn = _arn(tx, row)
    await workload_identities.delete(tx.conn, row.name, account=tx.account)
    await tags.remove_all(tx.conn, arn, account=tx.account)
    await tx.changes.record(tx.conn, "DeleteWorkloadIdentity", arn, row.document, None)


def _arn(tx: Transaction, row: WorkloadIdentityRow) -> str:
    return workload_identity_arn(row.name, region=tx.region, account=tx.account)
