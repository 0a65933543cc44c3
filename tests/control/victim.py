"""A process that changes gateways and targets without pause, and says before and after each change what it does.

It is killed at any moment: see test_control_kills. Run with the database's URL, the keyring's line, the directory of
its journal, the file of its sayings, and the number of the round.
"""

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path

from control.agentcore import GATEWAY, Api, server
from portico.audit.journal import Journal
from portico.control.changes import CHANGES_JOB, ChangeShipper
from portico.control.jobs import JobWorker
from portico.control.sync import Synchronizer
from portico.control.targets import SYNC_JOB
from portico.crypto.keyring import Keyring
from portico.model.errors import Conflict
from portico.model.target import EraTools, Tool
from portico.storage import gateways, targets
from portico.storage.engine import Database
from portico.targets.discovery import Discovery

ACTORS = 4
MOST_GATEWAYS = 3  #: of one actor
MOST_TARGETS = 3  #: of one gateway


async def discover(target):
    """Find one tool, after a moment; now and then nothing."""
    await asyncio.sleep(random.random() * 0.02)
    if random.random() < 0.2:
        return Discovery(eras=(), reasons=("It was away.",))
    tool = Tool(name="add", definition=b'{"name":"add","inputSchema":{"type":"object"}}')
    return Discovery(eras=(EraTools(era="legacy", version="2025-11-25", tools=(tool,)),), reasons=())


class Sayings:
    """What was begun and what was acknowledged, line by line, in a file that outlives the process."""

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(self, word, **what):
        os.write(self._file, (json.dumps({"word": word, **what}) + "\n").encode())


class Actor:
    """Changes what bears its number, one change after another."""

    def __init__(self, number, api, sayings, round_number):
        self.number = number
        self.api = api
        self.api.name = f"{round_number}-{number}"
        self.sayings = sayings
        self.version = 0
        self.gateways = {}  #: name to id
        self.targets = {}  #: (gateway's name, name) to id

    async def look(self):
        """Find what earlier rounds left."""
        async with self.api.database.read() as conn:
            rows = {row.id: row for row in await gateways.list_all(conn) if row.name.startswith(f"a{self.number}-")}
            for row in await targets.list_all(conn):
                if row.gateway_id in rows:
                    self.targets[rows[row.gateway_id].name, row.name] = row.id
        self.gateways = {row.name: row.id for row in rows.values()}

    async def run(self):
        await self.look()
        while True:
            await random.choice(self.choices())()

    def choices(self):
        """Return what can be done now."""
        found = []
        if len(self.gateways) < MOST_GATEWAYS:
            found.append(self.create_gateway)
        if self.gateways:
            found += [self.update_gateway, self.create_target, self.delete_gateway]
        if self.targets:
            found += [self.update_target, self.synchronize, self.delete_target, self.update_target]
        return found

    async def change(self, key, to, operation, **request):
        """Make one change, and say so before and after."""
        about = {"key": key, "to": to, "request": f"{self.api.name}-{self.api.requests + 1}", "operation": operation}
        self.sayings.say("begun", **about, token=request.get("clientToken"))
        try:
            answer = await self.api(operation, **request)
        except Conflict:  # a synchronization was stored in between
            self.sayings.say("refused", **about)
            return None
        self.sayings.say("done", **about)
        return answer

    def next_version(self):
        self.version += 1
        return f"v{self.api.name}-{self.version}"

    def endpoint(self, version):
        return f"https://{version}.example/mcp"

    def free(self, taken, prefix):
        return next(name for number in range(10) if (name := f"{prefix}{number}") not in taken)

    async def create_gateway(self):
        name, version = self.free(self.gateways, f"a{self.number}-"), self.next_version()
        token = f"token-of-at-least-33-characters-{self.api.name}-{self.api.requests}"
        document = GATEWAY | {"name": name, "description": version, "tags": {"version": version}}
        answer = await self.change(f"gateway {name}", version, "CreateGateway", clientToken=token, **document)
        if answer:
            self.gateways[name] = answer["gatewayId"]

    async def update_gateway(self):
        name, gateway_id = random.choice(list(self.gateways.items()))
        version = self.next_version()
        document = GATEWAY | {"name": name, "description": version}
        await self.change(f"gateway {name}", version, "UpdateGateway", gatewayIdentifier=gateway_id, **document)

    async def delete_gateway(self):
        empty = [name for name in self.gateways if not any(of == name for of, _ in self.targets)]
        if empty:
            name = random.choice(empty)
            request = {"gatewayIdentifier": self.gateways[name]}
            if await self.change(f"gateway {name}", None, "DeleteGateway", **request):
                del self.gateways[name]

    async def create_target(self):
        of, gateway_id = random.choice(list(self.gateways.items()))
        taken = {name for gateway, name in self.targets if gateway == of}
        if len(taken) < MOST_TARGETS:
            name, version = self.free(taken, "t"), self.next_version()
            configuration = server(endpoint=self.endpoint(version))
            document = {"name": name, "description": version, "targetConfiguration": configuration}
            answer = await self.change(
                f"target {of}/{name}", version, "CreateGatewayTarget", gatewayIdentifier=gateway_id, **document
            )
            if answer:
                self.targets[of, name] = answer["targetId"]

    async def update_target(self):
        (of, name), target_id = random.choice(list(self.targets.items()))
        version = self.next_version()
        await self.change(
            f"target {of}/{name}",
            version,
            "UpdateGatewayTarget",
            gatewayIdentifier=self.gateways[of],
            targetId=target_id,
            description=version,
            targetConfiguration=server(endpoint=self.endpoint(version)),
        )

    async def synchronize(self):
        (of, name), target_id = random.choice(list(self.targets.items()))
        await self.change(
            f"target {of}/{name}",
            "same",
            "SynchronizeGatewayTargets",
            gatewayIdentifier=self.gateways[of],
            targetIdList=[target_id],
        )

    async def delete_target(self):
        (of, name), target_id = random.choice(list(self.targets.items()))
        request = {"gatewayIdentifier": self.gateways[of], "targetId": target_id}
        if await self.change(f"target {of}/{name}", None, "DeleteGatewayTarget", **request):
            del self.targets[of, name]


async def main(url, line, directory, path, round_number):
    database = await Database.open(url)
    keyring = Keyring.parse(line)
    journal = Journal(Path(directory), writer="victim")
    worker = JobWorker(
        database,
        {
            SYNC_JOB: Synchronizer(database, discover).run,
            CHANGES_JOB: ChangeShipper(database, journal).run,
        },
        owner=f"victim-{round_number}",
    )
    sayings = Sayings(path)
    actors = [Actor(number, Api(database, keyring, time.time), sayings, round_number) for number in range(ACTORS)]
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run())
        group.create_task(_wake(worker))
        sayings.say("ready")
        for actor in actors:
            group.create_task(actor.run())


async def _wake(worker):
    while True:
        worker.wake()
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
