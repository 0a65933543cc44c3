"""A deadline that costs nothing when there is nothing to wait for.

``asyncio.timeout`` arms and disarms a timer each time, a few microseconds. On the call path most awaits are over at
once: the body is there, the socket takes the answer. Here the first step is taken without a timer, and only what
really waits is bounded.
"""

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


async def within(seconds: float, awaitable: Awaitable[T]) -> T:
    """Await ``awaitable`` for at most ``seconds``.

    Raises:
        TimeoutError: it took longer; it was cancelled.
    """
    steps = awaitable.__await__()
    try:
        first = next(steps)
    except StopIteration as done:
        return done.value
    async with asyncio.timeout(seconds):
        return await _Rest(steps, first)


class _Rest(Generic[T]):
    """What is left of an awaitable that took its first step and waits for ``first``."""

    __slots__ = ("_first", "_steps")

    def __init__(self, steps: Generator[Any, Any, T], first: object) -> None:
        self._steps = steps
        self._first = first

    def __await__(self) -> Generator[Any, Any, T]:
        waits_for = self._first
        while True:
            try:
                try:
                    sent = yield waits_for
                except BaseException as error:  # noqa: BLE001 - handed on to whom it is for
                    waits_for = self._steps.throw(error)
                else:
                    waits_for = self._steps.send(sent)
            except StopIteration as done:
                return done.value
