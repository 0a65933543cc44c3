"""A hosted application as Copilot Studio is one with OAuth type Manual: it knows what was pasted into it, and no more.

Its secret goes in the body, it sends neither PKCE nor ``resource``, reads no metadata, speaks MCP 2025-03-26, and
refreshes at the refresh URL. Everything is taken from the table that ``portico clients add --json`` prints, whoever
printed it: an issuer with a database, or a façade.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

PROTOCOL = "2025-03-26"
#: Of one tool; every tool has one of its own.
COPILOT_REDIRECT = "https://global.consent.azure-apim.net/redirect/cr938-5fportico-20tools-5f43bcb8573bc3e84"

Walk = Callable[[str], str]  #: the person: from the authorize URL to where the browser leaves the issuer


class Refused(Exception):
    """The issuer told the application an error."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        super().__init__(status, document)
        self.status = status
        self.code = document.get("error", "")


@dataclass
class HostedClient:
    """One connection of one person."""

    table: Mapping[str, Any]  #: what was printed
    redirect_uri: str = COPILOT_REDIRECT
    server_url: str = ""  #: of the MCP endpoint; empty: the first of the table
    http: httpx2.AsyncClient | None = None  #: empty: one that reaches the network
    tokens: dict[str, Any] = field(default_factory=dict)
    session: str = ""

    def authorize_url(self, state: str) -> str:
        """Where the person is sent."""
        query = {
            "response_type": "code",
            "client_id": self.table["client_id"],
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.table["scopes"]),
            "state": state,
        }
        return f"{self.table['authorize_url']}?{urlencode(query)}"

    async def connect(self, walk: Walk) -> None:
        """Send the person to log in, and exchange the code that comes back."""
        state = secrets.token_urlsafe(16)
        target = await asyncio.to_thread(walk, self.authorize_url(state))
        assert target.startswith(f"{self.redirect_uri}?"), target
        answer = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        assert answer["state"] == state
        if "error" in answer:
            raise Refused(302, answer)
        await self.exchange(answer["code"])

    async def exchange(self, code: str) -> None:
        """Exchange a code, the secret in the body."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect_uri}
        self.tokens = await self._ask(self.table["token_url"], form)

    async def refresh(self) -> None:
        """Get new tokens for the refresh token."""
        form = {"grant_type": "refresh_token", "refresh_token": self.tokens["refresh_token"]}
        self.tokens |= await self._ask(self.table["refresh_url"], form)

    async def initialize(self) -> dict[str, Any]:
        """Begin an MCP session."""
        self.session = ""
        params = {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": {"name": "hosted", "version": "1"}}
        result = await self.call("initialize", params)
        await self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return result

    async def call(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and return its result."""
        response = await self._post({"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(params or {})})
        if response.status_code != 200:
            raise Refused(response.status_code, {"error": response.headers.get("www-authenticate", response.text)})
        self.session = response.headers.get("mcp-session-id", self.session)
        return _message(response)["result"]

    async def _post(self, message: Mapping[str, Any]) -> httpx2.Response:
        headers = {
            "authorization": f"Bearer {self.tokens['access_token']}",
            "accept": "application/json, text/event-stream",
            **({"mcp-session-id": self.session} if self.session else {}),
        }
        return await self._send(self.server_url or self.table["server_urls"][0], json=message, headers=headers)

    async def _ask(self, url: str, form: Mapping[str, str]) -> dict[str, Any]:
        secret = {"client_id": self.table["client_id"], "client_secret": self.table["client_secret"]}
        response = await self._send(url, data={**form, **secret})
        if response.status_code != 200:
            raise Refused(response.status_code, response.json())
        return response.json()

    async def _send(self, url: str, **request: Any) -> httpx2.Response:
        if self.http is not None:
            return await self.http.post(url, **request)
        async with httpx2.AsyncClient(timeout=30, trust_env=False) as http:
            return await http.post(url, **request)


def _message(response: httpx2.Response) -> dict[str, Any]:
    """Return the answer to a request, of JSON or of a stream."""
    if response.headers["content-type"].startswith("application/json"):
        return response.json()
    lines = [line.removeprefix("data:").strip() for line in response.text.splitlines() if line.startswith("data:")]
    return next(message for line in lines if line and "id" in (message := json.loads(line)))
