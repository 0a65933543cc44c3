"""The control plane at scale: one gateway with ten thousand targets and a hundred thousand tools.

Operations are called as people call them, with boto3, one after the other, on a process that serves beside. Compiling
is measured without HTTP, in this process, on the same database: there it can be counted and paused between.
"""

import asyncio
import contextlib
import gc
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import boto3
from botocore.config import Config
from house import House, start_house
from processes import Cores, wait_until
from sqlalchemy import func, select
from subjects import post, start_stub

from portico.control.secrets import new_secret_access_key
from portico.gateway.snapshot import Work
from portico.gateway.store import Snapshots
from portico.model.documents import dump_eras, parse_target
from portico.net.egress import Egress
from portico.net.relay import Relay
from portico.service.serve import GC_THRESHOLDS
from portico.storage import gateways, targets
from portico.storage.engine import Database
from portico.storage.gateways import GatewayRow
from portico.storage.migrate import migrate
from portico.storage.schema import jobs
from portico.storage.targets import TargetRow
from portico.targets.discovery import discover
from portico.targets.sessions import UpstreamSessions

GATEWAY = "scale-0123456789"
KEY_ID = "PORTICO_BENCHMARK_01"
TOOLS = 10  #: of each target
PAGE = 100  #: targets that a list is asked for at a time
ROWS_AT_ONCE = 500  #: written in one transaction
TICK_SECONDS = 0.0005  #: between looks at whether the event loop runs
SOON_SECONDS = 600.0  #: jobs that are due later do not disturb
SYNC_PATIENCE = 3600.0  #: seconds until every target has been synchronized once


@dataclass(slots=True)
class Table:
    """What was measured, row by row."""

    rows: list[str] = field(default_factory=lambda: ["| what | how often | time |", "|---|---|---|"])

    def add(self, what: str, seconds: Sequence[float]) -> None:
        self.say(what, len(seconds), " ".join(_shown(seconds)))

    def say(self, what: str, count: int, said: str) -> None:
        self.rows.append(f"| {what} | {count} | {said} |")


def measure(stack: contextlib.ExitStack, place: Path, cores: Cores, *, quick: bool) -> str:
    """Measure everything; return the section's tables."""
    count, times = (200, 3) if quick else (10_000, 20)
    stub = start_stub(stack, place, cores, era="modern")
    url = stub.url_on(stub.ports[0], tools=TOOLS)
    (place / "portico").mkdir()
    address = f"sqlite:///{place / 'portico' / 'portico.db'}"
    asyncio.run(_fill(address, url, count))
    house, secret = _start(stack, place, cores, address, count)
    table = Table()
    administrator = Administrator(house, secret, url)
    administrator.measure(table, count, times)
    memory = sum(one.memory_info().rss for one in [house.process, *house.process.children(recursive=True)])
    compiling = asyncio.run(_compile(address, table, times))
    about = f"{count:,} targets with {TOOLS} tools each, one gateway that offers every revision; SQLite."
    return "\n\n".join(
        [
            f"{about} Times are medians (lowest-highest).",
            "\n".join(table.rows),
            f"{compiling} The process that served had {memory / 2**20:.0f} MB.",
        ]
    )


async def _fill(address: str, url: str, count: int) -> None:
    """Write a gateway and its targets as a synchronization would leave them."""
    await migrate(address)
    first = _row(0, url, b"")
    target = parse_target(
        target_id=first.id,
        gateway_id=GATEWAY,
        document=first.document,
        extension=first.extension,
        status="READY",
        eras=None,
        revision=1,
    )
    relay = Relay(egress=Egress())
    eras = dump_eras((await discover(target, relay=relay)).eras)
    await relay.aclose()
    database = await Database.open(address)
    document = {"name": "scale", "protocolType": "MCP", "authorizerType": "NONE"}
    row = GatewayRow(
        id=GATEWAY, name="scale", document=document, extension={}, status="READY", created_at=1, updated_at=1
    )
    async with database.write() as conn:
        await gateways.add(conn, row)
    for start in range(0, count, ROWS_AT_ONCE):
        async with database.write() as conn:
            for number in range(start, min(start + ROWS_AT_ONCE, count)):
                await targets.add(conn, _row(number, url, eras))
    await database.aclose()


def _row(number: int, url: str, eras: bytes) -> TargetRow:
    return TargetRow(
        id=f"T{number:09}",
        gateway_id=GATEWAY,
        name=_name(number),
        document=_document(_name(number), url),
        extension={"allowPrivateAddresses": True, "era": "modern"},
        status="READY",
        eras=eras,
        created_at=1,
        updated_at=1,
    )


def _name(number: int) -> str:
    return f"target-{number:05}"


def _document(name: str, url: str, *, stated: Sequence[str] = ()) -> dict[str, Any]:
    server: dict[str, Any] = {"endpoint": url}
    if stated:
        tools = [{"name": tool, "description": "A tool.", "inputSchema": {"type": "object"}} for tool in stated]
        server["mcpToolSchema"] = {"inlinePayload": json.dumps({"tools": tools})}
    return {"name": name, "targetConfiguration": {"mcp": {"mcpServer": server}}}


def _start(stack: contextlib.ExitStack, place: Path, cores: Cores, address: str, count: int) -> tuple[House, str]:
    """Start Portico on that database and wait until its first synchronizations are over."""
    secret = new_secret_access_key().reveal()
    key = {"accessKeyId": KEY_ID, "name": "bench", "role": "administrator", "secret": secret}
    settings = {
        "accessKeys": [key],
        "api_private_addresses": True,
        "quotas": {"targets_per_gateway": 2 * count},
    }
    house = start_house(stack, place / "portico", cores, [], database=address, settings=settings, warm=False)
    log = place / "portico" / "portico.log"
    quiet = partial(_is_quiet, address)
    wait_until(quiet, house.process, log, "every target is synchronized", seconds=SYNC_PATIENCE)
    return house, secret


def _is_quiet(address: str) -> bool:
    async def due() -> int:
        database = await Database.open(address)
        try:
            async with database.read() as conn:
                soon = select(func.count()).where(jobs.c.kind == "sync", jobs.c.run_at < time.time() + SOON_SECONDS)
                return (await conn.execute(soon)).scalar_one()
        finally:
            await database.aclose()

    return asyncio.run(due()) == 0


class Administrator:
    """Someone with boto3."""

    def __init__(self, house: House, secret: str, url: str) -> None:
        self._url = url
        self._mcp = f"{house.origin}/g/{GATEWAY}/mcp"
        self._client = boto3.client(
            "bedrock-agentcore-control",
            endpoint_url=house.origin,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}, proxies={}, read_timeout=600),
        )

    def measure(self, table: Table, count: int, times: int) -> None:
        """Call each operation some times."""
        table.add(f"ListGatewayTargets, the first {PAGE}", [self._timed(self._page) for _ in range(times)])
        whole = [self._timed(lambda: self._walk(count)) for _ in range(max(times // 10, 1))]
        table.add(f"all {count:,} targets, {PAGE} at a time", whole)
        some = [(number * 7919) % count for number in range(times)]
        table.add("GetGatewayTarget", [self._timed(partial(self._get, number)) for number in some])
        updates: list[float] = []
        served: list[float] = []
        for number in some:
            tool = f"new-{number}"
            updates.append(self._timed(partial(self._update, number, tool)))
            served.append(self._timed(partial(self._until_served, number, tool)))
        table.add("UpdateGatewayTarget", updates)
        table.add("from its answer until the change is served", served)
        made: list[str] = []
        table.add("CreateGatewayTarget", [self._timed(lambda n=n: made.append(self._create(n))) for n in range(times)])
        table.add("DeleteGatewayTarget", [self._timed(partial(self._delete, target_id)) for target_id in made])

    def _timed(self, work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    def _page(self, **more: Any) -> dict[str, Any]:
        return self._client.list_gateway_targets(gatewayIdentifier=GATEWAY, maxResults=PAGE, **more)

    def _walk(self, count: int) -> None:
        answer, found = self._page(), 0
        while True:
            found += len(answer["items"])
            if "nextToken" not in answer:
                break
            answer = self._page(nextToken=answer["nextToken"])
        assert found == count, found

    def _get(self, number: int) -> None:
        self._client.get_gateway_target(gatewayIdentifier=GATEWAY, targetId=f"T{number:09}")

    def _update(self, number: int, tool: str) -> None:
        document = _document(_name(number), self._url, stated=[tool])
        self._client.update_gateway_target(gatewayIdentifier=GATEWAY, targetId=f"T{number:09}", **document)

    def _until_served(self, number: int, tool: str) -> None:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        while tool not in post(f"{self._mcp}/{_name(number)}", message)[1]:
            time.sleep(0.002)

    def _create(self, number: int) -> str:
        document = _document(f"made-{number}", self._url, stated=["made"])
        return self._client.create_gateway_target(gatewayIdentifier=GATEWAY, **document)["targetId"]

    def _delete(self, target_id: str) -> None:
        self._client.delete_gateway_target(gatewayIdentifier=GATEWAY, targetId=target_id)


async def _compile(address: str, table: Table, times: int) -> str:
    """Read and compile everything, then what one change asks for; return a sentence on what was counted."""
    database = await Database.open(address)
    relay = Relay(egress=Egress())
    sessions = UpstreamSessions(relay=relay)
    snapshots = Snapshots(database=database, relay=relay, sessions=sessions, public_url="http://127.0.0.1")
    cold, _ = await _paused(snapshots.load_all())
    table.add("reading and compiling all of it, as at a start", [cold])
    first = _noted(snapshots.work)
    gc.collect()
    gc.freeze()  # as a process does that has started
    gc.set_threshold(*GC_THRESHOLDS)
    seconds: list[float] = []
    longest = 0.0
    async with database.read() as conn:
        stored = (await targets.by_ids(conn, ["T000000001"]))[0]
    for number in range(times):
        stored = await _changed(database, stored, number)
        took, pause = await _paused(snapshots.reload([GATEWAY]))
        seconds.append(took)
        longest = max(longest, pause)
    table.add("reading and compiling after a change of one target", seconds)
    table.say("the longest pause for calls meanwhile", times, _milliseconds(longest))
    again = snapshots.work
    await snapshots.aclose()
    await sessions.aclose()
    await relay.aclose()
    await database.aclose()
    rows, tools = (again.rows - first.rows) / times, (again.tools - first.tools) / times
    return (
        f"A start read {first.rows:,} targets and compiled {first.tools:,} tools (each for every revision); a change "
        f"of one target read {rows:g} and compiled {tools:g}."
    )


def _noted(work: Work) -> Work:
    return Work(rows=work.rows, targets=work.targets, tools=work.tools)


async def _changed(database: Database, stored: TargetRow, number: int) -> TargetRow:
    """Give a target another time limit, as an update would."""
    members = {name: getattr(stored, name) for name in TargetRow.__slots__}
    members["extension"] = stored.extension | {"callTimeout": 10.0 + number}
    async with database.write() as conn:
        return await targets.replace(conn, TargetRow(**members), expected_revision=stored.revision)


async def _paused(work: Any) -> tuple[float, float]:
    """Return how long something took, and for how long at most nothing else could run meanwhile."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK_SECONDS)
            longest = max(longest, time.perf_counter() - began - TICK_SECONDS)

    ticking = asyncio.create_task(tick())
    began = time.perf_counter()
    await work
    took = time.perf_counter() - began
    ticking.cancel()
    await asyncio.wait({ticking})
    return took, longest


def _shown(seconds: Sequence[float]) -> list[str]:
    if len(seconds) == 1:
        return [_milliseconds(seconds[0])]
    return [_milliseconds(median(seconds)), f"({_milliseconds(min(seconds))}-{_milliseconds(max(seconds))})"]


def _milliseconds(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{seconds * 1000:,.1f} ms"
