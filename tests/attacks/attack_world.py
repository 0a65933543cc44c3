"""Three issuers with one interface, for whoever attacks them, and what it means to have gained nothing.

==========  ========================================================================================================
local       ``portico serve``: an issuer over a database, people log in with a password of ours
provider    ``portico serve``: an issuer over a database, people log in at a real OpenID provider
facade      ``portico facade``: no database, wrapped tokens, the same provider before it and an MCP server behind it
==========  ========================================================================================================

The issuers run in process; the provider and the MCP server are real servers, so that what reached them is known.
"""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import yaml

from issuer.issuer_world import PUBLIC_URL, REDIRECT, Browser, Clock, World
from net.raw_server import RawServer
from portico.crypto.keyring import generate_line
from portico.oauth.connector_settings import CONNECTOR_SECRET
from portico.service.facade import Facade
from portico.service.facade_issuer import make_issuer
from portico.service.facade_settings import load_facade_settings
from support.provider.identity_provider import IdentityProvider

FACADE = "https://facade.example"
ELSEWHERE = "https://elsewhere.example"  #: another façade, with the same keyring
ISSUERS = (f"{PUBLIC_URL}/i/main", FACADE, ELSEWHERE)
RESOURCES = (f"{PUBLIC_URL}/g/tools/mcp", f"{FACADE}/mcp", f"{ELSEWHERE}/mcp")
SCOPES = ["mcp/invoke", "mcp/read"]


class RunningClock:
    """The time as the provider knows it too, moved forward."""

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


class LocalWorld(World):
    """``portico serve`` with users of its own."""

    kind = "local"

    async def consent_page(self, browser: Browser, client_id: str, **more: str) -> httpx2.Response:
        """Return the page on which a person decides."""
        return await browser.log_in(await browser.open(self.request(client_id, **more)))

    async def to_client(self, browser: Browser, page: httpx2.Response, decision: str = "allow") -> httpx2.Response:
        """Decide, and go all the way to the redirect that leaves for the client."""
        return await browser.submit(page, decision=decision)

    async def begin(self) -> None:
        await self.settle(scopes=SCOPES)
        await self.add_key()
        await self.add_user()

    async def hold(self, client_id: str, secret_hash: str, **more: Any) -> None:
        """Hold a confidential client."""
        row = {"kind": "confidential", "secret_hash": secret_hash, "redirect_uris": (REDIRECT,), **more}
        await self.add_client(client_id, **row)

    async def asked_of_provider(self, *endpoints: str) -> list[Any]:
        return []

    async def aclose(self) -> None:
        await self.app.aclose()
        await self.fetcher.aclose()


@dataclass
class ProviderWorld(LocalWorld):
    """``portico serve`` whose people log in at ``idp``; ``further`` are more providers of the same issuer."""

    idp: IdentityProvider = None  # type: ignore[assignment]
    further: tuple[IdentityProvider, ...] = ()

    kind = "oidc"

    async def begin(self) -> None:
        await self.settle(scopes=SCOPES)
        await self.add_key()

    async def settle(self, **document: Any) -> None:
        connectors = [self._sealed(one.connector(name=one.profile)) for one in (self.idp, *self.further)]
        await super().settle(**{"scopes": SCOPES, "connectors": connectors, **document})

    async def replace_connector(self, name: str) -> None:
        """Offer the same provider under another name, and nothing under its own."""
        await self.settle(connectors=[self._sealed(self.idp.connector(name=name))])

    def _sealed(self, connector: dict[str, Any]) -> dict[str, Any]:
        aad = f"{self.name}|{connector['name']}".encode()
        sealed = self.keyring.seal(CONNECTOR_SECRET, connector["clientSecret"].encode(), aad=aad)
        return {**connector, "clientSecret": sealed}

    # The way through the provider

    async def consent_page(
        self, browser: Browser, client_id: str, *, connector: str = "", **more: str
    ) -> httpx2.Response:
        page = await browser.open(self.request(client_id, **more))
        if self.further:
            page = await browser.follow(await browser.submit(page, connector=connector or self.idp.profile))
        return page

    async def leave(self, browser: Browser, client_id: str, *, connector: str = "", **more: str) -> str:
        """Consent; return the URL at the provider that the browser is sent to."""
        page = await self.consent_page(browser, client_id, connector=connector, **more)
        response = await browser.submit(page, decision="allow")
        assert response.status_code == 303, response.text
        location = response.headers["location"]
        assert urlsplit(location).netloc in {one.netloc for one in (self.idp, *self.further)}, location
        return location

    async def pass_provider(self, location: str, person: str = "ada", at: IdentityProvider | None = None) -> str:
        """Log in at the provider; return the callback's URL, not opened yet."""
        return await asyncio.to_thread((at or self.idp).person(person).walk, location)

    async def captured(self, browser: Browser, client_id: str, **more: str) -> str:
        """Go as far as the callback's URL: what an attacker captures."""
        return await self.pass_provider(await self.leave(browser, client_id, **more))

    async def to_client(self, browser: Browser, page: httpx2.Response, decision: str = "allow") -> httpx2.Response:
        response = await browser.submit(page, decision=decision)
        if decision != "allow":
            return response
        return await browser.http.get(await self.pass_provider(response.headers["location"]))

    async def code(self, client_id: str, **more: str) -> str:
        browser = Browser(self)
        response = await browser.http.get(await self.captured(browser, client_id, **more))
        return query_of(response)["code"]

    async def asked_of_provider(self, *endpoints: str) -> list[Any]:
        seen = await asyncio.to_thread(self.idp.requests)
        return [one for one in seen if not endpoints or one.endpoint in endpoints]


@dataclass
class FacadeWorld(ProviderWorld):
    """``portico facade``, whole; ``restart`` is another replica with the same keys."""

    directory: Path = Path()
    upstream: RawServer = None  # type: ignore[assignment]
    tokens_mode: str = "wrap"
    facade: Facade = field(init=False)
    keys: str = field(default_factory=lambda: generate_line("k1"))
    document: dict[str, Any] = field(default_factory=dict)
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)

    def restart(self) -> None:
        self.name = "root"
        self.resources = [f"{self.public_url}/mcp"]
        file = self.directory / f"{urlsplit(self.public_url).hostname}.yaml"
        connectors = [one.connector(name=one.profile) for one in (self.idp, *self.further)]
        document = {
            "public_url": self.public_url,
            "upstream": {"url": f"{self.upstream.url}/up", "allowPrivate": True},
            "tokens": self.tokens_mode,
            "issuer": {"title": "Tools", "scopes": SCOPES, "connectors": connectors, **self.document},
        }
        file.write_text(yaml.safe_dump(document))
        settings = load_facade_settings(file, environ={"PORTICO_KEYRING_KEYS": self.keys})
        self.facade = Facade(settings, make_issuer=partial(make_issuer, clock=self.clock))
        for close in (self.facade._fetcher.aclose, self.facade._relay.aclose):
            self.closing.push_async_callback(close)
        self.closing.push_async_callback(self.facade.__aexit__, None, None, None)
        keyring = self.facade._source.keyring
        assert keyring is not None
        self.keyring = keyring

    @property
    def path(self) -> str:
        return ""

    @property
    def url(self) -> str:
        return self.public_url

    def http(self, address: str = "192.0.2.1") -> httpx2.AsyncClient:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await self.facade.app(scope, receive, send)

        transport = httpx2.ASGITransport(app=app, client=(address, 40000))
        return httpx2.AsyncClient(transport=transport, base_url=self.public_url)

    async def begin(self) -> None:
        pass

    def _sealed(self, connector: dict[str, Any]) -> dict[str, Any]:
        return connector

    async def settle(self, **document: Any) -> None:
        """Start anew with other settings and the same keys."""
        self.document |= document
        self.restart()

    async def hold(self, client_id: str, secret_hash: str, **more: Any) -> None:
        entry = {"clientId": client_id, "redirectUris": [REDIRECT], "secretHash": secret_hash}
        await self.settle(clients=[*self.document.get("clients", []), {**entry, **more}])

    async def call(self, token: str, **headers: str) -> httpx2.Response:
        """Call the MCP server behind the façade."""
        async with self.http() as http:
            sent = {"authorization": f"Bearer {token}", "content-type": "application/json", **headers}
            return await http.post("/mcp", headers=sent, content=b'{"jsonrpc":"2.0","id":1,"method":"ping"}')

    async def aclose(self) -> None:
        await self.closing.aclose()
        await self.fetcher.aclose()


AttackedWorld = LocalWorld | ProviderWorld | FacadeWorld
WorldMaker = Callable[..., Any]


def clock_of(kind: str) -> Clock | RunningClock:
    """Return a clock; where a provider takes part it must run as the provider's does."""
    return Clock() if kind == "local" else RunningClock()


# What was gained


def planted(response: httpx2.Response) -> dict[str, str]:
    """Return the cookies that an answer sets, without those that it clears."""
    made: dict[str, str] = {}
    for line in response.headers.get_list("set-cookie"):
        name, _, value = line.partition(";")[0].partition("=")
        if value.strip('"'):
            made[name] = value
    return made


def query_of(response: httpx2.Response) -> dict[str, str]:
    """Return what a redirect tells."""
    assert response.status_code == 303, response.text
    return dict(parse_qsl(urlsplit(response.headers["location"]).query))


def nothing_on_a_page(response: httpx2.Response, *statuses: int) -> None:
    """Assert a page that leads nowhere: no redirect, no code, no cookie."""
    assert response.status_code in (statuses or (400, 403)), (response.status_code, response.text[-400:])
    assert response.headers["content-type"].startswith("text/html")
    assert "location" not in response.headers
    assert planted(response) == {}
    assert "code=" not in response.text


def told_to_client(response: httpx2.Response, world: World, *errors: str, redirect: str = REDIRECT) -> None:
    """Assert an error for the client at its own address, with its state and our issuer, and nothing else."""
    location, told = response.headers["location"], query_of(response)
    assert location.startswith(f"{redirect}?"), location
    assert told["error"] in errors, told
    assert (told["state"], told["iss"]) == ("st4te", world.url)
    assert set(told) == {"error", "error_description", "state", "iss"}
    assert planted(response) == {}


def refused_at_token(response: httpx2.Response, error: str, status: int = 400) -> None:
    """Assert that the token endpoint gave nothing and says why."""
    assert (response.status_code, response.json()["error"]) == (status, error), response.text
    assert set(response.json()) == {"error", "error_description"}
    assert response.headers["cache-control"] == "no-store"


def claims_of(token: str) -> dict[str, Any]:
    """Return what a JWT says, not judged."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def with_query(url: str, **changes: str | None) -> str:
    """Return ``url`` with parameters changed, or (None) taken away."""
    base, _, query = url.partition("?")
    parameters: dict[str, Any] = {**dict(parse_qsl(query)), **changes}
    kept = {name: value for name, value in parameters.items() if value is not None}
    return f"{base}?{httpx2.QueryParams(kept)}"
