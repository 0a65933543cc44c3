"""The database: one engine, two kinds of transactions, one kind of failure.

SQLite runs in WAL mode with ``synchronous=FULL``. WAL alone keeps every committed transaction through ``kill -9``;
FULL also keeps it through a power cut, at the price of one fsync per commit. Writes are rare (no call makes one) and
each of them matters: a revocation or a used code that comes back to life is a hole, and journal segments are deleted
once they are here.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event, exc
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from portico.model.errors import ConfigError, Conflict, Fault, StorageUnavailable

BUSY_TIMEOUT: Final = 2.0  #: seconds that a statement waits for a lock of another process
START_TIMEOUT: Final = 4.0  #: seconds until a transaction has begun: turn, connection and lock together
WAL_RETRY: Final = 0.05  #: seconds between attempts to switch a file to WAL that other processes use
POOL_SIZE: Final = 8  #: connections; each costs a thread
FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700

_WRITES: Final = "portico_writes"
_UNAVAILABLE: Final = "The database cannot be reached or is locked; try again later."


class Database:
    """A pool of connections to the database.

    :meth:`read` and :meth:`write` each open one transaction; a use case decides what belongs into it. Do nothing slow
    inside :meth:`write` (no network, no password hashing): SQLite has one writer at a time.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # SQLite's own queue of writers is a polling loop without order; within the process a lock is fair.
        self._writer = asyncio.Lock()

    @classmethod
    async def open(cls, url: str) -> "Database":
        """Open the database at ``url`` (``sqlite:///path``), making its file and directory when they are missing.

        Raises:
            ConfigError: another kind of database, or a path that cannot be made or opened.
            StorageUnavailable: the file is locked or damaged.
        """
        database = cls(make_engine(url))
        try:
            with translated():
                await _use_wal(database._engine)
        except BaseException:
            await database.aclose()
            raise
        return database

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that sees one state of the database and changes nothing.

        Raises:
            StorageUnavailable: the database cannot be reached, is locked, or no connection became free in time.
        """
        async with AsyncExitStack() as stack:
            yield await self._begin(stack, writes=False)

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that holds the write lock from its start (``BEGIN IMMEDIATE``); commits on exit.

        Raises:
            StorageUnavailable: the database cannot be reached or the lock was not had in time; nothing was written.
            Conflict: a constraint of the schema was broken; nothing was written.
        """
        async with AsyncExitStack() as stack:
            yield await self._begin(stack, writes=True)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    async def _begin(self, stack: AsyncExitStack, *, writes: bool) -> AsyncConnection:
        stack.enter_context(translated())
        try:
            async with asyncio.timeout(START_TIMEOUT):
                if writes:
                    await stack.enter_async_context(self._writer)
                conn = await stack.enter_async_context(self._engine.connect())
                await conn.execution_options(**{_WRITES: writes})
                await stack.enter_async_context(conn.begin())
        except TimeoutError as error:
            raise StorageUnavailable(_UNAVAILABLE, detail=f"no transaction within {START_TIMEOUT} s") from error
        return conn


@contextmanager
def translated() -> Generator[None]:
    """Turn the driver's errors into ours, without statement parameters (they hold hashes and sealed values)."""
    try:
        yield
    except (exc.IntegrityError, sqlite3.IntegrityError) as error:
        raise Conflict("It exists already, or something that it needs does not.", detail=_reason(error)) from error
    except (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError) as error:
        raise StorageUnavailable(_UNAVAILABLE, detail=_reason(error)) from error
    except exc.DBAPIError as error:
        if error.connection_invalidated or type(error.orig) is sqlite3.DatabaseError:  # "file is not a database"
            raise StorageUnavailable(_UNAVAILABLE, detail=_reason(error)) from error
        raise
    except sqlite3.DatabaseError as error:  # out of our own event handlers
        raise StorageUnavailable(_UNAVAILABLE, detail=_reason(error)) from error


def make_engine(url: str, *, foreign_keys: bool = True) -> AsyncEngine:
    """Return an engine for ``url`` and make the file ready. Migrations that rebuild tables need no foreign keys.

    Raises:
        ConfigError: another kind of database, or a path that cannot be made.
    """
    parsed = _parse(url)
    _prepare_file(Path(parsed.database or ""))
    engine = create_async_engine(
        parsed,
        # None: the driver begins no transaction of its own; the "begin" event below does, as SQLAlchemy's
        # documentation of SQLite transactions asks for.
        connect_args={"timeout": BUSY_TIMEOUT, "isolation_level": None},
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=START_TIMEOUT,
        hide_parameters=True,
    )

    def connected(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    def begins(conn: Connection) -> None:
        writes = conn.get_execution_options().get(_WRITES)
        conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", begins)
    return engine


async def _use_wal(engine: AsyncEngine) -> None:
    """Switch the file to WAL, which stays with it. SQLite does not wait here when others do the same, so we do."""
    async with engine.connect() as conn:
        driver = (await conn.get_raw_connection()).driver_connection
        assert driver is not None
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT
        while True:
            try:
                await driver.execute("PRAGMA journal_mode=WAL")  # no transaction may hold it, so not through SQLAlchemy
            except sqlite3.OperationalError as error:
                late = asyncio.get_running_loop().time() > deadline
                if late or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                await asyncio.sleep(WAL_RETRY)
            else:
                return


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise ConfigError(
            [Fault(path="database", message="is not a URL; write sqlite:///path/to/portico.db")]
        ) from error
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise ConfigError([Fault(path="database", message="must be sqlite:///path/to/portico.db")])
    return parsed.set(drivername="sqlite+aiosqlite")


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


def _reason(error: Exception) -> str:
    origin = error.orig if isinstance(error, exc.DBAPIError) else error
    return f"{type(origin).__name__}: {origin}"
