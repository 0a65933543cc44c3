"""The snapshots that are being served, and the live targets behind them.

A change is compiled beside the running snapshot and swapped in one assignment; a request keeps what it started with.
A target that did not change is neither read nor compiled again, but carried over; one that was replaced is closed when
the last request that could still call it has ended. Reading and compiling go in slices of a few milliseconds, between
which calls are served: a gateway may have ten thousand targets.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.gateway.snapshot import ALL_TARGETS, STEP_TARGETS, Endpoint, Snapshot, Work, compile_snapshot
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

SLICE_SECONDS: Final = 0.002  #: of reading and compiling, until whatever else is ready goes on
READ_AT_ONCE: Final = 50  #: targets' rows with their tools; some milliseconds of work between two answers
LOGGED_SENTENCES: Final = 20  #: of what a snapshot leaves out

T = TypeVar("T")

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


@dataclass(slots=True)
class _Seat:
    """The place of one gateway: routes lead to it, so that a swap touches only those routes that changed."""

    live: Live
    stamps: Mapping[str, int]  #: of the rows that it was made from, by the target's id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """A gateway as the database has it."""

    gateway: Gateway
    targets: Sequence[Target]  #: what did not change is the value that is served already
    stamps: Mapping[str, int]


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
        self.work = Work()  #: since the start
        self._database = database
        self._stale = stale
        self._relay = relay
        self._sessions = sessions
        self._public_url = public_url
        self._seats: dict[str, _Seat] = {}
        self._routes: dict[str, tuple[_Seat, Endpoint]] = {}  # by path: a request needs one look-up
        self._holders: Counter[McpServerTarget] = Counter()
        self._closing: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()

    def get(self, gateway_id: str) -> Live | None:
        """Return what is served for a gateway."""
        seat = self._seats.get(gateway_id)
        return None if seat is None else seat.live

    def all(self) -> tuple[Live, ...]:
        """Return what is served for every gateway."""
        return tuple(seat.live for seat in self._seats.values())

    def route(self, path: str) -> tuple[Live, Endpoint] | None:
        """Return what is served at the path ``/g/{gatewayId}/mcp[/{target}]``."""
        found = self._routes.get(path)
        return None if found is None else (found[0].live, found[1])

    async def load_all(self) -> None:
        """Read every gateway.

        Raises:
            StorageUnavailable: the database cannot be read; what is served stays.
        """
        async with self._database.read() as conn:
            ids = {row.id for row in await gateway_rows.list_all(conn)}
        await self.reload(ids | self._seats.keys())

    async def reload(self, gateway_ids: Iterable[str]) -> None:
        """Read what changed of these gateways and swap them; a gateway that is gone is no longer served.

        Raises:
            StorageUnavailable: the database cannot be read; what is served stays.
        """
        async with self._reloading:  # two reloads of one gateway must not overtake each other
            for gateway_id in gateway_ids:
                try:
                    made = await self._made(gateway_id)
                except (LookupError, TypeError, ValueError) as error:  # msgspec's errors are ValueErrors
                    # Our own fault: what was saved had been validated. The others are served, and so is what was.
                    _log.error("gateway_unreadable", gateway=gateway_id, error=repr(error))
                    continue
                if made is None:
                    self._remove(gateway_id)
                else:
                    self._swap(gateway_id, *made)

    async def aclose(self) -> None:
        """Close every target; whoever calls this has drained the requests."""
        for gateway_id in list(self._seats):
            self._remove(gateway_id)
        if self._closing:
            await asyncio.wait(self._closing)

    async def _made(self, gateway_id: str) -> tuple[Live, Mapping[str, int]] | None:
        """Return a gateway as it is to be served, None when there is none."""
        pace, before = _Pace(), self._seats.get(gateway_id)
        found = await self._read(gateway_id, before, pace)
        if found is None:
            return None
        steps = compile_snapshot(
            found.gateway,
            found.targets,
            public_url=self._public_url,
            before=None if before is None else before.live.snapshot,
            work=self.work,
        )
        snapshot = await pace.run(steps)
        targets = await pace.run(self._connected(found.targets, before))
        return Live(snapshot, targets, self._drained), found.stamps

    async def _read(self, gateway_id: str, before: _Seat | None, pace: "_Pace") -> _Rows | None:
        """Read a gateway and those of its targets that were written since ``before`` was made."""
        async with self._database.read() as conn:
            row = await gateway_rows.get(conn, gateway_id)
            if row is None:
                return None
            stamps = await target_rows.stamps(conn, gateway_id)
            targets = _unchanged(before, stamps)
            missing = [target_id for target_id in stamps if target_id not in targets]
            targets |= await self._read_targets(conn, missing, before, pace)
        gateway = parse_gateway(
            gateway_id=row.id, document=row.document, extension=row.extension, revision=row.revision
        )
        return _Rows(gateway=gateway, targets=list(targets.values()), stamps=stamps)

    async def _read_targets(
        self, conn: AsyncConnection, target_ids: Sequence[str], before: _Seat | None, pace: "_Pace"
    ) -> dict[str, Target]:
        known = {} if before is None else _by_id(before.live)
        found: dict[str, Target] = {}
        for start in range(0, len(target_ids), READ_AT_ONCE):
            for row in await target_rows.by_ids(conn, target_ids[start : start + READ_AT_ONCE]):
                target, served = _target(row), known.get(row.id)
                # One that was synchronized without anything new is the same.
                found[row.id] = target if served is None or served != target else served
                self.work.rows += 1
                await pace.breathe()
        return found

    def _connected(
        self, targets: Sequence[Target], before: _Seat | None
    ) -> Generator[None, None, dict[str, McpServerTarget]]:
        """Return what calls the targets, in steps: of a target that did not change what calls it already."""
        old: Mapping[str, McpServerTarget] = {} if before is None else before.live.targets
        connected: dict[str, McpServerTarget] = {}
        try:
            for number, target in enumerate(targets):
                running = old.get(target.name)
                if number % STEP_TARGETS == 0:
                    yield
                if running is None or running.target is not target:
                    running = McpServerTarget(target, relay=self._relay, sessions=self._sessions, stale=self._stale)
                    yield
                connected[target.name] = running
        except BaseException:  # broken off, or a target that cannot be called
            for running in connected.values():
                if running not in self._holders:
                    self._close(running)
            raise
        return connected

    def _swap(self, gateway_id: str, live: Live, stamps: Mapping[str, int]) -> None:
        seat = self._seats.get(gateway_id)
        before = None if seat is None else seat.live
        if seat is None:
            seat = self._seats[gateway_id] = _Seat(live, stamps)
        seat.live, seat.stamps = live, stamps
        self._holders.update(live.targets.values())
        _log_loaded(live.snapshot)
        self._lead(seat, live.snapshot, {} if before is None else before.snapshot.endpoints)
        if before is not None:
            before.retire()

    def _remove(self, gateway_id: str) -> None:
        seat = self._seats.pop(gateway_id, None)
        if seat is None:
            return
        for name in seat.live.snapshot.endpoints:
            del self._routes[_path(gateway_id, name)]
        _log.info("gateway_gone", gateway=gateway_id)
        seat.live.retire()

    def _lead(self, seat: _Seat, snapshot: Snapshot, before: Mapping[str, Endpoint]) -> None:
        """Let the paths of a gateway lead to the endpoints that it has now."""
        gateway_id, endpoints = snapshot.gateway.id, snapshot.endpoints
        for name in before.keys() - endpoints.keys():
            del self._routes[_path(gateway_id, name)]
        for name, endpoint in endpoints.items():
            if before.get(name) is not endpoint:
                self._routes[_path(gateway_id, name)] = (seat, endpoint)

    def _drained(self, live: Live) -> None:
        for target in live.targets.values():
            self._holders[target] -= 1
            if not self._holders[target]:
                del self._holders[target]
                self._close(target)

    def _close(self, target: McpServerTarget) -> None:
        task = asyncio.ensure_future(target.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class _Pace:
    """Lets others go on whenever a slice of time is used up."""

    def __init__(self) -> None:
        self._until = time.perf_counter() + SLICE_SECONDS

    async def breathe(self) -> None:
        if time.perf_counter() >= self._until:
            await asyncio.sleep(0)
            self._until = time.perf_counter() + SLICE_SECONDS

    async def run(self, steps: Generator[None, None, T]) -> T:
        """Take all steps and return what they make."""
        try:
            while True:
                next(steps)
                await self.breathe()
        except StopIteration as done:
            return done.value
        finally:
            steps.close()


def _path(gateway_id: str, target: str) -> str:
    own = PATH.format(gateway_id)
    return f"{own}/{target}" if target else own


def _unchanged(before: _Seat | None, stamps: Mapping[str, int]) -> dict[str, Target]:
    if before is None:
        return {}
    return {
        target_id: target
        for target_id, target in _by_id(before.live).items()
        if target_id in stamps and stamps[target_id] == before.stamps[target_id]
    }


def _by_id(live: Live) -> dict[str, Target]:
    return {entry.target.id: entry.target for entry in live.snapshot.compiled.values()}


def _log_loaded(snapshot: Snapshot) -> None:
    left_out = snapshot.left_out
    _log.info(
        "gateway_loaded",
        gateway=snapshot.gateway.id,
        mcp_url=snapshot.endpoints[ALL_TARGETS].resource,
        revision=snapshot.gateway.revision,
        left_out=left_out[:LOGGED_SENTENCES],
        sentences=len(left_out),
    )


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
