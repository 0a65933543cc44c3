"""kill -9 of a served process in the middle of changes that are made through boto3: nothing acknowledged is lost.

``PORTICO_KILLS_SERVED`` says how often. What is acknowledged here has reached a client over HTTP.
"""

import asyncio
import os
import random

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from portico_process import SECRET, Portico, free_port

from control.scene import Scene
from control.victim import Actor
from portico.audit.verify import verify
from portico.crypto.keyring import Keyring
from portico.model.errors import Conflict
from portico.service.seat import JOURNAL_DIRECTORY
from targets.servers import modern_server

pytestmark = pytest.mark.e2e

KILLS = int(os.environ.get("PORTICO_KILLS_SERVED", "3"))
ACTORS = 4
LONGEST = 1.0  #: seconds from the first changes to the kill
KEY_ID = "PORTICO_KILLED_OFTEN"


class Lost(Exception):
    """The connection broke: the process is dead."""


class Client:
    """Calls operations over HTTP as :class:`control.agentcore.Api` does without."""

    def __init__(self, replica, names):
        self.database = replica.database
        self.requests = 0
        self.name = ""
        self._names = names  # by our own number of a request, the server's
        self._client = boto3.client(
            "bedrock-agentcore-control",
            endpoint_url=replica.url,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": 1}),
        )

    async def __call__(self, operation, **request):
        self.requests += 1
        number = f"{self.name}-{self.requests}"
        try:
            answer = await asyncio.to_thread(self._client._make_api_call, operation, request)
        except BotoCoreError as error:
            raise Lost from error
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConflictException":
                raise Conflict(str(error)) from error
            raise
        self._names[number] = answer["ResponseMetadata"]["RequestId"]
        return answer


class Caller(Actor):
    """An actor at the other end of a connection, until that breaks."""

    def __init__(self, number, api, sayings, round_number, endpoint):
        super().__init__(number, api, sayings, round_number)
        self._endpoint = endpoint

    def endpoint(self, version):
        return f"{self._endpoint}?{version}"

    async def run(self):
        try:
            await super().run()
        except Lost:
            return


class Sayings:
    """What was begun and what was acknowledged."""

    def __init__(self):
        self.said = []

    def say(self, word, **what):
        self.said.append({"word": word, **what})


class Served(Scene):
    """The scene of one process that is killed and started again."""

    def __init__(self, portico, endpoint):
        super().__init__(portico.database, portico.database_url, portico.directory)
        self.portico = portico
        self.endpoint = endpoint
        self.keyring = Keyring.parse(portico.key_line)
        self.names = {}
        self.sayings = Sayings()

    async def kill_one(self, number):
        """Let actors change things for a moment and kill the process; return what they were doing then."""
        actors = [
            Caller(each, Client(self.portico, self.names), self.sayings, number, self.endpoint)
            for each in range(ACTORS)
        ]
        tasks = [asyncio.create_task(actor.run()) for actor in actors]
        try:
            async with asyncio.timeout(30):
                while len(self.sayings.said) < ACTORS:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(random.random() * LONGEST)  # the moment of the kill is what is tried
        finally:
            self.portico.process.kill()
            await asyncio.to_thread(self.portico.process.wait)
        await asyncio.gather(*tasks)
        return self._listen()

    def _listen(self):
        open_changes = self._open_changes(self.sayings.said)
        self.sayings.said = []
        return open_changes

    def acknowledge(self, saying):
        super().acknowledge(saying | {"request": self.names[saying["request"]]})

    async def settle(self, open_changes):
        """Decide each open change by what is there: it was made whole and recorded, or not at all."""
        async with self.database.write():
            pass  # PostgreSQL may still be at a commit that was sent
        found, trail = await self.found(), await self.trail()
        made, maybe = 0, 0
        for change in open_changes:
            key, to = change["key"], change["to"]
            if to == "same":
                maybe += 1
            elif found.get(key) == to:
                made += 1
                self.take(change)
            else:
                assert found.get(key) == self.state.get(key), change
        assert found == self.state
        assert self.requests <= trail
        unheard = trail - self.requests
        assert made <= len(unheard) <= made + maybe
        self.requests |= unheard

    @property
    def journal(self):
        return self.portico.directory / "data" / JOURNAL_DIRECTORY


@pytest.fixture
def own_database(database_kind, request):
    if database_kind == "postgresql":
        return {"database": request.getfixturevalue("empty_postgres_url")}
    return {}


@pytest.fixture
async def portico(tmp_path, own_database):
    document = {
        "accessKeys": [{"accessKeyId": KEY_ID, "name": "ops", "role": "administrator", "secret": SECRET}],
        "api_private_addresses": True,
        "admin_listen": f"127.0.0.1:{free_port()}",
    }
    async with Portico(tmp_path, document | own_database).running() as made:
        yield made


async def test_kills_of_a_served_process_lose_nothing_that_was_acknowledged(portico):
    async with modern_server() as server:
        scene = Served(portico, server.url)
        for number in range(KILLS):
            await scene.settle(await scene.kill_one(number))
            if number < KILLS - 1:
                portico.start()
                await portico.started()
        assert len(scene.requests) > KILLS
        report = await verify(scene.database, scene.keyring, directory=scene.journal)
        assert [fault for writer in report.writers for fault in writer.faults] == []
        await scene.finish()
        assert await scene.found() == scene.state
