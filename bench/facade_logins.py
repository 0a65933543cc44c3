"""The tokens of a façade: each is asked of a real provider, whose own time stands beside."""

import asyncio
import base64
import contextlib
import functools
import hashlib
import json
import time
from itertools import repeat
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from house import PORTICO, SCOPE
from processes import Cores, free_ports, running, wait_for_port
from subjects import start_stub
from timed import client_at, closed_loop, counted, timed

CALLBACK = "http://127.0.0.1:1/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
KEYS = "bench:" + hashlib.sha256(b"a keyring of the benchmark").hexdigest()
AT_ONCE = 8
CODES = 40  #: logins of people at the provider, one after the other; their codes live for a minute
FIRST_ADDRESS = 300  #: of the clients, apart from those of other parts


def measure_facade(stack: contextlib.ExitStack, place: Path, cores: Cores, *, seconds: float, quick: bool) -> list[str]:
    """Return the rows of a façade's table."""
    from support.provider.identity_provider import identity_provider  # noqa: PLC0415 - the tests' own provider

    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    idp = stack.enter_context(identity_provider("cognito", redirect_uris=[f"{url}/callback"], host="localhost"))
    stub = start_stub(stack, place, cores)
    connector = idp.connector(scopeMap={SCOPE: [SCOPE]})
    variables = {
        "PORTICO_FACADE_LISTEN": f"127.0.0.1:{port}",
        "PORTICO_FACADE_PUBLIC_URL": url,
        "PORTICO_FACADE_UPSTREAM_URL": stub.url,
        "PORTICO_FACADE_UPSTREAM_ALLOW_PRIVATE": "true",
        "PORTICO_FACADE_LOG_LEVEL": "warning",
        "PORTICO_FACADE_ISSUER": json.dumps({"scopes": [SCOPE], "connectors": [connector]}),
        "PORTICO_KEYRING_KEYS": KEYS,
    }
    log = place / "facade.log"
    process = stack.enter_context(running([str(PORTICO), "facade"], cores=cores.server, log=log, env=variables))
    wait_for_port(port, process, log)
    return asyncio.run(_measure(url, idp, seconds, AT_ONCE if quick else CODES))


async def _measure(url: str, idp: Any, seconds: float, count: int) -> list[str]:
    client_id = await _register(url)
    codes = [await _code(url, idp, client_id) for _ in range(count)]
    http = [client_at(FIRST_ADDRESS + number) for number in range(AT_ONCE)]
    tokens: list[str] = []

    async def redeem(client: httpx2.AsyncClient) -> tuple[float, int]:
        form = {"grant_type": "authorization_code", "code": codes.pop(), "redirect_uri": CALLBACK}
        return await _token(client, url, form | {"code_verifier": VERIFIER, "client_id": client_id}, tokens)

    exchanged = await counted([functools.partial(redeem, client) for client in http], len(codes))

    async def refresh(client: httpx2.AsyncClient, chain: list[str]) -> tuple[float, int]:
        form = {"grant_type": "refresh_token", "refresh_token": chain[-1], "client_id": client_id}
        return await _token(client, url, form, chain)

    chains = [functools.partial(refresh, client, [token]) for client, token in zip(http, tokens, strict=False)]
    refreshed = await closed_loop(chains, seconds)
    endpoint = idp.metadata()["token_endpoint"]
    logins = [await _login(url, idp) for _ in http]
    steps = [functools.partial(_directly, *one) for one in zip(http, repeat(endpoint), repeat(idp), logins)]
    direct = await closed_loop(steps, seconds)
    await asyncio.gather(*(client.aclose() for client in http))
    return [
        exchanged.row("code exchange, the provider's included", str(AT_ONCE)),
        refreshed.row("refresh, the provider's included", str(AT_ONCE)),
        direct.row("refresh at the provider alone", str(AT_ONCE)),
    ]


async def _register(url: str) -> str:
    async with client_at(FIRST_ADDRESS) as http:
        registration = {"redirect_uris": [CALLBACK], "client_name": "bench", "token_endpoint_auth_method": "none"}
        answer = await http.post(f"{url}/register", json=registration)
        return answer.raise_for_status().json()["client_id"]


async def _code(url: str, idp: Any, client_id: str) -> str:
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "scope": SCOPE,
        "resource": f"{url}/mcp",
    }
    target = await asyncio.to_thread(idp.person().walk, f"{url}/authorize?{urlencode(query)}")
    return parse_qs(urlsplit(target).query)["code"][0]


async def _login(url: str, idp: Any) -> str:
    """Log in at the provider as the façade's client would; return the refresh token."""
    query = {
        "response_type": "code",
        "client_id": idp.client_id,
        "redirect_uri": f"{url}/callback",
        "scope": f"openid {SCOPE}",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    metadata = idp.metadata()
    target = await asyncio.to_thread(idp.person().walk, f"{metadata['authorization_endpoint']}?{urlencode(query)}")
    form = {"grant_type": "authorization_code", "code": parse_qs(urlsplit(target).query)["code"][0]}
    async with client_at(FIRST_ADDRESS) as http:
        answer = await http.post(
            metadata["token_endpoint"],
            data=form | {"redirect_uri": f"{url}/callback", "code_verifier": VERIFIER},
            auth=(idp.client_id, idp.client_secret),
        )
        return answer.raise_for_status().json()["refresh_token"]


async def _token(http: httpx2.AsyncClient, url: str, form: dict[str, str], tokens: list[str]) -> tuple[float, int]:
    began = time.monotonic()
    answer = await http.post(f"{url}/token", data=form)
    taken = time.monotonic() - began
    if answer.status_code == 200:
        tokens.append(answer.json()["refresh_token"])
    return taken, answer.status_code


async def _directly(http: httpx2.AsyncClient, endpoint: str, idp: Any, refresh_token: str) -> tuple[float, int]:
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return await timed(http.post(endpoint, data=form, auth=(idp.client_id, idp.client_secret)), expected=200)
