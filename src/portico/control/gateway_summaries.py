"""What is told of gateways and their targets: the URL to connect to, what is ready, and why the rest is not."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from portico.control.changes import STARS
from portico.control.not_built import lookup
from portico.control.relaxations import Ground
from portico.control.targets import is_dynamic
from portico.control.tool_schemas import has_schema
from portico.model.documents import load_eras
from portico.model.errors import Conflict, NotFound
from portico.oauth.resource import gateway_resource, target_resource
from portico.storage import gateways, targets
from portico.storage.engine import Database
from portico.storage.gateways import GatewayRow
from portico.storage.targets import TargetRow

READY: Final = "READY"  #: status of whatever serves as it should

#: Where a target's tools come from: its server when they were last read, its document, or its server at every list.
Listing = Literal["read", "stated", "live"]

_DISCOVERY_URL: Final = "authorizerConfiguration.customJWTAuthorizer.discoveryUrl"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySummary:
    """What is told of a gateway. Times are seconds since the epoch."""

    id: str
    name: str
    description: str
    mcp_url: str
    status: str
    status_reasons: tuple[str, ...]
    authorizer_type: str
    discovery_url: str  #: of the issuer whose tokens it takes; empty when it takes none
    issuer: str  #: name of that issuer if it is ours; empty for a foreign one
    targets_ready: int
    targets_total: int
    managed_by: str
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSummary:
    """What is told of a target; nothing of what it is called with. Times are seconds since the epoch."""

    id: str
    name: str
    mcp_url: str  #: of the endpoint of this target alone
    kind: Literal["mcp_server"] = "mcp_server"
    endpoint: str  #: values of its query as stars
    status: str
    status_reasons: tuple[str, ...]
    listing: Listing
    tools: int | None  #: that are known of it; None when none were read or stated yet, or lists are live
    synchronized_at: int | None  #: when its tools were last read
    managed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayDetails:
    """A gateway and its targets, by name."""

    gateway: GatewaySummary
    targets: tuple[TargetSummary, ...]


async def list_all(database: Database, *, ground: Ground) -> list[GatewaySummary]:
    """Return every gateway, by name; no target's document or tools are read for it."""
    async with database.read() as conn:
        rows = await gateways.list_all(conn)
        counted = await targets.count_by_status(conn)
    return [_summary(row, counted.get(row.id, {}), ground) for row in rows]


async def details_of(database: Database, *, name_or_id: str, ground: Ground) -> GatewayDetails:
    """Return the gateway of that id, or else of that name, with its targets.

    Raises:
        NotFound: there is none.
        Conflict: several have the name, in different accounts.
    """
    async with database.read() as conn:
        row = _meant(await gateways.list_all(conn), name_or_id)
        its_targets = await targets.list_all(conn, gateway_id=row.id)
    return GatewayDetails(
        gateway=_summary(row, Counter(target.status for target in its_targets), ground),
        targets=tuple(_target_summary(target, ground.public_url) for target in its_targets),
    )


def _meant(rows: list[GatewayRow], name_or_id: str) -> GatewayRow:
    """Return the row that is meant. An id comes first: it is unique, and a name may look like another one's id."""
    found = [row for row in rows if row.id == name_or_id] or [row for row in rows if row.name == name_or_id]
    if not found:
        raise NotFound(f"There is no gateway {name_or_id!r}; portico gateways list shows those that there are.")
    if len(found) > 1:
        ids = ", ".join(row.id for row in found)
        raise Conflict(f"Several gateways are named {name_or_id!r}; give the id of the one that is meant: {ids}.")
    return found[0]


def _summary(row: GatewayRow, counted: Mapping[str, int], ground: Ground) -> GatewaySummary:
    discovery_url = cast("str", lookup(row.document, _DISCOVERY_URL) or "")
    return GatewaySummary(
        id=row.id,
        name=row.name,
        description=row.document.get("description", ""),
        mcp_url=gateway_resource(ground.public_url, row.id),
        status=row.status,
        status_reasons=row.status_reasons,
        authorizer_type=row.document["authorizerType"],
        discovery_url=discovery_url,
        issuer=ground.own_issuer(discovery_url) or "",
        targets_ready=counted.get(READY, 0),
        targets_total=sum(counted.values()),
        managed_by=row.managed_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _target_summary(row: TargetRow, public_url: str) -> TargetSummary:
    return TargetSummary(
        id=row.id,
        name=row.name,
        mcp_url=target_resource(public_url, row.gateway_id, row.name),
        endpoint=_without_values(row.document["targetConfiguration"]["mcp"]["mcpServer"]["endpoint"]),
        status=row.status,
        status_reasons=row.status_reasons,
        listing=_listing(row.document),
        tools=_tools(row),
        synchronized_at=row.synchronized_at,
        managed_by=row.managed_by,
    )


def _listing(document: Mapping[str, Any]) -> Listing:
    if is_dynamic(document):
        return "live"
    return "stated" if has_schema(document) else "read"


def _tools(row: TargetRow) -> int | None:
    """Count the tools that are known, each name once, in the eras that the target's setting allows."""
    if row.eras is None or is_dynamic(row.document):
        return None
    setting = row.extension.get("era", "auto")
    spoken = [entry for entry in load_eras(row.eras) if setting in ("auto", entry.era)]
    return len({tool.name for entry in spoken for tool in entry.tools})


def _without_values(endpoint: str) -> str:
    """Hide the values of a query: some servers take their key there. User and password no stored URL has."""
    address, mark, query = endpoint.partition("?")
    if not mark:
        return endpoint
    named = [pair.partition("=") for pair in query.split("&")]
    return f"{address}?{'&'.join(f'{name}={STARS}' if equals else STARS for name, equals, _ in named)}"
