"""What only a database in a file has: modes, pragmas, the file's locks."""

import asyncio
import sqlite3
import threading
import time

import pytest

from portico.model.errors import ConfigError, StorageUnavailable
from portico.storage import counters, sqlite
from portico.storage.engine import Database
from support import unhurried

BOUND = 30.0  #: seconds


@pytest.fixture
def database_kind():
    return "sqlite"


def path_of(url):
    return url.removeprefix("sqlite:///")


def locked(url, *, readers=False):
    """Another connection that holds the write lock, or the whole file so that nobody else can even read."""
    other = sqlite3.connect(path_of(url), isolation_level=None, timeout=5)
    if readers:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("UPDATE counters SET value = value")
    return other


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.1)


async def test_the_file_is_ours_alone_and_so_is_its_new_directory(database, url, tmp_path):
    async with database.write() as conn:
        await counters.bump(conn, "gateway/a")
    modes = {p.name: p.stat().st_mode & 0o777 for p in (tmp_path / "data").iterdir()}
    assert set(modes.values()) == {0o600}
    assert "portico.db" in modes
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


async def test_a_file_that_others_can_read_is_closed_to_them(database, url, tmp_path):
    (tmp_path / "data" / "portico.db").chmod(0o644)
    await (await Database.open(url)).aclose()
    assert (tmp_path / "data" / "portico.db").stat().st_mode & 0o777 == 0o600


async def test_pragmas_hold_on_every_connection(database):
    async def pragmas():
        async with database.read() as conn:
            found = [
                (await conn.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
            await barrier.wait()
            return found

    barrier = asyncio.Barrier(sqlite.POOL_SIZE)
    results = await asyncio.gather(*(pragmas() for _ in range(sqlite.POOL_SIZE)))
    assert all(found == ["wal", 2, 1, sqlite.BUSY_TIMEOUT * 1000] for found in results)


async def test_a_directory_that_cannot_be_made_is_a_configuration_fault(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        await Database.open(f"sqlite:///{tmp_path}/file/portico.db")
    assert "choose another path" in str(caught.value)


async def test_a_file_that_is_no_database_is_unavailable(tmp_path):
    (tmp_path / "portico.db").write_bytes(b"this is not a database, but it is long enough to be looked at" * 100)
    with pytest.raises(StorageUnavailable):
        await Database.open(f"sqlite:///{tmp_path}/portico.db")


@pytest.mark.usefixtures("gives_up_on_locks")
async def test_a_write_lock_of_another_process_stops_writes_only_and_they_recover(database, url):
    other = locked(url)
    started = time.monotonic()
    with pytest.raises(StorageUnavailable) as caught:
        async with asyncio.timeout(BOUND), database.write() as conn:
            await counters.bump(conn, "gateway/a")
    assert time.monotonic() - started > sqlite.BUSY_TIMEOUT - 0.1
    assert caught.value.code == "storage_unavailable"
    async with database.read() as conn:
        assert await counters.read_all(conn) == {}
    other.close()
    async with database.write() as conn:
        assert await counters.bump(conn, "gateway/a") == 1


async def test_a_file_locked_against_readers_is_unavailable_and_recovers(quick, database, url):
    mine = await Database.open(url)
    await database.aclose()
    await mine.aclose()  # connections in WAL mode keep others from locking the whole file
    other = locked(url, readers=True)
    for attempt in (mine.read, mine.write):
        with pytest.raises(StorageUnavailable):
            async with attempt() as conn:
                await counters.read_all(conn)
    with pytest.raises(StorageUnavailable):
        await Database.open(url)
    other.close()
    async with mine.write() as conn:
        assert await counters.bump(conn, "gateway/a") == 1
    await mine.aclose()


@pytest.mark.usefixtures("gives_up_on_locks")
async def test_many_transactions_against_a_locked_database_all_fail_within_their_bounds(database, url):
    await database.aclose()
    other = locked(url, readers=True)
    database._patience = 4.0

    async def attempt(transaction):
        with pytest.raises(StorageUnavailable):
            async with transaction() as conn:
                await counters.read_all(conn)

    async with asyncio.timeout(BOUND):
        await asyncio.gather(*(attempt(t) for t in [database.write] * 10 + [database.read] * 20))
    other.close()
    database._patience = unhurried.LONG
    async with database.write() as conn:
        await counters.bump(conn, "gateway/a")


async def test_a_file_that_went_away_is_unavailable(url, database, tmp_path):
    await database.aclose()
    for file in (tmp_path / "data").iterdir():
        file.unlink()
    (tmp_path / "data").rmdir()
    with pytest.raises(StorageUnavailable):
        async with database.read() as conn:
            await counters.read_all(conn)
    async with asyncio.timeout(BOUND):  # the driver ends the thread of a failed connection on its own
        while any("_connection_worker_thread" in thread.name for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
