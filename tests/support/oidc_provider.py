"""A real OpenID provider for tests: npm ``oidc-provider``, in a process of its own on 127.0.0.1."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.schemas import node_program

SCRIPT = Path(__file__).parent / "oidc_provider.mjs"
START_SECONDS = 60.0


@dataclass
class RealProvider:
    """Where it is."""

    port: int

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def discovery_url(self) -> str:
        return f"{self.issuer}/.well-known/openid-configuration"


def machine(client_id: str, secret: str, *, method: str = "client_secret_basic", scope: str = "") -> dict[str, Any]:
    """A client that has nothing but client credentials."""
    client = {
        "client_id": client_id,
        "client_secret": secret,
        "grant_types": ["client_credentials"],
        "redirect_uris": [],
        "response_types": [],
        "token_endpoint_auth_method": method,
    }
    return client | ({"scope": scope} if scope else {})


@asynccontextmanager
async def real_provider(
    clients: list[dict[str, Any]], resources: Mapping[str, Any], *, port: int | None = None
) -> AsyncGenerator[RealProvider]:
    """Run the provider until the block ends. ``resources``: audience → {"scopes": [...], "seconds": lifetime}."""
    settings = json.dumps({"clients": clients, "resources": resources, "port": port})
    process = await asyncio.create_subprocess_exec(
        node_program(),
        str(SCRIPT),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"OIDC_PROVIDER": settings, "NODE_ENV": "production"},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
        assert line.strip().isdigit(), "the provider did not start: run `make setup`"
        yield RealProvider(port=int(line))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
