"""The front of the AgentCore API for tests: its real parts, operations of a test's choosing, and clients for it.

:class:`Api` is driven in memory by signed requests; :meth:`Api.serving` puts it behind uvicorn for boto3.
"""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import boto3
from botocore.config import Config

from portico.authorizer.access_keys import AccessKeys, sealed_secret
from portico.authorizer.sigv4 import Signatures
from portico.control.access import Access
from portico.control.api.front import Front
from portico.model.secret import Secret
from portico.service.process_settings import Listen
from portico.service.server import Server, bind
from portico.storage import access_keys
from portico.storage.access_keys import AccessKeyRow
from portico.web.asgi import send_response
from support.signing import KEY_ID, REGION, SECRET, Signer

HOST = "http://portico.example"
BOUND = 30.0  #: seconds that anything may take


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.headers.get("x-amzn-errortype")

    @property
    def faults(self):
        """Paths and messages of the field list."""
        return {entry["name"]: entry["message"] for entry in self.json["fieldList"]}


async def elsewhere(scope, receive, send):
    """What serves the paths that are not the API's."""
    await send_response(send, 404, [], b"elsewhere")


async def add_key(database, keyring, *, key_id=KEY_ID, secret=SECRET, role="administrator", gateways=()):
    row = AccessKeyRow(
        id=key_id,
        sealed_secret=sealed_secret(keyring, key_id, Secret(secret)),
        name=f"the {role}",
        role=role,
        gateways=tuple(gateways),
        created_at=1,
    )
    async with database.write() as conn:
        await access_keys.add(conn, row)


@dataclass
class Api:
    """A front over a real database with one administrator's key."""

    database: object
    keyring: object
    context: object  #: makes the context of a caller, a request id and a time
    offered: dict = field(default_factory=dict)
    changed: int = 0
    front: Front = None
    keys: AccessKeys = None

    async def start(self):
        await add_key(self.database, self.keyring)
        self.keys = AccessKeys(self.database, self.keyring)
        await self.keys.reload()
        self.front = Front(
            access=Access(Signatures(self.keys, region=REGION)),
            offered=self.offered,
            context=self.context,
            otherwise=elsewhere,
            changed=self._note,
        )
        return self

    def _note(self):
        self.changed += 1

    async def call(self, method, path, document=None, *, body=None, signer=None, **headers):
        """Send a signed request; a document travels as JSON."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is None:
            body = b"" if document is None else json.dumps(document).encode()
        if body and "content-type" not in headers:
            headers["content-type"] = "application/json"
        sent = (signer or Signer()).sign(method, HOST + path, now=time.time(), body=body, headers=headers)
        return await self.send(sent)

    async def send(self, sent):
        """Hand a request to the front, in memory."""
        messages = [{"type": "http.request", "body": sent.body, "more_body": False}]
        answers = []

        async def receive():
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message):
            answers.append(message)

        async with asyncio.timeout(BOUND):
            await self.front(sent.scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in answers[0]["headers"]}
        body = b"".join(message.get("body", b"") for message in answers[1:])
        return Answer(status=answers[0]["status"], headers=headers, body=body)

    @asynccontextmanager
    async def serving(self):
        """Serve over a real socket; yields the URL."""
        with bind(Listen(host="127.0.0.1", port=0), setting="listen") as sock:
            server = Server(self.front, drain_seconds=1)
            task = asyncio.create_task(server.serve(sockets=[sock]))
            async with asyncio.timeout(BOUND):
                await server.listening.wait()
            try:
                yield f"http://127.0.0.1:{sock.getsockname()[1]}"
            finally:
                server.should_exit = server.force_exit = True
                await task


def client(url, service="bedrock-agentcore-control", *, key_id=KEY_ID, secret=SECRET, region=REGION, validate=True):
    """Return boto3's client as people make it; ``validate=False`` lets through what it would refuse by itself."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(parameter_validation=validate, retries={"max_attempts": 0}, proxies={}),
    )
