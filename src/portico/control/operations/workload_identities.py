"""CreateWorkloadIdentity, GetWorkloadIdentity, UpdateWorkloadIdentity, DeleteWorkloadIdentity and
ListWorkloadIdentities.
"""  # noqa: D205 - the names do not fit into one line

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control import workload_identities as steps
from portico.control.arns import workload_identity_arn
from portico.control.operations.context import OperationContext
from portico.control.paging import read_page
from portico.control.tags import tag_faults
from portico.control.transaction import of_request
from portico.control.workload_identities import RETURN_URLS, identity_faults
from portico.model.errors import InvalidInput, NotFound
from portico.storage import workload_identities
from portico.storage.workload_identities import WorkloadIdentityRow

PAGE: Final = 20  #: entries where ``maxResults`` is left out; it is the model's maximum


async def create_workload_identity(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Make a workload identity.

    Raises:
        InvalidInput: the request is refused.
        Conflict: the name is taken.
        QuotaExceeded: there are as many as there may be.
    """
    tags: Mapping[str, str] = request.get("tags", {})
    document = {name: value for name, value in request.items() if name != "tags"}
    _check(document, tags)
    async with context.database.write() as conn:
        row = await steps.create(of_request(context, conn), document, tags)
    return _summary(context, row) | _return_urls(row)


async def get_workload_identity(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return one workload identity.

    Raises:
        NotFound: there is none of that name.
    """
    async with context.database.read() as conn:
        return _output(context, await _stored(context, conn, request))


async def update_workload_identity(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Replace a workload identity: return URLs that are left out are taken away.

    Raises:
        InvalidInput: the request is refused.
        NotFound: there is none of that name.
        Conflict: a file manages it.
    """
    _check(request, {})
    async with context.database.write() as conn:
        stored = await _stored(context, conn, request)
        row = await steps.update(of_request(context, conn), stored, request)
    return _output(context, row)


async def delete_workload_identity(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Delete a workload identity.

    Raises:
        NotFound: there is none of that name.
        Conflict: a file manages it.
        InUse: it is a gateway's.
    """
    async with context.database.write() as conn:
        row = await _stored(context, conn, request)
        await steps.remove(of_request(context, conn), row)
    return {}


async def list_workload_identities(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a page of the workload identities, by name; those of gateways are among them.

    Raises:
        InvalidInput: ``nextToken`` is not one of this list.
    """

    async def fetch(after: str, limit: int) -> list[WorkloadIdentityRow]:
        async with context.database.read() as conn:
            return await workload_identities.page(conn, after=after, limit=limit, account=context.account)

    rows, more = await read_page(
        context, request, listing="workload identities", fetch=fetch, key=lambda row: row.name, default=PAGE
    )
    return {"workloadIdentities": [_summary(context, row) for row in rows], **more}


def _check(document: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    faults = [*identity_faults(document), *tag_faults(tags)]
    if faults:
        raise InvalidInput(faults)


def _output(context: OperationContext, row: WorkloadIdentityRow) -> dict[str, Any]:
    times = {"createdTime": row.created_at, "lastUpdatedTime": row.updated_at}
    return _summary(context, row) | _return_urls(row) | times


def _summary(context: OperationContext, row: WorkloadIdentityRow) -> dict[str, Any]:
    arn = workload_identity_arn(row.name, region=context.region, account=context.account)
    return {"name": row.name, "workloadIdentityArn": arn}


def _return_urls(row: WorkloadIdentityRow) -> dict[str, Any]:
    return {RETURN_URLS: row.document.get(RETURN_URLS, [])}


async def _stored(context: OperationContext, conn: AsyncConnection, request: Mapping[str, Any]) -> WorkloadIdentityRow:
    row = await workload_identities.get(conn, request["name"], account=context.account)
    if row is None:
        raise NotFound(f"There is no workload identity named {request['name']!r}.")
    return row
