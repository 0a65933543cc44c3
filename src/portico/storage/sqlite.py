"""SQLite: one file in WAL mode, one writer at a time.

``synchronous=FULL``: WAL alone keeps every committed transaction through ``kill -9``; FULL also keeps it through a
power cut, at the price of one fsync per commit. Writes are rare (no call makes one) and each of them matters: a
revocation or a used code that comes back to life is a hole, and journal segments are deleted once they are here.
"""

import asyncio
import os
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event, exc
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from portico.model.errors import ConfigError, Fault
from portico.storage.address import SqliteFile
from portico.storage.transactions import START_TIMEOUT, Mode

BUSY_TIMEOUT: Final = 2.0  #: seconds that a statement waits for a lock of another process
WAL_RETRY: Final = 0.05  #: seconds between attempts to switch a file to WAL that other processes use
POOL_SIZE: Final = 8  #: connections; each costs a thread
FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700

_MODE: Final = "portico_mode"


class Sqlite:
    """Connections to one file."""

    def __init__(self, address: SqliteFile, *, migrates: bool = False, patience: float | None = None) -> None:
        """Make the file ready. Migrations that rebuild tables need to be rid of foreign keys.

        Raises:
            ConfigError: a path that cannot be made.
        """
        _prepare_file(address.path)
        # SQLite's own queue of writers is a polling loop without order; within the process a lock is fair.
        self.queued = frozenset[Mode]({"write", "shared"})
        self.engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(address.path)),
            # None: the driver begins no transaction of its own; the "begin" event below does, as SQLAlchemy's
            # documentation of SQLite transactions asks for.
            connect_args={"timeout": BUSY_TIMEOUT if patience is None else patience, "isolation_level": None},
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=START_TIMEOUT,
            hide_parameters=True,
        )

        def connected(connection: Any, _record: object) -> None:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA foreign_keys={'OFF' if migrates else 'ON'}")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.close()

        def begins(conn: Connection) -> None:
            mode = conn.get_execution_options().get(_MODE, "read")
            conn.exec_driver_sql("BEGIN" if mode == "read" else "BEGIN IMMEDIATE")

        event.listen(self.engine.sync_engine, "connect", connected)
        event.listen(self.engine.sync_engine, "invalidate", _give_lock_back)
        event.listen(self.engine.sync_engine, "begin", begins)

    def options(self, mode: Mode) -> Mapping[str, Any]:
        """Return what a connection must know before its transaction begins."""
        return {_MODE: mode}

    async def aclose(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    async def begun(self, conn: AsyncConnection, mode: Mode) -> None:
        """Take the locks of a transaction that has begun: ``BEGIN IMMEDIATE`` has taken the only one."""

    def is_held(self, error: exc.DBAPIError) -> bool:
        """Say whether an error means that another held the lock for longer than a statement waits."""
        return getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY

    async def prepare(self) -> None:
        """Switch the file to WAL, which stays with it. SQLite does not wait here when others do the same, so we do."""
        async with self.engine.connect() as conn:
            driver = (await conn.get_raw_connection()).driver_connection
            assert driver is not None
            deadline = asyncio.get_running_loop().time() + START_TIMEOUT
            while True:
                try:
                    await driver.execute("PRAGMA journal_mode=WAL")  # in no transaction, so not through SQLAlchemy
                except sqlite3.OperationalError as error:
                    late = asyncio.get_running_loop().time() > deadline
                    if late or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                        raise
                    await asyncio.sleep(WAL_RETRY)
                else:
                    return


def _give_lock_back(connection: Any, _record: object, _error: BaseException | None) -> None:
    """Roll back what was cancelled in the middle of a statement, before its connection is closed.

    SQLite keeps a closed connection, with its transaction and the write lock, for as long as a statement of it lives;
    and a cancelled one lives until the collector finds its cursor.
    """
    with suppress(sqlite3.Error, exc.SQLAlchemyError):  # it was closed before, or is abandoned outside of any task
        connection.rollback()


def _prepare_file(path: Path) -> None:
    """Make the file and its directory readable by us alone; SQLite gives its side files the same mode."""
    try:
        path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
        if path.stat().st_mode & 0o077:
            path.chmod(FILE_MODE)
    except OSError as error:
        message = f"{path} cannot be opened for writing ({error.strerror}); choose another path or mend its permissions"
        raise ConfigError([Fault(path="database", message=message)]) from error
