import asyncio

import pytest

from control.house import gateway, issuer, target
from portico.control import pruning, targets
from portico.control.jobs import Again, JobWorker
from portico.control.sync import Synchronizer
from portico.model.documents import load_eras
from portico.model.target import EraTools, Tool
from portico.storage import counters, jobs
from portico.storage import targets as target_rows
from portico.targets.discovery import Discovery

BOUND = 30.0  #: seconds


def tools(era, *names):
    made = tuple(Tool(name=name, definition=b'{"name":"%s","inputSchema":{}}' % name.encode()) for name in names)
    return EraTools(era=era, version="2025-11-25" if era == "legacy" else "2026-07-28", tools=made)


class Discoverer:
    """Answers with what it is told to."""

    def __init__(self):
        self.found = Discovery(eras=(), reasons=("The server cannot be reached.",))
        self.asked = []
        self.hold = None

    async def __call__(self, asked):
        self.asked.append(asked)
        if self.hold is not None:
            await self.hold.wait()
        return self.found


@pytest.fixture
async def house(applied, database):
    await applied(issuers=[issuer(users=[], clients=[])], gateways=[gateway(targets=[target()])])
    return database


@pytest.fixture
def discoverer():
    return Discoverer()


@pytest.fixture
async def worker(house, discoverer, clock):
    synchronizer = Synchronizer(house, discoverer, clock=clock)
    worker = JobWorker(house, {targets.SYNC_JOB: synchronizer.run}, owner="test", clock=clock)
    task = asyncio.create_task(worker.run())
    yield worker
    task.cancel()
    await asyncio.wait({task})


async def row_of(database):
    async with database.read() as conn:
        [row] = await target_rows.list_all(conn)
    return row


async def until(condition, worker):
    async with asyncio.timeout(BOUND):
        while not await condition():
            worker.wake()
            await asyncio.sleep(0.01)


async def test_a_new_target_becomes_ready_with_its_tools_and_the_gateway_is_told(worker, house, discoverer, clock):
    discoverer.found = Discovery(eras=(tools("legacy", "a", "b"),), reasons=())

    async def ready():
        return (await row_of(house)).status == "READY"

    await until(ready, worker)
    row = await row_of(house)
    assert [tool.name for entry in load_eras(row.eras) for tool in entry.tools] == ["a", "b"]
    assert row.synchronized_at == int(clock.now)
    async with house.read() as conn:
        assert (await counters.read_all(conn))[f"gateway/{row.gateway_id}"] > 1


async def test_a_target_that_cannot_be_reached_fails_with_its_reasons_and_is_tried_again_later(
    worker, house, discoverer, clock
):
    async def status(wanted):
        return (await row_of(house)).status == wanted

    await until(lambda: status("FAILED"), worker)
    assert (await row_of(house)).status_reasons == ("The server cannot be reached.",)
    discoverer.found = Discovery(eras=(tools("modern", "a"),), reasons=())
    clock.now += 400
    await until(lambda: status("READY"), worker)


async def test_the_last_good_tools_stay_when_a_later_synchronization_fails(worker, house, discoverer, clock):
    async def status(wanted):
        return (await row_of(house)).status == wanted

    discoverer.found = Discovery(eras=(tools("legacy", "a"),), reasons=())
    await until(lambda: status("READY"), worker)
    discoverer.found = Discovery(eras=(), reasons=("It is down.",))
    await targets.synchronize_all(house, now=clock.now)
    await until(lambda: status("SYNCHRONIZE_UNSUCCESSFUL"), worker)
    assert [entry.era for entry in load_eras((await row_of(house)).eras)] == ["legacy"]


async def test_an_era_that_could_not_be_judged_keeps_its_last_good_tools(worker, house, discoverer, clock):
    async def eras(wanted):
        row = await row_of(house)
        return row.eras is not None and {entry.era for entry in load_eras(row.eras)} == wanted

    discoverer.found = Discovery(eras=(tools("legacy", "a"), tools("modern", "a")), reasons=())
    await until(lambda: eras({"legacy", "modern"}), worker)
    discoverer.found = Discovery(eras=(tools("modern", "b"),), reasons=("503",), undecided=frozenset({"legacy"}))
    await targets.synchronize_all(house, now=clock.now)

    async def has_b():
        stored = load_eras((await row_of(house)).eras)
        return {(entry.era, entry.tools[0].name) for entry in stored} == {("modern", "b"), ("legacy", "a")}

    await until(has_b, worker)


async def test_what_was_found_for_an_older_document_is_thrown_away_and_found_anew(
    applied, worker, house, discoverer, clock
):
    discoverer.hold = asyncio.Event()
    discoverer.found = Discovery(eras=(tools("legacy", "old"),), reasons=())

    async def asked(times):
        return len(discoverer.asked) == times

    await until(lambda: asked(1), worker)
    await applied(
        issuers=[issuer(users=[], clients=[])],
        gateways=[gateway(targets=[target(**{"x-portico": {"era": "legacy"}})])],
    )
    await until(lambda: asked(2), worker)
    discoverer.found = Discovery(eras=(tools("legacy", "new"),), reasons=())
    discoverer.hold.set()

    async def ready():
        return (await row_of(house)).status == "READY"

    await until(ready, worker)
    assert [tool.name for entry in load_eras((await row_of(house)).eras) for tool in entry.tools] == ["new"]
    assert discoverer.asked[1].era == "legacy"


async def test_a_handler_that_crashes_does_not_stop_the_worker(house, clock):
    ran = []

    async def crash(job):
        ran.append(job.key)
        raise ValueError("a bug")

    async def fine(job):
        ran.append(job.key)
        return Again(seconds=1000)

    async with house.write() as conn:
        await jobs.put(conn, "crash", "one", clock.now)
        await jobs.put(conn, "fine", "two", clock.now + 1)
    worker = JobWorker(house, {"crash": crash, "fine": fine}, owner="test", clock=clock)
    task = asyncio.create_task(worker.run())

    async def both():
        clock.now += 1
        return {"one", "two"} <= set(ran)

    await until(both, worker)
    assert not task.done()
    task.cancel()
    await asyncio.wait({task})


async def test_what_is_over_is_forgotten_and_the_next_run_is_asked_for(house, clock):
    await pruning.arm(house, now=clock.now)
    again = await pruning.Pruner(house, clock=clock).run(None)
    assert again.seconds == pruning.PRUNE_SECONDS
