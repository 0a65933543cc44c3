"""How long a call waits, and how long a connection rests."""

from dataclasses import dataclass
from typing import Final

CLOCK_GRAIN: Final = 0.001  #: seconds; libuv rounds its timers
KEEP_ALIVE: Final = 4.0  #: seconds an idle connection is kept; uvicorn and Node.js close theirs after 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Deadlines of one call, in seconds."""

    connect: float = 5.0  #: name, connection, proxy and TLS together, waiting for a free connection included
    first_byte: float = 60.0  #: from the request to the complete head of the answer
    idle: float = 60.0  #: without a byte of a body that somebody waits for
    total: float = 300.0  #: everything, streams included


def keep_alive_of(value: bytes) -> float:
    """Read ``Keep-Alive: timeout=5``: a second less than the server promises, never longer than ours."""
    for part in value.split(b","):
        key, _, seconds = part.strip().partition(b"=")
        if key.lower() == b"timeout" and seconds.isdigit() and len(seconds) < 6:  # noqa: PLR2004 - fits a day
            return max(0.0, min(KEEP_ALIVE, int(seconds) - 1.0))
    return KEEP_ALIVE
