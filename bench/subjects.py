"""What is measured: something that answers MCP at a URL; here the stub alone, and nginx in front of it."""

import contextlib
import json
import shutil
import sys
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil
from processes import ROOT, Cores, free_ports, running, wait_for_port

Era = Literal["modern", "legacy"]
Eras = Literal["modern", "legacy", "both"]
VERSIONS = {"modern": "2026-07-28", "legacy": "2025-11-25"}
ACCEPT = "application/json, text/event-stream"

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
            proxy_buffering {buffering};
        }}
    }}
}}
"""


def _no_token() -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something that answers MCP at a URL."""

    name: str
    url: str
    tools: tuple[str, ...]  #: called in turn
    process: psutil.Process
    version: str = ""  #: of what is measured, for the report
    token: Callable[[], str] = field(default=_no_token, repr=False)  #: fetches a fresh one
    opens_sessions: bool = False  #: legacy calls need a session: one is opened per connection

    def sessions(self, count: int) -> list[str]:
        """Open legacy sessions, when calls need them."""
        return [self._open_session() for _ in range(count)] if self.opens_sessions else []

    def cpu_seconds(self) -> float:
        """CPU time of the process and its children so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self._family())

    def rss_bytes(self) -> int:
        """Memory of the process and its children."""
        return sum(one.memory_info().rss for one in self._family())

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def _open_session(self) -> str:
        params = {
            "protocolVersion": VERSIONS["legacy"],
            "capabilities": {},
            "clientInfo": {"name": "bench", "version": "1"},
        }
        token = self.token()
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        session, _ = post(self.url, message, token=token)
        post(self.url, {"jsonrpc": "2.0", "method": "notifications/initialized"}, token=token, session=session)
        return session


def post(url: str, message: dict, *, token: str = "", session: str = "", era: Era = "legacy") -> tuple[str, str]:
    """Send one JSON-RPC message; return the session id of the answer, if any, and its body."""
    headers = {"Content-Type": "application/json", "Accept": ACCEPT, "MCP-Protocol-Version": VERSIONS[era]}
    if era == "modern":
        headers["Mcp-Method"] = message["method"]
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if session:
        headers["Mcp-Session-Id"] = session
    request = urllib.request.Request(url, json.dumps(message).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.headers.get("Mcp-Session-Id", ""), response.read().decode()


def missing_packages() -> list[str]:
    """Return the Debian packages that are not there."""
    wanted = {"nginx-light": nginx_binary(), "wrk": shutil.which("wrk"), "util-linux": shutil.which("taskset")}
    return [package for package, found in wanted.items() if not found]


def nginx_binary() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """The backend of all subjects."""

    ports: tuple[int, ...]
    process: psutil.Process

    @property
    def url(self) -> str:
        return self.url_on(self.ports[0])

    def url_on(self, port: int, *, tools: int = 0) -> str:
        """Return where it is; with ``tools`` it lists that many there."""
        return f"http://127.0.0.1:{port}/mcp{f'/{tools}' if tools else ''}"

    def subject(self, tool: str = "echo") -> Subject:
        return Subject(name="direct", url=self.url, tools=(tool,), process=self.process)


def start_stub(stack: contextlib.ExitStack, place: Path, cores: Cores, *, era: Eras = "both", count: int = 1) -> Stub:
    """Start a stub that listens on as many ports."""
    ports = free_ports(count)
    log = place / f"stub-{era}.log"
    command = [sys.executable, str(ROOT / "bench/stub.py"), "--era", era, *(str(port) for port in ports)]
    process = stack.enter_context(running(command, cores=cores.load, log=log))
    wait_for_port(ports[-1], process, log)
    return Stub(ports=tuple(ports), process=process)


def start_nginx(
    stack: contextlib.ExitStack, place: Path, cores: Cores, stub: Stub, *, tools: Sequence[str], streams: bool = False
) -> Subject:
    """Start nginx as a plain proxy in front of the stub."""
    (port,) = free_ports(1)
    config = place / "nginx.conf"
    buffering = "off" if streams else "on"
    config.write_text(NGINX.format(place=place, port=port, stub=stub.ports[0], buffering=buffering))
    command = [nginx_binary() or "nginx", "-p", str(place), "-c", str(config), "-e", str(place / "nginx-start.log")]
    process = stack.enter_context(running(command, cores=cores.server, log=place / "nginx.log"))
    wait_for_port(port, process, place / "nginx.log")
    return Subject(name="nginx", url=f"http://127.0.0.1:{port}/mcp", tools=tuple(tools), process=process)
