"""The kills of a soak test: the tests that kill a process with -9 in the middle of its changes, many more times.

They say themselves what must be there afterwards (tests/control/test_control_kills.py, through the operations, and
tests/service/test_service_kills.py, over HTTP); each kills as often on SQLite as on PostgreSQL.
"""

import os
import subprocess
import sys
from dataclasses import dataclass

from processes import ROOT

TESTS = ("tests/control/test_control_kills.py", "tests/service/test_service_kills.py")
SERVED_SHARE = 10  #: one kill over HTTP to as many through the operations: each waits for a process to start again
SHOWN_CHARS = 6000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kills:
    """What became of them."""

    count: int  #: on each database, through the operations
    served: int  #: on each database, over HTTP
    output: str  #: of the tests, when they failed

    def line(self) -> str:
        """Return the report's sentence."""
        verdict = "SOMETHING WAS LOST" if self.output else "nothing acknowledged was lost"
        kinds = f"{self.count} through the operations, {self.served} over HTTP"
        return f"before the load, kill -9 in the middle of changes on each database, {kinds}: {verdict}"


def run_kills(count: int) -> Kills:
    """Kill processes ``count`` times on each database, and some over HTTP beside."""
    served = max(count // SERVED_SHARE, 1)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS],
        cwd=ROOT,
        env={**os.environ, "PORTICO_KILLS": str(count), "PORTICO_KILLS_SERVED": str(served)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Kills(count=count, served=served, output="" if done.returncode == 0 else done.stdout[-SHOWN_CHARS:])
