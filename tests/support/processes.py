"""Processes that tests start and end."""

import contextlib
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import httpx2

START_SECONDS = 90.0  #: bound for a cold start on a busy machine
STOP_SECONDS = 30.0


@contextlib.contextmanager
def stopped(process: "subprocess.Popen[bytes]") -> Generator[None]:
    """End a process when the block ends: politely first."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def wait_until_it_answers(process: "subprocess.Popen[bytes]", url: str, status: int, log: Path) -> None:
    """Wait until a POST to ``url`` is answered with ``status``."""
    deadline = time.monotonic() + START_SECONDS
    with httpx2.Client(trust_env=False, timeout=START_SECONDS) as http:
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            with contextlib.suppress(httpx2.HTTPError):
                if http.post(url).status_code == status:
                    return
            time.sleep(0.05)
