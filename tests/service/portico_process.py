"""A real `portico serve` in a process of its own, and a caller that speaks both eras over plain HTTP."""

import asyncio
import base64
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import yaml

from e2e.person import Person
from portico.control import gateway_summaries, signing_keys
from portico.control.relaxations import Ground
from portico.crypto.keyring import generate_line
from portico.storage.engine import Database
from support.ports import free_port

START_SECONDS = 60.0
BOUND = 60.0  #: seconds that any condition may take on a busy machine
ONCE = 5.0  #: seconds, after which something that may have been missed is said once more
SECRET = "portico_0123456789abcdef0123456789abcdef"
PASSWORD = "correct horse battery staple"
REDIRECT = "http://127.0.0.1:53682/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
META = "io.modelcontextprotocol/"


async def until(condition):
    """Wait for a condition (a function, plain or async), bounded."""
    async with asyncio.timeout(BOUND):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.05)


async def until_cancelled(server, cancel):
    """Cancel until the target hears of it: a replica that stands still for seconds misses what another one asks."""
    heard = len(server.cancelled)
    async with asyncio.timeout(BOUND):
        while len(server.cancelled) == heard:
            await cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ONCE):
                    while len(server.cancelled) == heard:
                        await asyncio.sleep(0.02)


@dataclass
class Portico:
    """The process, its file, and what a caller needs."""

    directory: Path
    document: dict
    port: int = field(default_factory=free_port)
    key_line: str = field(default_factory=lambda: generate_line("k1"))
    process: subprocess.Popen | None = None
    database: Database | None = None
    http: httpx2.AsyncClient | None = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self):
        return self.document.get("database", f"sqlite:///{self.directory}/data/portico.db")

    @property
    def public_url(self):
        return self.document.get("public_url", self.url)

    @property
    def ground(self):
        return Ground(public_url=self.public_url, issuers=frozenset({"main"}))

    @property
    def discovery_url(self):
        return f"{self.public_url}/i/main/.well-known/openid-configuration"

    def write(self):
        """Replace the configuration file in one step."""
        text = yaml.safe_dump({"listen": f"127.0.0.1:{self.port}", "log": {"format": "json"}} | self.document)
        temporary = self.directory / ".new"
        temporary.write_text(text)
        temporary.replace(self.directory / "portico.yaml")

    @contextlib.asynccontextmanager
    async def running(self):
        (self.directory / "data").mkdir()
        keyring = self.directory / "data" / "keyring"
        keyring.write_text(self.key_line + "\n")
        keyring.chmod(0o600)
        self.write()
        self.start()
        limits = httpx2.Limits(max_connections=32)
        try:
            async with httpx2.AsyncClient(base_url=self.url, timeout=30, trust_env=False, limits=limits) as self.http:
                await self.started()
                self.database = await Database.open(self.database_url)
                try:
                    yield self
                finally:
                    await self.database.aclose()
        finally:
            await self.stop()

    def start(self):
        """Start the process; once more after it ended, with its log going on."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "portico", "serve", "--config", str(self.directory / "portico.yaml")],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={key: value for key, value in os.environ.items() if not key.startswith("PORTICO_")},
            )

    async def started(self):
        """Wait until it is ready."""
        async with asyncio.timeout(START_SECONDS):
            while True:
                assert self.process.poll() is None, self.log()
                with contextlib.suppress(httpx2.HTTPError):
                    if (await self.http.get("/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.05)

    async def stop(self):
        """End it as an orchestrator does; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.to_thread(self.process.wait, 40)
        finally:
            self.process.kill()

    def log(self):
        return (self.directory / "log").read_text()

    async def gateways(self):
        return {row.name: row for row in await gateway_summaries.list_all(self.database, ground=self.ground)}

    async def targets(self, gateway):
        return (await gateway_summaries.details_of(self.database, name_or_id=gateway, ground=self.ground)).targets

    async def synchronized(self, name):
        async def ready():
            return all(target.status == "READY" for target in await self.targets(name))

        await until(ready)
        return (await self.gateways())[name].mcp_url

    async def keys(self):
        return await signing_keys.list_all(self.database)

    # Tokens

    async def ask_token(self, resource, *, client="robot", secret=SECRET):
        form = {"grant_type": "client_credentials", "scope": "mcp/invoke", "resource": resource}
        return await self.http.post("/i/main/token", data=form, auth=(client, secret))

    async def token(self, resource, **client):
        answer = await self.ask_token(resource, **client)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    async def user_tokens(self, resource, name="ada"):
        """Log somebody in through registration, login page and consent page."""
        registered = await self.http.post("/i/main/register", json={"client_name": "App", "redirect_uris": [REDIRECT]})
        client_id = registered.json()["client_id"]
        query = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": REDIRECT,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "resource": resource,
            "scope": "mcp/invoke",
            "state": "s",
        }
        person = Person(name, PASSWORD)
        target = await asyncio.to_thread(person.walk, f"{self.url}/i/main/authorize?{urlencode(query)}")
        code = parse_qs(urlsplit(target).query)["code"][0]
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "client_id": client_id,
            "code_verifier": VERIFIER,
        }
        answer = await self.http.post("/i/main/token", data=form)
        assert answer.status_code == 200, answer.text
        return answer.json() | {"client_id": client_id}

    # MCP

    async def post(self, url, token, message, **headers):
        lines = {"accept": "application/json, text/event-stream"} | headers
        if token is not None:
            lines["authorization"] = f"Bearer {token}"
        return await self.http.post(url, json=message, headers=lines)

    async def legacy(self, url, token, method, params=None, number=1):
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}
        return await self.post(url, token, message, **{"mcp-protocol-version": "2025-11-25"})

    async def modern(self, url, token, method, params=None, number=1):
        meta = {f"{META}protocolVersion": "2026-07-28", f"{META}clientCapabilities": {}}
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": (params or {}) | {"_meta": meta}}
        headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": method}
        if "name" in (params or {}):
            headers["mcp-name"] = params["name"]
        return await self.post(url, token, message, **headers)


def call(tool, **arguments):
    """The params of a tools/call."""
    return {"name": tool, "arguments": arguments}
