"""Another MCP gateway (FastMCP) behind an identity provider, in a process of its own.

::

    with other_gateway(idp) as gateway:      # takes only what idp issued
        gateway.mcp_url

Tools: ``add(a, b)``, ``count(steps, seconds)`` with progress, ``whoami()`` (the claims, headers and bearer token that
arrived), ``fail()``. Its 401 and its resource metadata name ``authorization_server``: the provider, unless told
otherwise.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.ports import free_port
from support.processes import stopped, wait_until_it_answers
from support.provider.identity_provider import API_ID, GATEWAY_CLIENT, IdentityProvider

PROGRAM = Path(__file__).parent / "gateway_server.py"
AUDIENCES = {"entra": API_ID, "okta": "api://default"}
SCOPES = {"cognito": "mcp/invoke", "entra": "mcp.invoke", "okta": "mcp.invoke", "strict": "mcp/invoke"}


@dataclass(frozen=True, kw_only=True)
class OtherGateway:
    """Where it is."""

    port: int
    log: Path
    process: "subprocess.Popen[bytes]"

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def mcp_url(self) -> str:
        return f"{self.origin}/mcp"

    def wait(self) -> None:
        """Wait until it serves, which is to refuse whoever has no token."""
        wait_until_it_answers(self.process, self.mcp_url, 401, self.log)


@contextlib.contextmanager
def other_gateway(
    idp: IdentityProvider,
    *,
    log: Path,
    audience: str = "",
    authorization_server: str = "",
    stateless: bool = False,
    wait: bool = True,
) -> Generator[OtherGateway]:
    """Run the gateway until the block ends.

    ``audience``: what `strict` tokens are for (else the provider's first resource). ``stateless``: no MCP sessions.
    ``wait``: until it serves, before the block begins.
    """
    port = free_port()
    opaque = idp.profile == "google"
    settings: dict[str, Any] = {
        "port": port,
        "base_url": f"http://127.0.0.1:{port}",
        "authorization_server": authorization_server or idp.issuer,
        "issuer": idp.issuer,
        "jwks_uri": idp.metadata()["jwks_uri"],
        "introspection": f"{idp.origin}/token/introspection" if opaque else "",
        "introspection_client": GATEWAY_CLIENT,
        "client_id": idp.client_id if idp.profile == "cognito" else "",
        "audience": AUDIENCES.get(idp.profile) or audience or next(iter(idp.resources), ""),
        "scopes": [] if opaque else [SCOPES[idp.profile]],
        "stateless": stateless,
    }
    with log.open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM)],
            stdout=told,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OTHER_GATEWAY": json.dumps(settings), "FASTMCP_CHECK_FOR_UPDATES": "off"},
        )
    with stopped(process):
        made = OtherGateway(port=port, log=log, process=process)
        if wait:
            made.wait()
        yield made
