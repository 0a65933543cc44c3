"""The peers on the same work: each with one process, a token where it can check one, and its own advice followed.

Each returns its subjects together with what calls them: the era, and what to call the case. A peer that cannot be
installed or started is left out and the reason is told; it is never replaced by something else.
"""

import contextlib
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import tokens
from environments import Environment, NotInstalled, environment
from processes import ROOT, Cores, NotStarted, free_ports, running, wait_for_port, wait_until
from subjects import Era, Stub, Subject

HERE = ROOT / "bench"
ADMIN = "admin@example.com"

#: ContextForge's tuning guide (docs/manage/tuning): chapter 9 for the MCP path, chapter 10's profile «MCP only».
#: Its advice for several processes (PostgreSQL, Redis) is left aside for one: PostgreSQL made no clear difference.
#: Beside that: localhost as an upstream must be allowed, and a rate limit would end the measurement.
CONTEXTFORGE = {
    "SSRF_ALLOW_LOCALHOST": "true",
    "RATE_LIMITING_ENABLED": "false",
    "CACHE_TYPE": "memory",
    "JSON_RESPONSE_ENABLED": "true",
    "MCPGATEWAY_UI_ENABLED": "false",
    "MCPGATEWAY_A2A_ENABLED": "false",
    "MCPGATEWAY_CATALOG_ENABLED": "false",
    "LLMCHAT_ENABLED": "false",
    "PLUGINS_ENABLED": "false",
    "OBSERVABILITY_ENABLED": "false",
    "ENABLE_METRICS": "false",
    "AUDIT_TRAIL_ENABLED": "false",
    "SECURITY_LOGGING_ENABLED": "false",
    "STRUCTURED_LOGGING_DATABASE_ENABLED": "false",
    "CORRELATION_ID_ENABLED": "false",
    "DB_METRICS_RECORDING_ENABLED": "false",
    "COMPRESSION_ENABLED": "false",
    "DISABLE_ACCESS_LOG": "true",
    "LOG_LEVEL": "ERROR",
    "AUTH_CACHE_ENABLED": "true",
    "AUTH_CACHE_BATCH_QUERIES": "true",
    "AUTH_CACHE_USER_TTL": "300",
    "AUTH_CACHE_TEAM_TTL": "300",
    "AUTH_CACHE_ROLE_TTL": "300",
    "AUTH_CACHE_REVOCATION_TTL": "120",
    "REGISTRY_CACHE_ENABLED": "true",
    "HTTPX_MAX_CONNECTIONS": "200",
    "HTTPX_MAX_KEEPALIVE_CONNECTIONS": "100",
    "HTTPX_KEEPALIVE_EXPIRY": "30.0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCase:
    """One way of calling a peer."""

    subject: Subject
    era: Era
    case: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Street:
    """Where peers live while a section runs."""

    stack: contextlib.ExitStack
    place: Path
    cores: Cores
    stub: Stub
    left_out: list[str] = field(default_factory=list)  #: peers that are not measured, and why


def start_peers(street: Street) -> list[PeerCase]:
    """Start every peer that can be had."""
    builders: Sequence[tuple[str, Callable[[Street], list[PeerCase]]]] = (
        ("FastMCP", fastmcp),
        ("ContextForge", contextforge),
        ("mcp-proxy", mcp_proxy),
    )
    found: list[PeerCase] = []
    for name, build in builders:
        try:
            found += build(street)
        except (NotInstalled, NotStarted) as error:
            street.left_out.append(f"{name}: {error}")
    return found


def fastmcp(street: Street) -> list[PeerCase]:
    """FastMCP's proxy with one shared client and its JWT verifier; legacy calls with and without sessions."""
    made = environment("fastmcp", python="3.11")
    mint = tokens.Mint.new()
    key = street.place / "fastmcp-key.pem"
    mint.write_public_key(key)
    version = f"FastMCP {made.version_of('fastmcp')} (MCP SDK {made.version_of('mcp')}, Python {made.python_version()})"
    found: dict[str, Subject] = {}
    for state in ("STATELESS", "STATEFUL"):
        (port,) = free_ports(1)
        log = street.place / f"fastmcp-{state.lower()}.log"
        arguments = [str(port), street.stub.url, "auto", state, str(key), tokens.ISSUER, tokens.AUDIENCE]
        command = [str(made.python), str(HERE / "peer_fastmcp.py"), *arguments]
        process = street.stack.enter_context(running(command, cores=street.cores.server, log=log))
        wait_for_port(port, process, log)
        found[state] = Subject(
            name="FastMCP",
            url=f"http://127.0.0.1:{port}/mcp",
            tools=("echo",),
            process=process,
            version=version,
            token=mint.token,
            opens_sessions=state == "STATEFUL",
        )
    return [
        PeerCase(subject=found["STATELESS"], era="modern", case="modern"),
        PeerCase(subject=found["STATELESS"], era="legacy", case="legacy, stateless"),
        PeerCase(subject=found["STATEFUL"], era="legacy", case="legacy, sessions"),
    ]


def mcp_proxy(street: Street) -> list[PeerCase]:
    """mcp-proxy in front of a stdio stub: it has no HTTP backends and checks no tokens, and knows the legacy era."""
    made = environment("mcp-proxy", python="3.11")
    version = f"mcp-proxy {made.version_of('mcp-proxy')} (MCP SDK {made.version_of('mcp')})"
    found: list[PeerCase] = []
    for option, case in (("--stateless", "legacy, stateless"), ("--no-stateless", "legacy, sessions")):
        (port,) = free_ports(1)
        log = street.place / f"mcp-proxy{option}.log"
        listen = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "WARNING", option]
        command = [made.program("mcp-proxy"), *listen, "--", str(made.python), str(HERE / "peer_stdio.py")]
        process = street.stack.enter_context(running(command, cores=street.cores.server, log=log))
        wait_for_port(port, process, log)
        subject = Subject(
            name="mcp-proxy",
            url=f"http://127.0.0.1:{port}/mcp",
            tools=("echo",),
            process=process,
            version=version,
            opens_sessions=option == "--no-stateless",
        )
        found.append(PeerCase(subject=subject, era="legacy", case=f"{case}, no token"))
    return found


def contextforge(street: Street) -> list[PeerCase]:
    """ContextForge, one worker: stateless for both eras, and with sessions, where its upstream side is legacy too."""
    made = environment("contextforge", python="3.12")
    stateless = _contextforge(street, made, "stateless", {"USE_STATEFUL_SESSIONS": "false"})
    stateful_settings = {"USE_STATEFUL_SESSIONS": "true", "MCP_CLIENT_CONNECT_MODE": "legacy"}
    stateful = replace(_contextforge(street, made, "stateful", stateful_settings), opens_sessions=True)
    return [
        PeerCase(subject=stateless, era="modern", case="modern"),
        PeerCase(subject=stateless, era="legacy", case="legacy, stateless"),
        PeerCase(subject=stateful, era="legacy", case="legacy, sessions"),
    ]


def _contextforge(street: Street, made: Environment, name: str, settings: dict[str, str]) -> Subject:
    place = street.place / f"contextforge-{name}"
    place.mkdir()
    secret = secrets.token_urlsafe(48)
    password = f"Aa1!{secrets.token_urlsafe(24)}"
    own = {
        "HOME": str(place),
        "DATABASE_URL": f"sqlite:///{place}/mcp.db",
        "JWT_SECRET_KEY": secret,
        "AUTH_ENCRYPTION_SECRET": secrets.token_urlsafe(48),
        "PLATFORM_ADMIN_EMAIL": ADMIN,
        "PLATFORM_ADMIN_PASSWORD": password,
        "DEFAULT_USER_PASSWORD": password,
        "BASIC_AUTH_PASSWORD": password,
    }
    (port,) = free_ports(1)
    log = street.place / f"contextforge-{name}.log"
    listen = ["--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "error"]
    fast = ["--loop", "uvloop", "--http", "httptools"]
    command = [made.program("uvicorn"), "mcpgateway.main:app", *listen, *fast]
    process = street.stack.enter_context(
        running(command, cores=street.cores.server, log=log, env=CONTEXTFORGE | own | settings)
    )
    wait_for_port(port, process, log)
    token = partial(_contextforge_token, secret)
    origin = f"http://127.0.0.1:{port}"
    backend = {"name": "stub", "url": street.stub.url, "transport": "STREAMABLEHTTP"}
    _api(origin, token(), "/gateways", backend)
    wait_until(lambda: _contextforge_tools(origin, token()), process, log, "it lists the stub's tools")
    echo = [one["id"] for one in _contextforge_tools(origin, token()) if one["originalName"] == "echo"]
    server = _api(origin, token(), "/servers", {"server": {"name": "bench", "associated_tools": echo}})
    version = f"ContextForge {made.version_of('mcp-contextforge-gateway')} (Python {made.python_version()})"
    return Subject(
        name="ContextForge",
        url=f"{origin}/servers/{server['id']}/mcp",
        tools=("stub-echo",),
        process=process,
        version=version,
        token=token,
    )


def _contextforge_token(secret: str) -> str:
    user = {"email": ADMIN, "is_admin": True, "auth_provider": "local"}
    claims = {"iss": "mcpgateway", "aud": "mcpgateway-api", "sub": ADMIN, "token_use": "session", "user": user}
    return tokens.shared_secret_token(secret, claims)


def _contextforge_tools(origin: str, token: str) -> list[dict]:
    found = _api(origin, token, "/tools")
    return found if isinstance(found, list) else found.get("data", [])


def _api(origin: str, token: str, path: str, body: dict | None = None) -> dict:
    """Ask ContextForge's own API."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(origin + path, data, headers), timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise NotStarted(f"{path} answered {error}: {error.read().decode()[:500]}") from error
