"""Two processes over one database and one keyring, as clients behind a balancer meet them."""

import asyncio
import json
import signal
import time
from contextlib import AsyncExitStack
from functools import partial

import httpx2
import pytest
from portico_process import PASSWORD, SECRET, Portico, call, free_port, until, until_cancelled

from portico.audit.read import list_records
from portico.audit.verify import verify
from portico.control import clients, grants, signing_keys, users
from portico.crypto.keyring import generate_line
from portico.gateway.cancellation import COUNT_PATH
from portico.service.keyring_file import read_keyring
from portico.storage import counters, gateways, targets
from portico.storage.audit import Filters
from targets.servers import legacy_server, modern_server

pytestmark = pytest.mark.e2e

HOLDS_WITHIN = 30.0  #: seconds; a poll is 0.5 s, the rest is for a busy machine
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}


@pytest.fixture
async def old():
    async with legacy_server(answers="sse") as server:
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


def gateway(name, discovery_url, *targets, **members):
    return {
        "name": name,
        "protocolType": "MCP",
        "authorizerType": "CUSTOM_JWT",
        "authorizerConfiguration": {"customJWTAuthorizer": {"discoveryUrl": discovery_url}},
        "targets": list(targets),
    } | members


SESSIONS = {
    "protocolConfiguration": {
        "mcp": {
            "sessionConfiguration": {"sessionTimeoutInSeconds": 900},
            "streamingConfiguration": {"enableResponseStreaming": True},
        }
    }
}


@pytest.fixture
def database_url(database_kind, request, tmp_path):
    if database_kind == "postgresql":
        return request.getfixturevalue("empty_postgres_url")
    return f"sqlite:///{tmp_path}/shared.db"


@pytest.fixture
async def pair(tmp_path, database_url, old, new):
    """Two replicas with one declaration, each with its own address and data directory."""
    first, key_line = free_port(), generate_line("k1")
    public_url = f"http://127.0.0.1:{first}"
    discovery_url = f"{public_url}/i/main/.well-known/openid-configuration"
    document = {
        "public_url": public_url,
        "database": database_url,
        "issuers": [
            {
                "name": "main",
                "scopes": ["mcp/invoke"],
                "users": [{"name": "ada", "password": PASSWORD}],
                "clients": [{"name": "robot", "secret": SECRET, "scopes": ["mcp/invoke"]}],
            }
        ],
        "gateways": [
            gateway("plain", discovery_url, target("old", old), target("new", new)),
            gateway("sessions", discovery_url, target("old", old), **SESSIONS),
        ],
    }
    replicas = []
    async with AsyncExitStack() as stack:
        for name, port in (("a", first), ("b", free_port())):
            (tmp_path / name).mkdir()
            own = {"admin_listen": f"127.0.0.1:{free_port()}"}
            replica = Portico(tmp_path / name, document | own, port=port, key_line=key_line)
            replicas.append(await stack.enter_async_context(replica.running()))
        await until(lambda: all('"others": ["' in replica.log() for replica in replicas))
        yield replicas
    for replica in replicas:
        assert "Traceback" not in replica.log()
        assert "request_failed" not in replica.log()


def at(replica, url):
    """Return a public URL as the balancer would send it to ``replica``."""
    return url.replace(replica.public_url, replica.url)


async def within(condition):
    """Wait until a condition holds on the other replica; for as long as a change may take to get there."""
    async with asyncio.timeout(HOLDS_WITHIN):
        while not await condition():
            await asyncio.sleep(0.05)


async def ready(pair, name):
    """Wait until both list the tools of a gateway; return its public URL and a token."""
    url = await pair[0].synchronized(name)
    token = await pair[0].token(url)
    for replica in pair:
        await within(lambda replica=replica: lists(replica, url, token, "old___echo"))
    return url, token


async def lists(replica, url, token, tool):
    answer = await replica.legacy(at(replica, url), token, "tools/list")
    return answer.status_code == 200 and tool in {entry["name"] for entry in answer.json()["result"]["tools"]}


async def status(replica, url, token):
    return (await replica.modern(at(replica, url), token, "tools/list")).status_code


async def initialized(replica, url, token):
    answer = await replica.legacy(at(replica, url), token, "initialize", HELLO)
    return answer.headers["mcp-session-id"]


async def in_session(replica, url, token, session, method, params=None, number=1):
    message = {"jsonrpc": "2.0", "method": method, "params": params or {}} | ({"id": number} if number else {})
    lines = {"mcp-protocol-version": "2025-11-25", "mcp-session-id": session}
    return await replica.post(at(replica, url), token, message, **lines)


async def session_ready(pair):
    url = await pair[0].synchronized("sessions")
    token = await pair[0].token(url)
    session = await initialized(pair[0], url, token)

    async def both_list():
        answers = [await in_session(replica, url, token, session, "tools/list") for replica in pair]
        return all("old___echo" in answer.text for answer in answers)

    await within(both_list)
    return url, token, session


# What continues elsewhere


async def test_a_legacy_session_that_one_opened_continues_on_the_other_streams_included(pair):
    a, b = pair
    url, token, session = await session_ready(pair)
    answer = await in_session(b, url, token, session, "tools/call", call("old___echo", n=1))
    assert json.loads(answer.json()["result"]["content"][0]["text"]) == {"n": 1}
    params = call("old___progress", steps=2) | {"_meta": {"progressToken": "t"}}
    streamed = await in_session(b, url, token, session, "tools/call", params)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    assert [event["params"]["progressToken"] for event in events[:-1]] == ["t", "t"]
    assert events[-1]["result"]["content"][0]["text"] == "done"
    assert (await in_session(a, url, token, session, "ping")).status_code == 200


async def test_a_session_that_one_ends_is_refused_by_the_other_and_ends_at_the_targets(pair, old):
    a, b = pair
    url, token, session = await session_ready(pair)
    for replica in pair:  # each has a session of its own at the target
        answer = await in_session(replica, url, token, session, "tools/call", call("old___echo"))
        assert answer.status_code == 200
    deleted = len(old.deleted)
    headers = {"authorization": f"Bearer {token}", "mcp-session-id": session}
    assert (await b.http.delete(at(b, url), headers=headers)).status_code == 204
    assert (await in_session(b, url, token, session, "ping")).status_code == 404

    async def refused():
        return (await in_session(a, url, token, session, "ping")).status_code == 404

    await within(refused)
    await until(lambda: len(old.deleted) >= deleted + 2)
    again = await initialized(a, url, token)
    assert (await in_session(b, url, token, again, "ping")).status_code == 200


async def test_a_cancellation_reaches_the_call_wherever_it_runs(pair, old):
    a, b = pair
    url, token, session = await session_ready(pair)
    asking = asyncio.create_task(in_session(a, url, token, session, "tools/call", call("old___wait"), number=77))
    await until(lambda: old.running)
    cancel = partial(in_session, b, url, token, session, "notifications/cancelled", {"requestId": 77}, number=None)
    await until_cancelled(old, cancel)
    assert (await asking).status_code in {200, 202}
    await until(lambda: recorded(a, "cancelled"))


async def test_a_cancellation_without_a_session_ends_a_call_only_when_there_is_one_of_that_name(pair, old):
    a, b = pair
    url, token = await ready(pair, "plain")

    async def ask(replica, number):
        return await replica.legacy(at(replica, url), token, "tools/call", call("old___wait"), number=number)

    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}}
    both = [asyncio.create_task(ask(replica, 5)) for replica in pair]
    await until(lambda: len(old.calls) == 2)  # their ids may be equal: each replica counts for itself
    assert (await a.post(at(a, url), token, cancelled)).status_code == 202
    assert not old.cancelled
    old.proceed.set()
    answers = await asyncio.gather(*both)
    assert [answer.json()["result"]["content"][0]["text"] for answer in answers] == ["waited", "waited"]
    old.proceed.clear()
    asking = asyncio.create_task(ask(a, 5))
    await until(lambda: old.running)
    await until_cancelled(old, lambda: b.post(at(b, url), token, cancelled))
    await asking


async def recorded(replica, outcome):
    directory = replica.directory / "data" / "journal"
    return await list_records(replica.database, Filters(outcome=outcome), limit=10, directory=directory)


# What one is told, both hold


async def test_a_client_that_was_added_is_known_to_both_and_one_that_was_deleted_to_none(pair):
    a, b = pair
    url, _ = await ready(pair, "plain")
    now = int(time.time())
    made = await clients.add_machine(a.database, issuer="main", name="ci", scopes=["mcp/invoke"], now=now)
    token = await b.token(url, client=made.client.client_id, secret=made.secret.reveal())
    for replica in pair:
        assert await status(replica, url, token) == 200
    await clients.delete(a.database, ground=a.ground, issuer="main", client_id=made.client.client_id, now=now + 1)
    for replica in pair:
        await within(lambda replica=replica: has_status(replica, url, token, 401))


async def has_status(replica, url, token, wanted):
    return await status(replica, url, token) == wanted


async def test_a_key_that_was_rotated_signs_and_verifies_on_both(pair):
    a, b = pair
    url, before = await ready(pair, "plain")
    keyring = read_keyring(a.directory / "data" / "keyring")
    kids = {key.kid for key in await signing_keys.list_all(a.database)}
    await signing_keys.rotate(a.database, keyring, issuer="main", now=int(time.time()))
    [fresh] = {key.kid for key in await signing_keys.list_all(a.database)} - kids

    async def published(replica):
        return fresh in (await replica.http.get("/i/main/jwks")).text

    for replica in pair:
        await within(lambda replica=replica: published(replica))
    for signer, verifier in ((a, b), (b, a)):
        token = await signer.token(url)
        await within(lambda verifier=verifier, token=token: has_status(verifier, url, token, 200))
        assert await status(verifier, url, before) == 200


async def test_a_user_and_a_target_that_one_file_adds_are_served_by_both(pair):
    a, b = pair
    url, token = await ready(pair, "plain")
    async with legacy_server() as third:
        a.document["issuers"][0]["users"].append({"name": "bob", "password": PASSWORD})
        a.document["gateways"][0]["targets"].append(target("third", third))
        a.write()
        for replica in pair:
            await within(lambda replica=replica: lists(replica, url, token, "third___echo"))
        tokens = await b.user_tokens(url, name="bob")
        for replica in pair:
            assert await status(replica, url, tokens["access_token"]) == 200
        assert third.opened == 1  # its tools were read by one of the two


async def test_revoking_a_grant_and_disabling_a_user_end_tokens_on_both(pair):
    a, b = pair
    url, _ = await ready(pair, "plain")
    first = (await a.user_tokens(url))["access_token"]
    [grant] = await grants.list_all(a.database, now=int(time.time()))
    await grants.revoke(b.database, ground=b.ground, grant_id=grant.id, now=int(time.time()))
    for replica in pair:
        await within(lambda replica=replica: has_status(replica, url, first, 401))
    second = (await a.user_tokens(url))["access_token"]
    assert await status(b, url, second) == 200
    await users.disable(a.database, ground=a.ground, issuer="main", name="ada", now=int(time.time()))
    for replica in pair:
        await within(lambda replica=replica: has_status(replica, url, second, 401))


async def test_replicas_with_the_same_file_do_not_fight_over_it(pair):
    await ready(pair, "plain")

    async def state():
        async with pair[0].database.read() as conn:
            # A gateway's counter also moves when a synchronization stores what it read; revisions are the file's alone.
            revisions = {row.name: row.revision for row in await gateways.list_all(conn)}
            declared = {row.id: (row.revision, row.document) for row in await targets.list_all(conn)}
            issuers = {scope: value for scope, value in (await counters.read_all(conn)).items() if "issuer/" in scope}
        return revisions, declared, issuers

    before = await state()
    for _ in range(2):
        counts = [replica.log().count("config_applied") for replica in pair]
        for replica in pair:
            replica.process.send_signal(signal.SIGHUP)
        for replica, count in zip(pair, counts, strict=True):
            await until(lambda replica=replica, count=count: replica.log().count("config_applied") > count)
    assert await state() == before


# Whom they listen to


@pytest.mark.case("T9")
async def test_the_hop_is_for_replicas_alone(pair):
    a, b = pair
    admin = f"http://{b.document['admin_listen']}"
    body = b'["p","r","s",1]'
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
        assert (await http.post(f"{admin}{COUNT_PATH}", content=body)).status_code == 403
        forged = {"portico-hop": "v1.k1.AAAA"}
        assert (await http.post(f"{admin}{COUNT_PATH}", content=body, headers=forged)).status_code == 403
        assert (await http.post(f"{a.url}{COUNT_PATH}", content=body, headers=forged)).status_code == 404
        assert (await http.get(f"{admin}/readyz")).status_code == 200


# Death under load


async def test_when_one_is_killed_under_load_only_its_own_calls_fail_and_nothing_is_lost(pair, old):
    a, b = pair
    url, token, session = await session_ready(pair)
    plain, _ = await ready(pair, "plain")
    other = await a.token(plain)
    stop = asyncio.Event()
    answered = {"a": [], "b": []}
    broken = {"a": [], "b": []}

    async def load(replica, name, number):
        while not stop.is_set():
            try:
                if number % 2:
                    answer = await in_session(replica, url, token, session, "tools/call", call("old___echo"))
                else:
                    answer = await replica.modern(at(replica, plain), other, "tools/call", call("new___echo"))
            except httpx2.TransportError as error:
                broken[name].append(error)
                await asyncio.sleep(0.05)  # a client that lost its server waits a little
            else:
                ok = answer.status_code == 200 and "result" in answer.json()
                answered[name].append((ok, answer.headers["x-request-id"]))

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(load(a, "a", number))
            group.create_task(load(b, "b", number))
        waiting = group.create_task(swallowed(in_session(a, url, token, session, "tools/call", call("old___wait"))))
        await until(lambda: waits(old) and min(len(answers) for answers in answered.values()) > 50)
        a.process.kill()
        await asyncio.to_thread(a.process.wait, 30)
        before = len(answered["b"])
        await until(lambda: len(answered["b"]) > before + 50 and broken["a"])
        assert isinstance(await waiting, httpx2.TransportError)  # ended at once, not left hanging
        a.start()
        await a.started()
        again = len(answered["a"])
        await until(lambda: len(answered["a"]) > again + 20)
        stop.set()
    assert not broken["b"]
    assert all(ok for name in answered for ok, _ in answered[name])
    await nothing_is_lost(pair, {number for name in answered for _, number in answered[name]})


def waits(server):
    return any(params["name"] == "wait" for params in server.calls)


async def swallowed(work):
    try:
        return await work
    except httpx2.TransportError as error:
        return error


async def nothing_is_lost(pair, request_ids):
    """Every answered call is in the audit, and no chain has a fault."""
    keyring = read_keyring(pair[0].directory / "data" / "keyring")
    found = set()
    for replica in pair:
        directory = replica.directory / "data" / "journal"
        report = await verify(replica.database, keyring, directory=directory)
        assert report.intact, report
        entries = await list_records(replica.database, Filters(), limit=1_000_000, directory=directory)
        found |= {entry.record.request_id for entry in entries}
    assert request_ids - found == set()


async def test_sigterm_lets_what_is_under_way_end_while_the_other_serves(pair, old):
    a, b = pair
    url, token, session = await session_ready(pair)
    asking = asyncio.create_task(in_session(a, url, token, session, "tools/call", call("old___wait")))
    await until(lambda: old.running)
    stopping = asyncio.create_task(a.stop())
    await until(lambda: "draining" in a.log())
    assert (await in_session(b, url, token, session, "tools/call", call("old___echo"))).status_code == 200
    old.proceed.set()
    assert "waited" in (await asking).text
    assert await stopping == 0
