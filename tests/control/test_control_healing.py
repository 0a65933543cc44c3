"""A target that turned out to speak another era leaves a job that reads it anew."""

import asyncio

import pytest

from portico.control.healing import Healer
from portico.control.targets import SYNC_JOB
from portico.model.errors import StorageUnavailable
from portico.storage import jobs

BOUND = 30.0


class Away:
    """A database that is away at first."""

    def __init__(self, database):
        self.database = database
        self.asked = 0

    def write(self):
        self.asked += 1
        if self.asked == 1:
            raise StorageUnavailable("away")
        return self.database.write()


@pytest.fixture
async def healer_of():
    tasks = []

    def start(database):
        healer = Healer(database, clock=lambda: 1000.0)
        tasks.append(asyncio.create_task(healer.run()))
        return healer

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def jobs_of(database, count):
    async with asyncio.timeout(BOUND):
        while True:
            async with database.write() as conn:
                found = await jobs.lease(conn, "test", 2000.0, 0.0, 10)
            if len(found) == count:
                return [(job.kind, job.key, job.run_at) for job in found]
            await asyncio.sleep(0.01)


async def test_each_target_that_is_named_gets_one_job(database, healer_of):
    healer = healer_of(database)
    for target in ("t1", "t2", "t1"):
        healer.ask(target)
    assert sorted(await jobs_of(database, 2)) == [(SYNC_JOB, "t1", 1000.0), (SYNC_JOB, "t2", 1000.0)]
    healer.ask("t3")
    assert len(await jobs_of(database, 3)) == 3


async def test_a_database_that_is_away_is_waited_for(database, healer_of, monkeypatch):
    monkeypatch.setattr("portico.control.healing.RETRY_SECONDS", 0.01)
    healer_of(Away(database)).ask("t1")
    assert await jobs_of(database, 1) == [(SYNC_JOB, "t1", 1000.0)]
