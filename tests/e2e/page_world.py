"""An issuer behind a socket for Chromium, with local users, a real provider on another site, or both.

::

    async with page_world(url, port, idp=idp, connectors=["local", "idp"]) as house, chromium() as browser:
        visit = await house.visit(browser)       # a browser of its own, at the authorization request
        await visit.log_in(); await visit.press("Allow"); await visit.provider_log_in()
        visit.answers                            # what the client's callback got, one dict for each time
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import uvicorn
from axe import violations
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from issuer.issuer_world import PASSWORD as LOCAL_PASSWORD
from issuer.issuer_world import PASSWORD_HASH, Clock, World
from portico.crypto.keyring import Keyring
from portico.oauth.connector_settings import CONNECTOR_SECRET
from portico.storage import users
from portico.storage.engine import Database
from portico.storage.users import UserRow
from support.ports import free_port
from support.provider.identity_provider import PASSWORD, IdentityProvider

PICTURES = Path(__file__).parents[2] / ".artifacts" / "pages"
START_SECONDS = 60.0
WAIT_MS = 60_000
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 700}


class RunningClock(Clock):
    """The machine's clock, as real providers have it, that can be put forward."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def forward(self, seconds: float) -> None:
        self._ahead += seconds


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        await browser.close()


@dataclass
class Visit:
    """A person at a browser of their own, and what the client that they came from was told."""

    page: Page
    start: str
    answers: list[dict[str, str]]
    complaints: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        """Write down what Chromium has against our own pages."""
        if urlsplit(message.location["url"]).netloc == urlsplit(self.start).netloc:
            self.complaints.append(message.text)

    async def begin(self) -> None:
        await self.page.goto(self.start)

    async def log_in(self, name: str = "ada", password: str = LOCAL_PASSWORD) -> None:
        """Fill in our own login page."""
        await self.page.get_by_label("User name").fill(name)
        await self.page.get_by_label("Password").fill(password)
        async with self.page.expect_navigation():
            await self.page.keyboard.press("Enter")

    async def press(self, button: str) -> None:
        async with self.page.expect_navigation():
            await self.page.get_by_role("button", name=button).press("Enter")

    async def provider_log_in(self, name: str = "ada") -> None:
        """Go through the provider's pages: log in unless it still knows the browser, and allow what it asks."""
        if await self.heading() == "Provider: log in":
            await self.page.get_by_label("Name").fill(name)
            await self.page.get_by_label("Password").fill(PASSWORD)
            await self.press("Log in")
        if await self.heading() == "Provider: allow access":
            await self.press("Allow")

    async def heading(self) -> str:
        return await self.page.get_by_role("heading", level=1).inner_text()

    async def look(self, picture: str = "") -> str:
        """Check the page as it stands, take its picture, and return its heading."""
        assert await violations(self.page) == []
        if picture:
            PICTURES.mkdir(parents=True, exist_ok=True)
            await self.page.screenshot(path=PICTURES / f"flow-{picture}.png", full_page=True)
        return await self.heading()


@dataclass
class Client:
    """The application on the person's computer: it waits at its callback and writes down what it is told."""

    redirect_uri: str
    answers: list[dict[str, str]] = field(default_factory=list)

    async def callback(self, request: Request) -> Response:
        self.answers.append(dict(request.query_params))
        return HTMLResponse("<!doctype html><html lang=en><title>Client</title><h1>Client</h1>")


@dataclass
class House:
    """The issuer that serves."""

    world: World
    client: Client
    client_id: str

    async def redeem(self, code: str) -> int:
        """Exchange a code as the client does; return the status."""
        answer = await self.world.redeem(self.client_id, code, redirect_uri=self.client.redirect_uri)
        return answer.status_code

    async def visit(self, browser: Browser, *, scheme: Any = "light", scripts: bool = True, **more: str) -> Visit:
        """Open the authorization request in a browser that has no cookies; ``scripts`` are for axe alone."""
        asked = self.world.request(self.client_id, redirect_uri=self.client.redirect_uri, **more)
        start = f"{self.world.url}/authorize?{urlencode(asked)}"
        return await visit_at(browser, start, self.client, scheme=scheme, scripts=scripts)


async def visit_at(
    browser: Browser, start: str, client: Client, *, scheme: Any = "light", scripts: bool = True
) -> Visit:
    """Open an authorization request in a browser that has no cookies."""
    context = await browser.new_context(viewport=PHONE, color_scheme=scheme, java_script_enabled=scripts)
    context.set_default_timeout(WAIT_MS)
    visit = Visit(page=await context.new_page(), start=start, answers=client.answers)
    visit.page.on("console", visit.hear)
    await visit.begin()
    return visit


@asynccontextmanager
async def waiting_client() -> AsyncIterator[Client]:
    """Let an application wait at its callback on this computer."""
    port = free_port()
    client = Client(redirect_uri=f"http://127.0.0.1:{port}/callback")
    async with _served(Starlette(routes=[Route("/callback", client.callback)]), port):
        yield client


@asynccontextmanager
async def page_world(
    database_url: str, port: int, *, idp: IdentityProvider | None, connectors: Sequence[str]
) -> AsyncIterator[House]:
    """Serve an issuer with ``connectors``: ``local``, or any other name for the provider."""
    database = await Database.open(database_url)
    public_url = f"http://127.0.0.1:{port}"
    world = World(
        database=database,
        keyring=Keyring({"k1": os.urandom(32)}),
        clock=RunningClock(),
        public_url=public_url,
        resources=[f"{public_url}/g/tools/mcp"],
    )
    documents = [_connector(world, name, idp) for name in connectors]
    try:
        await world.settle(title="Example Works", scopes=["mcp/invoke"], connectors=documents)
        await world.add_key()
        await _add_user(world)
        async with _served(Starlette(routes=world.app.routes()), port), waiting_client() as client:
            client_id = await world.register([client.redirect_uri], client_name="Claude Code")
            yield House(world=world, client=client, client_id=client_id)
    finally:
        await world.app.aclose()
        await world.fetcher.aclose()
        await database.aclose()


def _connector(world: World, name: str, idp: IdentityProvider | None) -> dict[str, Any]:
    if name == "local":
        return {"name": "local", "type": "local"}
    assert idp is not None
    sealed = world.keyring.seal(CONNECTOR_SECRET, idp.client_secret.encode(), aad=f"{world.name}|{name}".encode())
    return idp.connector(name=name, clientSecret=sealed, title="Example Identity")


async def _add_user(world: World) -> None:
    now = int(world.clock())
    row = UserRow(
        issuer=world.name,
        subject=os.urandom(16).hex(),
        name="ada",
        display_name="Ada Lovelace",
        password_hash=PASSWORD_HASH,
        password_changed_at=now - 1,
        created_at=now - 1,
    )
    async with world.database.write() as conn:
        await users.add(conn, row)


@asynccontextmanager
async def _served(app: Starlette, port: int) -> AsyncIterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off"))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(START_SECONDS):
        while not server.started:
            assert not task.done(), "the port was taken"
            await asyncio.sleep(0.02)
    try:
        yield
    finally:
        server.should_exit = True
        await task
