"""What must be there after processes were killed in the middle of their changes: see test_control_kills."""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from control.agentcore import GATEWAY, Api
from control.victim import discover
from portico.audit.read import list_changes
from portico.control.jobs import JobWorker
from portico.control.sync import Synchronizer
from portico.control.targets import SYNC_JOB
from portico.crypto.keyring import Keyring, generate_line
from portico.model.documents import parse_gateway, parse_target
from portico.storage import gateways, tags, targets, workload_identities
from portico.storage.audit import Filters
from portico.storage.jobs import JobRow
from portico.storage.rows import fetch_all
from portico.storage.schema import jobs as job_table

LONGEST = 0.4  #: seconds from its first change to the kill
START_SECONDS = 60.0
BUSY = {"CREATING", "UPDATING", "SYNCHRONIZING"}
TESTS = Path(__file__).parents[1]


class Scene:
    """The database, the journal, and what every victim so far has said."""

    def __init__(self, database, url, directory):
        self.database = database
        self.url = url
        self.directory = directory
        self.line = generate_line("k1")
        self.keyring = Keyring.parse(self.line)
        self.path = directory / "sayings"
        self.read_until = 0
        self.state = {}  #: what is acknowledged: key to version
        self.requests = set()  #: that are acknowledged
        self.recorded = set()  #: requests that were found in the trail, and looked at

    @property
    def journal(self):
        return self.directory / "audit"

    def kill_one(self, number):
        """Start a victim, let it work for a moment and kill it; return what it was doing then, by actor."""
        command = [sys.executable, str(TESTS / "control" / "victim.py"), self.url, self.line]
        with (self.directory / "log").open("ab") as log:
            victim = subprocess.Popen(
                [*command, str(self.directory / "audit"), str(self.path), str(number)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONPATH": str(TESTS)},
            )
        try:
            self._wait_until_ready(victim)
            time.sleep(random.random() * LONGEST)  # the moment of the kill is what is tried, not a condition
        finally:
            victim.kill()
            victim.wait()
        return self._listen()

    def _wait_until_ready(self, victim):
        ends = time.monotonic() + START_SECONDS
        while not any(saying["word"] != "ready" for saying in self._sayings()):
            assert victim.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < ends
            time.sleep(0.005)

    def _sayings(self):
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_bytes()[self.read_until :].split(b"\n")[:-1]]

    def _listen(self):
        open_changes = self._open_changes(self._sayings())
        self.read_until = self.path.stat().st_size
        return open_changes

    def _open_changes(self, sayings):
        """Take what was acknowledged as the state that must be there; return what was begun and not ended."""
        open_changes = {}
        for saying in sayings:
            match saying["word"]:
                case "begun":
                    open_changes[saying["request"]] = saying
                case "refused":
                    del open_changes[saying["request"]]
                case "done":
                    del open_changes[saying["request"]]
                    self.acknowledge(saying)
        return list(open_changes.values())

    def acknowledge(self, saying):
        """Note a change of which somebody was told that it is made."""
        self.requests.add(saying["request"])
        self.take(saying)

    def take(self, change):
        """Expect a change in what is there."""
        if change["to"] is None:
            del self.state[change["key"]]
        elif change["to"] != "same":
            self.state[change["key"]] = change["to"]

    async def found(self):
        """Return what the database holds, as versions by key, and check that it is whole."""
        async with self.database.read() as conn:
            rows = {row.id: row for row in await gateways.list_all(conn)}
            attached = await targets.list_all(conn)
            identities = {row.name for row in await workload_identities.list_all(conn)}
            tagged = {arn.rpartition("/")[2] for arn in await tags.list_all(conn)}
            waiting = {job.key for job in await fetch_all(conn, job_table.select(), JobRow) if job.kind == SYNC_JOB}
        assert identities == rows.keys() == tagged
        assert {row.id for row in attached if row.status in BUSY} <= waiting
        for row in rows.values():
            parse_gateway(gateway_id=row.id, document=row.document, extension={}, revision=row.revision)
        for row in attached:
            assert parse_target(
                target_id=row.id,
                gateway_id=row.gateway_id,
                document=row.document,
                extension={},
                status=row.status,
                eras=row.eras,
                revision=row.revision,
            )
        state = {f"gateway {row.name}": row.document["description"] for row in rows.values()}
        return state | {
            f"target {rows[row.gateway_id].name}/{row.name}": row.document["description"] for row in attached
        }

    async def settle(self, open_changes):
        """Decide each open change by what is there: it was made whole, or not at all."""
        async with self.database.write():
            pass  # PostgreSQL may still be at a commit that was sent; it ends before this one begins
        found = await self.found()
        trail = await self.trail()
        for change in open_changes:
            key, to = change["key"], change["to"]
            made = change["request"] in trail
            if to != "same":
                assert found.get(key) == (to if made else self.state.get(key)), change
            if made:
                self.acknowledge(change)
        assert found == self.state
        assert trail == self.requests

    async def trail(self):
        """Return the requests that the audit trail knows, each once."""
        found = await list_changes(self.database, Filters(), limit=1_000_000, directory=self.journal)
        requests = [entry.record.request_id for entry in found if entry.record.kind == "api"]
        assert len(requests) == len(set(requests))
        return set(requests)

    async def ask_again(self, open_changes):
        """Send creates whose answer was lost once more: there must be one gateway, whatever became of the first."""
        for number, change in enumerate(open_changes):
            if change["token"] is None:
                continue
            api = Api(self.database, self.keyring, time.time)
            api.name = f"again-{change['request']}-{number}"
            name = change["key"].removeprefix("gateway ")
            tagged = {"tags": {"version": change["to"]}, "description": change["to"], "clientToken": change["token"]}
            answer = await api("CreateGateway", **(GATEWAY | {"name": name} | tagged))
            assert answer["description"] == change["to"]
            if change["key"] not in self.state:
                self.state[change["key"]] = change["to"]
                self.requests.add(f"{api.name}-1")

    async def finish(self):
        """Let the jobs that are left be done by another process."""

        async def surely(target):
            while not (found := await discover(target)).eras:
                pass
            return found

        worker = JobWorker(
            self.database,
            {SYNC_JOB: Synchronizer(self.database, surely).run},
            owner="heir",
            clock=lambda: time.time() + 10_000,  # leases of the dead are over
        )
        task = asyncio.create_task(worker.run())
        try:
            async with asyncio.timeout(60):
                while True:
                    async with self.database.read() as conn:
                        statuses = {row.status for row in await targets.list_all(conn)}
                    if statuses <= {"READY"}:
                        return
                    worker.wake()
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            await asyncio.wait({task})
