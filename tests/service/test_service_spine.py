"""The whole of a process: declared in a file, driven over HTTP, changed while it serves."""

import asyncio
import base64
import json
import subprocess
import sys
import time

import pytest
from portico_process import PASSWORD, SECRET, Portico, call, until

from portico.control import clients, grants, signing_keys, users
from portico.service.keyring_file import read_keyring
from targets.servers import legacy_server, modern_server

pytestmark = pytest.mark.e2e

LOCK = """
import fcntl, sys
shared = open(sys.argv[1] + "-shm", "r+b")
fcntl.lockf(shared, fcntl.LOCK_EX, 8, 120)  # every lock of SQLite's WAL index: no reader, no writer
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def old():
    async with legacy_server() as server:
        yield server


@pytest.fixture
async def new():
    async with modern_server() as server:
        yield server


def target(name, server):
    return {
        "name": name,
        "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": server.url}}},
        "x-portico": {"allowPrivateAddresses": True},
    }


def gateway(portico, name, *targets, **rules):
    return {
        "name": name,
        "protocolType": "MCP",
        "authorizerType": "CUSTOM_JWT",
        "authorizerConfiguration": {"customJWTAuthorizer": {"discoveryUrl": portico.discovery_url} | rules},
        "targets": list(targets),
    }


@pytest.fixture
async def portico(tmp_path, old, new):
    portico = Portico(tmp_path, {})
    portico.document = {
        "issuers": [
            {
                "name": "main",
                "scopes": ["mcp/invoke", "mcp/admin"],
                "users": [{"name": "ada", "password": PASSWORD}],
                "clients": [{"name": "robot", "secret": SECRET, "scopes": ["mcp/invoke"]}],
            }
        ],
        "gateways": [
            gateway(portico, "first", target("old", old), target("new", new)),
            gateway(portico, "second", target("old", old)),
        ],
    }
    async with portico.running():
        yield portico


async def test_a_machine_lists_and_calls_tools_of_both_eras_through_one_url(portico, old, new):
    url = await portico.synchronized("first")
    token = await portico.token(url)

    async def listed():
        answers = [await speak(url, token, "tools/list") for speak in (portico.legacy, portico.modern)]
        return [{tool["name"] for tool in answer.json()["result"]["tools"]} for answer in answers]

    await until(lambda: _both(listed))
    legacy_tools, modern_tools = await listed()
    assert "old___echo" in legacy_tools
    assert legacy_tools == modern_tools
    assert "new___echo" in modern_tools
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    opened = await portico.legacy(url, token, "initialize", hello)
    assert opened.json()["result"]["protocolVersion"] == "2025-11-25"
    answer = await portico.legacy(url, token, "tools/call", call("old___echo", a=1))
    assert json.loads(answer.json()["result"]["content"][0]["text"]) == {"a": 1}
    answer = await portico.modern(url, token, "tools/call", call("new___echo", b=2))
    assert json.loads(answer.json()["result"]["content"][0]["text"]) == {"b": 2}
    assert token not in json.dumps(old.heads + new.heads)
    assert SECRET not in portico.log()
    assert token not in portico.log()


async def _both(listed):
    return all({"old___echo", "new___echo"} <= tools for tools in await listed())


async def test_a_client_without_a_token_is_led_to_the_issuer(portico):
    url = await portico.synchronized("first")
    refused = await portico.legacy(url, None, "tools/list")
    assert refused.status_code == 401
    challenge = refused.headers["www-authenticate"]
    metadata_url = challenge.split('resource_metadata="')[1].split('"')[0]
    metadata = (await portico.http.get(metadata_url)).json()
    assert metadata["resource"] == url
    assert metadata["authorization_servers"] == [f"{portico.url}/i/main"]
    cut = (await portico.http.get(url.removesuffix("/mcp") + "/.well-known/oauth-protected-resource")).json()
    assert cut == metadata
    assert (await portico.http.get("/.well-known/oauth-protected-resource")).status_code == 404
    assert (await portico.http.get("/nothing")).status_code == 404
    assert (await portico.legacy(f"{portico.url}/g/none/mcp", None, "tools/list")).status_code == 404


async def test_an_edit_under_load_loses_no_call(portico, old, new):
    url = await portico.synchronized("first")
    token = await portico.token(url)
    await until(lambda: _serves(portico, url, token))
    stop = asyncio.Event()
    answers = []

    async def load(worker):
        while not stop.is_set():
            if worker % 2:
                answer = await portico.legacy(url, token, "tools/call", call("old___echo", n=len(answers)))
            else:
                answer = await portico.modern(url, token, "tools/call", call("new___echo", n=len(answers)))
            answers.append((answer.status_code, answer.json().get("result", {}).get("isError")))

    async with asyncio.TaskGroup() as group:
        for worker in range(8):
            group.create_task(load(worker))
        for number in range(6):
            first, second = portico.document["gateways"]
            first["description"] = f"edit {number}"
            first["targets"][0]["x-portico"]["callTimeout"] = 30 + number
            second["targets"] = [] if number % 2 else [target("old", old)]
            portico.write()
            await until(lambda wanted=number: portico.log().count("config_applied") == wanted + 1)
            before = len(answers)
            await until(lambda least=before: len(answers) > least + 20)
        stop.set()
    assert set(answers) == {(200, False)}


async def _serves(portico, url, token):
    one = await portico.legacy(url, token, "tools/call", call("old___echo"))
    other = await portico.modern(url, token, "tools/call", call("new___echo"))
    return all("result" in answer.json() for answer in (one, other))


async def test_a_broken_edit_changes_nothing_and_its_faults_are_in_the_log(portico):
    url = await portico.synchronized("first")
    token = await portico.token(url)
    portico.document["gateways"][0]["kmsKeyArn"] = "arn:aws:kms:eu-west-1:123456789012:key/x"
    portico.document["surprise"] = True
    portico.write()
    await until(lambda: "config_not_applied" in portico.log())
    assert "gateways[0].kmsKeyArn" in portico.log()
    assert (await portico.legacy(url, token, "tools/list")).status_code == 200


# What ends a living token


async def refused(portico, url, token, status):
    async def now_refused():
        return (await portico.legacy(url, token, "tools/list")).status_code == status

    await until(now_refused)
    answer = await portico.legacy(url, token, "tools/list")
    return answer.headers["www-authenticate"]


@pytest.fixture
async def accepted(portico):
    """The URL of the first gateway, and a machine's token that it accepted a moment ago."""
    url = await portico.synchronized("first")
    token = await portico.token(url)
    assert (await portico.legacy(url, token, "tools/list")).status_code == 200
    return url, token


@pytest.fixture
async def logged_in(portico):
    """The URL of the first gateway, and the tokens of a user that it accepted a moment ago."""
    url = await portico.synchronized("first")
    tokens = await portico.user_tokens(url)
    assert (await portico.legacy(url, tokens["access_token"], "tools/list")).status_code == 200
    return url, tokens


@pytest.mark.case("D20")
async def test_dropping_the_key_ends_what_it_signed(portico, accepted):
    url, token = accepted
    header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    keyring = read_keyring(portico.directory / "data" / "keyring")
    await signing_keys.drop(portico.database, keyring, kid=header["kid"], now=int(time.time()))
    assert "invalid_token" in await refused(portico, url, token, 401)
    fresh = await portico.token(url)
    assert (await portico.legacy(url, fresh, "tools/list")).status_code == 200


async def test_deleting_a_client_ends_its_tokens_and_logins(portico):
    url = await portico.synchronized("first")
    made = await clients.add_machine(
        portico.database, issuer="main", name="ci", scopes=("mcp/invoke",), now=int(time.time())
    )
    token = await portico.token(url, client="ci", secret=made.secret.reveal())
    assert (await portico.legacy(url, token, "tools/list")).status_code == 200
    await clients.delete(portico.database, ground=portico.ground, issuer="main", client_id="ci", now=int(time.time()))
    assert "invalid_token" in await refused(portico, url, token, 401)
    again = await portico.ask_token(url, client="ci", secret=made.secret.reveal())
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")


async def test_removing_a_client_from_the_file_ends_its_tokens(portico, accepted):
    url, token = accepted
    portico.document["issuers"][0]["clients"] = []
    portico.write()
    assert "invalid_token" in await refused(portico, url, token, 401)


async def test_disabling_a_user_ends_their_tokens(portico, logged_in):
    url, tokens = logged_in
    await users.disable(portico.database, ground=portico.ground, issuer="main", name="ada", now=int(time.time()))
    assert "invalid_token" in await refused(portico, url, tokens["access_token"], 401)


async def test_revoking_a_grant_ends_its_tokens(portico, logged_in):
    url, tokens = logged_in
    [grant] = await grants.list_all(portico.database, now=int(time.time()))
    assert grant.user == "ada"
    await grants.revoke(portico.database, ground=portico.ground, grant_id=grant.id, now=int(time.time()))
    assert "invalid_token" in await refused(portico, url, tokens["access_token"], 401)


async def test_shrinking_the_allowed_clients_or_changing_the_scope_rule_ends_tokens(portico, accepted):
    url, token = accepted
    jwt = portico.document["gateways"][0]["authorizerConfiguration"]["customJWTAuthorizer"]
    jwt["allowedClients"] = ["another"]
    portico.write()
    assert "insufficient_scope" in await refused(portico, url, token, 403)
    jwt["allowedClients"] = ["another", "robot"]
    portico.write()
    await until(lambda: _status(portico, url, token, 200))
    jwt["allowedScopes"] = ["mcp/admin"]
    portico.write()
    challenge = await refused(portico, url, token, 403)
    assert 'scope="mcp/admin"' in challenge


@pytest.mark.case("T18")
async def test_a_token_for_one_gateway_is_refused_at_the_second_of_the_same_issuer(portico, accepted):
    _, token = accepted
    second = await portico.synchronized("second")
    answer = await portico.legacy(second, token, "tools/list")
    assert answer.status_code == 401
    assert "invalid_token" in answer.headers["www-authenticate"]


async def _status(portico, url, token, wanted):
    return (await portico.legacy(url, token, "tools/list")).status_code == wanted


# Without the database


async def test_calls_go_on_while_the_database_is_locked_and_what_needs_it_says_503(portico, accepted):
    url, cached = accepted
    fresh = await portico.token(url)
    await until(lambda: _serves(portico, url, cached))
    file = portico.directory / "data" / "portico.db"
    locker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOCK, str(file), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert await locker.stdout.readline() == b"locked\n"
        await until(lambda: _readiness(portico, "degraded"))
        for token in (cached, fresh):
            hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
            assert (await portico.legacy(url, token, "initialize", hello)).status_code == 200
            assert (await portico.legacy(url, token, "tools/list")).json()["result"]["tools"]
            assert (await portico.modern(url, token, "tools/list")).json()["result"]["tools"]
            assert await _serves(portico, url, token)
        refused = await portico.ask_token(url)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        portico.document["gateways"][0]["description"] = "edited while the database was away"
        portico.write()
        await until(lambda: "config_waits_for_storage" in portico.log())
    finally:
        locker.stdin.close()
        await locker.wait()
    await until(lambda: _readiness(portico, "ready"))
    assert (await portico.ask_token(url)).status_code == 200
    await until(lambda: "config_applied" in portico.log())
    assert "request_failed" not in portico.log()


async def _readiness(portico, wanted):
    answer = await portico.http.get("/readyz")
    return answer.status_code == 200 and answer.json()["status"] == wanted


# The end


async def test_sigterm_lets_a_call_in_flight_end(portico, accepted, old):
    url, token = accepted
    await until(lambda: _serves(portico, url, token))
    asking = asyncio.create_task(portico.legacy(url, token, "tools/call", call("old___wait")))
    await until(lambda: old.running)
    stopping = asyncio.create_task(portico.stop())
    await until(lambda: "draining" in portico.log())
    old.proceed.set()
    answer = await asking
    assert answer.json()["result"]["content"][0]["text"] == "waited"
    assert await stopping == 0
