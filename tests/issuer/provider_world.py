"""Issuers whose people log in at a real OpenID provider: over a database, and a façade's that has none or a store.

::

    world = await make_provided("strict")                 # rows; ``twin()`` is another replica over the same database
    world = await make_sealed("strict", store=True)       # sealed; ``twin()`` shares its keys, and its store
    tokens = await world.tokens(client_id)                # through consent, the provider and back
    await world.call(tokens["access_token"])              # sealed only: what the server behind is called with
"""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import yaml
from issuer_world import PUBLIC_URL, REDIRECT, Browser, World, answer
from starlette.applications import Starlette

from portico.crypto.keyring import Keyring
from portico.issuer.store import TokenMode
from portico.oauth.connector_settings import CONNECTOR_SECRET
from portico.service.facade_issuer import IssuerSide, make_issuer
from portico.service.facade_settings import load_facade_settings
from portico.storage.engine import Database
from support.provider.identity_provider import IdentityProvider, Recorded

FACADE = "https://facade.example"
CALLBACKS = tuple(
    f"{place}/callback{name}"
    for place in (f"{PUBLIC_URL}/i/main", FACADE)
    for name in ("", "/strict", "/cognito")  # where an issuer has several connectors, each has a place of its own
)
RESOURCES = (f"{PUBLIC_URL}/g/tools/mcp", f"{FACADE}/mcp")
SCOPES = ["mcp/invoke", "mcp/read"]
HELD = "copilot"  #: the confidential client that :meth:`ProvidedWorld.hold` makes
HELD_SECRET = "h3ld-" + "h" * 38

Providers = Callable[[str], IdentityProvider]


class RunningClock:
    """The time as the provider has it too, moved forward."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._stands_at: float | None = None

    def __call__(self) -> float:
        return (time.time() if self._stands_at is None else self._stands_at) + self.ahead

    def forward(self, seconds: float) -> None:
        self.ahead += seconds

    @contextmanager
    def standing(self) -> Generator[None]:
        """Stand still, so that what is counted by the second is the same on a slow machine."""
        self._stands_at = time.time()
        yield
        self._stands_at = None


def claims_of(token: str) -> dict[str, Any]:
    """Return what a JWT says, not judged."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


@dataclass
class ProvidedWorld(World):
    """An issuer over a database; without ``idps`` there would be nobody."""

    idps: tuple[IdentityProvider, ...] = ()
    reopen: Callable[[], Any] = lambda: None  #: opens the database once more
    more_settings: dict[str, Any] = field(default_factory=dict)

    @property
    def idp(self) -> IdentityProvider:
        return self.idps[0]

    def connectors(self, **changes: Any) -> list[dict[str, Any]]:
        """Return the connectors as the database has them; ``changes`` are for the first one."""
        first, *others = self.idps
        return [self._sealed(first.connector(**changes)), *(self._sealed(one.connector()) for one in others)]

    def _sealed(self, connector: dict[str, Any]) -> dict[str, Any]:
        aad = f"{self.name}|{connector['name']}".encode()
        secret = self.keyring.seal(CONNECTOR_SECRET, connector["clientSecret"].encode(), aad=aad)
        return {**connector, "clientSecret": secret}

    async def begin(self) -> None:
        await self.settle(scopes=SCOPES, connectors=self.connectors())
        await self.add_key()

    async def twin(self) -> Any:
        """Return another replica over the same database."""
        other = replace(self, database=await self.reopen())
        await other.app.load_all()
        return other

    async def hold(self) -> str:
        """Hold a confidential client and return its id."""
        digest = hashlib.sha256(HELD_SECRET.encode()).hexdigest()
        await self.add_client(HELD, kind="confidential", secret_hash=digest, redirect_uris=(REDIRECT,))
        return HELD

    # The way through a provider

    async def leave(self, browser: Browser, client_id: str, *, connector: str = "", **more: str) -> str:
        """Consent; return the address at the provider that the browser is sent to."""
        page = await browser.open(self.request(client_id, **more))
        if connector:
            page = await browser.follow(await browser.submit(page, connector=connector))
        response = await browser.submit(page, decision="allow")
        assert response.status_code == 303, response.text
        location = response.headers["location"]
        assert urlsplit(location).netloc in {one.netloc for one in self.idps}, location
        return location

    async def captured(self, browser: Browser, client_id: str, *, person: str = "ada", at: int = 0, **more: str) -> str:
        """Go through the provider; return the callback's address, not opened yet."""
        location = await self.leave(browser, client_id, **more)
        return await asyncio.to_thread(self.idps[at].person(person).walk, location)

    async def come_back(self, client_id: str, **more: Any) -> dict[str, str]:
        """Go all the way; return what the client is told."""
        browser = Browser(self)
        return answer(await browser.http.get(await self.captured(browser, client_id, **more)))

    async def code(self, client_id: str, **more: Any) -> str:
        return (await self.come_back(client_id, **more))["code"]

    async def asked(self, endpoint: str = "token") -> list[Recorded]:
        """Return what the first provider was asked."""
        return await asyncio.to_thread(self.idp.requests, endpoint)

    async def refreshes_at_provider(self) -> int:
        return sum(1 for one in await self.asked() if one.form.get("grant_type") == "refresh_token")

    # Endpoints

    async def revoke(self, client_id: str, token: str) -> httpx2.Response:
        async with self.http() as http:
            return await http.post(f"{self.path}/revoke", data={"token": token, "client_id": client_id})

    async def introspect(self, token: str, *, auth: tuple[str, str] = (HELD, HELD_SECRET)) -> httpx2.Response:
        async with self.http() as http:
            return await http.post(f"{self.path}/introspect", data={"token": token}, auth=auth)

    async def held_tokens(self) -> dict[str, Any]:
        """Return the tokens of the confidential client."""
        code = await self.code(HELD)
        response = await self.redeem(HELD, code, client_secret=HELD_SECRET)
        assert response.status_code == 200, response.text
        return response.json()

    async def refused(self, client_id: str, refresh_token: str) -> bool:
        """Say whether a refresh token is over."""
        response = await self.refresh(client_id, refresh_token)
        if response.status_code == 200:
            return False
        assert (response.status_code, response.json()["error"]) == (400, "invalid_grant"), response.text
        return True


@dataclass
class SealedWorld(ProvidedWorld):
    """A façade's issuer and the gate of its proxy."""

    mode: TokenMode = "wrap"
    store: Database | None = None
    directory: Path = Path()
    side: IssuerSide = field(init=False)
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)

    def restart(self) -> None:
        """Make the issuer anew, as a restart does; what it held in memory is gone."""
        self.name, self.resources = "root", [f"{self.public_url}/mcp"]
        first, *others = self.idps
        changes = self.more_settings.get("connector", {})
        issuer = {
            "title": "Tools",
            "scopes": SCOPES,
            "connectors": [first.connector(**changes), *(one.connector() for one in others)],
            **self.more_settings.get("issuer", {}),
        }
        file = self.directory / "facade.yaml"
        document = {
            "public_url": self.public_url,
            "upstream": {"url": "https://behind.example/mcp"},
            "tokens": self.mode,
            "issuer": issuer,
        }
        file.write_text(yaml.safe_dump(document))
        settings = load_facade_settings(file, environ={})
        self.side = make_issuer(settings, self.keyring, self.fetcher, self.store, clock=self.clock)
        self.closing.push_async_callback(self.side.aclose)

    async def begin(self) -> None:
        pass

    async def twin(self) -> Any:
        """Return another replica: the same keys (as another process reads them), and the same store if there is one."""
        store = await self.reopen() if self.store is not None else None
        keys = {kid: self.keyring._masters[kid] for kid in self.keyring.kids}
        return replace(self, store=store, keyring=Keyring(keys, retired=self.keyring.retired))

    async def set(self, *, connector: dict[str, Any] | None = None, **issuer: Any) -> None:
        """Start anew with other settings."""
        self.more_settings = {
            "connector": {**self.more_settings.get("connector", {}), **(connector or {})},
            "issuer": {**self.more_settings.get("issuer", {}), **issuer},
        }
        self.restart()

    async def hold(self) -> str:
        digest = hashlib.sha256(HELD_SECRET.encode()).hexdigest()
        entry = {"clientId": HELD, "redirectUris": [REDIRECT], "secretHash": digest}
        await self.set(clients=[entry])
        return HELD

    def http(self, address: str = "192.0.2.1") -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=Starlette(routes=self.side.routes), client=(address, 40000))
        return httpx2.AsyncClient(transport=transport, base_url=self.public_url)

    async def call(self, token: str) -> str:
        """Return the token that the server behind is called with.

        Raises:
            InvalidToken: nobody is let in.
        """
        admitted = await self.side.admit(f"Bearer {token}".encode())
        return admitted.authorization.reveal().removeprefix("Bearer ")
