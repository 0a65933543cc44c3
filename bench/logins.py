"""Logins and tokens: what an issuer does in a second, and what calls feel while passwords are hashed.

People and clients come from addresses of their own (127.1.0.N), because one address alone is soon refused: that is
what limits are for. They share the load's core; the issuer has its own, so logins and calls contend for one core, the
worst that a machine can do to them.

For the façade a real provider (npm ``oidc-provider``) is asked at each code and refresh token: its time is in the
figures, and beside them stands what it takes when it is asked directly.
"""

import asyncio
import base64
import contextlib
import functools
import hashlib
import itertools
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from facade_logins import measure_facade
from house import ISSUER, SCOPE, GatewayPlan, House, start_house
from processes import Cores, NotStarted
from subjects import VERSIONS, start_stub
from timed import HEADER, Timed, client_at, closed_loop, counted, merged, note, pinned, timed

PASSWORD = "a password of the benchmark"
CALLBACK = "http://127.0.0.1:1/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
PEOPLE = 16
CLIENTS = 16
LOGINS_AT_ONCE = (1, 8)
PROBES_PER_SECOND = 25.0  #: of each kind
CODES = 300  #: that are collected before they are redeemed; they live for a minute
SETTLE_SECONDS = 1.0

_FLOW = re.compile(r'name="flow" value="([^"]+)"')


class Person:
    """A browser at an address of its own."""

    def __init__(self, house: House, number: int, client_id: str) -> None:
        self.name = f"user{number}"
        self.http = client_at(number)
        self.base = f"{house.origin}/i/{ISSUER}"
        self.client_id = client_id
        self.resource = next(iter(house.urls.values()))

    async def authorize(self, **more: str) -> httpx2.Response:
        """Open the authorization request: the login or the consent page."""
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "scope": SCOPE,
            "resource": self.resource,
            **more,
        }
        return await self.http.get(f"{self.base}/authorize?{urlencode(query)}")

    async def log_in(self, page: httpx2.Response, password: str = PASSWORD) -> httpx2.Response:
        form = {"flow": flow_of(page), "name": self.name, "password": password}
        return await self.http.post(f"{self.base}/login", data=form)

    async def code(self) -> str:
        """Allow, once more, as who is logged in."""
        page = await self.authorize()
        answer = await self.http.post(f"{self.base}/consent", data={"flow": flow_of(page), "decision": "allow"})
        return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


def flow_of(page: httpx2.Response) -> str:
    """Return the hidden field of a page's form."""
    found = _FLOW.search(page.text)
    if found is None:
        raise RuntimeError(f"{page.status_code} {page.url}: no form\n{page.text[:500]}")
    return found[1]


def measure(stack: contextlib.ExitStack, place: Path, cores: Cores, *, quick: bool) -> str:
    """Measure everything; return the section's tables."""
    seconds = 1.0 if quick else 8.0
    house = _start(stack, place, cores)
    with pinned(cores.load):
        local = asyncio.run(_local(house, seconds, 60 if quick else CODES))
        calm, flooded = asyncio.run(_contention(house, seconds))
        facade = measure_facade(stack, place, cores, seconds=seconds, quick=quick)
    wrong = [row for row in (*local, *calm, *flooded, *facade) if not row.endswith("| 0 |")]
    if wrong:
        raise NotStarted("errors, so that the figures do not count:\n" + "\n".join(wrong))
    return "\n\n".join(
        [
            "Our own users, SQLite, one process:",
            "\n".join([HEADER, *local]),
            f"Other requests, {PROBES_PER_SECOND:.0f} a second of each kind, sent when they are due:",
            "\n".join([HEADER, *calm, *flooded]),
            "The façade (`wrap`) before `oidc-provider`, one process:",
            "\n".join([HEADER, *facade]),
        ]
    )


def _start(stack: contextlib.ExitStack, place: Path, cores: Cores) -> House:
    stub = start_stub(stack, place, cores)
    home = place / "portico"
    home.mkdir(parents=True)
    (home / "password").write_text(PASSWORD)
    users = [{"name": f"user{number}", "passwordFile": "password"} for number in range(1, PEOPLE + 1)]
    plan = GatewayPlan(name="bench", targets={"stub": stub.url})
    return start_house(stack, home, cores, [plan], issuer={"users": users})


async def _local(house: House, seconds: float, codes: int) -> list[str]:
    people = await _people(house)
    rows = [
        (await _logins(people[:count], seconds)).row("login (`POST /login`)", str(count)) for count in LOGINS_AT_ONCE
    ]
    for person in people:
        await person.log_in(await person.authorize())
    made, redeemed, tokens = await _codes(people, codes)
    rows.append(made.row("consent (`GET /authorize`, `POST /consent`)", str(PEOPLE)))
    rows.append(redeemed.row("code exchange (`POST /token`)", str(CLIENTS)))
    rows.append((await _refreshes(people, tokens, seconds)).row("refresh (`POST /token`)", str(CLIENTS)))
    machine = await closed_loop([functools.partial(_machine, house, client_at(n)) for n in range(CLIENTS)], seconds)
    rows.append(machine.row("client credentials (`POST /token`)", str(CLIENTS)))
    await asyncio.gather(*(person.http.aclose() for person in people))
    return rows


async def _people(house: House) -> list[Person]:
    async with client_at(0) as http:
        registration = {"redirect_uris": [CALLBACK], "client_name": "bench", "token_endpoint_auth_method": "none"}
        answer = await http.post(f"{house.origin}/i/{ISSUER}/register", json=registration)
    client_id = answer.raise_for_status().json()["client_id"]
    return [Person(house, number, client_id) for number in range(1, PEOPLE + 1)]


async def _logins(people: Sequence[Person], seconds: float) -> Timed:
    async def log_in(person: Person) -> tuple[float, int]:
        page = await person.authorize(prompt="login")
        return await timed(person.log_in(page), expected=303)

    return await closed_loop([functools.partial(log_in, person) for person in people], seconds)


async def _codes(people: Sequence[Person], count: int) -> tuple[Timed, Timed, list[str]]:
    """Collect codes, then redeem them; return both times and the refresh tokens."""
    codes: list[tuple[Person, str]] = []

    async def collect(person: Person) -> tuple[float, int]:
        began = time.monotonic()
        codes.append((person, await person.code()))
        return time.monotonic() - began, 200

    made = await counted([functools.partial(collect, person) for person in people], count)
    tokens: list[str] = []

    async def redeem() -> tuple[float, int]:
        person, code = codes.pop()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return await _token(person, form, tokens)

    redeemed = await counted([redeem] * CLIENTS, len(codes))
    return made, redeemed, tokens


async def _refreshes(people: Sequence[Person], tokens: list[str], seconds: float) -> Timed:
    async def refresh(person: Person, chain: list[str]) -> tuple[float, int]:
        return await _token(person, {"grant_type": "refresh_token", "refresh_token": chain[-1]}, chain)

    chains = zip(itertools.cycle(people), ([token] for token in tokens[:CLIENTS]), strict=False)
    return await closed_loop([functools.partial(refresh, *one) for one in chains], seconds)


async def _token(person: Person, form: dict[str, str], tokens: list[str]) -> tuple[float, int]:
    began = time.monotonic()
    answer = await person.http.post(f"{person.base}/token", data=form | {"client_id": person.client_id})
    taken = time.monotonic() - began
    if answer.status_code == 200:
        tokens.append(answer.json()["refresh_token"])
    return taken, answer.status_code


async def _machine(house: House, http: httpx2.AsyncClient) -> tuple[float, int]:
    form = {"grant_type": "client_credentials", "scope": SCOPE, "resource": next(iter(house.urls.values()))}
    return await timed(
        http.post(f"{house.origin}/i/{ISSUER}/token", data=form, auth=("bench", house.secret)), expected=200
    )


async def _contention(house: House, seconds: float) -> tuple[list[str], list[str]]:
    """Return how other requests fare on a calm process, and while logins run flat out."""
    people = await _people(house)
    pages = [await person.authorize(prompt="login") for person in people]
    calm = await _probed(house, seconds)
    stop = asyncio.Event()

    async def log_in(person: Person, page: httpx2.Response) -> Timed:
        """Every other time with a wrong password."""
        seen = Timed()
        for turn in itertools.count():
            if stop.is_set():
                break
            wrong = turn % 2 == 1
            taken, status = await timed(person.log_in(page, "wrong" if wrong else PASSWORD))
            note(seen, taken, status, expected=403 if wrong else 303)
        seen.ended = time.monotonic()
        return seen

    flood = [asyncio.create_task(log_in(*one)) for one in zip(people, pages, strict=True)]
    await asyncio.sleep(SETTLE_SECONDS)
    flooded = await _probed(house, seconds)
    stop.set()
    logins = merged(await asyncio.gather(*flood))
    await asyncio.gather(*(person.http.aclose() for person in people))
    return (
        [seen.row(f"{name}, calm", "") for name, seen in calm.items()],
        [
            *(seen.row(f"{name}, logins flat out", "") for name, seen in flooded.items()),
            logins.row("the logins meanwhile, half of them wrong", str(PEOPLE)),
        ],
    )


async def _probed(house: House, seconds: float) -> dict[str, Timed]:
    token = house.token(next(iter(house.urls.values())))
    async with client_at(200) as http:
        call = functools.partial(_call, house, http, token)
        metadata = f"{house.origin}/.well-known/oauth-authorization-server/i/{ISSUER}"
        kinds: dict[str, Callable[[], Awaitable[httpx2.Response]]] = {
            "`GET /healthz`": functools.partial(http.get, f"{house.origin}/healthz"),
            "issuer's metadata": functools.partial(http.get, metadata),
            "`tools/call`": call,
        }
        found = await asyncio.gather(*(_open_loop(ask, seconds) for ask in kinds.values()))
    return dict(zip(kinds, found, strict=True))


async def _call(house: House, http: httpx2.AsyncClient, token: str) -> httpx2.Response:
    names = {"protocolVersion": VERSIONS["modern"], "clientCapabilities": {}}
    params: dict[str, Any] = {
        "name": "stub___echo",
        "arguments": {"text": "0123456789"},
        "_meta": {f"io.modelcontextprotocol/{name}": value for name, value in names.items()},
    }
    lines = {
        "accept": "application/json, text/event-stream",
        "authorization": f"Bearer {token}",
        "mcp-protocol-version": VERSIONS["modern"],
        "mcp-method": "tools/call",
        "mcp-name": "stub___echo",
    }
    message = {"jsonrpc": "2.0", "id": secrets.token_hex(4), "method": "tools/call", "params": params}
    return await http.post(next(iter(house.urls.values())), json=message, headers=lines)


async def _open_loop(ask: Callable[[], Awaitable[httpx2.Response]], seconds: float) -> Timed:
    """Send requests when they are due, answered or not; each counts from when it was due."""
    await ask()
    seen = Timed()
    tasks: list[asyncio.Task[None]] = []

    async def one(due: float) -> None:
        answer = await ask()
        note(seen, time.monotonic() - due, answer.status_code, expected=200)

    for number in range(round(seconds * PROBES_PER_SECOND)):
        due = seen.began + number / PROBES_PER_SECOND
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    seen.ended = time.monotonic()
    return seen
