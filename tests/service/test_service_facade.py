"""A façade as a process: what it serves, what it says when it cannot, how it ends."""

import asyncio
import logging
import os
import signal
import sys

import aiohttp
import pytest
import structlog
import yaml

from net.raw_server import RawServer
from portico.crypto.keyring import generate_line
from portico.service.facade import build_facade, serve_facade
from portico.service.facade_settings import load_facade_settings
from support.ports import free_port

BOUND = 30.0  #: seconds
PATHS = ("/mcp", "/register", "/token", "/authorize", "/jwks", "/.well-known/oauth-protected-resource")


@pytest.fixture(autouse=True)
def own_logging():
    """A process sets up logging for itself; give the tests theirs back."""
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, level = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
async def upstream():
    server = RawServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def configure(tmp_path, upstream):
    """Write facade.yaml and return its path; ``keyring=None`` for none."""

    def configure(*, keyring=None, **keys):
        file = tmp_path / "facade.yaml"
        document = {
            "listen": f"127.0.0.1:{free_port()}",
            "drain_seconds": 2,
            "upstream": {"url": upstream.url + "/mcp", "allowPrivate": True},
            "issuer": {
                "connectors": [
                    {
                        "name": "company",
                        "type": "oidc",
                        "discoveryUrl": "https://idp.example/.well-known/openid-configuration",
                        "clientId": "portico",
                        "clientSecret": "of the provider",
                    }
                ]
            },
            **keys,
        }
        file.write_text(yaml.safe_dump(document))
        if keyring is not None:
            (tmp_path / "keyring").write_text(keyring)
            (tmp_path / "keyring").chmod(0o600)
        return file

    return configure


class Served:
    """A façade that runs, and its client."""

    def __init__(self, running, http):
        self.running = running
        self.origin = running.facade.settings.public_url
        self.address = f"http://{running.host}:{running.port}"
        self.http = http

    async def get(self, path, **options):
        async with self.http.get(self.address + path, allow_redirects=False, **options) as response:
            await response.read()
            return response


@pytest.fixture
async def serving(configure):
    """Return what starts a façade; it is stopped at the end."""
    tasks = []

    async def start(**keys):
        announced = asyncio.get_running_loop().create_future()
        settings = load_facade_settings(configure(**keys), environ={})
        task = asyncio.create_task(serve_facade(settings, ready=announced.set_result))
        await asyncio.wait({task, announced}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        tasks.append((announced.result(), task))
        return Served(announced.result(), session)

    async with asyncio.timeout(BOUND), aiohttp.ClientSession() as session:
        yield start
        for running, task in tasks:
            running.stop()
            await task


async def test_it_serves_an_issuer_one_resource_and_nothing_else(serving):
    served = await serving(keyring=generate_line("k1"))
    metadata = await (await served.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["issuer"] == served.origin
    for place in ("/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"):
        answer = await served.get(place, headers={"Origin": "https://anybody.example"})
        assert await answer.json() == {
            "resource": f"{served.origin}/mcp",
            "authorization_servers": [served.origin],
            "scopes_supported": ["mcp/invoke"],
            "bearer_methods_supported": ["header"],
        }
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert len((await (await served.get("/jwks")).json())["keys"]) == 1
    assert (await served.get("/g/x/mcp")).status == 404
    assert (await served.get("/.well-known/oauth-protected-resource/other")).status == 404
    assert (await served.get("/")).status == 404
    assert (await (await served.get("/readyz")).json()) == {"status": "ready"}
    async with served.http.post(served.address + "/.well-known/oauth-protected-resource") as answer:
        assert answer.status == 405


@pytest.mark.case("E05")
async def test_a_call_without_a_token_is_led_to_the_metadata(serving, upstream):
    served = await serving(keyring=generate_line("k1"))
    answer = await served.get("/mcp")
    assert answer.status == 401
    assert (
        f'resource_metadata="{served.origin}/.well-known/oauth-protected-resource/mcp"'
        in answer.headers["WWW-Authenticate"]
    )
    answer = await served.get("/mcp", headers={"Authorization": "Bearer forged"})
    assert (answer.status, 'error="invalid_token"' in answer.headers["WWW-Authenticate"]) == (401, True)
    assert upstream.requests == []


@pytest.mark.case("E14")
async def test_without_keys_everything_but_the_probes_is_503_with_the_reason(serving, tmp_path):
    served = await serving()
    for path in PATHS:
        answer = await served.get(path, headers={"Authorization": "Bearer x"})
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5"), path
        assert "portico keyring init" in await answer.text()
    assert (await served.get("/healthz")).status == 200
    answer = await served.get("/readyz")
    assert (answer.status, (await answer.json())["status"]) == (503, "no_keys")
    (tmp_path / "keyring").write_text(generate_line("k1"))
    (tmp_path / "keyring").chmod(0o600)
    while (await served.get("/readyz")).status != 200:
        await asyncio.sleep(0.05)
    assert (await served.get("/jwks")).status == 200


async def test_two_replicas_that_share_a_keyring_sign_with_the_same_keys(serving):
    line, public = generate_line("k1"), "https://facade.example"
    one, other = await serving(keyring=line, public_url=public), await serving(keyring=line, public_url=public)
    keys = [(await (await served.get("/jwks")).json())["keys"] for served in (one, other)]
    assert keys[0] == keys[1]
    assert one.running.port != other.running.port


async def test_a_rotated_keyring_is_followed_while_it_serves(serving, tmp_path):
    former = generate_line("k1")
    served = await serving(keyring=former)
    before = (await (await served.get("/jwks")).json())["keys"]
    (tmp_path / "keyring").write_text(f"{generate_line('k2')}\n{former}\n")
    while len(after := (await (await served.get("/jwks")).json())["keys"]) != 2:
        await asyncio.sleep(0.05)
    assert before[0] in after


async def test_foreign_host_names_are_refused(serving):
    served = await serving(keyring=generate_line("k1"))
    for path in ("/mcp", "/jwks", "/readyz"):
        assert (await served.get(path, headers={"Host": "evil.example"})).status == 421


async def test_a_store_is_made_and_opened(serving, tmp_path):
    served = await serving(keyring=generate_line("k1"), store=f"sqlite:///{tmp_path}/store.db")
    assert (await served.get("/readyz")).status == 200
    assert (tmp_path / "store.db").exists()


async def test_the_application_serves_without_a_server_of_its_own(configure):
    facade = build_facade(load_facade_settings(configure(keyring=generate_line("k1")), environ={}))
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/mcp",
        "raw_path": b"/mcp",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 1),
    }
    async with facade:
        await facade.app(scope, receive, send)
    assert sent[0]["status"] == 401


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_the_command_serves_until_it_is_told_to_stop_and_drains(configure, number):
    file = configure(keyring=generate_line("k1"), log={"format": "json"})
    origin = f"http://{yaml.safe_load(file.read_text())['listen']}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "portico", "facade", "--config", str(file)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={key: value for key, value in os.environ.items() if not key.startswith("PORTICO_")},
    )
    async with asyncio.timeout(BOUND), aiohttp.ClientSession() as http:
        said = b""
        while b"serving_facade" not in said:
            said += await process.stderr.readline()
        async with http.get(f"{origin}/readyz") as answer:
            assert answer.status == 200
        process.send_signal(number)
        _, rest = await process.communicate()
    assert process.returncode == 0
    assert b"draining" in rest
    assert b"stopped" in rest
