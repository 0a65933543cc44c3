"""A process over PostgreSQL, and what becomes of it while the server is away."""

import asyncio
import json

import pytest
from portico_process import PASSWORD, SECRET, Portico, call, until

from portico.audit.verify import verify
from portico.service.keyring_file import read_keyring
from portico.storage import audit
from support.postgres import PASSWORD as DATABASE_PASSWORD
from support.postgres import QUOTED_PASSWORD, running_server
from targets.servers import legacy_server

LONGEST = 60.0  #: seconds that may pass on a busy machine

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server():
    """A server that is stopped and frozen under the process."""
    with running_server() as server:
        yield server


@pytest.fixture
async def target():
    async with legacy_server() as server:
        yield server


@pytest.fixture
async def portico(tmp_path, server, target):
    name = await server.create(migrated=False)
    portico = Portico(tmp_path, {})
    portico.document = {
        "database": server.url(name),
        "issuers": [
            {
                "name": "main",
                "scopes": ["mcp/invoke"],
                "users": [{"name": "ada", "password": PASSWORD}],
                "clients": [{"name": "robot", "secret": SECRET, "scopes": ["mcp/invoke"]}],
            }
        ],
        "gateways": [
            {
                "name": "first",
                "protocolType": "MCP",
                "authorizerType": "CUSTOM_JWT",
                "authorizerConfiguration": {"customJWTAuthorizer": {"discoveryUrl": portico.discovery_url}},
                "targets": [
                    {
                        "name": "old",
                        "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": target.url}}},
                        "x-portico": {"allowPrivateAddresses": True},
                    }
                ],
            }
        ],
    }
    async with portico.running():
        yield portico
    log = portico.log()
    assert "request_failed" not in log
    assert "job_failed" not in log
    assert "Traceback" not in log
    assert DATABASE_PASSWORD not in log
    assert QUOTED_PASSWORD not in log
    await server.drop(name)


async def serves(portico, url, token):
    answer = await portico.legacy(url, token, "tools/call", call("old___echo", a=1))
    return answer.status_code == 200 and "result" in answer.json()


async def readiness(portico, wanted):
    answer = await portico.http.get("/readyz")
    return answer.status_code == 200 and answer.json()["status"] == wanted


@pytest.mark.parametrize("outage", ["crashed", "frozen"])
async def test_while_the_server_is_away_calls_go_on_and_what_needs_it_says_503(portico, server, outage):
    url = await portico.synchronized("first")
    tokens = await portico.user_tokens(url)
    cached = await portico.token(url)
    await until(lambda: serves(portico, url, cached))
    made = 0

    with getattr(server, outage)():
        await until(lambda: readiness(portico, "degraded"))
        async with asyncio.timeout(LONGEST):  # memory only: if each waited for the server, it would be far longer
            for token in (cached, tokens["access_token"]):
                assert (await portico.legacy(url, token, "tools/list")).json()["result"]["tools"]
                for _ in range(10):
                    assert await serves(portico, url, token)
                    made += 1
        refresh = {
            "grant_type": "refresh_token",
            "refresh_token": tokens["refresh_token"],
            "client_id": tokens["client_id"],
        }
        async with asyncio.timeout(LONGEST):
            refused = await asyncio.gather(
                portico.ask_token(url), *(portico.http.post("/i/main/token", data=refresh) for _ in range(20))
            )
        assert {answer.status_code for answer in refused} == {503}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        assert (await portico.http.get("/i/main/jwks")).status_code == 200
        assert (await portico.http.get("/.well-known/oauth-authorization-server/i/main")).status_code == 200
        assert await serves(portico, url, cached)

    await until(lambda: readiness(portico, "ready"))
    assert (await portico.ask_token(url)).status_code == 200
    assert (await portico.http.post("/i/main/token", data=refresh)).status_code == 200
    assert await serves(portico, url, cached)

    async def arrived():
        async with portico.database.read() as conn:
            return len(await audit.list_records(conn, audit.Filters(outcome="ok"), limit=1000)) >= made + 3

    await until(arrived)
    keyring = read_keyring(portico.directory / "data" / "keyring")
    assert (await verify(portico.database, keyring)).intact


async def test_the_whole_way_from_login_to_call_works_over_postgresql(portico, target):
    url = await portico.synchronized("first")
    tokens = await portico.user_tokens(url)
    await until(lambda: serves(portico, url, tokens["access_token"]))
    answer = await portico.legacy(url, tokens["access_token"], "tools/call", call("old___echo", a=1))
    assert json.loads(answer.json()["result"]["content"][0]["text"]) == {"a": 1}
    assert await portico.stop() == 0
