"""TagResource, UntagResource, ListTagsForResource.

Gateways, workload identities and credential providers can be tagged. A resource that a file manages shows that in a
tag of ours, which nobody can set: only two of AWS's shapes have another place to say it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control.arns import Arn, parse_arn
from portico.control.operations.context import OperationContext
from portico.control.tags import MANAGED_TAG, ensure_tags, tag_faults
from portico.control.transaction import Transaction, of_request
from portico.model.errors import Fault, InvalidInput, NotFound
from portico.storage import credential_providers, gateways, tags, workload_identities


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """A resource that has tags."""

    arn: str
    what: str
    name: str
    managed_by: str


async def tag_resource(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Add tags to a resource; those that are not named stay.

    Raises:
        InvalidInput: the ARN is none of ours, or a key is reserved.
        NotFound: there is no such resource.
        Conflict: a file manages it.
        QuotaExceeded: it would have more tags than it may.
    """
    added: Mapping[str, str] = request["tags"]
    faults = tag_faults(added)
    if faults:
        raise InvalidInput(faults)
    async with context.database.write() as conn:
        tx = of_request(context, conn)
        resource = await _resource(context, conn, request)
        tx.protect(resource.what, resource)
        before = await tags.get(conn, resource.arn, account=context.account)
        after = before | dict(added)
        ensure_tags(after, context.quotas.tags_per_resource)
        await tags.put(conn, resource.arn, added, account=context.account)
        await _record(tx, "TagResource", resource, before, after)
    return {}


async def untag_resource(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Take tags from a resource; a key that it has not is passed over.

    Raises:
        InvalidInput: the ARN is none of ours.
        NotFound: there is no such resource.
        Conflict: a file manages it.
    """
    keys: list[str] = request["tagKeys"]
    async with context.database.write() as conn:
        tx = of_request(context, conn)
        resource = await _resource(context, conn, request)
        tx.protect(resource.what, resource)
        before = await tags.get(conn, resource.arn, account=context.account)
        await tags.remove(conn, resource.arn, keys, account=context.account)
        after = {key: value for key, value in before.items() if key not in keys}
        await _record(tx, "UntagResource", resource, before, after)
    return {}


async def list_tags_for_resource(context: OperationContext, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tags of a resource.

    Raises:
        InvalidInput: the ARN is none of ours.
        NotFound: there is no such resource.
    """
    async with context.database.read() as conn:
        resource = await _resource(context, conn, request)
        found = await tags.get(conn, resource.arn, account=context.account)
    return {"tags": found | ({MANAGED_TAG: resource.managed_by} if resource.managed_by else {})}


async def _resource(context: OperationContext, conn: AsyncConnection, request: Mapping[str, Any]) -> Tagged:
    text: str = request["resourceArn"]
    arn = parse_arn(text)
    if arn is None or arn.kind in {"target", "token-vault"}:
        message = "must be the ARN of a gateway, a workload identity or a credential provider"
        raise InvalidInput([Fault(path="resourceArn", message=message)])
    found = None
    if (arn.account, arn.region) == (context.account, context.region):
        found = await _found(context, conn, arn)
    if found is None:
        raise NotFound(f"There is no resource {text!r}.")
    return found


async def _found(context: OperationContext, conn: AsyncConnection, arn: Arn) -> Tagged | None:
    match arn.kind:
        case "gateway":
            what, row = "gateway", await gateways.get(conn, arn.name)
        case "workload-identity":
            what, row = "workload identity", await workload_identities.get(conn, arn.name, account=context.account)
        case "oauth2-provider" | "api-key-provider":
            kind = "oauth2" if arn.kind == "oauth2-provider" else "api_key"
            what, row = (
                "credential provider",
                await credential_providers.get(conn, kind, arn.name, account=context.account),
            )
        case "target" | "token-vault":
            return None
    return None if row is None else Tagged(arn=str(arn), what=what, name=row.name, managed_by=row.managed_by)


async def _record(
    tx: Transaction, action: str, resource: Tagged, before: Mapping[str, str], after: Mapping[str, str]
) -> None:
    if before != after:
        await tx.changes.record(tx.conn, action, resource.arn, {"tags": dict(before)}, {"tags": dict(after)})
