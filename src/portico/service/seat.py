"""Where a process stands: alone, or as one of several workers; where it keeps its journal and where others reach it."""

import socket
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from portico.service.process_settings import Listen, ProcessSettings

JOURNAL_DIRECTORY: Final = "journal"  #: below the data directory
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """The place of one process that serves."""

    name: str  #: of its audit chain
    journal: Path  #: directory
    journal_max: int  #: bytes
    url: str  #: where other replicas reach its internal endpoint; empty when they do not
    alone: bool  #: prepares the database and follows the file itself; workers have a supervisor who does


def seat_alone(process: ProcessSettings, admin: socket.socket | None) -> Seat:
    """Return the place of a process without siblings, whose administrator's address is bound to ``admin``."""
    if admin is None:
        url = ""
    elif process.advertise_url:
        url = process.advertise_url
    else:
        host, port = admin.getsockname()[:2]
        url = "" if ip_address(host).is_unspecified else f"http://{Listen(host=host, port=port)}"
    return Seat(
        name=socket.gethostname(),
        journal=process.data_dir / JOURNAL_DIRECTORY,
        journal_max=process.journal_max,
        url=url,
        alone=True,
    )


def seat_of_worker(process: ProcessSettings, number: int, internal: socket.socket) -> Seat:
    """Return the place of the worker with journal ``number``, whose own internal address is bound to ``internal``."""
    host, port = internal.getsockname()[:2]
    scheme = "http"
    if process.advertise_url:
        parts = urlsplit(process.advertise_url)
        scheme, host = parts.scheme, parts.hostname or host
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Seat(
        name=f"{socket.gethostname()[:32]}-{number}",
        journal=process.data_dir / JOURNAL_DIRECTORY / str(number),
        journal_max=process.journal_max // process.workers,
        url=f"{scheme}://{authority}",
        alone=False,
    )


def internal_listen(process: ProcessSettings) -> Listen:
    """Return where a worker listens for other replicas: on a port of its own beside ``admin_listen``.

    On loopback, for its siblings alone, when others could not be told how to reach it.
    """
    admin = process.admin_listen
    if admin is None or (ip_address(admin.host).is_unspecified and not process.advertise_url):
        return Listen(host=LOOPBACK, port=0)
    return Listen(host=admin.host, port=0)
