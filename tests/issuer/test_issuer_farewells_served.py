"""`portico serve` tells a provider of grants that ended: those that a client gave back, and an administrator's."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from issuer_world import CHALLENGE, REDIRECT, VERIFIER

from portico.storage import grants
from service.portico_process import Portico, until
from support.provider.identity_provider import IdentityProvider, identity_provider

pytestmark = [pytest.mark.e2e, pytest.mark.connector("oidc"), pytest.mark.xdist_group("issuer-farewells")]


async def log_in(portico: Portico, idp: IdentityProvider, resource: str) -> dict[str, Any]:
    """Go through consent and the provider; return the tokens and whose they are."""
    assert portico.http is not None
    registration = {"client_name": "App", "redirect_uris": [REDIRECT]}
    client_id = (await portico.http.post("/i/main/register", json=registration)).json()["client_id"]
    asked = {"response_type": "code", "client_id": client_id, "redirect_uri": REDIRECT, "scope": "mcp/invoke"}
    asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256", "resource": resource, "state": "s"}
    target = await asyncio.to_thread(idp.person("ada").walk, f"{portico.url}/i/main/authorize?{urlencode(asked)}")
    form = {"grant_type": "authorization_code", "code": parse_qs(urlsplit(target).query)["code"][0]}
    form |= {"client_id": client_id, "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
    answer = await portico.http.post("/i/main/token", data=form)
    assert answer.status_code == 200, answer.text
    return answer.json() | {"client_id": client_id}


async def revoke_by_command(portico: Portico, grant_id: str) -> None:
    """Take a grant back as an administrator does, in a process that ends with the command."""
    file = str(portico.directory / "portico.yaml")
    command = [sys.executable, "-m", "portico", "grants", "revoke", grant_id, "--config", file]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    assert (process.returncode, printed.decode().strip()) == (0, f"{grant_id} is revoked.")


@pytest.mark.case("C24")
async def test_the_server_tells_the_provider_whoever_took_the_grant_back(tmp_path: Path):
    portico = Portico(tmp_path, {})
    with identity_provider("strict", redirect_uris=[f"{portico.url}/i/main/callback"]) as idp:
        trusts = {"customJWTAuthorizer": {"discoveryUrl": portico.discovery_url}}
        gateway = {"name": "tools", "protocolType": "MCP", "authorizerType": "CUSTOM_JWT"}
        connector = idp.connector(forwardResource=False)
        portico.document = {
            "issuers": [{"name": "main", "scopes": ["mcp/invoke"], "connectors": [connector]}],
            "gateways": [{**gateway, "authorizerConfiguration": trusts, "targets": []}],
        }
        async with portico.running():
            resource = await portico.synchronized("tools")
            first, second = await log_in(portico, idp, resource), await log_in(portico, idp, resource)
            assert portico.http is not None
            form = {"token": first["refresh_token"], "client_id": first["client_id"]}
            assert (await portico.http.post("/i/main/revoke", data=form)).status_code == 200
            await until(lambda: len(idp.requests("revocation")) == 1)

            assert portico.database is not None
            async with portico.database.read() as conn:
                [grant] = await grants.list_all(conn, live_at=int(time.time()))
            assert grant.client_id == second["client_id"]
            await revoke_by_command(portico, grant.id)
            await until(lambda: len(idp.requests("revocation")) == 2)
            assert [one.status for one in idp.requests("revocation")] == [200, 200]
            for asked in idp.requests("revocation"):
                assert asked.form["token"] not in portico.log()
