"""Portico as it is measured: one `portico serve` with an issuer, a machine client and gateways; audit is always on."""

import base64
import contextlib
import json
import secrets
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import yaml
from processes import Cores, NotStarted, free_ports, running, wait_for_port, wait_until
from subjects import VERSIONS, Eras, Subject, post

from portico import __version__
from portico.gateway.catalog import UNAVAILABLE_META

PORTICO = Path(sys.executable).with_name("portico")
SCOPE = "mcp/invoke"
ISSUER = "bench"
MAX_CONCURRENCY = 256  #: more than any round has connections
AT_ONCE = 8  #: connections by which every worker is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPlan:
    """A gateway to declare: its targets by name, and how it answers."""

    name: str
    targets: Mapping[str, str]
    era: Eras | None = None  #: of the targets; None leaves it to discovery
    streams: bool = False
    page_size: int = 0  #: tools per page; 0 for the default
    sessions: bool = False
    target_extension: Mapping[str, Any] = field(default_factory=dict)

    def document(self, public_url: str) -> dict[str, object]:
        discovery = f"{public_url}/i/{ISSUER}/.well-known/openid-configuration"
        mcp: dict[str, object] = {}
        if self.streams:
            mcp["streamingConfiguration"] = {"enableResponseStreaming": True}
        if self.sessions:
            mcp["sessionConfiguration"] = {"sessionTimeoutInSeconds": 3600}
        document: dict[str, object] = {
            "name": self.name,
            "protocolType": "MCP",
            "authorizerType": "CUSTOM_JWT",
            "authorizerConfiguration": {
                "customJWTAuthorizer": {"discoveryUrl": discovery, "allowedScopes": [SCOPE]},
            },
            "targets": [self._target(name, url) for name, url in self.targets.items()],
        }
        if mcp:
            document["protocolConfiguration"] = {"mcp": mcp}
        if self.page_size:
            document["x-portico"] = {"pageSize": self.page_size}
        return document

    def _target(self, name: str, url: str) -> dict[str, object]:
        extension = {"allowPrivateAddresses": True, "maxConcurrency": MAX_CONCURRENCY} | dict(self.target_extension)
        if self.era in ("legacy", "modern"):
            extension["era"] = self.era
        return {
            "name": name,
            "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": url}}},
            "x-portico": extension,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A running Portico."""

    place: Path
    port: int
    database: str
    process: psutil.Process
    secret: str = field(repr=False)
    urls: Mapping[str, str]  #: of the gateways' MCP endpoints, by name

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def subject(self, gateway: str, tools: Sequence[str], *, name: str = "portico") -> Subject:
        url = self.urls[gateway]
        return Subject(
            name=name,
            url=url,
            tools=tuple(tools),
            process=self.process,
            version=f"Portico {__version__}",
            token=partial(self.token, url),
        )

    def token(self, resource: str) -> str:
        """Fetch a machine client's access token for one gateway."""
        form = {"grant_type": "client_credentials", "scope": SCOPE, "resource": resource}
        basic = base64.b64encode(f"bench:{self.secret}".encode()).decode()
        url = f"{self.origin}/i/{ISSUER}/token"
        request = urllib.request.Request(
            url, urllib.parse.urlencode(form).encode(), {"Authorization": f"Basic {basic}"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["access_token"]


def start_house(
    stack: contextlib.ExitStack,
    place: Path,
    cores: Cores,
    plans: Sequence[GatewayPlan],
    *,
    workers: int = 1,
    database: str = "",
    settings: Mapping[str, Any] | None = None,
    issuer: Mapping[str, Any] | None = None,
    warm: bool = True,
) -> House:
    """Start Portico and wait until every target is ready, and unless not ``warm`` until every gateway lists its tools.

    Raises:
        NotStarted: Portico refuses, or a target does not become ready; the text holds the log.
    """
    place.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    secret = secrets.token_urlsafe(32)
    (place / "secret").write_text(secret)
    public_url = f"http://127.0.0.1:{port}"
    database = database or f"sqlite:///{place / 'data' / 'portico.db'}"
    client = {"name": "bench", "secretFile": "secret", "scopes": [SCOPE]}
    document: dict[str, Any] = {
        "listen": f"127.0.0.1:{port}",
        "public_url": public_url,
        "data_dir": "data",
        "database": database,
        "keyring": "keyring",
        "log": {"level": "warning", "format": "json"},
        "issuers": [{"name": ISSUER, "scopes": [SCOPE], "clients": [client]} | dict(issuer or {})],
        "gateways": [plan.document(public_url) for plan in plans],
    }
    if workers > 1:
        document["workers"] = workers
    (place / "portico.yaml").write_text(yaml.safe_dump(document | dict(settings or {})))
    subprocess.run([PORTICO, "keyring", "init", place / "keyring"], check=True, capture_output=True)
    log = place / "portico.log"
    command = [str(PORTICO), "serve", "--config", str(place / "portico.yaml")]
    process = stack.enter_context(running(command, cores=cores.server, log=log))
    wait_for_port(port, process, log)
    urls = _when_ready(place / "portico.yaml", process, log)
    house = House(place=place, port=port, database=database, process=process, secret=secret, urls=urls)
    if warm:
        _warm(house, process, log)
    return house


def _warm(house: House, process: psutil.Process, log: Path) -> None:
    """Wait until every gateway lists tools: its snapshot follows the synchronization by a poll, on every worker."""
    for name in house.urls:
        subject = house.subject(name, ())
        wait_until(partial(_all_list, subject), process, log, f"gateway {name} lists its tools on every worker")


def _all_list(subject: Subject) -> bool:
    """Whether tools are listed on connections that are open at once: those are dealt to all workers."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return all(pool.map(lambda _: _lists(subject), range(2 * AT_ONCE)))


def _lists(subject: Subject) -> bool:
    """Whether tools are listed and no target is left out."""
    result = json.loads(list_page(subject))["result"]
    return bool(result["tools"]) and UNAVAILABLE_META not in result.get("_meta", {})


def list_page(subject: Subject, cursor: str = "") -> str:
    """Return the body of one modern tools/list answer."""
    names = {"protocolVersion": VERSIONS["modern"], "clientCapabilities": {}}
    params: dict[str, object] = {"_meta": {f"io.modelcontextprotocol/{name}": value for name, value in names.items()}}
    if cursor:
        params["cursor"] = cursor
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}
    return post(subject.url, message, token=subject.token(), era="modern")[1]


def last_cursor(subject: Subject) -> str:
    """Return the cursor of the last page, empty when the first is the last."""
    cursor = ""
    while following := json.loads(list_page(subject, cursor))["result"].get("nextCursor"):
        cursor = following
    return cursor


def _when_ready(config: Path, process: psutil.Process, log: Path) -> dict[str, str]:
    """Wait until every target is ready; return the gateways' URLs by name."""
    found: list[dict[str, Any]] = []

    def ready() -> bool:
        found[:] = _asked(config, "list")
        return bool(found) and all(one["targets_ready"] == one["targets_total"] for one in found)

    try:
        wait_until(ready, process, log, "every target is ready")
    except NotStarted as error:
        targets = [target for one in found for target in _asked(config, "show", one["id"])["targets"]]
        reasons = [f"{one['name']}: {one['status']} {one['status_reasons']}" for one in targets]
        raise NotStarted("\n".join([str(error), *(text for text in reasons if ": READY" not in text)][:6])) from error
    return {one["name"]: one["mcp_url"] for one in found}


def _asked(config: Path, *what: str) -> Any:
    command = [PORTICO, "gateways", *what, "--config", config, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)
