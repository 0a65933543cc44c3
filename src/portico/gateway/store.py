"""The snapshots that are being served, and the live targets behind them.

A change is compiled beside the running snapshot and swapped in one assignment; a request keeps what it started with.
A target that did not change is carried over; one that was replaced is closed when the last request that could still
call it has ended.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import structlog

from portico.gateway.snapshot import Endpoint, Snapshot, compile_snapshot
from portico.model.documents import parse_gateway, parse_target
from portico.model.gateway import Gateway
from portico.model.target import Target
from portico.net.relay import Relay
from portico.storage import gateways as gateway_rows
from portico.storage import targets as target_rows
from portico.storage.engine import Database
from portico.targets.mcp_server import McpServerTarget
from portico.targets.sessions import UpstreamSessions

PATH: Final = "/g/{}/mcp"

_log = structlog.get_logger("portico.gateway")


class Live:
    """A snapshot and the targets that it calls. A request enters it, so that nothing is closed under its feet."""

    __slots__ = ("_on_drained", "_retired", "_users", "snapshot", "targets")

    def __init__(
        self,
        snapshot: Snapshot,
        targets: Mapping[str, McpServerTarget],
        on_drained: "Callable[[Live], None]",
    ) -> None:
        self.snapshot = snapshot
        self.targets = targets  #: by name
        self._users = 0
        self._retired = False
        self._on_drained = on_drained

    def __enter__(self) -> Self:
        self._users += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._users -= 1
        self._drain()

    def retire(self) -> None:
        """Say that no new request enters."""
        self._retired = True
        self._drain()

    def _drain(self) -> None:
        if self._retired and not self._users:
            self._retired = False  # once
            self._on_drained(self)


class Snapshots:
    """Every gateway of the process, in memory; the database is read when a gateway changed, never by a call."""

    def __init__(
        self,
        *,
        database: Database,
        relay: Relay,
        sessions: UpstreamSessions,
        public_url: str,
        stale: Callable[[str], None] | None = None,
    ) -> None:
        """Take what is called with a target's id when it turned out to speak another era than it did."""
        self._database = database
        self._stale = stale
        self._relay = relay
        self._sessions = sessions
        self._public_url = public_url
        self._live: dict[str, Live] = {}
        self._routes: dict[str, tuple[Live, Endpoint]] = {}  # by path: a request needs one look-up
        self._holders: Counter[McpServerTarget] = Counter()
        self._closing: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()

    def get(self, gateway_id: str) -> Live | None:
        """Return what is served for a gateway."""
        return self._live.get(gateway_id)

    def all(self) -> tuple[Live, ...]:
        """Return what is served for every gateway."""
        return tuple(self._live.values())

    def route(self, path: str) -> tuple[Live, Endpoint] | None:
        """Return what is served at the path ``/g/{gatewayId}/mcp[/{target}]``."""
        return self._routes.get(path)

    async def load_all(self) -> None:
        """Read every gateway.

        Raises:
            StorageUnavailable: the database cannot be read; what is served stays.
        """
        async with self._database.read() as conn:
            ids = {row.id for row in await gateway_rows.list_all(conn)}
        await self.reload(ids | self._live.keys())

    async def reload(self, gateway_ids: Iterable[str]) -> None:
        """Read these gateways again and swap what changed; a gateway that is gone is no longer served.

        Raises:
            StorageUnavailable: the database cannot be read; what is served stays.
        """
        async with self._reloading:  # two reloads of one gateway must not overtake each other
            for gateway_id in gateway_ids:
                try:
                    found = await self._read(gateway_id)
                    snapshot = None if found is None else compile_snapshot(*found, public_url=self._public_url)
                except (LookupError, TypeError, ValueError) as error:  # msgspec's errors are ValueErrors
                    # Our own fault: what was saved had been validated. The others are served, and so is what was.
                    _log.error("gateway_unreadable", gateway=gateway_id, error=repr(error))
                    continue
                self._swap(gateway_id, snapshot, [] if found is None else found[1])

    async def aclose(self) -> None:
        """Close every target; whoever calls this has drained the requests."""
        for gateway_id in list(self._live):
            self._swap(gateway_id, None, [])
        if self._closing:
            await asyncio.wait(self._closing)

    async def _read(self, gateway_id: str) -> tuple[Gateway, list[Target]] | None:
        async with self._database.read() as conn:
            row = await gateway_rows.get(conn, gateway_id)
            rows = [] if row is None else await target_rows.list_all(conn, gateway_id=gateway_id)
        if row is None:
            return None
        gateway = parse_gateway(
            gateway_id=row.id, document=row.document, extension=row.extension, revision=row.revision
        )
        return gateway, [_target(row) for row in rows]

    def _swap(self, gateway_id: str, snapshot: Snapshot | None, targets: Sequence[Target]) -> None:
        before = self._live.pop(gateway_id, None)
        if snapshot is not None:
            self._live[gateway_id] = live = Live(snapshot, self._connect(targets, before), self._drained)
            self._holders.update(live.targets.values())
            revision = snapshot.gateway.revision
            _log.info("gateway_loaded", gateway=gateway_id, revision=revision, left_out=snapshot.left_out)
        elif before is not None:
            _log.info("gateway_gone", gateway=gateway_id)
        self._routes = {
            path: (live, endpoint) for live in self._live.values() for path, endpoint in _paths(live.snapshot)
        }
        if before is not None:
            before.retire()

    def _connect(self, targets: Sequence[Target], before: Live | None) -> dict[str, McpServerTarget]:
        old: Mapping[str, McpServerTarget] = {} if before is None else before.targets
        connected: dict[str, McpServerTarget] = {}
        for target in targets:
            running = old.get(target.name)
            if running is None or running.target != target:
                running = McpServerTarget(target, relay=self._relay, sessions=self._sessions, stale=self._stale)
            connected[target.name] = running
        return connected

    def _drained(self, live: Live) -> None:
        for target in live.targets.values():
            self._holders[target] -= 1
            if not self._holders[target]:
                del self._holders[target]
                task = asyncio.ensure_future(target.aclose())
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)


def _paths(snapshot: Snapshot) -> list[tuple[str, Endpoint]]:
    own = PATH.format(snapshot.gateway.id)
    return [(f"{own}/{name}" if name else own, endpoint) for name, endpoint in snapshot.endpoints.items()]


def _target(row: target_rows.TargetRow) -> Target:
    return parse_target(
        target_id=row.id,
        gateway_id=row.gateway_id,
        document=row.document,
        extension=row.extension,
        status=row.status,
        eras=row.eras,
        revision=row.revision,
    )
