"""Several workers behind one address."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from functools import partial

import httpx2
import psutil
import pytest
from portico_process import SECRET, Portico, call, free_port, until, until_cancelled

from targets.servers import legacy_server

pytestmark = pytest.mark.e2e

WORKERS = 2
GONE = 30.0  #: seconds until a process that has to end is gone


@pytest.fixture
async def old():
    async with legacy_server() as server:
        yield server


def document(portico, old, **more):
    target = {
        "name": "old",
        "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": old.url}}},
        "x-portico": {"allowPrivateAddresses": True},
    }
    jwt = {"discoveryUrl": portico.discovery_url}
    return {
        "workers": WORKERS,
        "admin_listen": f"127.0.0.1:{free_port()}",
        "issuers": [
            {
                "name": "main",
                "scopes": ["mcp/invoke"],
                "clients": [{"name": "robot", "secret": SECRET, "scopes": ["mcp/invoke"]}],
            }
        ],
        "gateways": [
            {
                "name": "first",
                "protocolType": "MCP",
                "authorizerType": "CUSTOM_JWT",
                "authorizerConfiguration": {"customJWTAuthorizer": jwt},
                "targets": [target],
            }
        ],
    } | more


@pytest.fixture
async def portico(tmp_path, old):
    portico = Portico(tmp_path, {})
    portico.document = document(portico, old)
    async with portico.running():
        yield portico
    assert "Traceback" not in portico.log()
    assert "request_failed" not in portico.log()


@pytest.fixture
async def served(portico):
    """The gateway's URL and a token, once every worker serves its tools."""
    url = await portico.synchronized("first")
    token = await portico.token(url)

    async def everywhere():
        async with connections(portico, 2 * WORKERS) as clients:
            answers = await asyncio.gather(*(ask(http, url, token, "tools/list") for http in clients))
        return all("old___echo" in answer.text for answer in answers)

    await until(everywhere)
    return url, token


@contextlib.asynccontextmanager
async def connections(portico, number):
    """As many clients, each with one connection of its own."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                httpx2.AsyncClient(trust_env=False, timeout=30, limits=httpx2.Limits(max_connections=1))
            )
            for _ in range(number)
        ]
        await asyncio.gather(*(http.get(f"{portico.url}/readyz") for http in clients))
        yield clients


async def ask(http, url, token, method, params=None, number=1):
    message = {"jsonrpc": "2.0", "method": method, "params": params or {}} | ({"id": number} if number else {})
    headers = {
        "authorization": f"Bearer {token}",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25",
    }
    return await http.post(url, json=message, headers=headers)


def workers(portico):
    return psutil.Process(portico.process.pid).children()


def held(process, port):
    """Return how many connections to our address a worker holds."""
    return sum(
        found.status == psutil.CONN_ESTABLISHED and found.laddr.port == port
        for found in process.net_connections(kind="tcp")
    )


def lines(portico, event):
    found = [json.loads(line) for line in portico.log().splitlines() if line.startswith("{")]
    return [line for line in found if line.get("event") == event]


def verified(portico):
    command = [sys.executable, "-m", "portico", "audit", "verify", "--json"]
    done = subprocess.run(
        [*command, "--config", str(portico.directory / "portico.yaml")], capture_output=True, text=True, check=False
    )
    return done.returncode, json.loads(done.stdout)


async def test_connections_spread_evenly_and_both_addresses_answer(portico, served):
    before = [held(worker, portico.port) for worker in workers(portico)]
    async with connections(portico, 8):
        after = [held(worker, portico.port) for worker in workers(portico)]
        assert len(after) == WORKERS
        assert sum(after) - sum(before) == 8
        assert max(after) - min(after) <= 1
        for _ in range(WORKERS + 1):
            answer = await portico.http.get(f"http://{portico.document['admin_listen']}/readyz")
            assert answer.json()["status"] == "ready"


async def test_an_edited_file_is_applied_once_and_reaches_every_worker(portico, served, old):
    url, token = served
    portico.document["gateways"][0]["authorizerConfiguration"]["customJWTAuthorizer"]["allowedClients"] = ["nobody"]
    portico.write()

    async def refused():
        async with connections(portico, 2 * WORKERS) as clients:
            answers = await asyncio.gather(*(ask(http, url, token, "tools/list") for http in clients))
        return {answer.status_code for answer in answers} == {403}

    await until(refused)
    assert len(lines(portico, "config_applied")) == 1


async def test_a_cancellation_reaches_the_worker_that_makes_the_call(portico, served, old):
    url, token = served
    await until(lambda: len(lines(portico, "replicas")) >= WORKERS)  # they know each other
    async with connections(portico, 2 * WORKERS) as clients:
        for number, http in enumerate(clients, 100):
            asking = asyncio.create_task(ask(portico.http, url, token, "tools/call", call("old___wait"), number))
            await until(lambda: old.running)
            cancel = partial(ask, http, url, token, "notifications/cancelled", {"requestId": number}, None)
            await until_cancelled(old, cancel)
            await asking


async def test_a_killed_worker_is_replaced_and_the_others_lose_nothing(portico, served, old):
    url, token = served
    victim, other = workers(portico)
    async with connections(portico, 8) as clients:
        stop, failed, answered = asyncio.Event(), [], set()

        async def load(http):
            while not stop.is_set():
                try:
                    answer = await ask(http, url, token, "tools/call", call("old___echo"))
                except httpx2.TransportError as error:
                    failed.append(error)
                else:
                    assert "result" in answer.json(), answer.text
                    answered.add(answer.headers["x-request-id"])

        async with asyncio.TaskGroup() as group:
            for http in clients:
                group.create_task(load(http))
            await until(lambda: len(answered) > 100)
            victim.kill()
            await until(lambda: len(workers(portico)) == WORKERS and len(lines(portico, "worker_serving")) > WORKERS)
            before = len(answered)
            await until(lambda: len(answered) > before + 100)
            stop.set()
    assert len(failed) <= 4  # one for each connection that it held
    assert other in workers(portico)
    [died] = lines(portico, "worker_died")
    assert (died["pid"], died["status"]) == (victim.pid, -9)
    code, report = await asyncio.to_thread(verified, portico)
    assert (code, report["intact"]) == (0, True)
    assert sum(writer["lines"] for writer in report["writers"]) >= len(answered)


async def test_a_rolling_restart_replaces_every_worker_without_a_failed_call(portico, served, old):
    url, token = served
    before = {worker.pid for worker in workers(portico)}
    answers = []
    stop = asyncio.Event()

    async def load(http):
        while not stop.is_set():
            answer = await ask(http, url, token, "tools/call", call("old___echo"))
            answers.append((answer.status_code, "result" in answer.json()))

    async with connections(portico, 8) as clients, asyncio.TaskGroup() as group:
        for http in clients[:6]:
            group.create_task(load(http))
        waiting = [group.create_task(ask(http, url, token, "tools/call", call("old___wait"))) for http in clients[6:]]
        await until(lambda: len(answers) > 100 and sum(params["name"] == "wait" for params in old.calls) == 2)
        portico.process.send_signal(signal.SIGUSR2)
        await until(lambda: lines(portico, "draining"))
        old.proceed.set()
        await until(lambda: lines(portico, "rolling_restart_done"))
        count = len(answers)
        await until(lambda: len(answers) > count + 100)
        stop.set()
        for asked in waiting:
            assert (await asked).json()["result"]["content"][0]["text"] == "waited"
    assert set(answers) == {(200, True)}
    assert {worker.pid for worker in workers(portico)}.isdisjoint(before)
    assert not lines(portico, "worker_died")


async def test_a_rolling_restart_into_a_broken_configuration_keeps_the_old_workers(portico, served):
    url, token = served
    before = {worker.pid for worker in workers(portico)}
    portico.document["surprise"] = 1
    portico.write()
    await until(lambda: lines(portico, "config_not_applied"))
    portico.process.send_signal(signal.SIGUSR2)
    await until(lambda: lines(portico, "rolling_restart_given_up"))
    assert {worker.pid for worker in workers(portico)} >= before
    assert (await ask(portico.http, url, token, "tools/list")).status_code == 200


async def test_a_worker_that_is_told_to_end_drains_and_is_replaced(portico, served, old):
    url, token = served
    asking = asyncio.create_task(ask(portico.http, url, token, "tools/call", call("old___wait")))
    await until(lambda: old.running)
    for worker in workers(portico):
        worker.send_signal(signal.SIGTERM)
    await until(lambda: len(lines(portico, "worker_serving")) >= 2 * WORKERS)
    old.proceed.set()
    assert (await asking).json()["result"]["content"][0]["text"] == "waited"
    assert not lines(portico, "worker_died")


async def test_sigterm_lets_calls_end_and_leaves_no_process(portico, served, old):
    url, token = served
    children = workers(portico)
    asking = asyncio.create_task(ask(portico.http, url, token, "tools/call", call("old___wait")))
    await until(lambda: old.running)
    stopping = asyncio.create_task(portico.stop())
    await until(lambda: len(lines(portico, "draining")) > WORKERS)
    old.proceed.set()
    assert (await asking).json()["result"]["content"][0]["text"] == "waited"
    assert await stopping == 0
    assert psutil.wait_procs(children, timeout=GONE)[1] == []
    code, report = await asyncio.to_thread(verified, portico)
    assert (code, report["intact"]) == (0, True)


async def test_workers_do_not_outlive_their_supervisor(portico, served):
    children = workers(portico)
    portico.process.kill()
    await asyncio.to_thread(portico.process.wait, GONE)
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, GONE)
    assert alive == []


async def test_what_a_worker_left_is_shipped_by_whoever_comes_after(portico, served, old):
    url, token = served
    for _ in range(5):
        assert (await ask(portico.http, url, token, "tools/call", call("old___echo"))).status_code == 200
    processes = [*workers(portico), psutil.Process(portico.process.pid)]
    for process in reversed(processes):
        process.kill()
    await asyncio.to_thread(portico.process.wait, GONE)
    portico.document["workers"] = 1
    portico.write()
    portico.start()
    await portico.started()

    async def shipped():
        code, report = await asyncio.to_thread(verified, portico)
        assert code == 0, report
        ends = [writer["signed"] == writer["last"] for writer in report["writers"]]
        return len(ends) >= WORKERS and all(ends)

    await until(shipped)


def test_workers_that_cannot_start_end_the_whole_with_an_error(tmp_path):
    data = tmp_path / "data"
    (data / "journal" / "1" / "writer").mkdir(parents=True)  # where a file belongs
    keyring = data / "keyring"
    keyring.write_text(Portico(tmp_path, {}).key_line + "\n")
    keyring.chmod(0o600)
    config = tmp_path / "portico.yaml"
    config.write_text(f"listen: 127.0.0.1:{free_port()}\n")
    done = subprocess.run(
        [sys.executable, "-m", "portico", "serve", "--config", str(config), "--workers", "2"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "A worker could not start" in done.stderr
