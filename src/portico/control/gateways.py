"""Use cases on gateways."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control.secrets import Random, new_gateway_id
from portico.model.errors import Conflict
from portico.oauth.resource import gateway_resource
from portico.storage import counters, gateways, targets
from portico.storage.engine import Database
from portico.storage.gateways import GatewayRow


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSummary:
    """What is told of a target. Times are seconds since the epoch."""

    id: str
    name: str
    status: str
    status_reasons: tuple[str, ...]
    synchronized_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySummary:
    """What is told of a gateway. Times are seconds since the epoch."""

    id: str
    name: str
    mcp_url: str
    status: str
    authorizer_type: str
    managed_by: str
    targets: tuple[TargetSummary, ...]
    created_at: int
    updated_at: int


async def list_all(database: Database, *, public_url: str) -> list[GatewaySummary]:
    """Return every gateway with its targets, by name."""
    async with database.read() as conn:
        rows = await gateways.list_all(conn)
        every_target = await targets.list_all(conn)
    return [
        GatewaySummary(
            id=row.id,
            name=row.name,
            mcp_url=gateway_resource(public_url, row.id),
            status=row.status,
            authorizer_type=row.document["authorizerType"],
            managed_by=row.managed_by,
            targets=tuple(
                TargetSummary(
                    id=target.id,
                    name=target.name,
                    status=target.status,
                    status_reasons=target.status_reasons,
                    synchronized_at=target.synchronized_at,
                )
                for target in every_target
                if target.gateway_id == row.id
            ),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]


# Steps that run in the caller's transaction. Documents were checked by :mod:`portico.control.documents`.


async def put(
    conn: AsyncConnection,
    *,
    document: Mapping[str, Any],
    extension: Mapping[str, Any],
    managed_by: str,
    now: int,
    random: Random = os.urandom,
) -> GatewayRow:
    """Make the gateway of the document's name or replace it as a whole; unchanged documents change nothing.

    Raises:
        Conflict: a gateway of that name is managed by somebody else.
    """
    name: str = document["name"]
    stored = await gateways.by_name(conn, name)
    if stored is None:
        row = GatewayRow(
            id=new_gateway_id(name, random),
            name=name,
            document=dict(document),
            extension=dict(extension),
            status="READY",
            managed_by=managed_by,
            created_at=now,
            updated_at=now,
        )
        await gateways.add(conn, row)
    elif stored.managed_by != managed_by:
        raise Conflict(f"A gateway named {name!r} exists and is managed by {stored.managed_by or 'the API'}.")
    elif (stored.document, stored.extension) == (dict(document), dict(extension)):
        return stored
    else:
        row = changed(stored, document=dict(document), extension=dict(extension), updated_at=now)
        row = await gateways.replace(conn, row, expected_revision=stored.revision)
    await counters.bump(conn, f"gateway/{row.id}")
    return row


async def remove(conn: AsyncConnection, gateway_id: str) -> None:
    """Delete a gateway with its targets."""
    await gateways.delete(conn, gateway_id)
    await counters.bump(conn, f"gateway/{gateway_id}")
