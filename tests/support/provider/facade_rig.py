"""`portico facade` between a real provider and a gateway that is not ours: two replicas that alternate.

::

    with facade_rig("cognito", tokens="wrap", directory=tmp_path) as rig:
        rig.mcp_url, rig.issuer              # as clients know them: the proxy before the replicas
        rig.idp, rig.gateway, rig.proxy      # the parts
        rig.person("ada")                    # walks through consent, the provider's pages and back
        rig.rotate_key(); rig.retire_key(kid); rig.drop_key(kid); rig.kids()
        rig.log()

No two requests in a row reach the same replica; the replicas share the keyring's file and nothing else.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from e2e.person import Person
from portico.cli.keyring import keyring
from portico.crypto.keyring import generate_line
from support.alternating import Alternating, alternating
from support.ports import free_port
from support.processes import stopped, wait_until_it_answers
from support.provider.identity_provider import IdentityProvider, identity_provider
from support.provider.other_gateway import OtherGateway, other_gateway

REPLICAS = 2
HOUR = 3600


@dataclass
class Replica:
    """One process of the façade."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path

    def wait(self) -> None:
        """Wait until it serves, which is to refuse whoever has no token."""
        wait_until_it_answers(self.process, f"http://127.0.0.1:{self.port}/mcp", 401, self.log)


@dataclass
class FacadeRig:
    """A running façade with its surroundings."""

    directory: Path
    tokens: str
    idp: IdentityProvider
    gateway: OtherGateway
    proxy: Alternating
    replicas: list[Replica]

    @property
    def issuer(self) -> str:
        return self.proxy.url

    @property
    def mcp_url(self) -> str:
        return f"{self.proxy.url}/mcp"

    def person(self, name: str = "ada", *, refuses: bool = False) -> Person:
        return self.idp.person(name, refuses=refuses)

    def log(self) -> str:
        """Return what the replicas and the gateway logged."""
        return "\n".join(path.read_text() for path in (*(each.log for each in self.replicas), self.gateway.log))

    # Keys

    def kids(self) -> list[str]:
        lines = (self.directory / "keyring").read_text().splitlines()
        return [line.lstrip("~").partition(":")[0] for line in lines if line and not line.startswith("#")]

    def rotate_key(self) -> None:
        """Put a new sealing key in front, as an administrator does."""
        self._keyring("rotate")

    def retire_key(self, kid: str) -> None:
        self._keyring("retire", kid)

    def drop_key(self, kid: str) -> None:
        self._keyring("drop", kid, "--yes")

    def _keyring(self, *arguments: str) -> None:
        """Run ``portico keyring``, in this process: between any two requests there may be one."""
        keyring.main([*arguments, "--config", str(self.directory / "keys.yaml")], standalone_mode=False)


@contextlib.contextmanager
def facade_rig(
    profile: str,
    *,
    tokens: str = "wrap",
    directory: Path,
    access_seconds: int = HOUR,
    named_by_gateway: bool = False,
    host: str = "127.0.0.1",
    connector: dict[str, Any] | None = None,
    issuer: dict[str, Any] | None = None,
    facade: dict[str, Any] | None = None,
    provider: dict[str, Any] | None = None,
) -> Generator[FacadeRig]:
    """Run everything until the block ends.

    ``named_by_gateway``: the gateway behind tells its own clients to log in at the façade.
    ``connector``, ``issuer``, ``facade``: members over those that the documents have anyway. ``provider``: arguments
    for :func:`identity_provider`. ``host``: the provider's name, e.g. ``localhost`` to be another site.
    """
    port = free_port()
    public_url = f"http://127.0.0.1:{port}"
    resource = f"{public_url}/mcp"
    with ExitStack() as stack:
        idp = stack.enter_context(
            identity_provider(
                profile,
                redirect_uris=[f"{public_url}/callback"],
                logout_uris=[f"{public_url}/logout"],
                resources=[resource],
                access_seconds=access_seconds,
                host=host,
                **provider or {},
            )
        )
        server = public_url if named_by_gateway else idp.issuer
        gateway = stack.enter_context(
            other_gateway(idp, log=directory / "gateway.log", authorization_server=server, wait=False)
        )
        document: dict[str, Any] = {
            "public_url": public_url,
            "keyring": str(directory / "keyring"),
            "log": {"format": "json"},
            "upstream": {"url": gateway.mcp_url, "allowPrivate": True},
            "tokens": tokens,
            "issuer": {"scopes": ["mcp/invoke"], "connectors": [idp.connector(**connector or {})]} | (issuer or {}),
        } | (facade or {})
        _write_keyring(directory)
        replicas = [stack.enter_context(_replica(directory, document, number)) for number in range(REPLICAS)]
        gateway.wait()
        for replica in replicas:
            replica.wait()
        proxy = stack.enter_context(alternating(port, [replica.port for replica in replicas]))
        yield FacadeRig(directory=directory, tokens=tokens, idp=idp, gateway=gateway, proxy=proxy, replicas=replicas)


def _write_keyring(directory: Path) -> None:
    file = directory / "keyring"
    file.write_text(generate_line("k1") + "\n")
    file.chmod(0o600)
    (directory / "keys.yaml").write_text(f"keyring: {file}\n")  # `portico keyring` asks a file where the keys are


@contextlib.contextmanager
def _replica(directory: Path, document: dict[str, Any], number: int) -> Generator[Replica]:
    port = free_port()
    config, log = directory / f"facade{number}.yaml", directory / f"facade{number}.log"
    config.write_text(yaml.safe_dump(document | {"listen": f"127.0.0.1:{port}"}))
    with log.open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "portico", "facade", "--config", str(config)],
            stdout=told,
            stderr=subprocess.STDOUT,
            env=_environment(),
        )
    with stopped(process):
        yield Replica(port=port, process=process, log=log)


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("PORTICO_")}
