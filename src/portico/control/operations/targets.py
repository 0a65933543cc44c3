"""CreateGatewayTarget, GetGatewayTarget, UpdateGatewayTarget, DeleteGatewayTarget, ListGatewayTargets and
SynchronizeGatewayTargets.
"""  # noqa: D205 - the names do not fit into one line

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control import targets as steps
from portico.control.arns import gateway_arn
from portico.control.documents import on_gateway_faults, target_faults
from portico.control.idempotency import TOKEN, once
from portico.control.not_built import lookup
from portico.control.operations.context import OperationContext
from portico.control.operations.gateways import reasons_of, stored_gateway
from portico.control.paging import read_page
from portico.control.transaction import of_request
from portico.model.errors import InvalidInput, NotFound
from portico.storage import targets
from portico.storage.gateways import GatewayRow
from portico.storage.targets import TargetRow

#: Members of the stored document that are answered as they stand.
_ECHOED: Final = ("name", "description", "targetConfiguration", "metadataConfiguration")
_BESIDE: Final = frozenset({TOKEN, "gatewayIdentifier", "targetId"})  # what of a request is not the target's document
_SERVER: Final = "targetConfiguration.mcp.mcpServer"


async def create_gateway_target(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Make a target. A job reads its tools, unless they are stated: then it is READY in the answer.

    Raises:
        InvalidInput: the document is refused, or its client token was used otherwise.
        NotFound: there is no such gateway.
        Conflict: the name is taken.
        QuotaExceeded: the gateway has as many targets as it may.
    """
    document = _document(request)
    extension = dict(context.target_extension)
    async with context.database.read() as conn:
        gateway = await stored_gateway(context, conn, request)
    _check(context, document, extension, gateway)
    async with context.database.write() as conn:
        await _ensure_fit(context, conn, request, document)
        tx = of_request(context, conn)

        async def create() -> dict[str, Any]:
            row = await steps.create(tx, gateway_id=gateway.id, document=document, extension=extension)
            return target_output(context, row)

        return await once(tx, "CreateGatewayTarget", request, create)


async def get_gateway_target(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return one target.

    Raises:
        NotFound: there is no such gateway or target.
    """
    async with context.database.read() as conn:
        await stored_gateway(context, conn, request)
        return target_output(context, await _stored(conn, request))


async def update_gateway_target(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the whole document of a target: a member that is left out is reset, except its name.

    Raises:
        InvalidInput: the document is refused.
        NotFound: there is no such gateway or target.
        Conflict: a file manages it, the new name is taken, or somebody else changed it meanwhile.
    """
    async with context.database.read() as conn:
        gateway = await stored_gateway(context, conn, request)
        stored = await _stored(conn, request)
    document = {"name": stored.name, **_document(request)}
    _check(context, document, stored.extension, gateway)
    async with context.database.write() as conn:
        await _ensure_fit(context, conn, request, document)
        row = await steps.update(of_request(context, conn), stored, document=document, extension=stored.extension)
    return target_output(context, row)


async def delete_gateway_target(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Delete a target. It is gone when this is answered.

    Raises:
        NotFound: there is no such gateway or target.
        Conflict: a file manages it.
    """
    async with context.database.write() as conn:
        gateway = await stored_gateway(context, conn, request)
        row = await _stored(conn, request)
        await steps.remove(of_request(context, conn), row)
    return {"gatewayArn": _gateway_arn(context, gateway.id), "targetId": row.id, "status": "DELETING"}


async def list_gateway_targets(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of a gateway's targets, by name.

    Raises:
        InvalidInput: ``nextToken`` is not one of this list.
        NotFound: there is no such gateway.
    """
    gateway_id: str = request["gatewayIdentifier"]

    async def fetch(after: str, limit: int) -> list[TargetRow]:
        async with context.database.read() as conn:
            await stored_gateway(context, conn, request)
            return await targets.page(conn, gateway_id, after=after, limit=limit)

    listing = f"targets of {gateway_id}"
    rows, more = await read_page(context, request, listing=listing, fetch=fetch, key=lambda row: row.name)
    return {"items": [_summary(row) for row in rows], **more}


async def synchronize_gateway_targets(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Have the tools of targets read anew, by a job.

    Raises:
        InvalidInput: the tools of a target are stated, or asked for live.
        NotFound: there is no such gateway or target.
    """
    async with context.database.write() as conn:
        await stored_gateway(context, conn, request)
        tx = of_request(context, conn)
        rows: list[TargetRow] = []
        for target_id in request["targetIdList"]:
            row = await _stored(conn, {**request, "targetId": target_id})
            rows.append(await steps.read_again(tx, row))
    return {"targets": [target_output(context, row) for row in rows]}


def target_output(context: OperationContext, row: TargetRow) -> dict[str, Any]:
    """Return a target as GetGatewayTarget answers it."""
    return {
        "gatewayArn": _gateway_arn(context, row.gateway_id),
        "targetId": row.id,
        "createdAt": row.created_at,
        "updatedAt": row.updated_at,
        "status": row.status,
        "statusReasons": reasons_of(row.status_reasons, row.managed_by),
        "credentialProviderConfigurations": row.document.get("credentialProviderConfigurations", []),
        "protocolType": "MCP",
        **_synchronized(row),
        **{name: row.document[name] for name in _ECHOED if name in row.document},
    }


def _summary(row: TargetRow) -> dict[str, Any]:
    mode = lookup(row.document, f"{_SERVER}.listingMode") or "DEFAULT"
    return {
        "targetId": row.id,
        "status": row.status,
        "createdAt": row.created_at,
        "updatedAt": row.updated_at,
        "targetType": "MCP_SERVER",
        "listingMode": mode,
        **_synchronized(row),
        **{name: row.document[name] for name in ("name", "description") if name in row.document},
    }


def _synchronized(row: TargetRow) -> dict[str, int]:
    return {} if row.synchronized_at is None else {"lastSynchronizedAt": row.synchronized_at}


def _check(
    context: OperationContext, document: Mapping[str, Any], extension: Mapping[str, Any], gateway: GatewayRow
) -> None:
    faults = target_faults(document, extension, egress=context.egress, gateway=gateway.document, quotas=context.quotas)
    if faults:
        raise InvalidInput(faults)


async def _ensure_fit(
    context: OperationContext, conn: AsyncConnection, request: Mapping[str, Any], document: Mapping[str, Any]
) -> None:
    """Judge a target by its gateway as it is now, inside the change: somebody may have changed that meanwhile."""
    gateway = await stored_gateway(context, conn, request)
    faults = on_gateway_faults(document, gateway.document)
    if faults:
        raise InvalidInput(faults)


async def _stored(conn: AsyncConnection, request: Mapping[str, Any]) -> TargetRow:
    target_id: str = request["targetId"]
    row = await targets.get(conn, target_id)
    if row is None or row.gateway_id != request["gatewayIdentifier"]:
        raise NotFound(f"The gateway {request['gatewayIdentifier']!r} has no target {target_id!r}.")
    return row


def _document(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name not in _BESIDE}


def _gateway_arn(context: OperationContext, gateway_id: str) -> str:
    return gateway_arn(gateway_id, region=context.region, account=context.account)
