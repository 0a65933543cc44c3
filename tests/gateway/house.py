"""A gateway for tests, made of the real parts: SQLite, journal, relay, upstream sessions, authorizer, uvicorn.

What a test says and hears goes over a socket on 127.0.0.1.
"""

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager

import aiohttp
from joserfc import jwt

from portico.audit.journal import Journal
from portico.audit.record import CallRecord, decode_record
from portico.audit.segments import list_segments
from portico.authorizer.authorizer import Authorizer
from portico.authorizer.keys import OwnKeys
from portico.authorizer.revocations import Revocations
from portico.crypto.keyring import Keyring, generate_line
from portico.crypto.signing import SigningKey
from portico.gateway.endpoint import McpEndpoint
from portico.gateway.resource_metadata import ResourceMetadata
from portico.gateway.store import Snapshots
from portico.identity.credentials import Credentials
from portico.model.documents import dump_eras, parse_target
from portico.net.egress import Egress
from portico.net.fetch import Fetcher
from portico.net.relay import Relay
from portico.oauth.resource import gateway_resource, target_resource
from portico.service.server import Server
from portico.storage import gateways, issuers, signing_keys, targets
from portico.storage.gateways import GatewayRow
from portico.storage.issuers import IssuerRow
from portico.storage.signing_keys import SigningKeyRow
from portico.storage.targets import TargetRow
from portico.targets.discovery import discover
from portico.targets.sessions import UpstreamSessions

ISSUER = "main"
META = "io.modelcontextprotocol/"
MODERN = "2026-07-28"
LEGACY = "2025-11-25"


async def until(condition, seconds=30.0):
    """Wait for a condition; fails when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.005)


class Clock:
    """The wall clock, to which a test may add, and which it may stop."""

    def __init__(self):
        self.ahead = 0.0
        self.stopped_at = None

    def stop(self):
        self.stopped_at = time.time()

    def __call__(self):
        return (self.stopped_at or time.time()) + self.ahead


class House:
    """The parts of a running gateway, and what a test does with them."""

    def __init__(self, directory, database):
        self.directory = directory
        self.database = database
        self.clock = Clock()
        self.keyring = Keyring.parse(generate_line("k1"))
        self.key = SigningKey.generate()
        self.asgi_errors = []
        self.over_asgi = False
        self.stale = []  # ids of targets that turned out to speak another era

    @asynccontextmanager
    async def running(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.public_url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.issuer = f"{self.public_url}/i/{ISSUER}"
        await self._store_issuer()
        self.relay = Relay(egress=Egress())
        self.upstream = UpstreamSessions(relay=self.relay)
        self.journal = Journal(self.directory / "journal", writer="test", clock=self.clock)
        self.snapshots = Snapshots(
            database=self.database,
            relay=self.relay,
            sessions=self.upstream,
            public_url=self.public_url,
            stale=self.stale.append,
        )
        self.fetcher = Fetcher(egress=Egress())
        self.credentials = Credentials(
            database=self.database, keyring=self.keyring, fetcher=self.fetcher, owner="test", clock=self.clock
        )
        self.keys = OwnKeys(self.database, public_url=self.public_url)
        self.revocations = Revocations(self.database, clock=self.clock)
        await self.keys.reload()
        self.authorizer = Authorizer(keys=self.keys, revocations=self.revocations, clock=self.clock)
        self.endpoint = self.make_endpoint()
        self.metadata = ResourceMetadata(snapshots=self.snapshots, authorizer=self.authorizer)
        async with self._serving():
            self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
            try:
                yield self
            finally:
                await self.http.close()
        await self.snapshots.aclose()
        await self.upstream.aclose()
        await self.credentials.aclose()
        await self.fetcher.aclose()
        await self.relay.aclose()
        self.journal.close()
        assert not self.asgi_errors, self.asgi_errors

    def make_endpoint(self, replica="r1"):
        return McpEndpoint(
            snapshots=self.snapshots,
            authorizer=self.authorizer,
            journal=self.journal,
            sessions=self.upstream,
            credentials=self.credentials,
            keyring=self.keyring,
            replica=replica,
            clock=self.clock,
        )

    @asynccontextmanager
    async def _serving(self):
        self.server = Server(self._app, drain_seconds=5.0, direct=self)
        serving = asyncio.create_task(self.server.serve(sockets=[self.socket]))
        await self.server.listening.wait()
        try:
            yield
        finally:
            self.server.should_exit = True
            await serving

    async def _app(self, scope, receive, send):
        """Serve over ASGI: the metadata, and the endpoint where a test asks for that."""
        try:
            await (self.metadata if ".well-known" in scope["path"] else self.endpoint)(scope, receive, send)
        except Exception as error:
            self.asgi_errors.append(error)
            raise

    def takes(self, target):
        """Let MCP requests come straight from the parser, as in production, unless a test wants ASGI."""
        return not self.over_asgi and b".well-known" not in target

    async def serve(self, exchange):
        try:
            await self.endpoint.serve(exchange)
        except Exception as error:
            self.asgi_errors.append(error)
            raise

    async def _store_issuer(self):
        now = int(time.time())
        async with self.database.write() as conn:
            await issuers.put(conn, IssuerRow(name=ISSUER, document={"name": ISSUER}, created_at=now, updated_at=now))
            row = SigningKeyRow(
                issuer=ISSUER,
                kid=self.key.kid,
                sealed="",
                public_jwk=self.key.public_jwk(),
                state="current",
                created_at=now,
                changed_at=now,
            )
            await signing_keys.add(conn, row)

    # What an administrator does

    async def add_gateway(self, gateway_id="shop", *, jwt_rules=None, extension=None, **document):
        """Store a gateway: without authorization when ``jwt_rules`` is None. Returns its URL."""
        now = int(time.time())
        row = GatewayRow(
            id=gateway_id,
            name=gateway_id,
            document=self._document(gateway_id, jwt_rules, document),
            extension=extension or {},
            status="READY",
            created_at=now,
            updated_at=now,
        )
        async with self.database.write() as conn:
            await gateways.add(conn, row)
        await self.snapshots.reload([gateway_id])
        return gateway_resource(self.public_url, gateway_id)

    async def change_gateway(self, gateway_id="shop", *, jwt_rules=None, extension=None, **document):
        async with self.database.write() as conn:
            row = await gateways.get(conn, gateway_id)
            changed = GatewayRow(
                id=row.id,
                name=row.name,
                document=self._document(gateway_id, jwt_rules, document),
                extension=extension or {},
                status=row.status,
                created_at=row.created_at,
                updated_at=int(time.time()),
            )
            await gateways.replace(conn, changed, expected_revision=row.revision)
        await self.snapshots.reload([gateway_id])

    def _document(self, gateway_id, jwt_rules, document):
        authorizer = {"authorizerType": "NONE"}
        if jwt_rules is not None:
            rules = {"discoveryUrl": f"{self.issuer}/.well-known/openid-configuration"} | jwt_rules
            authorizer = {
                "authorizerType": "CUSTOM_JWT",
                "authorizerConfiguration": {"customJWTAuthorizer": rules},
            }
        return {"name": gateway_id, "protocolType": "MCP"} | authorizer | document

    async def add_target(
        self, url, name="one", gateway_id="shop", *, eras=None, live=False, metadata=None, credential=None, **extension
    ):
        """Store a target and what discovery finds there (or ``eras``), unless its lists are ``live``."""
        settings = {"allowPrivateAddresses": True, "callTimeout": 10.0} | extension
        server = {"endpoint": url} | ({"listingMode": "DYNAMIC"} if live else {})
        document = {"name": name, "targetConfiguration": {"mcp": {"mcpServer": server}}}
        if metadata is not None:
            document["metadataConfiguration"] = metadata
        if credential is not None:
            document["credentialProviderConfigurations"] = [credential]
        number = f"T{len(name):03}{abs(hash((gateway_id, name))) % 10**6:06}"
        target = parse_target(
            target_id=number,
            gateway_id=gateway_id,
            document=document,
            extension=settings,
            status="READY",
            eras=None,
            revision=1,
        )
        if live:
            eras = ()
        elif eras is None:
            found = await discover(target, await self.credentials.credential_for(target), relay=self.relay)
            eras = found.eras
        now = int(time.time())
        row = TargetRow(
            id=number,
            gateway_id=gateway_id,
            name=name,
            document=document,
            extension=settings,
            status="READY",
            eras=dump_eras(eras),
            created_at=now,
            updated_at=now,
        )
        async with self.database.write() as conn:
            await targets.add(conn, row)
        await self.snapshots.reload([gateway_id])
        return target_resource(self.public_url, gateway_id, name)

    async def remove_target(self, name="one", gateway_id="shop"):
        async with self.database.write() as conn:
            row = await targets.by_name(conn, gateway_id, name)
            await targets.delete(conn, row.id)
        await self.snapshots.reload([gateway_id])

    def token(self, audience, *, sub="alice", client_id="cli", kind="at+jwt", key=None, **claims):
        now = int(self.clock())
        body = {
            "iss": self.issuer,
            "aud": audience,
            "sub": sub,
            "client_id": client_id,
            "iat": now,
            "exp": now + 900,
            "jti": "j",
            "scope": "mcp/invoke",
        } | claims
        key = key or self.key
        return jwt.encode({"alg": "ES256", "kid": key.kid, "typ": kind}, body, key.key, algorithms=["ES256"])

    # What an auditor sees

    def records(self) -> list[CallRecord]:
        lines = [
            line
            for segment in list_segments(self.directory / "journal")
            for line in segment.path.read_bytes().splitlines()
        ]
        return [record for record in map(decode_record, lines) if isinstance(record, CallRecord)]

    # What a client does

    async def post(self, url, message, *, token=None, headers=None, raw=False):
        """Post a JSON-RPC message (or bytes) and return the whole answer."""
        sent = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        async with self.http.post(url, data=body, headers={**sent, **(headers or {})}) as response:
            return Heard(response, await response.read())

    async def modern(self, url, method, params=None, *, number=1, token=None, headers=None, meta=None):
        message, mirrored = modern_request(method, params, number=number, meta=meta)
        return await self.post(url, message, token=token, headers={**mirrored, **(headers or {})})

    async def legacy(self, url, method, params=None, *, number=1, token=None, version=LEGACY, headers=None):
        message = legacy_request(method, params, number=number)
        said = {} if version is None else {"mcp-protocol-version": version}
        return await self.post(url, message, token=token, headers={**said, **(headers or {})})

    async def open_session(self, url, *, version=LEGACY, token=None):
        heard = await self.legacy(url, "initialize", initialize_params(version), version=None, token=token)
        return heard.headers["Mcp-Session-Id"]


class Heard:
    """One HTTP answer."""

    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def events(self):
        """The messages of an event stream."""
        blocks = self.body.decode().split("\n\n")
        return [
            json.loads("".join(line[6:] for line in block.splitlines() if line.startswith("data: ")))
            for block in blocks
            if "data: " in block
        ]

    @property
    def error(self):
        return self.json["error"]

    @property
    def result(self):
        return self.json["result"]


def initialize_params(version=LEGACY):
    return {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


def legacy_request(method, params=None, *, number=1):
    message = {"jsonrpc": "2.0", "method": method}
    if number is not None:
        message["id"] = number
    if params is not None:
        message["params"] = params
    return message


def modern_request(method, params=None, *, number=1, meta=None, version=MODERN):
    """Return a modern message and the headers that repeat it."""
    envelope = {
        META + "protocolVersion": version,
        META + "clientCapabilities": {},
        META + "clientInfo": {"name": "test", "version": "1"},
        **(meta or {}),
    }
    message = legacy_request(method, {**(params or {}), "_meta": envelope}, number=number)
    headers = {"mcp-protocol-version": version, "mcp-method": method}
    if "name" in (params or {}):
        headers["mcp-name"] = params["name"]
    return message, headers


async def endless_progress(server, request, tell):
    """A tool that reports progress until somebody stops it; patch it over ``targets.servers._run_tool``."""
    token, step = request["params"]["_meta"]["progressToken"], 0
    while True:
        step += 1
        progress = {"progressToken": token, "progress": step}
        await tell({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress})
        await asyncio.sleep(0)  # a closed connection must be noticed
