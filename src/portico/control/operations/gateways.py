"""CreateGateway, GetGateway, UpdateGateway, DeleteGateway, ListGateways."""

from collections.abc import Mapping
from dataclasses import replace as changed
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control import gateways as steps
from portico.control.arns import gateway_arn, workload_identity_arn
from portico.control.documents import gateway_faults, on_gateway_faults
from portico.control.idempotency import TOKEN, once
from portico.control.not_built import lookup
from portico.control.operations.context import OperationContext
from portico.control.paging import read_page
from portico.control.relaxations import Ground
from portico.control.transaction import of_request
from portico.model.errors import Fault, InvalidInput, NotFound
from portico.oauth.resource import gateway_resource
from portico.storage import gateways, issuers, targets
from portico.storage.gateways import GatewayRow

#: Members of the stored document that are answered as they stand.
_ECHOED: Final = (
    "name",
    "description",
    "roleArn",
    "protocolType",
    "protocolConfiguration",
    "authorizerType",
    "authorizerConfiguration",
    "exceptionLevel",
)
_SUMMARIZED: Final = ("name", "description", "authorizerType", "protocolType")
#: What a target's document is judged by; a gateway has up to thousands of targets, so they are not read for less.
_TARGETS_DEPEND_ON: Final = (
    "protocolConfiguration.mcp.sessionConfiguration",
    "protocolConfiguration.mcp.supportedVersions",
)
_BESIDE: Final = frozenset({TOKEN, "gatewayIdentifier"})  # what of a request is not the gateway's document


async def create_gateway(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Make a gateway; it is READY in the answer.

    Raises:
        InvalidInput: the document is refused, or its client token was used otherwise.
        Conflict: the name is taken.
        QuotaExceeded: there are as many gateways as there may be.
    """
    document = _document(request)
    await _check(context, document)
    async with context.database.write() as conn:
        tx = of_request(context, conn)

        async def create() -> dict[str, Any]:
            return gateway_output(context, await steps.create(tx, document=document, extension={}))

        return await once(tx, "CreateGateway", request, create)


async def get_gateway(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return one gateway.

    Raises:
        NotFound: there is none.
    """
    async with context.database.read() as conn:
        return gateway_output(context, await stored_gateway(context, conn, request))


async def update_gateway(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the whole document of a gateway: a member that is left out is reset. Its name and tags stay.

    Raises:
        InvalidInput: the document is refused, or does not fit the gateway's targets.
        NotFound: there is no such gateway.
        Conflict: a file manages it, or somebody else changed it meanwhile.
    """
    document = _document(request)
    async with context.database.read() as conn:
        stored = await stored_gateway(context, conn, request)
    extra: list[Fault] = []
    if document["name"] != stored.name:
        extra.append(Fault(path="name", message=f"must be {stored.name!r}: a gateway keeps the name it was made with"))
    await _check(context, document, extension=stored.extension, extra=extra)
    async with context.database.write() as conn:
        await _check_targets(conn, stored, document)
        row = await steps.update(of_request(context, conn), stored, document=document, extension=stored.extension)
    return gateway_output(context, row)


async def delete_gateway(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Delete a gateway that has no targets. It is gone when this is answered.

    Raises:
        InUse: it has targets.
        NotFound: there is no such gateway.
        Conflict: a file manages it.
    """
    async with context.database.write() as conn:
        row = await stored_gateway(context, conn, request)
        await steps.remove(of_request(context, conn), row)
    return {"gatewayId": row.id, "status": "DELETING", "statusReasons": []}


async def list_gateways(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of all gateways, by name.

    Raises:
        InvalidInput: ``nextToken`` is not one of this list.
    """

    async def fetch(after: str, limit: int) -> list[GatewayRow]:
        async with context.database.read() as conn:
            return await gateways.page(conn, after=after, limit=limit, account=context.account)

    rows, more = await read_page(context, request, listing="gateways", fetch=fetch, key=lambda row: row.name)
    return {"items": [_summary(row) for row in rows], **more}


async def stored_gateway(context: OperationContext, conn: AsyncConnection, request: Mapping[str, Any]) -> GatewayRow:
    """Return the gateway that a request names in ``gatewayIdentifier``.

    Raises:
        NotFound: there is none.
    """
    gateway_id: str = request["gatewayIdentifier"]
    row = await gateways.get(conn, gateway_id)
    if row is None or row.account != context.account:
        raise NotFound(f"There is no gateway {gateway_id!r}.")
    return row


def gateway_output(context: OperationContext, row: GatewayRow) -> dict[str, Any]:
    """Return a gateway as GetGateway answers it."""
    return {
        "gatewayArn": gateway_arn(row.id, region=context.region, account=row.account),
        "gatewayId": row.id,
        "gatewayUrl": gateway_resource(context.ground.public_url, row.id),
        "createdAt": row.created_at,
        "updatedAt": row.updated_at,
        "status": row.status,
        "statusReasons": reasons_of(row.status_reasons, row.managed_by),
        "workloadIdentityDetails": {
            "workloadIdentityArn": workload_identity_arn(row.id, region=context.region, account=row.account)
        },
        **{name: row.document[name] for name in _ECHOED if name in row.document},
    }


def reasons_of(reasons: tuple[str, ...], managed_by: str) -> list[str]:
    """Return the status reasons; AWS's shapes have no other place to say that a file manages something."""
    return [*reasons, f"Managed by {managed_by}; change it there."] if managed_by else list(reasons)


async def _check(
    context: OperationContext,
    document: Mapping[str, Any],
    *,
    extension: Mapping[str, Any] | None = None,
    extra: list[Fault] | None = None,
) -> None:
    ground = await _ground(context)
    faults = [*(extra or ()), *gateway_faults(document, extension or {}, ground=ground)]
    if faults:
        raise InvalidInput(faults)


async def _check_targets(conn: AsyncConnection, stored: GatewayRow, document: Mapping[str, Any]) -> None:
    """Judge a gateway's new document by the targets that it has: they were saved under another one."""
    if all(lookup(document, member) == lookup(stored.document, member) for member in _TARGETS_DEPEND_ON):
        return
    faults: list[Fault] = []
    for target in await targets.documents_of(conn, stored.id):
        found = on_gateway_faults(target.document, document)
        faults += [Fault(path=f"target {target.name}: {fault.path}", message=fault.message) for fault in found]
    if faults:
        raise InvalidInput(faults)


async def _ground(context: OperationContext) -> Ground:
    """Return the ground of the process with the issuers that there are now."""
    async with context.database.read() as conn:
        rows = await issuers.list_all(conn)
    return changed(context.ground, issuers=frozenset(row.name for row in rows))


def _document(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name not in _BESIDE}


def _summary(row: GatewayRow) -> dict[str, Any]:
    return {
        "gatewayId": row.id,
        "status": row.status,
        "createdAt": row.created_at,
        "updatedAt": row.updated_at,
        **{name: row.document[name] for name in _SUMMARIZED if name in row.document},
    }
