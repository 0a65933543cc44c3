"""Many requests at once: each timed, from addresses of their own, on the load's core."""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field

import httpx2

TIMEOUT = 60.0


@dataclass(slots=True)
class Timed:
    """How long each of many requests took, and what they were answered with."""

    seconds: list[float] = field(default_factory=list[float])
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    refused: int = 0  #: with 429
    wrong: int = 0  #: anything else that was not expected

    def row(self, what: str, count: str) -> str:
        ranked = sorted(self.seconds) or [0.0]
        rate = len(self.seconds) / max(self.ended - self.began, 1e-9)
        shown = [_ms(ranked[len(ranked) // 2]), _ms(ranked[int(len(ranked) * 0.99)]), _ms(ranked[-1])]
        return f"| {what} | {count} | {rate:,.1f} | {' | '.join(shown)} | {self.refused} | {self.wrong} |"


HEADER = "| what | at once | per second | p50 ms | p99 ms | longest ms | refused (429) | errors |\n" + "|---" * 8 + "|"


Step = Callable[[], Awaitable[tuple[float, int]]]


def client_at(number: int) -> httpx2.AsyncClient:
    """Return a client that comes from an address of its own."""
    transport = httpx2.AsyncHTTPTransport(local_address=f"127.1.{number >> 8}.{number & 255}")
    return httpx2.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False)


@contextlib.contextmanager
def pinned(cores: Sequence[int]) -> Generator[None]:
    """Run the block on the load's cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def timed(work: Awaitable[httpx2.Response], *, expected: int = 0) -> tuple[float, int]:
    """Return how long a request took, and its status (200 for the ``expected`` one)."""
    began = time.monotonic()
    answer = await work
    return time.monotonic() - began, 200 if answer.status_code == expected else answer.status_code


async def closed_loop(steps: Sequence[Step], seconds: float) -> Timed:
    """Let each step follow itself until the time is over."""
    until = time.monotonic() + seconds
    return await _all(steps, lambda: time.monotonic() < until)


async def counted(steps: Sequence[Step], count: int) -> Timed:
    """Let the steps follow themselves until they were done ``count`` times together."""
    left = itertools.repeat(None, count)
    return await _all(steps, lambda: next(left, False) is None)


async def _all(steps: Sequence[Step], more: Callable[[], bool]) -> Timed:
    seen = Timed()

    async def follow(step: Step) -> None:
        while more():
            note(seen, *await step(), expected=200)

    await asyncio.gather(*map(follow, steps))
    seen.ended = time.monotonic()
    return seen


def note(seen: Timed, taken: float, status: int, *, expected: int) -> None:
    """Count one answer; of those that were not expected the time does not count."""
    if status == expected:
        seen.seconds.append(taken)
    elif status == 429:
        seen.refused += 1
    else:
        seen.wrong += 1


def merged(parts: Sequence[Timed]) -> Timed:
    """Return several as one."""
    return Timed(
        seconds=[taken for part in parts for taken in part.seconds],
        began=min(part.began for part in parts),
        ended=max(part.ended for part in parts),
        refused=sum(part.refused for part in parts),
        wrong=sum(part.wrong for part in parts),
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f}"
