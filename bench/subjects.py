"""What is measured: the stub alone, nginx in front of it, Portico in front of it; each a process tied to a core."""

import base64
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).parents[1]
PORTICO = Path(sys.executable).with_name("portico")
START_SECONDS = 60.0
POLL_SECONDS = 0.1
SCOPE = "mcp/invoke"

NGINX = """\
worker_processes 1;
daemon off;
pid {place}/nginx.pid;
error_log {place}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    keepalive_requests 100000000;
    upstream stub {{ server 127.0.0.1:{stub}; keepalive 256; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://stub;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something that answers tools/call at a URL."""

    name: str
    url: str
    tool: str
    process: psutil.Process
    credentials: tuple[str, str, str] | None = None  #: token URL, client id, secret
    token: str = field(default="", repr=False)

    def fresh_token(self) -> str:
        """Fetch an access token, when the subject wants one."""
        if self.credentials is None:
            return ""
        url, client, secret = self.credentials
        form = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": SCOPE}).encode()
        basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
        request = urllib.request.Request(url, form, {"Authorization": f"Basic {basic}"})
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)["access_token"]

    def cpu_seconds(self) -> float:
        """CPU time of the process and its children so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self._family())

    def rss_bytes(self) -> int:
        """Memory of the process and its children."""
        return sum(one.memory_info().rss for one in self._family())

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def missing_packages() -> list[str]:
    """Return the Debian packages that are not there."""
    wanted = {"nginx-light": nginx_binary(), "wrk": shutil.which("wrk"), "util-linux": shutil.which("taskset")}
    return [package for package, found in wanted.items() if not found]


def nginx_binary() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def subjects(place: Path, *, server_core: int, load_core: int) -> Generator[list[Subject]]:
    """Start everything; stop it at the end."""
    with contextlib.ExitStack() as stack:
        stub_port, nginx_port, portico_port = _free_ports(3)
        stub = stack.enter_context(
            _process([sys.executable, str(ROOT / "bench/stub.py"), str(stub_port)], load_core, place / "stub.log")
        )
        _wait_for_port(stub_port, stub, place / "stub.log")
        nginx = stack.enter_context(_nginx(place, nginx_port, stub_port, server_core))
        portico = stack.enter_context(_portico(place, portico_port, stub_port, server_core))
        _wait_for_port(nginx_port, nginx, place / "nginx.log")
        yield [
            Subject(name="direct", url=f"http://127.0.0.1:{stub_port}/mcp", tool="echo", process=stub),
            Subject(name="nginx", url=f"http://127.0.0.1:{nginx_port}/mcp", tool="echo", process=nginx),
            _find_portico(portico_port, place, portico),
        ]


def _nginx(place: Path, port: int, stub: int, core: int) -> contextlib.AbstractContextManager[psutil.Process]:
    config = place / "nginx.conf"
    config.write_text(NGINX.format(place=place, port=port, stub=stub))
    command = [nginx_binary() or "nginx", "-p", str(place), "-c", str(config), "-e", str(place / "nginx-start.log")]
    return _process(command, core, place / "nginx.log")


def _portico(place: Path, port: int, stub: int, core: int) -> contextlib.AbstractContextManager[psutil.Process]:
    (place / "secret").write_text(secrets.token_urlsafe(32))
    (place / "portico.yaml").write_text(yaml.safe_dump(_configuration(port, stub)))
    subprocess.run([PORTICO, "keyring", "init", place / "keyring"], check=True, capture_output=True)
    return _process([str(PORTICO), "serve", "--config", str(place / "portico.yaml")], core, place / "portico.log")


def _configuration(port: int, stub: int) -> dict[str, object]:
    """Return what Portico serves: one gateway with a token rule in front of the stub. Audit is always on."""
    public_url = f"http://127.0.0.1:{port}"
    discovery = f"{public_url}/i/bench/.well-known/openid-configuration"
    target = {
        "name": "stub",
        "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": f"http://127.0.0.1:{stub}/mcp"}}},
        "x-portico": {"allowPrivateAddresses": True, "maxConcurrency": 256},
    }
    gateway = {
        "name": "bench",
        "protocolType": "MCP",
        "authorizerType": "CUSTOM_JWT",
        "authorizerConfiguration": {
            "customJWTAuthorizer": {"discoveryUrl": discovery, "allowedClients": ["bench"], "allowedScopes": [SCOPE]}
        },
        "targets": [target],
    }
    client = {"name": "bench", "secretFile": "secret", "scopes": [SCOPE]}
    return {
        "listen": f"127.0.0.1:{port}",
        "public_url": public_url,
        "data_dir": "data",
        "keyring": "keyring",
        "default_gateway": "bench",
        "log": {"level": "warning", "format": "json"},
        "issuers": [{"name": "bench", "scopes": [SCOPE], "clients": [client]}],
        "gateways": [gateway],
    }


def _find_portico(port: int, place: Path, process: psutil.Process) -> Subject:
    """Wait until Portico lists the stub's tool, and return how it is called."""
    _wait_for_port(port, process, place / "portico.log")
    origin = f"http://127.0.0.1:{port}"
    subject = Subject(
        name="portico",
        url=_get_json(f"{origin}/.well-known/oauth-protected-resource")["resource"],
        tool="stub___echo",
        process=process,
        credentials=(f"{origin}/i/bench/token", "bench", (place / "secret").read_text()),
    )
    deadline = time.monotonic() + START_SECONDS
    while subject.tool not in _listing(subject):
        if time.monotonic() > deadline:
            raise SystemExit(f"Portico does not list its tool:\n{(place / 'portico.log').read_text()[-4000:]}")
        time.sleep(POLL_SECONDS)
    return subject


def _listing(subject: Subject) -> str:
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2025-11-25",
        "Authorization": f"Bearer {subject.fresh_token()}",
    }
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}'
    try:
        with urllib.request.urlopen(urllib.request.Request(subject.url, body, headers), timeout=10) as response:
            return response.read().decode()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"Portico refused tools/list: {error} {error.read().decode()}") from error


def _get_json(url: str) -> dict[str, str]:
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


@contextlib.contextmanager
def _process(command: list[str], core: int, log: Path) -> Generator[psutil.Process]:
    """Run a command on one core; what it prints goes to ``log``."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            ["taskset", "-c", str(core), *command], stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=os.environ
        )
        try:
            yield psutil.Process(child.pid)
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in held]


def _wait_for_port(port: int, process: psutil.Process, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE or time.monotonic() > deadline:
                raise SystemExit(f"nothing listens on port {port}:\n{log.read_text()[-4000:]}") from None
            time.sleep(POLL_SECONDS)
        else:
            return
