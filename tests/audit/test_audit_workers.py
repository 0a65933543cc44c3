"""Several journals below one directory: those of workers, and of a process that served alone before."""

import pytest

from portico.audit.journal import Journal
from portico.audit.leftovers import ship_leftovers
from portico.audit.read import list_records
from portico.audit.segments import journal_directories
from portico.audit.verify import verify
from portico.storage import audit
from portico.storage.audit import Filters

LINES = 3


@pytest.fixture
def left(directory, clock, make_call):
    """Journals of a process alone and of three workers, each with some lines that were never shipped."""
    for place in (directory, directory / "1", directory / "2", directory / "10"):
        journal = Journal(place, writer="host", clock=clock)
        for number in range(LINES):
            journal.append(make_call(number))
        journal.close()
    (directory / "notes").mkdir()
    return directory


async def in_database(database):
    async with database.read() as conn:
        return len(await audit.writers(conn))


async def test_readers_see_all_of_them(left, database, keyring):
    assert [path.name for path in journal_directories(left)] == [left.name, "1", "2", "10"]
    assert len(await list_records(database, Filters(), limit=100, directory=left)) == 4 * LINES
    report = await verify(database, keyring, directory=left)
    assert report.intact
    assert [writer.lines for writer in report.writers] == [LINES] * 4


async def test_a_fault_in_any_of_them_is_found(left, database, keyring):
    [segment] = (left / "2").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"u-ada", b"u-eve", 1))
    report = await verify(database, keyring, directory=left)
    assert [len(writer.faults) for writer in report.writers].count(0) == 3


async def test_what_nobody_writes_is_shipped_and_what_somebody_writes_is_left(left, database, keyring, clock):
    alive = Journal(left / "2", writer="host", clock=clock)
    await ship_leftovers(left, database, keyring, used={left / "1"})
    assert await in_database(database) == 2
    alive.close()
    await ship_leftovers(left, database, keyring, used=())
    assert await in_database(database) == 4
    report = await verify(database, keyring, directory=left)
    assert report.intact
    assert all(writer.signed == writer.last for writer in report.writers)


async def test_a_journal_that_the_caller_holds_is_shipped_too(left, database, keyring, clock):
    held = Journal(left, writer="host", clock=clock)
    await ship_leftovers(left, database, keyring, used=())
    assert await in_database(database) == 3
    await ship_leftovers(left, database, keyring, used=(), locked={left})
    assert await in_database(database) == 4
    held.close()


async def test_a_worker_that_recorded_nothing_is_intact(directory, database, keyring, clock):
    Journal(directory / "1", writer="host", clock=clock).close()
    await ship_leftovers(directory, database, keyring, used=())
    assert (await verify(database, keyring, directory=directory)).intact
    assert await list_records(database, Filters(), limit=10, directory=directory) == []
