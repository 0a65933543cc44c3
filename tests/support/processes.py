"""Processes that tests start and end."""

import contextlib
import subprocess
from collections.abc import Generator

STOP_SECONDS = 10.0


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
