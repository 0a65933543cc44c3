"""Use cases on gateways; what is told of them is in :mod:`portico.control.gateway_summaries`."""

from collections.abc import Mapping
from dataclasses import replace as changed
from typing import Any, Final

from portico.control.arns import gateway_arn, workload_identity_arn
from portico.control.documents import EXTENSION_KEY
from portico.control.quotas import ensure_room
from portico.control.secrets import new_gateway_id
from portico.control.tags import ensure_tags
from portico.control.transaction import Transaction
from portico.model.errors import Fault, InUse
from portico.storage import counters, gateways, tags, targets, workload_identities
from portico.storage.gateways import GatewayRow
from portico.storage.workload_identities import WorkloadIdentityRow

TAGS: Final = "tags"  #: the member of CreateGateway that is kept beside the document: UpdateGateway has none


# Steps that run in the caller's transaction. Documents were checked by :mod:`portico.control.documents`.


async def put(tx: Transaction, *, document: Mapping[str, Any], extension: Mapping[str, Any]) -> GatewayRow:
    """Make the gateway of the document's name or replace it as a whole, tags included.

    Unchanged documents change nothing.

    Raises:
        Conflict: a gateway of that name is managed by somebody else.
        QuotaExceeded: there are as many gateways as there may be.
    """
    stored = await gateways.by_name(tx.conn, document["name"], account=tx.account)
    if stored is None:
        return await create(tx, document=document, extension=extension)
    wanted: Mapping[str, str] = document.get(TAGS, {})
    return await update(tx, stored, document=document, extension=extension, wanted_tags=wanted)


async def create(tx: Transaction, *, document: Mapping[str, Any], extension: Mapping[str, Any]) -> GatewayRow:
    """Make a gateway, its workload identity and its tags. It is READY at once: there is nothing to wait for.

    Raises:
        Conflict: there is a gateway of that name.
        QuotaExceeded: there are as many gateways as there may be.
    """
    count = await gateways.count(tx.conn, account=tx.account)
    ensure_room(count, tx.quotas.gateways, setting="gateways", of="gateways")
    wanted: Mapping[str, str] = document.get(TAGS, {})
    ensure_tags(wanted, tx.quotas.tags_per_resource)
    row = GatewayRow(
        id=new_gateway_id(document["name"], tx.random),
        name=document["name"],
        document=_without_tags(document),
        extension=dict(extension),
        status="READY",
        managed_by=tx.managed_by,
        created_at=tx.now,
        updated_at=tx.now,
        account=tx.account,
    )
    await gateways.add(tx.conn, row)
    await _add_identity(tx, row)
    arn = _arn(tx, row)
    await tags.put(tx.conn, arn, wanted, account=tx.account)
    await counters.bump(tx.conn, f"gateway/{row.id}")
    await tx.changes.record(tx.conn, "CreateGateway", arn, None, _shown(row, wanted))
    return row


async def update(
    tx: Transaction,
    stored: GatewayRow,
    *,
    document: Mapping[str, Any],
    extension: Mapping[str, Any],
    wanted_tags: Mapping[str, str] | None = None,
) -> GatewayRow:
    """Replace a gateway as it was read by a whole new document; without ``wanted_tags`` its tags stay.

    Raises:
        Conflict: somebody else manages it, or it was changed since it was read.
    """
    tx.protect("gateway", stored)
    arn = _arn(tx, stored)
    had = await tags.get(tx.conn, arn, account=tx.account)
    wanted = had if wanted_tags is None else dict(wanted_tags)
    new_document, new_extension = _without_tags(document), dict(extension)
    ensure_tags(wanted, tx.quotas.tags_per_resource)
    same = (stored.document, stored.extension) == (new_document, new_extension)
    if same and had == wanted:
        return stored
    row = stored
    if not same:
        row = changed(stored, document=new_document, extension=new_extension, updated_at=tx.now)
        row = await gateways.replace(tx.conn, row, expected_revision=stored.revision)
        await counters.bump(tx.conn, f"gateway/{row.id}")
    await tags.remove(tx.conn, arn, had.keys() - wanted.keys(), account=tx.account)
    await tags.put(tx.conn, arn, wanted, account=tx.account)
    await tx.changes.record(tx.conn, "UpdateGateway", arn, _shown(stored, had), _shown(row, wanted))
    return row


async def remove(tx: Transaction, row: GatewayRow) -> None:
    """Delete a gateway that has no targets any more, with its workload identity and tags.

    Raises:
        Conflict: somebody else manages it.
        InUse: it has targets.
    """
    tx.protect("gateway", row)
    if count := await targets.count(tx.conn, row.id):
        message = f"the gateway {row.name!r} has {count} targets; delete all targets before deleting the gateway"
        raise InUse([Fault(path="gatewayIdentifier", message=message)])
    arn = _arn(tx, row)
    had = await tags.get(tx.conn, arn, account=tx.account)
    await gateways.delete(tx.conn, row.id)
    await workload_identities.delete(tx.conn, row.id, account=tx.account)
    identity_arn = workload_identity_arn(row.id, region=tx.region, account=tx.account)
    await tags.remove_all(tx.conn, arn, account=tx.account)
    await tags.remove_all(tx.conn, identity_arn, account=tx.account)
    await counters.bump(tx.conn, f"gateway/{row.id}")
    await tx.changes.record(tx.conn, "DeleteGateway", arn, _shown(row, had), None)


async def _add_identity(tx: Transaction, row: GatewayRow) -> None:
    """Make the workload identity that AWS makes with each gateway, named like its id."""
    identity = WorkloadIdentityRow(
        name=row.id,
        document={"name": row.id},
        owner=row.id,
        managed_by=row.managed_by,
        created_at=tx.now,
        updated_at=tx.now,
        account=tx.account,
    )
    await workload_identities.add(tx.conn, identity)


def _arn(tx: Transaction, row: GatewayRow) -> str:
    return gateway_arn(row.id, region=tx.region, account=tx.account)


def _without_tags(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != TAGS}


def _shown(row: GatewayRow, its_tags: Mapping[str, str]) -> dict[str, Any]:
    """Return what the audit trail shows of a gateway."""
    beside = {EXTENSION_KEY: row.extension} if row.extension else {}
    return row.document | beside | ({TAGS: dict(its_tags)} if its_tags else {})
