"""An MCP server that judges who calls it: by a bearer token of one issuer, or by an API key."""

from contextlib import asynccontextmanager

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from targets.http_server import serve_http
from targets.servers import LegacyServer, ModernServer, tool

AUDIENCE = "https://calc.example/mcp"


class Guarded:
    """An MCP server that takes bearer tokens of one issuer, for its audience and with its scope, or one API key."""

    def __init__(self, issuer=None, *, audience=AUDIENCE, key=None, era="modern"):
        kind = ModernServer if era == "modern" else LegacyServer
        self.server = kind(tools=[tool("add"), tool("echo")])
        self.issuer = issuer
        self.audience = audience
        self.key = key
        self.refused = []
        self.keys = None

    async def handle(self, exchange):
        path, _, query = exchange.path.partition("?")
        exchange.path = path
        status = await self._judge(exchange.headers, query)
        if status:
            self.refused.append(status)
            await exchange.reply(status, b"", www_authenticate="Bearer")
            return
        await self.server.handle(exchange)

    async def _judge(self, headers, query):
        if self.key is not None:
            return 0 if self.key in (headers.get("x-api-key"), query) else 401
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if self.keys is None:  # kept, as servers do: calls go on when the provider is down
            async with aiohttp.ClientSession() as session, session.get(f"{self.issuer}/jwks") as answer:
                self.keys = KeySet.import_key_set(await answer.json())
        try:
            claims = jwt.decode(token, self.keys, algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return 401
        if scheme != "Bearer" or (claims["iss"], claims["aud"]) != (self.issuer, self.audience):
            return 401
        return 0 if "calc.write" in claims.get("scope", "").split() else 403


@asynccontextmanager
async def guarded(*args, **kwargs):
    made = Guarded(*args, **kwargs)
    async with serve_http(made.handle) as http:
        made.url = f"{http.origin}/mcp"
        yield made
    assert http.failures == []
