"""Another MCP gateway: a FastMCP server that takes the provider's tokens and nobody else's. A program of its own.

It stands in for an AgentCore Gateway behind a user pool. What it is comes as JSON in ``OTHER_GATEWAY`` (see
``other_gateway.py``).
"""

import asyncio
import json
import os
from typing import Any

import uvicorn
from fastmcp import Context, FastMCP
from fastmcp.server.auth import AccessToken, RemoteAuthProvider, TokenVerifier
from fastmcp.server.auth.providers.introspection import IntrospectionTokenVerifier
from fastmcp.server.auth.providers.jwt import JWTVerifier
from fastmcp.server.dependencies import get_access_token, get_http_headers
from pydantic import AnyHttpUrl
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MAX_STEPS = 100


class ClientVerifier(JWTVerifier):
    """Takes tokens without an audience by their client, as a gateway in front of Cognito must."""

    def __init__(self, *, client_id: str, **options: Any) -> None:
        super().__init__(**options)
        self._client_id = client_id

    async def load_access_token(self, token: str) -> AccessToken | None:
        found = await super().load_access_token(token)
        if found is None or found.claims.get("token_use") != "access":
            return None
        return found if found.claims.get("client_id") == self._client_id else None


def verifier(settings: dict[str, Any]) -> TokenVerifier:
    """Return the verifier that suits the provider's tokens: opaque, without audience, or with one."""
    if settings["introspection"]:
        client_id, secret = settings["introspection_client"]
        url: str = settings["introspection"]
        return IntrospectionTokenVerifier(introspection_url=url, client_id=client_id, client_secret=secret)
    options: dict[str, Any] = {
        "jwks_uri": settings["jwks_uri"],
        "issuer": settings["issuer"],
        "required_scopes": settings["scopes"],
        "jwks_refresh_interval": 0,
    }
    if settings["client_id"]:
        return ClientVerifier(client_id=settings["client_id"], **options)
    return JWTVerifier(audience=settings["audience"], **options)


def server(settings: dict[str, Any]) -> FastMCP[Any]:
    """Return the gateway with its tools."""
    auth = RemoteAuthProvider(
        token_verifier=verifier(settings),
        authorization_servers=[AnyHttpUrl(settings["authorization_server"])],
        base_url=settings["base_url"],
    )
    made: FastMCP[Any] = FastMCP(name="other-gateway", auth=auth)

    @made.tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @made.tool
    async def count(context: Context, steps: int = 3, seconds: float = 0.0) -> int:
        """Count to `steps`, telling each, with pauses of `seconds`."""
        for step in range(1, min(steps, MAX_STEPS) + 1):
            await context.report_progress(step, steps)
            await asyncio.sleep(seconds)
        return steps

    @made.tool
    def whoami() -> dict[str, Any]:
        """Tell who calls: the token's claims, and the headers that came with it."""
        token = get_access_token()
        assert token is not None
        headers = get_http_headers(include_all=True)
        return {"claims": token.claims, "headers": headers, "token": token.token}

    @made.tool
    def fail() -> str:
        """Fail."""
        raise ValueError("this tool always fails")

    return made


def exact(app: ASGIApp, settings: dict[str, Any]) -> ASGIApp:
    """Name the authorization server byte for byte: FastMCP would end an origin with a slash, which clients refuse."""
    document = {"resource": f"{settings['base_url']}/mcp", "authorization_servers": [settings["authorization_server"]]}

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == "/.well-known/oauth-protected-resource/mcp":
            await JSONResponse(document)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return serve


def main() -> None:
    settings = json.loads(os.environ["OTHER_GATEWAY"])
    app = exact(server(settings).http_app(path="/mcp", stateless_http=settings["stateless"]), settings)
    uvicorn.run(app, host="127.0.0.1", port=settings["port"], log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
