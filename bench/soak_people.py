"""The logins of the soak test: every second a person goes through the issuer's own pages, and tokens are refreshed.

A login is a whole one: authorize, login page, consent page, code, token. Every tenth begins with a registration.
"""

import asyncio
import base64
import hashlib
import random
import secrets
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp

sys.path.append(str(Path(__file__).parents[1] / "tests" / "e2e"))

from house import ISSUER, SCOPE, House
from person import Person
from soak_load import Tally

REDIRECT = "http://127.0.0.1:53682/callback"  # where nobody listens: the walk ends before it
KEPT = 20  #: tokens of the last logins; older ones would expire in use
REGISTER_EVERY = 10
MACHINE_EVERY = 5


@dataclass(slots=True, kw_only=True)
class People:
    """Who logs in, and the tokens that they got."""

    house: House
    http: aiohttp.ClientSession
    resource: str
    machine_resource: str  #: of the gateway that the machine client calls
    users: tuple[str, ...]
    password: str
    tally: Tally
    chance: random.Random
    access: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    machine_access: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    refresh: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=KEPT))  #: client id, token
    client_id: str = ""
    turn: int = 0

    @property
    def issuer(self) -> str:
        return f"{self.house.origin}/i/{ISSUER}"

    def token(self) -> str:
        """Return any of the tokens at hand."""
        return self.chance.choice(self.access)

    def machine_token(self) -> str:
        """Return any of the machine client's tokens."""
        return self.chance.choice(self.machine_access)

    async def begin(self) -> None:
        """Get the first tokens."""
        self.access.append(await asyncio.to_thread(self.house.token, self.resource))
        await self._machine()

    async def one(self) -> None:
        """Do what is due in one second; whatever fails is unexplained."""
        self.turn += 1
        await self._attempt("login", self._log_in())
        if self.refresh:
            await self._attempt("refresh", self._refresh())
        if self.turn % MACHINE_EVERY == 0:
            await self._attempt("client credentials", self._machine())

    async def _attempt(self, kind: str, work: Any) -> None:
        try:
            async with asyncio.timeout(30):
                await work
        except (AssertionError, KeyError, OSError, aiohttp.ClientError, TimeoutError) as error:
            self.tally.blame(kind, repr(error))
        else:
            self.tally.count(kind, "done")

    async def _log_in(self) -> None:
        if not self.client_id or self.turn % REGISTER_EVERY == 0:
            client = {"client_name": "Soak", "redirect_uris": [REDIRECT]}
            async with self.http.post(f"{self.issuer}/register", json=client) as response:
                self.client_id = (await response.json())["client_id"]
        client_id = self.client_id  # the next login may begin, and register anew, before this one ends
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": REDIRECT,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "resource": self.resource,
            "scope": SCOPE,
            "state": "s",
        }
        person = Person(self.chance.choice(self.users), self.password)
        target = await asyncio.to_thread(person.walk, f"{self.issuer}/authorize?{urlencode(query)}")
        form = {
            "grant_type": "authorization_code",
            "code": parse_qs(urlsplit(target).query)["code"][0],
            "redirect_uri": REDIRECT,
            "client_id": client_id,
            "code_verifier": verifier,
        }
        await self._redeem(form)

    async def _refresh(self) -> None:
        client_id, token = self.refresh.popleft()
        await self._redeem({"grant_type": "refresh_token", "refresh_token": token, "client_id": client_id})

    async def _redeem(self, form: dict[str, str]) -> None:
        async with self.http.post(f"{self.issuer}/token", data=form) as response:
            text = await response.text()
            assert response.status == 200, text
            answer = await response.json()
        self.access.append(answer["access_token"])
        if "refresh_token" in answer:
            self.refresh.append((form["client_id"], answer["refresh_token"]))

    async def _machine(self) -> None:
        self.machine_access.append(await asyncio.to_thread(self.house.token, self.machine_resource))
