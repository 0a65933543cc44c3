"""What holds for both kinds of database."""

import asyncio
import gc
import sys

import pytest

from portico.model.errors import Conflict, StorageUnavailable
from portico.storage import counters, engine, postgresql, sqlite, users
from portico.storage.engine import Database
from portico.storage.migrate import migrate
from portico.storage.users import UserRow
from support.outage import writes_locked

BOUND = 30.0


async def test_a_write_commits_and_a_failed_one_leaves_nothing(database):
    async with database.write() as conn:
        assert await counters.bump(conn, "revocations") == 1

    async def fails():
        async with database.write() as conn:
            assert await counters.bump(conn, "revocations") == 2
            raise LookupError

    with pytest.raises(LookupError):
        await fails()
    async with database.read() as conn:
        assert await counters.read_all(conn) == {"revocations": 1}


async def test_a_reader_sees_one_state_while_a_writer_goes_on(database):
    async with database.read() as reader:
        assert await counters.read_all(reader) == {}
        async with database.write() as writer:
            await counters.bump(writer, "gateway/a")
        assert await counters.read_all(reader) == {}
    async with database.read() as reader:
        assert await counters.read_all(reader) == {"gateway/a": 1}


async def test_writers_take_turns_and_none_is_refused(database):
    async def write():
        async with database.write() as conn:
            await counters.bump(conn, "gateway/a")

    await asyncio.gather(*(write() for _ in range(100)))
    async with database.read() as conn:
        assert await counters.read_all(conn) == {"gateway/a": 100}


async def test_a_patient_writer_outlasts_a_lock_that_others_give_up_at(url, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.1)
    monkeypatch.setattr(postgresql, "LOCK_TIMEOUT", 0.1)
    await migrate(url)
    database = await Database.open(url)

    async def bump(*, patient):
        async with database.write(patient=patient) as conn:
            return await counters.bump(conn, "gateway/a")

    async with asyncio.timeout(BOUND):
        async with writes_locked(url):
            waiting = asyncio.create_task(bump(patient=True))
            for _ in range(3):  # each of them gives up meanwhile
                with pytest.raises(StorageUnavailable):
                    await bump(patient=False)
            assert not waiting.done()
        assert await waiting == 1
        monkeypatch.setattr(engine, "PATIENCE", 0.3)
        async with writes_locked(url):
            with pytest.raises(StorageUnavailable):
                await bump(patient=True)
    await database.aclose()


@pytest.mark.usefixtures("gives_up_on_locks")
@pytest.mark.parametrize("blows", [1, 2])
async def test_a_write_that_is_cancelled_at_any_moment_holds_nobody_up(database, blows):
    async def write():
        async with database.write(shared=True) as conn:
            await counters.bump(conn, "gateway/a")

    gc.collect()
    gc.disable()  # what only the collector would free stays held
    try:
        for turns in range(60):
            task = asyncio.create_task(write())
            for _ in range(turns):
                await asyncio.sleep(0.0002)
            for _ in range(blows):
                task.cancel()
                await asyncio.sleep(0)
            await asyncio.gather(task, return_exceptions=True)
            await write()
    finally:
        gc.enable()
    async with database.read() as conn:
        assert 60 <= (await counters.read_all(conn))["gateway/a"] <= 120


@pytest.mark.case("H10")
async def test_errors_never_hold_the_values_of_a_statement(database):
    row = UserRow(
        issuer="main", subject="s", name="n", password_hash="canary-hash", password_changed_at=1, created_at=1
    )
    async with database.write() as conn:
        await users.add(conn, row)
    with pytest.raises(Conflict) as caught:
        async with database.write() as conn:
            await users.add(conn, row)
    error, seen = caught.value, ""
    while error is not None:
        seen += repr(error) + str(error)
        error = error.__cause__ or error.__context__
    assert "canary-hash" not in seen


async def test_cancelled_transactions_leave_no_lock_and_no_connection_behind(database):
    async def write(started):
        async with database.write() as conn:
            await counters.bump(conn, "gateway/cancelled")
            started.set()
            await asyncio.Event().wait()

    for _ in range(30):
        started = asyncio.Event()
        task = asyncio.create_task(write(started))
        await asyncio.wait_for(started.wait(), BOUND)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    tasks = [asyncio.create_task(write(asyncio.Event())) for _ in range(20)]
    await asyncio.sleep(0)  # some wait for the lock, one is inside of BEGIN
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with database.write() as conn:
        await counters.bump(conn, "gateway/a")
    async with database.read() as conn:
        assert await counters.read_all(conn) == {"gateway/a": 1}
    assert database._engine.pool.checkedout() == 0


WRITER = """
import asyncio, sys
from portico.storage import counters
from portico.storage.engine import Database

async def main():
    database = await Database.open(sys.argv[1])
    while True:
        async with database.write() as conn:
            value = await counters.bump(conn, "gateway/a")
        print(value, flush=True)

asyncio.run(main())
"""


async def test_an_acknowledged_write_survives_kill_9(database, url):
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, url, stdout=asyncio.subprocess.PIPE)
    lines = [await asyncio.wait_for(child.stdout.readline(), BOUND) for _ in range(20)]
    child.kill()
    lines += (await child.stdout.read()).splitlines()
    await child.wait()
    async with database.write() as conn:
        assert await counters.bump(conn, "gateway/a") > max(int(line) for line in lines if line.strip())
