"""The database: one pool, three kinds of transactions, one kind of failure."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final

from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.model.errors import Conflict, StorageUnavailable
from portico.storage.address import SqliteFile, parse_address
from portico.storage.postgresql import Postgres, translation_of
from portico.storage.sqlite import Sqlite
from portico.storage.transactions import PATIENCE, START_TIMEOUT, Backend, Mode

MIGRATION_PATIENCE: Final = 60.0  #: seconds that a process waits for another one that migrates

_UNAVAILABLE: Final = "The database cannot be reached or is locked; try again later."


class Database:
    """A pool of connections to the database.

    :meth:`read` and :meth:`write` each open one transaction; a use case decides what belongs into it. Do nothing slow
    inside :meth:`write` (no network, no password hashing): there is one writer at a time.
    """

    def __init__(self, backend: Backend, *, patience: float = START_TIMEOUT) -> None:
        self._backend = backend
        self._engine = backend.engine
        self._patience = patience
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, url: str) -> "Database":
        """Open the database at ``url``: ``sqlite:///path``, whose file is made when it is missing, or
        ``postgresql://user:password@host/database``.

        Raises:
            ConfigError: another kind of database, a path that cannot be made, or a server that refuses us.
            StorageUnavailable: the file is locked or damaged, or the server cannot be reached.
        """  # noqa: D205 - two URLs do not fit into one line
        return await cls._open(_backend(url))

    @classmethod
    async def open_to_migrate(cls, url: str) -> "Database":
        """Open the database like :meth:`open`, with time enough to migrate it or to wait until another has.

        Raises:
            ConfigError: like :meth:`open`.
            StorageUnavailable: like :meth:`open`.
        """
        await (await cls.open(url)).aclose()
        return await cls._open(_backend(url, migrates=True), patience=MIGRATION_PATIENCE + START_TIMEOUT)

    @classmethod
    async def _open(cls, backend: Backend, *, patience: float = START_TIMEOUT) -> "Database":
        database = cls(backend, patience=patience)
        try:
            with translated():
                try:
                    await backend.prepare()
                except OSError as error:  # TimeoutError among them
                    raise StorageUnavailable(_UNAVAILABLE, detail=_reason(error)) from error
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
            yield await self._begin(stack, "read")

    @asynccontextmanager
    async def write(self, *, shared: bool = False, patient: bool = False) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that is the only writing one from its start; commits on exit.

        With ``patient`` it waits up to :data:`~portico.storage.transactions.PATIENCE` for the lock, instead of 2 s:
        for what many processes do at once, and nobody waits for at a screen.

        With ``shared`` other shared ones may write beside it (SQLite: one at a time nevertheless). That is for hot
        paths that were examined for it: whatever they contend for is taken by one conditional statement or insertion,
        whose losers are told by it. What else they read, only a transaction that is not shared can change.

        Raises:
            StorageUnavailable: the database cannot be reached or the lock was not had in time; nothing was written,
                unless the connection was lost in the very moment of the commit.
            Conflict: a constraint of the schema was broken; nothing was written.
            InputError: a value does not fit into its column; nothing was written.
        """
        async with AsyncExitStack() as stack:
            yield await self._begin(stack, "shared" if shared else "write", patient=patient)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._backend.aclose()

    async def _begin(self, stack: AsyncExitStack, mode: Mode, *, patient: bool = False) -> AsyncConnection:
        stack.enter_context(translated())
        until = time.monotonic() + (PATIENCE if patient else 0.0)
        while True:
            async with AsyncExitStack() as attempt:
                try:
                    conn = await self._attempt(attempt, mode)
                except exc.DBAPIError as error:
                    if self._backend.is_held(error) and time.monotonic() < until:
                        continue
                    raise
                await stack.enter_async_context(attempt.pop_all())
                return conn

    async def _attempt(self, stack: AsyncExitStack, mode: Mode) -> AsyncConnection:
        try:
            async with asyncio.timeout(self._patience):
                if mode in self._backend.queued:
                    await stack.enter_async_context(self._turn)
                conn = await stack.enter_async_context(self._engine.connect())
                await conn.execution_options(**self._backend.options(mode))
                await stack.enter_async_context(conn.begin())
                await self._backend.begun(conn, mode)
        except TimeoutError as error:
            raise StorageUnavailable(_UNAVAILABLE, detail=f"no transaction within {self._patience} s") from error
        except OSError as error:  # connection refused, no such host, TLS
            raise StorageUnavailable(_UNAVAILABLE, detail=_reason(error)) from error
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
        ours = translation_of(error, _reason(error))
        if ours is None:
            raise
        raise ours from error
    except sqlite3.DatabaseError as error:  # out of our own event handlers
        raise StorageUnavailable(_UNAVAILABLE, detail=_reason(error)) from error


def _backend(url: str, *, migrates: bool = False) -> Backend:
    address = parse_address(url)
    patience = MIGRATION_PATIENCE if migrates else None
    if isinstance(address, SqliteFile):
        return Sqlite(address, migrates=migrates, patience=patience)
    return Postgres(address, migrates=migrates, patience=patience)


def _reason(error: Exception) -> str:
    origin = error.orig if isinstance(error, exc.DBAPIError) else error
    return f"{type(origin).__name__}: {origin}"
