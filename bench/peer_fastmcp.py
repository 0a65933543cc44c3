"""FastMCP as a proxy, for peers.py: run with the Python of FastMCP's own environment.

One client, connected once and shared by all requests (``create_proxy`` would connect anew for each), and FastMCP's
own JWT verifier with the key at hand. Run: ``peer_fastmcp.py PORT STUB_URL BACKEND_MODE STATEFUL|STATELESS KEY_FILE
ISSUER AUDIENCE``.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastmcp import Client
from fastmcp.server.auth.providers.jwt import JWTVerifier
from fastmcp.server.providers.proxy import FastMCPProxy
from starlette.applications import Starlette


def main(arguments: list[str]) -> None:
    port, stub, mode, state, key_file, issuer, audience = arguments
    client = Client(stub, mode=mode)
    verifier = JWTVerifier(
        public_key=Path(key_file).read_text(),
        issuer=issuer,
        audience=audience,
        algorithm="ES256",
        required_scopes=["mcp/invoke"],
    )
    proxy = FastMCPProxy(client_factory=lambda: client, name="bench", auth=verifier)
    app = proxy.http_app(path="/mcp", json_response=True, stateless_http=state == "STATELESS")
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(served: Starlette) -> AsyncIterator[object]:
        async with client, inner(served) as found:
            yield found

    app.router.lifespan_context = lifespan
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main(sys.argv[1:])
