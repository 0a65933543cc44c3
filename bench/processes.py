"""Processes under measurement: each tied to cores, its output in a log file, stopped at the end."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
START_SECONDS = 90.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.1
SHOWN_LOG_CHARS = 4000


class NotStarted(Exception):
    """A process did not come up; the text says why and ends with its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Which cores the servers under test have, and which stub and load generator."""

    server: tuple[int, ...]
    load: tuple[int, ...]

    @classmethod
    def of_this_machine(cls, *, servers: int = 1) -> "Cores":
        """Return one core per server process when one is left for the load then; else the servers share one."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise SystemExit("two cores are needed: one for the server under test, one for load and stub")
        count = servers if len(cores) > servers else 1
        return cls(server=tuple(cores[:count]), load=tuple(cores[-1:]))


@contextlib.contextmanager
def running(
    command: Sequence[str], *, cores: Sequence[int], log: Path, env: Mapping[str, str] | None = None
) -> Generator[psutil.Process]:
    """Run a command on some cores, outside of our own environment's PORTICO_*; what it prints goes to ``log``."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PORTICO_")}
    listed = ",".join(str(core) for core in cores)
    with log.open("wb") as output:
        child = subprocess.Popen(
            ["taskset", "-c", listed, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**clean, **(env or {})},
        )
        try:
            yield psutil.Process(child.pid)
        finally:
            child.terminate()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def wait_for_port(port: int, process: psutil.Process, log: Path) -> None:
    def listens() -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        return False

    wait_until(listens, process, log, f"listens on port {port}")


def wait_until(
    condition: Callable[[], object], process: psutil.Process, log: Path, what: str, *, seconds: float = START_SECONDS
) -> None:
    """Wait for a condition, as long as the process lives.

    Raises:
        NotStarted: it has ended, or time is up.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        dead = not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        if dead or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-SHOWN_LOG_CHARS:]
            raise NotStarted(f"{log.stem}: not true {'before it ended' if dead else 'in time'}: {what}\n{tail}")
        time.sleep(POLL_SECONDS)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in held]
