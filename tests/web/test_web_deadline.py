"""The deadline that is armed only when something really waits."""

import asyncio

import pytest

from portico.web.deadline import within


async def test_what_is_over_at_once_gives_its_value_and_arms_no_timer(monkeypatch):
    monkeypatch.setattr(asyncio, "timeout", None)

    async def ready():
        return 42

    assert await within(1, ready()) == 42


async def test_what_waits_gives_its_value():
    async def later():
        await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        return "done"

    assert await within(10, later()) == "done"


async def test_what_takes_too_long_is_cancelled_and_cleans_up():
    ended = []

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(TimeoutError):
        await within(0.01, forever())
    assert ended == [True]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.parametrize("waits", [False, True])
async def test_its_own_error_comes_through(waits):
    async def failing():
        if waits:
            await asyncio.sleep(0)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await within(1, failing())


async def test_a_cancellation_from_outside_reaches_it_and_goes_on():
    seen = []

    async def work():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("inside")
            raise

    task = asyncio.ensure_future(within(60, work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["inside"]


async def test_it_may_swallow_an_error_and_wait_again():
    async def stubborn():
        for _ in range(3):
            try:
                await asyncio.wait_for(asyncio.Event().wait(), 0.001)
            except TimeoutError:
                continue
        return "in the end"

    assert await within(10, stubborn()) == "in the end"
