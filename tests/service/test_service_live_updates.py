"""Two replicas under load while an administrator changes everything about a gateway through boto3: no call fails.

Each change holds on both replicas at their next poll, without a new URL.
"""

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import boto3
import httpx2
import pytest
from botocore.config import Config
from portico_process import SECRET, Portico, call, free_port, until

from portico.crypto.keyring import generate_line
from targets.servers import legacy_server, modern_server

pytestmark = pytest.mark.e2e

HOLDS_WITHIN = 30.0  #: seconds; a poll is 0.5 s, the rest is for a busy machine
CALLERS = 4  #: at each replica
KEY_ID = "PORTICO_LIVE_UPDATES"
CLIENTS = {"steady": ["mcp/invoke", "mcp/read"], "other": ["mcp/invoke"]}


@pytest.fixture
async def new():
    async with modern_server() as server:
        yield server


@pytest.fixture
async def old():
    async with legacy_server() as server:
        yield server


@pytest.fixture
def database_url(database_kind, request, tmp_path):
    if database_kind == "postgresql":
        return request.getfixturevalue("empty_postgres_url")
    return f"sqlite:///{tmp_path}/shared.db"


@pytest.fixture
async def pair(tmp_path, database_url):
    """Two replicas that declare an issuer and an access key; all else comes through the API."""
    first, key_line = free_port(), generate_line("k1")
    document = {
        "public_url": f"http://127.0.0.1:{first}",
        "database": database_url,
        "api_private_addresses": True,
        "accessKeys": [{"accessKeyId": KEY_ID, "name": "ops", "role": "administrator", "secret": SECRET}],
        "issuers": [
            {
                "name": "main",
                "scopes": ["mcp/invoke", "mcp/read"],
                "clients": [{"name": name, "secret": SECRET, "scopes": scopes} for name, scopes in CLIENTS.items()],
            }
        ],
    }
    replicas = []
    async with AsyncExitStack() as stack:
        for name, port in (("a", first), ("b", free_port())):
            (tmp_path / name).mkdir()
            own = {"admin_listen": f"127.0.0.1:{free_port()}"}
            replica = Portico(tmp_path / name, document | own, port=port, key_line=key_line)
            replicas.append(await stack.enter_async_context(replica.running()))
        yield replicas
    for replica in replicas:
        assert "Traceback" not in replica.log()
        assert "request_failed" not in replica.log()


class Administrator:
    """Someone with boto3, at one replica."""

    def __init__(self, replica):
        self.replica = replica
        self.client = boto3.client(
            "bedrock-agentcore-control",
            endpoint_url=replica.url,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": 1}),
        )
        self.gateway = {
            "name": "live",
            "roleArn": "arn:aws:iam::000000000000:role/portico",
            "protocolType": "MCP",
            "authorizerType": "CUSTOM_JWT",
        }
        self.rules = {"discoveryUrl": replica.discovery_url}

    async def __call__(self, operation, **request):
        return await asyncio.to_thread(getattr(self.client, operation), **request)

    async def create_gateway(self):
        made = await self("create_gateway", **self.gateway, authorizerConfiguration=self._authorizer())
        self.id, self.url = made["gatewayId"], made["gatewayUrl"]

    async def update_gateway(self, **rules):
        self.rules |= rules
        rules = self._authorizer()
        updated = await self("update_gateway", gatewayIdentifier=self.id, **self.gateway, authorizerConfiguration=rules)
        assert updated["gatewayUrl"] == self.url

    def _authorizer(self):
        return {"customJWTAuthorizer": {name: value for name, value in self.rules.items() if value}}

    async def create_target(self, name, server, **more):
        made = await self("create_gateway_target", gatewayIdentifier=self.id, **target(name, server), **more)
        await self.synchronized(made["targetId"])
        return made["targetId"]

    async def update_target(self, target_id, name, server, **more):
        request = target(name, server) | more
        await self("update_gateway_target", gatewayIdentifier=self.id, targetId=target_id, **request)

    async def synchronized(self, target_id):
        async def ready():
            found = await self("get_gateway_target", gatewayIdentifier=self.id, targetId=target_id)
            return found["status"] == "READY"

        await until(ready)


def target(name, server):
    return {"name": name, "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": server.url}}}}


def with_key(arn):
    place = {"credentialParameterName": "X-Key", "credentialLocation": "HEADER"}
    provider = {"apiKeyCredentialProvider": {"providerArn": arn} | place}
    return [{"credentialProviderType": "API_KEY", "credentialProvider": provider}]


@dataclass
class Load:
    """Callers at both replicas who are allowed all the time; whatever is not an answer of the tool is a failure."""

    replicas: list
    url: str
    tokens: dict
    made: int = 0
    failed: list = field(default_factory=list)

    async def caller(self, replica, number):
        tool, say = ("one___echo", replica.modern) if number % 2 else ("two___echo", replica.legacy)
        while True:
            self.made += 1
            arguments = {"n": self.made}
            try:
                answer = await say(at(replica, self.url), self.tokens["steady"], "tools/call", call(tool, **arguments))
                said = answer.json()
                good = answer.status_code == 200 and said["result"].get("isError") is not True
                if not good or json.loads(said["result"]["content"][0]["text"]) != arguments:
                    self.failed.append((tool, answer.status_code, answer.text))
            except (httpx2.HTTPError, KeyError, ValueError) as error:
                self.failed.append((tool, repr(error)))

    @asynccontextmanager
    async def running(self):
        tasks = [
            asyncio.create_task(self.caller(replica, number)) for replica in self.replicas for number in range(CALLERS)
        ]
        try:
            yield self
            await self.more()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        assert not [task for task in tasks if not task.cancelled()]

    async def more(self, count=50):
        """Wait until as many calls more were made."""
        wanted = self.made + count
        await until(lambda: self.made >= wanted)

    async def status(self, replica, name, tool="one___echo"):
        """Return what becomes of a call by one of the clients."""
        answer = await replica.modern(at(replica, self.url), self.tokens[name], "tools/call", call(tool))
        return answer.status_code

    async def everywhere(self, name, status, tool="one___echo"):
        """Wait until a call by a client has this status on each replica, and let the load go on for a while."""
        async with asyncio.timeout(HOLDS_WITHIN):
            for replica in self.replicas:
                while await self.status(replica, name, tool) != status:
                    await asyncio.sleep(0.02)
        await self.more()


def at(replica, url):
    """Return a public URL as the balancer would send it to ``replica``."""
    return url.replace(replica.public_url, replica.url)


async def token(replica, resource, client):
    form = {"grant_type": "client_credentials", "scope": " ".join(CLIENTS[client]), "resource": resource}
    answer = await replica.http.post("/i/main/token", data=form, auth=(client, SECRET))
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


@pytest.fixture
async def admin(pair, old, new):
    """An administrator whose gateway has two targets that both replicas serve."""
    made = Administrator(pair[0])
    await made.create_gateway()
    made.one = await made.create_target("one", new)
    made.two = await made.create_target("two", old)
    return made


@pytest.fixture
async def load(pair, admin):
    tokens = {client: await token(pair[0], admin.url, client) for client in CLIENTS}
    made = Load(pair, admin.url, tokens)
    for tool in ("one___echo", "two___echo"):
        await until(lambda tool=tool: _both_serve(made, tool))
    return made


async def _both_serve(load, tool):
    found = [await load.status(replica, "steady", tool) for replica in load.replicas]
    return found == [200, 200]


async def test_changes_take_effect_everywhere_without_a_failed_call(pair, admin, load, new):
    async with modern_server() as third, load.running():
        in_flight = [
            asyncio.create_task(
                replica.modern(at(replica, admin.url), load.tokens["steady"], "tools/call", call("one___wait"))
            )
            for replica in pair
        ]
        await until(lambda: [params["name"] for params in new.calls].count("wait") == len(pair))

        await load.everywhere("other", 200)
        await admin.update_gateway(allowedClients=["steady"])
        await load.everywhere("other", 403)
        await admin.update_gateway(allowedClients=[])
        await load.everywhere("other", 200)
        await admin.update_gateway(allowedScopes=["mcp/read"])
        await load.everywhere("other", 403)
        await admin.update_gateway(allowedScopes=["mcp/invoke"])
        await load.everywhere("other", 200)

        three = await admin.create_target("three", third)
        await load.everywhere("steady", 200, "three___echo")
        await admin("delete_gateway_target", gatewayIdentifier=admin.id, targetId=three)
        await load.everywhere("steady", 400, "three___echo")

        # What is called all the time moves to other servers, one of them of the other era.
        await admin.update_target(admin.one, "one", third)
        await until(lambda: len(third.calls) > CALLERS)
        await admin.synchronized(admin.one)
        await admin.update_target(admin.two, "two", new)
        before = len(new.calls)
        await until(lambda: len(new.calls) > before + CALLERS)
        await load.more()

        made = await admin("create_api_key_credential_provider", name="key", apiKey="the-first-key")
        await admin.update_target(
            admin.two,
            "two",
            new,
            credentialProviderConfigurations=with_key(made["credentialProviderArn"]),
        )
        await until_calls_bear(new, "the-first-key")
        await admin("update_api_key_credential_provider", name="key", apiKey="the-second-key")
        await until_calls_bear(new, "the-second-key")
        await load.more()

        new.proceed.set()
        answers = await asyncio.gather(*in_flight)
        assert [answer.json()["result"]["isError"] for answer in answers] == [False, False]
    assert load.failed == []
    assert load.made > 500


async def until_calls_bear(server, key):
    """Wait until calls bear the key, and no other one any more."""

    def bears():
        calls = [head for head, request in zip(server.heads, server.requests, strict=False) if is_call(request)]
        return len(calls) > CALLERS and all(head.get("x-key") == key for head in calls[-CALLERS:])

    await until(bears)


def is_call(request):
    return request.get("method") == "tools/call" and request["params"]["name"] == "echo"
