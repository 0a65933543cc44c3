"""The demo's data directory: one demo at a time, secrets that stay the same, and `demo.json`."""

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from portico.cli.keyring import make_keyring_file
from portico.cli.private_file import PRIVATE_DIRECTORY, write_private
from portico.control.secrets import new_access_key_id, new_secret_access_key
from portico.model.errors import Conflict, PorticoError
from portico.model.secret import Secret

CONFIG_FILE: Final = "portico.yaml"
FACTS_FILE: Final = "demo.json"
KEYRING_FILE: Final = "keyring"
PASSWORD_FILE: Final = "user-password"  # noqa: S105  # a file's name
MACHINE_SECRET_FILE: Final = "machine-secret"  # noqa: S105  # likewise
ACCESS_KEY_FILE: Final = "access-key-id"
SECRET_ACCESS_KEY_FILE: Final = "secret-access-key"  # noqa: S105  # likewise
LOCK_FILE: Final = "demo.lock"
PASSWORD_BYTES: Final = 12  #: of randomness
MACHINE_SECRET_BYTES: Final = 32  #: likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An opened data directory; locked while ``lock`` is open."""

    directory: Path
    password: Secret
    machine_secret: Secret
    access_key_id: str
    secret_access_key: Secret
    lock: int

    @property
    def config(self) -> Path:
        """The configuration file that the demo writes."""
        return self.directory / CONFIG_FILE

    @property
    def facts(self) -> Path:
        """The file that says that the demo is ready, and how to use it."""
        return self.directory / FACTS_FILE

    def write_facts(self, facts: dict[str, object]) -> None:
        """Write ``demo.json`` in one step: who sees it finds a demo that is ready."""
        write_private(self.facts, json.dumps(facts, indent=2) + "\n")

    def close(self) -> None:
        """Let another demo use the directory."""
        os.close(self.lock)


def open_place(directory: Path) -> Place:
    """Make or open the data directory; keys and secrets of an earlier start are kept.

    Raises:
        PorticoError: it cannot be written, or another demo uses it.
    """
    try:
        directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        lock = _lock(directory)
        (directory / FACTS_FILE).unlink(missing_ok=True)  # nobody may take the last start's for this one's
        if not (directory / KEYRING_FILE).exists():
            make_keyring_file(directory / KEYRING_FILE)
        return Place(
            directory=directory,
            password=_kept(directory / PASSWORD_FILE, lambda: secrets.token_urlsafe(PASSWORD_BYTES)),
            machine_secret=_kept(directory / MACHINE_SECRET_FILE, lambda: secrets.token_urlsafe(MACHINE_SECRET_BYTES)),
            access_key_id=_kept(directory / ACCESS_KEY_FILE, new_access_key_id).reveal(),
            secret_access_key=_kept(directory / SECRET_ACCESS_KEY_FILE, lambda: new_secret_access_key().reveal()),
            lock=lock,
        )
    except OSError as error:
        raise PorticoError(
            f"{directory} cannot be written ({error.strerror}); choose another with --data-dir."
        ) from error


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def require_free(port: int) -> None:
    """Make sure that we can listen on ``port``.

    Raises:
        Conflict: somebody does already, or it may not be used.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Conflict(
                f"Port {port} cannot be used ({error.strerror}). "
                f"Stop what listens there, or choose another: portico demo --port {free_port()}"
            ) from error


def _lock(directory: Path) -> int:
    lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise Conflict(f"Another demo uses {directory}. Stop it, or choose another with --data-dir.") from error
    return lock


def _kept(file: Path, make: Callable[[], str]) -> Secret:
    if not file.exists():
        write_private(file, make())
    return Secret(file.read_text().strip())
