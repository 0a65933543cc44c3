"""Providers in a database, processes that ask for credentials, and a token endpoint that does as a test wants."""

import asyncio
import base64
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, unquote_plus

from portico.identity.credentials import Credentials
from portico.identity.provider_store import SCOPE
from portico.identity.sealing import seal_secrets
from portico.model.credential import ApiKeyUse, ClientCredentialsUse
from portico.model.secret import Secret
from portico.model.target import McpServer, Target
from portico.storage import counters, credential_providers, outbound_tokens
from portico.storage.credential_providers import CredentialProviderRow
from portico.storage.schema import DEFAULT_ACCOUNT
from targets.http_server import serve_http

SECRET = "s3cr3t-canary/+&= %"
USE = ClientCredentialsUse(provider="idp", scopes=("tools", "more"))


class Clock:
    """Time that a test moves."""

    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


def target(use=USE, **changes):
    values = {"id": "t", "name": "calc", "gateway_id": "g", "kind": McpServer(endpoint="https://calc.example/mcp")}
    return Target(**(values | {"credential": use} | changes))


def key_use(**changes):
    return ApiKeyUse(**({"provider": "key"} | changes))


def bearer(credential):
    (name, value), *more = credential.headers
    assert (name, more, credential.query) == (b"authorization", [], ())
    scheme, token = value.decode().split(" ")
    assert scheme == "Bearer"
    return token


class TokenServer:
    """A token endpoint: counts, remembers what it was asked, and answers as it was told."""

    def __init__(self):
        self.asked = []
        self.metadata_asked = 0
        self.answers = []  # (status, body) of the next requests; then tokens
        self.expires_in = 3600
        self.gate = asyncio.Event()
        self.gate.set()
        self.content_type = "application/json"
        self.metadata = {}
        self.origin = ""

    @property
    def url(self):
        return f"{self.origin}/token"

    async def handle(self, exchange):
        if exchange.path.startswith("/.well-known/"):
            self.metadata_asked += 1
            document = {"issuer": self.origin, "token_endpoint": self.url} | self.metadata
            await exchange.reply(200, document)
            return
        form = {name: values[0] for name, values in parse_qs(exchange.body.decode(), keep_blank_values=True).items()}
        scheme, _, pair = exchange.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            user, _, password = base64.b64decode(pair).decode().partition(":")
            form["basic"] = (unquote_plus(user), unquote_plus(password))
        self.asked.append(form)
        number = len(self.asked)
        await self.gate.wait()
        if self.answers:
            status, body = self.answers.pop(0)
            await exchange.reply(status, body, content_type=self.content_type)
            return
        answer = {"access_token": f"token-{number}", "token_type": "Bearer"}
        if self.expires_in is not None:
            answer["expires_in"] = self.expires_in
        await exchange.reply(200, answer)


@asynccontextmanager
async def token_server():
    made = TokenServer()
    async with serve_http(made.handle) as http:
        made.origin = http.origin
        yield made
    assert http.failures == []


class House:
    """A database with providers, and any number of processes over it."""

    def __init__(self, database, keyring, fetcher, clock):
        self.database = database
        self.keyring = keyring
        self.fetcher = fetcher
        self.clock = clock
        self.processes = []

    async def aclose(self):
        for process in self.processes:
            await process.aclose()

    async def process(self, owner="one", **changes):
        values = {"database": self.database, "keyring": self.keyring, "fetcher": self.fetcher, "clock": self.clock}
        made = Credentials(**(values | {"owner": owner} | changes))
        self.processes.append(made)
        await made.load_all()
        return made

    async def provide(self, server=None, *, name="idp", secret=SECRET, **config):
        """Make an OAuth provider or put another in its place."""
        if server is not None and "oauthDiscovery" not in config:
            metadata = {"issuer": server.origin, "authorizationEndpoint": server.origin, "tokenEndpoint": server.url}
            config["oauthDiscovery"] = {"authorizationServerMetadata": metadata}
        document = {
            "name": name,
            "credentialProviderVendor": "CustomOauth2",
            "oauth2ProviderConfigInput": {"customOauth2ProviderConfig": {"clientId": "portico"} | config},
            "x-portico": {"allowPrivateAddresses": True},
        }
        await self._put("oauth2", name, document, {"clientSecret": Secret(secret)})

    async def provide_key(self, key, *, name="key"):
        await self._put("api_key", name, {"name": name}, {"apiKey": Secret(key)})

    async def _put(self, kind, name, document, secrets):
        sealed = seal_secrets(self.keyring, secrets, account=DEFAULT_ACCOUNT, kind=kind, name=name)
        async with self.database.write() as conn:
            stored = await credential_providers.get(conn, kind, name)
            row = CredentialProviderRow(
                kind=kind,
                name=name,
                document=document,
                sealed=sealed,
                callback_id="c",
                created_at=1,
                updated_at=1,
            )
            if stored is None:
                await credential_providers.add(conn, row)
            else:
                await credential_providers.replace(conn, row, expected_revision=stored.revision)
            await outbound_tokens.forget_provider(conn, name)
            await counters.bump(conn, SCOPE)

    async def delete(self, kind, name):
        async with self.database.write() as conn:
            await credential_providers.delete(conn, kind, name)
            await counters.bump(conn, SCOPE)
