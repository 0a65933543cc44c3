"""One issuer over a real database, and a browser and clients that drive it as real ones do."""

import base64
import hashlib
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from starlette.applications import Starlette

from portico.crypto.keyring import Keyring
from portico.crypto.passwords import hash_password
from portico.crypto.signing import SigningKey
from portico.issuer.app import IssuerApp
from portico.net.egress import Egress
from portico.net.fetch import Fetcher
from portico.oauth.metadata import issuer_path
from portico.storage import clients, issuers, signing_keys, users
from portico.storage.clients import ClientRow
from portico.storage.engine import Database
from portico.storage.issuers import IssuerRow
from portico.storage.signing_keys import SigningKeyRow
from portico.storage.users import UserRow

PUBLIC_URL = "http://127.0.0.1:8080"
PASSWORD = "correct horse battery staple"
PASSWORD_HASH = hash_password(PASSWORD)
START = 1_800_000_000
REDIRECT = "http://127.0.0.1:53682/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
MACHINE_SECRET = "s3cr3t-" + "m" * 36


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds

    def standing(self) -> AbstractContextManager[None]:
        """Stand still, as it does anyway; the clock of worlds with a provider runs."""
        return nullcontext()


class Form(HTMLParser):
    """What a browser would send of a page's form."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            assert values["method"] == "post"
            self.action = values["action"]
        elif tag == "input":
            self.fields[values["name"]] = values.get("value", "")


class Browser:
    """Cookies, forms and no redirects followed."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.http = world.http()

    async def open(self, parameters: dict[str, Any] | list[tuple[str, str]], **headers: str) -> httpx2.Response:
        url = f"{self.world.path}/authorize?{urlencode(parameters)}"
        return await self.http.get(url, headers=headers)

    async def follow(self, response: httpx2.Response) -> httpx2.Response:
        assert response.status_code == 303, response.text
        return await self.http.get(response.headers["location"])

    async def submit(
        self, page: httpx2.Response, *, headers: dict[str, str] | None = None, **fields: str
    ) -> httpx2.Response:
        form = Form(page.text)
        return await self.http.post(form.action, data={**form.fields, **fields}, headers=headers)

    async def log_in(self, page: httpx2.Response, name: str = "ada", password: str = PASSWORD) -> httpx2.Response:
        """Fill in the login page; returns what stands after it: the consent page."""
        return await self.follow(await self.submit(page, name=name, password=password))

    async def allow(self, page: httpx2.Response, decision: str = "allow") -> dict[str, str]:
        """Decide; returns the parameters that the client gets."""
        return answer(await self.submit(page, decision=decision))


def answer(response: httpx2.Response) -> dict[str, str]:
    """Return what a redirect to the client tells it."""
    assert response.status_code == 303, response.text
    return {name: values[0] for name, values in parse_qs(urlsplit(response.headers["location"]).query).items()}


@dataclass
class World:
    """One Portico's issuer and what stands around it."""

    database: Database
    keyring: Keyring
    clock: Clock
    public_url: str = PUBLIC_URL
    name: str = "main"
    resources: list[str] = field(default_factory=lambda: [f"{PUBLIC_URL}/g/tools/mcp"])
    app: IssuerApp = field(init=False)
    fetcher: Fetcher = field(default_factory=lambda: Fetcher(egress=Egress()))
    known: str | None = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Make the app anew over the same database and keyring, as a restart does."""
        self.app = IssuerApp(
            database=self.database,
            keyring=self.keyring,
            fetcher=self.fetcher,
            public_url=self.public_url,
            resources=lambda issuer: list(self.resources) if issuer == self.url else [],
            resource_name=lambda resource: "Tools" if resource.endswith("/g/tools/mcp") else "",
            cookie_suffix="t1",
            clock=self.clock,
        )

    @property
    def path(self) -> str:
        return issuer_path(self.name)

    @property
    def url(self) -> str:
        return f"{self.public_url}{self.path}"

    def http(self, address: str = "192.0.2.1") -> httpx2.AsyncClient:
        asgi = Starlette(routes=self.app.routes())
        transport = httpx2.ASGITransport(app=asgi, client=(address, 40000))
        return httpx2.AsyncClient(transport=transport, base_url=self.public_url)

    async def settle(self, **document: Any) -> None:
        """Write the issuer's document and load it."""
        async with self.database.write() as conn:
            await issuers.put(conn, IssuerRow(name=self.name, document=document, created_at=START, updated_at=START))
        await self.app.reload(self.name)

    async def add_key(self, state: str = "current") -> SigningKey:
        key = SigningKey.generate()
        sealed = self.keyring.seal("signing-key", key.private_json(), aad=f"{self.name}|{key.kid}".encode())
        async with self.database.write() as conn:
            await signing_keys.add(
                conn,
                SigningKeyRow(
                    issuer=self.name,
                    kid=key.kid,
                    sealed=sealed,
                    public_jwk=key.public_jwk(),
                    state=state,
                    created_at=START,
                    changed_at=START,
                ),
            )
        await self.app.reload(self.name)
        return key

    async def add_user(self, name: str = "ada", **more: Any) -> UserRow:
        row = UserRow(
            issuer=self.name,
            subject=os.urandom(16).hex(),
            name=name,
            password_hash=PASSWORD_HASH,
            password_changed_at=START,
            created_at=START,
            **more,
        )
        async with self.database.write() as conn:
            await users.add(conn, row)
        return row

    async def add_client(self, client_id: str, **more: Any) -> None:
        row = ClientRow(issuer=self.name, client_id=client_id, created_at=START, **{"name": client_id, **more})
        async with self.database.write() as conn:
            await clients.add(conn, row)

    async def add_machine(self, client_id: str = "robot", **more: Any) -> None:
        digest = hashlib.sha256(MACHINE_SECRET.encode()).hexdigest()
        await self.add_client(client_id, kind="machine", secret_hash=digest, **{"scopes": ("mcp/invoke",), **more})

    async def register(self, redirect_uris: list[str] | None = None, **more: Any) -> str:
        """Register a client and return its id."""
        async with self.http() as http:
            response = await http.post(
                f"{self.path}/register",
                json={"redirect_uris": redirect_uris or [REDIRECT], "client_name": "Test client", **more},
            )
        assert response.status_code == 201, response.text
        return response.json()["client_id"]

    def request(self, client_id: str, **more: str) -> dict[str, str]:
        """Return the parameters of an authorization request; an empty value leaves one out."""
        parameters = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": REDIRECT,
            "state": "st4te",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "scope": "mcp/invoke",
            "resource": self.resources[0],
            **more,
        }
        return {name: value for name, value in parameters.items() if value}

    async def code(self, client_id: str, **more: str) -> str:
        """Log in, consent, and return the code."""
        browser = Browser(self)
        page = await browser.log_in(await browser.open(self.request(client_id, **more)))
        return (await browser.allow(page))["code"]

    async def token(self, *, auth: tuple[str, str] | None = None, **form: str) -> httpx2.Response:
        async with self.http() as http:
            return await http.post(f"{self.path}/token", data=form, auth=auth)

    async def redeem(self, client_id: str, code: str, **more: str) -> httpx2.Response:
        form = {"client_id": client_id, "code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER, **more}
        return await self.token(grant_type="authorization_code", **{k: v for k, v in form.items() if v})

    async def refresh(self, client_id: str, refresh_token: str, **more: str) -> httpx2.Response:
        return await self.token(grant_type="refresh_token", client_id=client_id, refresh_token=refresh_token, **more)

    async def tokens(self, client_id: str, **more: str) -> dict[str, Any]:
        """Go through the whole flow and return the token endpoint's answer."""
        response = await self.redeem(client_id, await self.code(client_id, **more))
        assert response.status_code == 200, response.text
        return response.json()
