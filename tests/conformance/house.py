"""The processes of a conformance run: the fixtures' server, a whole Portico in front of it, and the forwarder.

One issuer of that Portico has an identity provider in place of users; the façade is a process of another kind.
"""

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import yaml

from e2e.person import Person
from portico.crypto.keyring import generate_line
from support.provider.facade_rig import facade_rig
from support.provider.identity_provider import IdentityProvider, identity_provider

HERE = Path(__file__).parent
START_SECONDS = 90.0  #: bound for a start on a busy machine
STOP_SECONDS = 40.0
SECRET = "portico_0123456789abcdef0123456789abcdef"
PASSWORD = "correct horse battery staple"
SCOPE = "mcp/invoke"
TARGET = "everything"
PERSON = "ada"
MACHINE = "robot"
PUBLIC_CLIENT = "conformance-suite"
ISSUERS = {"path": "/i/main", "root": "", "provider": "/i/company"}  #: path by form
FACADE = "facade"  #: the form that `portico serve` does not have
REDIRECT_URI = "http://127.0.0.1/callback"  #: the suite's, at any port
PROVIDER_API = "urn:example:api"  #: what the provider's tokens are for; it knows nothing of our gateways
META = "io.modelcontextprotocol/"

_PUBLIC = {"clientId": PUBLIC_CLIENT, "redirectUris": [REDIRECT_URI]}
_USERS = {"users": [{"name": PERSON, "password": PASSWORD}]}


@dataclass(frozen=True)
class Portico:
    """A running Portico and what the suite needs to know about it."""

    issuers: dict[str, str]  #: URL by form
    resources: dict[str, str]  #: the gateway that trusts that issuer
    target: str  #: URL of the one target, where its tools have their own names
    unforwarded: str  #: the same without the forwarder
    idp: IdentityProvider  #: which the issuer of the form ``provider`` sends people to


@dataclass(frozen=True)
class Subject:
    """One issuer that the suite asks, and who opens the URL that the suite prints."""

    issuer: str
    resource: str
    person: Person
    idp: IdentityProvider | None = None  #: where that person logs in; none: at the issuer


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def process(log: Path, *argv: str, **environment: str) -> Generator[subprocess.Popen[bytes]]:
    """Run a Python program until the block ends; its output goes to ``log``."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PORTICO_")}
    with log.open("wb") as output:
        running = subprocess.Popen(
            [sys.executable, *argv], stdout=output, stderr=subprocess.STDOUT, env=inherited | environment
        )
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(STOP_SECONDS)
            finally:
                running.kill()


def until(condition, *, running: subprocess.Popen[bytes], log: Path):
    """Return what ``condition`` returns as soon as it is true."""
    deadline = time.monotonic() + START_SECONDS
    while not (found := condition()):
        assert running.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def everything_server(directory: Path) -> Generator[str]:
    """Run the fixtures' server; gives its URL."""
    [port] = free_ports(1)
    log = directory / "everything.log"
    with process(log, str(HERE / "everything_server.py"), "--port", str(port)) as running:
        until(lambda: _listens(port), running=running, log=log)
        yield f"http://127.0.0.1:{port}/mcp"


@contextlib.contextmanager
def portico(directory: Path, endpoint: str) -> Generator[Portico]:
    """Run Portico behind the forwarder, in front of the server at ``endpoint``, and one issuer's provider."""
    public, listen = free_ports(2)
    public_url = f"http://127.0.0.1:{public}"
    log, forwarded = directory / "portico.log", directory / "forwarder.log"
    with (
        _provider(f"{public_url}{ISSUERS['provider']}") as idp,
        process(log, *_serve(directory, document(public_url, listen, endpoint, idp))) as serving,
        httpx2.Client(base_url=f"http://127.0.0.1:{listen}", timeout=30, trust_env=False) as http,
    ):
        until(lambda: _ready(http), running=serving, log=log)
        tokens = {form: _token(http, path) for form, path in ISSUERS.items()}
        resources = {form: _audience(token) for form, token in tokens.items()}
        target, token = f"{resources['path']}/{TARGET}", tokens["path"]
        until(lambda: _tools(http, target, token), running=serving, log=log)
        ports = ("--listen", str(public), "--to", str(listen))
        with process(forwarded, str(HERE / "forwarder.py"), *ports, CONFORMANCE_TOKEN=token) as forwarding:
            until(lambda: _listens(public), running=forwarding, log=forwarded)
            issuers = {form: public_url + path for form, path in ISSUERS.items()}
            behind = target.replace(str(public), str(listen))
            yield Portico(issuers=issuers, resources=resources, target=target, unforwarded=behind, idp=idp)


def subject(running: Portico, form: str) -> Subject:
    """Return the issuer of a form that `portico serve` has."""
    idp = running.idp if form == "provider" else None
    person = Person(name=PERSON, password=PASSWORD) if idp is None else idp.person(PERSON)
    return Subject(issuer=running.issuers[form], resource=running.resources[form], person=person, idp=idp)


@contextlib.contextmanager
def facade(directory: Path) -> Generator[Subject]:
    """Run a façade of two replicas before a provider with Cognito's gaps."""
    with facade_rig("cognito", directory=directory, issuer={"clients": [_PUBLIC]}) as rig:
        yield Subject(issuer=rig.issuer, resource=rig.mcp_url, person=rig.person(PERSON), idp=rig.idp)


def document(public_url: str, listen: int, endpoint: str, idp: IdentityProvider) -> dict[str, object]:
    """Return the configuration: an issuer of each form, each with a gateway; the first has the target."""
    target = {
        "name": TARGET,
        "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": endpoint}}},
        "x-portico": {"allowPrivateAddresses": True},
    }
    return {
        "listen": f"127.0.0.1:{listen}",
        "public_url": public_url,
        "issuers": [
            _issuer("main") | _USERS,
            _issuer("root") | _USERS,
            _issuer("company") | {"connectors": [idp.connector(audience=PROVIDER_API)]},
        ],
        "gateways": [
            _gateway("conformance", public_url + ISSUERS["path"]) | {"targets": [target]},
            _gateway("at-the-origin", public_url + ISSUERS["root"]),
            _gateway("for-the-company", public_url + ISSUERS["provider"]),
        ],
    }


def _issuer(name: str) -> dict[str, object]:
    return {
        "name": name,
        "accessTokenSeconds": 3600,
        "scopes": [SCOPE],
        "clients": [{"name": MACHINE, "secret": SECRET, "scopes": [SCOPE]}, _PUBLIC],
    }


def _gateway(name: str, issuer: str) -> dict[str, object]:
    return {
        "name": name,
        "protocolType": "MCP",
        "protocolConfiguration": {
            "mcp": {
                "sessionConfiguration": {"sessionTimeoutInSeconds": 3600},
                "streamingConfiguration": {"enableResponseStreaming": True},
            }
        },
        "authorizerType": "CUSTOM_JWT",
        "authorizerConfiguration": {
            "customJWTAuthorizer": {
                "discoveryUrl": f"{issuer}/.well-known/openid-configuration",
                "allowedScopes": [SCOPE],
            }
        },
    }


def _provider(issuer: str) -> contextlib.AbstractContextManager[IdentityProvider]:
    return identity_provider("strict", redirect_uris=[f"{issuer}/callback"], resources=[PROVIDER_API])


def _serve(directory: Path, content: dict[str, object]) -> tuple[str, ...]:
    """Write the configuration; return the command line that serves it."""
    keyring = directory / "data" / "keyring"
    keyring.parent.mkdir()
    keyring.write_text(generate_line("k1") + "\n")
    keyring.chmod(0o600)
    config = directory / "portico.yaml"
    config.write_text(yaml.safe_dump(content))
    return ("-m", "portico", "serve", "--config", str(config))


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=30):
        return True
    return False


def _ready(http: httpx2.Client) -> bool:
    with contextlib.suppress(httpx2.HTTPError):
        return http.get("/readyz").status_code == 200
    return False


def _token(http: httpx2.Client, issuer: str) -> str:
    """Return a machine's token for the only gateway that trusts the issuer at this path."""
    form = {"grant_type": "client_credentials", "scope": SCOPE}
    answer = http.post(f"{issuer}/token", data=form, auth=(MACHINE, SECRET))
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def _audience(token: str) -> str:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["aud"]


def _tools(http: httpx2.Client, target: str, token: str) -> bool:
    """Say whether the target's tools are there."""
    meta = {f"{META}protocolVersion": "2026-07-28", f"{META}clientCapabilities": {}}
    answer = http.post(
        urlsplit(target).path,
        json={"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}},
        headers={
            "authorization": f"Bearer {token}",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "tools/list",
        },
    )
    return answer.status_code == 200 and bool(answer.json()["result"]["tools"])
