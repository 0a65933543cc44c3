"""Checking passwords without stopping anything else: Argon2id in few threads of its own, a short queue before them.

Whoever floods the login page gets 429, not a place in a queue of minutes: the queue is short, and one address has a
small part of it, so that others find a place. The threads step back for the one that serves: a check takes a core for
some 150 ms, in which calls must go on.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from portico.crypto.passwords import DECOY_HASH, verify_password
from portico.issuer.throttle import network_of
from portico.model.errors import LimitExceeded

CONCURRENT_CHECKS: Final = 2  #: each takes some 150 ms of four lanes and 64 MiB
WAITING_CHECKS: Final = 32  #: beyond that a login is refused rather than queued for many seconds
CHECKS_OF_ONE_ADDRESS: Final = 8  #: running and waiting; an office behind one address logs in a few at once
RETRY_SECONDS: Final = 3.0  #: until a full queue is through
NICENESS: Final = 10  #: of the threads that hash, in the scheduler's steps


class PasswordCheck:
    """Verifies passwords, bounded in number. Lives on one event loop."""

    def __init__(
        self,
        *,
        concurrent: int = CONCURRENT_CHECKS,
        waiting: int = WAITING_CHECKS,
        of_one: int = CHECKS_OF_ONE_ADDRESS,
    ) -> None:
        """Take how many run at once, how many wait, and how many of both one address may have."""
        self._threads = ThreadPoolExecutor(concurrent, thread_name_prefix="password", initializer=_step_back)
        self._places = concurrent + waiting
        self._of_one = of_one
        self._taken: Counter[str] = Counter()

    @property
    def under_way(self) -> int:
        """How many checks run or wait."""
        return self._taken.total()

    async def verify(self, stored: str | None, password: str, *, address: str = "") -> bool:
        """Say whether ``password`` fits; for an unknown user (None) the same time passes before the answer is no.

        Raises:
            LimitExceeded: too many logins are being checked already, of all or of this address.
        """
        network = network_of(address)
        if self.under_way >= self._places or self._taken[network] >= self._of_one:
            raise LimitExceeded(
                "Too many people are logging in at this moment; try again in a few seconds.", retry_after=RETRY_SECONDS
            )
        self._taken[network] += 1
        job = self._threads.submit(verify_password, stored or DECOY_HASH, password)
        loop = asyncio.get_running_loop()
        # The place is given back when the thread is done: whoever stops waiting does not stop the hashing.
        job.add_done_callback(lambda _: self._done(loop, network))
        return await asyncio.wrap_future(job) and stored is not None

    def close(self) -> None:
        """Check nothing more; what runs ends by itself. Idempotent."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, loop: asyncio.AbstractEventLoop, network: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._give_back, network)

    def _give_back(self, network: str) -> None:
        self._taken[network] -= 1
        if self._taken[network] <= 0:
            del self._taken[network]


def _step_back() -> None:
    """Let the thread that serves run first; the lanes of Argon2 are threads that inherit it.

    Only Linux has a niceness per thread: elsewhere it is that of the process, which must stay as it is.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
