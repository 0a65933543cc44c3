"""Checking passwords without stopping the event loop: Argon2id in a thread, few at once."""

import asyncio
from typing import Final

from portico.crypto.passwords import DECOY_HASH, verify_password
from portico.model.errors import LimitExceeded

CONCURRENT_CHECKS: Final = 2  #: each takes some 150 ms of four lanes and 64 MiB
WAITING_CHECKS: Final = 32  #: beyond that a login is refused rather than queued for many seconds


class PasswordCheck:
    """Verifies passwords, bounded in number."""

    def __init__(self, *, concurrent: int = CONCURRENT_CHECKS, waiting: int = WAITING_CHECKS) -> None:
        self._running = asyncio.Semaphore(concurrent)
        self._places = concurrent + waiting
        self._taken = 0

    async def verify(self, stored: str | None, password: str) -> bool:
        """Say whether ``password`` fits; for an unknown user (None) the same time passes before the answer is no.

        Raises:
            LimitExceeded: too many logins are being checked already.
        """
        if self._taken >= self._places:
            raise LimitExceeded("Too many people are logging in at this moment; try again in a few seconds.")
        self._taken += 1
        try:
            async with self._running:
                fits = await asyncio.to_thread(verify_password, stored or DECOY_HASH, password)
        finally:
            self._taken -= 1
        return fits and stored is not None
