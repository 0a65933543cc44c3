"""Use cases on targets."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any, Final

from portico.control.arns import target_arn
from portico.control.documents import EXTENSION_KEY
from portico.control.not_built import lookup
from portico.control.outbound import credential_warnings, ensure_provider
from portico.control.quotas import ensure_room
from portico.control.secrets import new_target_id
from portico.control.tool_schemas import has_schema, stated_eras
from portico.control.transaction import Transaction
from portico.model.documents import dump_eras, parse_credential
from portico.model.errors import Conflict, Fault, InvalidInput, NotFound
from portico.storage import counters, jobs, targets
from portico.storage.engine import Database
from portico.storage.targets import TargetRow

SYNC_JOB: Final = "sync"  #: kind of the jobs that read a target's tools; their key is the target's id
LISTING_MODE: Final = "targetConfiguration.mcp.mcpServer.listingMode"


async def synchronize(database: Database, *, target_id: str, now: float) -> None:
    """Ask for a target's tools to be read anew.

    Raises:
        NotFound: there is no such target.
    """
    async with database.write() as conn:
        row = await targets.get(conn, target_id)
        if row is None:
            raise NotFound(f"There is no target {target_id!r}.")
        await targets.set_status(conn, target_id, "SYNCHRONIZING", ())
        await jobs.put(conn, SYNC_JOB, target_id, now)


async def synchronize_all(database: Database, *, now: float) -> None:
    """Ask for the tools of every target to be read anew, as a process does when it starts."""
    async with database.write() as conn:
        for target_id in await targets.ids(conn):
            await jobs.put(conn, SYNC_JOB, target_id, now)


def is_dynamic(document: Mapping[str, Any]) -> bool:
    """Say whether a target's lists are asked for live, so that nothing is read beforehand."""
    return lookup(document, LISTING_MODE) == "DYNAMIC"


def warnings_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the status reasons that a document has whatever its server answers."""
    return credential_warnings(parse_credential(document))


# Steps that run in the caller's transaction. Documents were checked by :mod:`portico.control.documents`.


async def put(
    tx: Transaction,
    *,
    gateway_id: str,
    stored: TargetRow | None,
    document: Mapping[str, Any],
    extension: Mapping[str, Any],
) -> None:
    """Make a target, or replace ``stored`` (which may lack its tools) as a whole; unchanged documents change nothing.

    Raises:
        Conflict: a target of that name is managed by somebody else.
        QuotaExceeded: the gateway has as many targets as it may.
        InvalidInput: its credential provider is not there.
    """
    if stored is None:
        await create(tx, gateway_id=gateway_id, document=document, extension=extension)
        return
    tx.protect("target", stored)
    if _is_same(stored, document, extension):
        return
    whole = await targets.get(tx.conn, stored.id)
    assert whole is not None  # nobody else writes in this transaction
    await update(tx, whole, document=document, extension=extension)


async def create(
    tx: Transaction, *, gateway_id: str, document: Mapping[str, Any], extension: Mapping[str, Any]
) -> TargetRow:
    """Make a target. Unless its tools are stated it stays CREATING until a job has read them.

    Raises:
        Conflict: the gateway has a target of that name, or is gone.
        QuotaExceeded: the gateway has as many targets as it may.
        InvalidInput: its credential provider is not there.
    """
    count = await targets.count(tx.conn, gateway_id)
    ensure_room(count, tx.quotas.targets_per_gateway, setting="targets_per_gateway", of="targets of one gateway")
    await ensure_provider(tx, document)
    listing = _listing(document, extension)
    row = TargetRow(
        id=new_target_id(tx.random),
        gateway_id=gateway_id,
        name=document["name"],
        document=dict(document),
        extension=dict(extension),
        status="READY" if listing.settled else "CREATING",
        status_reasons=warnings_of(document),
        eras=listing.eras,
        managed_by=tx.managed_by,
        created_at=tx.now,
        updated_at=tx.now,
        account=tx.account,
    )
    await targets.add(tx.conn, row)
    await _follow_up(tx, row, listing)
    await tx.changes.record(tx.conn, "CreateGatewayTarget", _arn(tx, row), None, _shown(row))
    return row


async def update(
    tx: Transaction, stored: TargetRow, *, document: Mapping[str, Any], extension: Mapping[str, Any]
) -> TargetRow:
    """Replace a target as it was read by a whole new document.

    Its last good tools serve until the job that this leaves has read new ones; tools that the document states serve
    at once.

    Raises:
        Conflict: somebody else manages it, the new name is taken, or it was changed since it was read.
        InvalidInput: its credential provider is not there.
    """
    tx.protect("target", stored)
    if _is_same(stored, document, extension):
        return stored
    if document["name"] != stored.name and await targets.by_name(tx.conn, stored.gateway_id, document["name"]):
        raise Conflict(f"The gateway has another target named {document['name']!r} already.")
    await ensure_provider(tx, document)
    listing = _listing(document, extension)
    row = changed(
        stored,
        name=document["name"],
        document=dict(document),
        extension=dict(extension),
        status="READY" if listing.settled else "UPDATING",
        status_reasons=warnings_of(document),
        eras=listing.eras if listing.settled else stored.eras,
        synchronized_at=None if listing.settled else stored.synchronized_at,
        updated_at=tx.now,
    )
    row = await targets.replace(tx.conn, row, expected_revision=stored.revision)
    await _follow_up(tx, row, listing)
    await tx.changes.record(tx.conn, "UpdateGatewayTarget", _arn(tx, row), _shown(stored), _shown(row))
    return row


async def remove(tx: Transaction, row: TargetRow) -> None:
    """Delete a target; a job that is left finds nothing to do.

    Raises:
        Conflict: somebody else manages it.
    """
    tx.protect("target", row)
    await targets.delete(tx.conn, row.id)
    await counters.bump(tx.conn, f"gateway/{row.gateway_id}")
    await tx.changes.record(tx.conn, "DeleteGatewayTarget", _arn(tx, row), _shown(row), None)


async def read_again(tx: Transaction, row: TargetRow) -> TargetRow:
    """Have a target's tools read anew; until that is done the last good ones serve. Anybody may ask for it.

    Raises:
        InvalidInput: its tools are not read beforehand.
    """
    if has_schema(row.document):
        message = f"the tools of target {row.name!r} are stated in its mcpToolSchema; remove that by an update first"
        raise InvalidInput([Fault(path="targetIdList[0]", message=message)])
    if is_dynamic(row.document):
        message = f"the lists of target {row.name!r} are asked for live (listingMode DYNAMIC)"
        raise InvalidInput([Fault(path="targetIdList[0]", message=message)])
    reasons = warnings_of(row.document)
    await targets.set_status(tx.conn, row.id, "SYNCHRONIZING", reasons)
    await jobs.put(tx.conn, SYNC_JOB, row.id, tx.now)
    shown = {"status": row.status}, {"status": "SYNCHRONIZING"}
    await tx.changes.record(tx.conn, "SynchronizeGatewayTargets", _arn(tx, row), *shown)
    return changed(row, status="SYNCHRONIZING", status_reasons=reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """Where a target's tools come from."""

    settled: bool  #: nothing has to be read before it can serve
    eras: bytes | None
    asks: bool  #: a job has to ask the server something


def _listing(document: Mapping[str, Any], extension: Mapping[str, Any]) -> _Listing:
    if is_dynamic(document):
        return _Listing(settled=True, eras=None, asks=False)
    if has_schema(document):  # the job finds out which revision the server speaks
        eras = dump_eras(stated_eras(document, extension.get("era", "auto")))
        return _Listing(settled=True, eras=eras, asks=True)
    return _Listing(settled=False, eras=None, asks=True)


async def _follow_up(tx: Transaction, row: TargetRow, listing: _Listing) -> None:
    if listing.asks:
        await jobs.put(tx.conn, SYNC_JOB, row.id, tx.now)
    await counters.bump(tx.conn, f"gateway/{row.gateway_id}")


def _is_same(row: TargetRow, document: Mapping[str, Any], extension: Mapping[str, Any]) -> bool:
    return (row.document, row.extension) == (dict(document), dict(extension))


def _arn(tx: Transaction, row: TargetRow) -> str:
    return target_arn(row.gateway_id, row.id, region=tx.region, account=tx.account)


def _shown(row: TargetRow) -> dict[str, Any]:
    """Return what the audit trail shows of a target."""
    return row.document | ({EXTENSION_KEY: row.extension} if row.extension else {})
