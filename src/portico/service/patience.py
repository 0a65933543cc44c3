"""One timer for all that a connection waits for, one thing at a time.

Arming and disarming a timer for every phase of every request costs microseconds of each. Here only the deadline moves;
the timer goes off where it was set, looks whether there is still something to wait for, and is set again if so.
"""

import asyncio
from collections.abc import Callable
from typing import Final

NEVER: Final = float("inf")


class Patience:
    """Calls back when what is waited for did not happen in time."""

    __slots__ = ("_callback", "_deadline", "_loop", "_timer", "_timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._deadline = NEVER
        self._callback: Callable[[], None] | None = None

    @property
    def waits(self) -> bool:
        """Whether something is waited for."""
        return self._deadline != NEVER

    def expect(self, seconds: float, too_late: Callable[[], None]) -> None:
        """Have ``too_late`` called after ``seconds`` unless something else is said before; replaces what was said."""
        self._callback = too_late
        self._deadline = self._loop.time() + seconds
        if self._timer_at > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._set()

    def forget(self) -> None:
        """Wait for nothing; the timer stays where it is."""
        self._deadline = NEVER

    def close(self) -> None:
        """Leave no timer behind."""
        self.forget()
        if self._timer is not None:
            self._timer.cancel()

    def _set(self) -> None:
        self._timer_at = self._deadline
        self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._timer, self._timer_at = None, NEVER
        if self._deadline == NEVER:
            return
        if self._loop.time() < self._deadline:
            self._set()
        elif self._callback is not None:
            self.forget()
            self._callback()
