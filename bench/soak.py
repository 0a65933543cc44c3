"""Mixed load for a while: does memory stay flat, does everything that is opened get closed, is every error explained?

Two workers over one PostgreSQL (or SQLite), all era cells as JSON and as streams, progress, cancellation, sessions,
refusals, a target that misbehaves at random, and every second a login through the issuer's own pages. docs/soak.md
says how to read the outcome. Before the load processes are killed in the middle of changes, 200 times on each database.

    .venv/bin/python bench/soak.py                    half an hour; writes docs/soak.md, .svg and .jsonl
    .venv/bin/python bench/soak.py --minutes 1        does it work? writes into .artifacts/soak
"""

import argparse
import asyncio
import contextlib
import json
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import aiohttp
import psutil
import soak_report
from house import GatewayPlan, House, start_house
from processes import ROOT, Cores, NotStarted
from soak_kills import Kills, run_kills
from soak_load import CALL_SECONDS, Caller, Tally
from soak_people import People
from soak_samples import ProcessSample, Sample, Watcher

from portico.storage import replicas
from portico.storage.engine import Database

sys.path.append(str(ROOT / "tests"))  # for the tests' own PostgreSQL

USERS = ("ada", "grace", "edsger", "barbara", "tony")
WORKERS = 2
DOCUMENT = ROOT / "docs" / "soak.md"
SCRATCH = ROOT / ".artifacts" / "soak"
WRITTEN_FROM = 30.0  #: minutes; a shorter run is written beside
KILLS = 200  #: on each database, in a run of that length; fewer in a shorter one
REST_SECONDS = 60.0  #: that the processes get to come to rest, before and after
PATIENCE = {"callTimeout": 5.0, "idleTimeout": 3.0}  #: seconds that a target gets
DATABASE_OF = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@dataclass(slots=True, kw_only=True)
class Run:
    """A soak test under way."""

    house: House
    watcher: Watcher
    options: argparse.Namespace
    tally: Tally = field(default_factory=Tally)
    calls: int = 0
    logins: int = 0
    samples: list[Sample] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def load(self, password: str) -> None:
        """Call, log in and look, until time is up; then wait for what is under way."""
        chance = random.Random(self.options.seed)
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS * 2)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
            people = People(
                house=self.house,
                http=http,
                resource=self.house.urls["soak"],
                machine_resource=self.house.urls["sessions"],
                users=USERS,
                password=password,
                tally=self.tally,
                chance=chance,
            )
            await people.begin()
            caller = Caller(
                http=http,
                url=people.resource,
                tokens=people.token,
                session_url=people.machine_resource,
                session_tokens=people.machine_token,
                tally=self.tally,
                chance=chance,
            )
            begin = time.monotonic()
            await asyncio.gather(
                self._repeat(begin, 1 / self.options.rate, lambda: self._call(caller)),
                self._repeat(begin, 1.0, lambda: self._log_in(people)),
                self._repeat(begin, self.options.sample, lambda: self._look(begin)),
            )
            if self.tasks:
                await asyncio.wait(self.tasks)
            await self._look(begin)

    async def _repeat(self, begin: float, every: float, start) -> None:  # noqa: ANN001 - a coroutine function
        """Start something at fixed times, whether or not what was started before has ended."""
        end = begin + self.options.minutes * 60
        due = begin
        while due < end:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(start())
            self.tasks.add(task)
            task.add_done_callback(self._done)
            due += every

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.tally.blame("the soak test itself", repr(task.exception()))

    async def _call(self, caller: Caller) -> None:
        await caller.one()
        self.calls += 1

    async def _log_in(self, people: People) -> None:
        await people.one()
        self.logins += 1

    async def _look(self, begin: float) -> None:
        processes = await asyncio.to_thread(self.watcher.look)
        minute = round((time.monotonic() - begin) / 60, 3)
        self.samples.append(Sample(minute=minute, calls=self.calls, logins=self.logins, processes=processes))


async def at_rest(watcher: Watcher, tasks: int | None) -> list[ProcessSample]:
    """Return a sample when nothing is in flight and no more tasks run than before, or when patience ends."""
    deadline = time.monotonic() + REST_SECONDS
    while True:
        found = await asyncio.to_thread(watcher.look)
        busy = any(one.upstream_in_flight > 0 for one in found)
        if not busy and (tasks is None or max(one.tasks for one in found) <= tasks):
            return found
        if time.monotonic() > deadline:
            return found
        await asyncio.sleep(1.0)


async def run(house: House, options: argparse.Namespace, password: str, heading: list[str]) -> soak_report.Soak:
    watcher = Watcher(process=house.process, vitals=await _vitals_urls(house))
    test = Run(house=house, watcher=watcher, options=options)
    before = await at_rest(watcher, None)
    await test.load(password)
    after = await at_rest(watcher, max(one.tasks for one in before))
    return soak_report.Soak(
        minutes=options.minutes,
        heading=heading,
        samples=test.samples,
        before=before,
        after=after,
        tally=test.tally,
        log=soak_report.unexplained_lines(house.place / "portico.log"),
    )


async def _vitals_urls(house: House) -> list[str]:
    """Return where each process tells its counts."""
    database = await Database.open(house.database)
    try:
        async with database.read() as conn:
            return [f"{row.url}/vitals" for row in await replicas.list_all(conn)]
    finally:
        await database.aclose()


@contextlib.contextmanager
def prepared(options: argparse.Namespace, password: str) -> Generator[House]:
    """Start targets, database and Portico, on all cores."""
    cores = Cores(server=tuple(range(psutil.cpu_count() or 1)), load=tuple(range(psutil.cpu_count() or 1)))
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portico-soak-")))
        database = ""
        if options.database == "postgresql":
            from support.postgres import running_server  # noqa: PLC0415 - needs PostgreSQL's programs only here

            server = stack.enter_context(running_server())
            database = server.url(asyncio.run(server.create(migrated=True)))
        targets = _targets(stack, options.seed)
        plans = [
            GatewayPlan(
                name=name, targets=targets, streams=True, sessions=name == "sessions", target_extension=PATIENCE
            )
            for name in ("soak", "sessions")
        ]
        users = [{"name": name, "passwordFile": "password"} for name in USERS]
        (place / "portico").mkdir()
        (place / "portico" / "password").write_text(password)
        yield start_house(
            stack,
            place / "portico",
            cores,
            plans,
            workers=options.workers,
            database=database,
            issuer={"users": users},
            settings={"admin_listen": "127.0.0.1:0"} if options.workers == 1 else {},
        )


def _targets(stack: contextlib.ExitStack, seed: int) -> dict[str, str]:
    command = [sys.executable, str(ROOT / "bench" / "soak_targets.py"), str(seed)]
    child = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT))
    stack.callback(child.terminate)
    assert child.stdout is not None
    return json.loads(child.stdout.readline())


def main() -> None:
    options = _options()
    password = secrets.token_urlsafe(16)
    kills = run_kills(options.kills) if options.kills else None
    if kills is not None and kills.output:
        sys.exit(f"{kills.output}\nnot passed: {kills.line()}")
    try:
        with prepared(options, password) as house:
            soak = asyncio.run(run(house, options, password, _heading(options, kills)))
    except NotStarted as error:
        sys.exit(str(error))
    place = DOCUMENT.parent if options.minutes >= WRITTEN_FROM else SCRATCH
    place.mkdir(parents=True, exist_ok=True)
    soak_report.write(place, soak, template=DOCUMENT)
    print(soak_report.text(soak))
    print(f"\nwritten: {place.relative_to(ROOT)}/soak.md, soak.svg, soak.jsonl")
    found = soak_report.faults(soak)
    if found:
        sys.exit("not passed: " + "; ".join(found))


def _heading(options: argparse.Namespace, kills: Kills | None) -> list[str]:
    done = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    day = time.strftime("%Y-%m-%d", time.gmtime())
    command = " ".join(["bench/soak.py", *sys.argv[1:]])
    load = f"{options.minutes:g} minutes, {options.rate:g} calls and one login per second"
    return [
        f"`{command}`, {day}: {load}, {options.workers} workers over {DATABASE_OF[options.database]}",
        f"Portico {version('portico')} at commit {done.stdout.strip()}",
        f"{psutil.cpu_count()} cores for Portico, database, targets and load together",
        *([] if kills is None else [kills.line()]),
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=40.0, help="calls per second (default 40)")
    parser.add_argument("--sample", type=float, default=5.0, help="seconds between looks (default 5)")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--database", choices=tuple(DATABASE_OF), default="postgresql")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, help=f"on each database (default {KILLS} in {WRITTEN_FROM:g} minutes)")
    options = parser.parse_args()
    if options.kills is None:
        options.kills = min(int(KILLS * options.minutes / WRITTEN_FROM), KILLS)
    return options


if __name__ == "__main__":
    main()
