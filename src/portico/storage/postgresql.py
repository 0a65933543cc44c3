"""PostgreSQL: transactions as SQLite gives them, over a pool of connections.

``write`` takes one advisory lock for itself, so that reading and then writing is as safe as under SQLite's
``BEGIN IMMEDIATE``. ``shared`` takes the same lock beside others of its kind: the hot paths (codes, refresh tokens,
jobs, audit) run at once and still never beside a ``write``; what they contend for they take by one conditional
statement each. The lock is always the first one of a transaction, so the two kinds cannot deadlock. Under READ
COMMITTED every statement after the lock sees what was committed before it. ``read`` is one snapshot (REPEATABLE READ,
READ ONLY), which takes no lock and cannot fail to serialize.

Every wait ends: for a connection, for a lock, for a statement, and on the server for a process that fell silent
within a transaction.
"""

import asyncio
from collections.abc import Generator, Mapping
from typing import Any, Final

from sqlalchemy import event, exc
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from portico.model.errors import ConfigError, Fault, InputError, StorageUnavailable
from portico.storage.address import PostgresServer
from portico.storage.transactions import START_TIMEOUT, Mode

CONNECT_TIMEOUT: Final = 3.0  #: seconds to connect and log in
LOCK_TIMEOUT: Final = 2.0  #: seconds that a statement waits for a lock
STATEMENT_TIMEOUT: Final = 10.0  #: seconds that a statement may run, as the server counts
ANSWER_TIMEOUT: Final = 12.0  #: seconds until a server that does not answer at all is given up
CLOSE_TIMEOUT: Final = 2.0  #: seconds to take leave of the server
IDLE_TIMEOUT: Final = 10.0  #: seconds without a statement until the server ends a transaction that holds the lock
READ_IDLE_TIMEOUT: Final = 300.0  #: likewise of one that only reads; it is in nobody's way
POOL_SIZE: Final = 10  #: connections of a process
LEAST_VERSION: Final = 130_000  #: PostgreSQL 13

#: One lock per database; whoever else locks there has to know this number to be in the way.
WRITE_LOCK: Final = int.from_bytes(b"portico", "big")

_BUSY: Final = "The database cannot be reached or is locked; try again later."
_ISOLATION: Final[Mapping[Mode, Mapping[str, Any]]] = {
    "read": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    "write": {"isolation_level": "READ COMMITTED", "postgresql_readonly": False},
    "shared": {"isolation_level": "READ COMMITTED", "postgresql_readonly": False},
}
_LOCKS: Final[Mapping[Mode, str]] = {"write": "pg_advisory_xact_lock", "shared": "pg_advisory_xact_lock_shared"}

#: Classes of SQLSTATE (PostgreSQL appendix A) that say: not now. Connection, rolled back (deadlock, serialization),
#: resources, prerequisites (lock, still starting), operator (shutdown, timeout), system, damaged.
_UNAVAILABLE_CLASSES: Final = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58", "F0", "XX"})
#: Read-only server (a standby), transaction ended for idleness, changed schema; table, column or permission missing.
_UNAVAILABLE_STATES: Final = frozenset({"25006", "25P03", "0A000", "42P01", "42703", "42501"})
_READ_ONLY: Final = "25006"
_LOCK_NOT_AVAILABLE: Final = "55P03"
_DATA_CLASS: Final = "22"  #: too long, out of range, NUL
_LOGIN_CLASS: Final = "28"
_NO_DATABASE: Final = "3D000"


class Postgres:
    """Connections to one database of a server."""

    def __init__(self, address: PostgresServer, *, migrates: bool = False, patience: float | None = None) -> None:
        """Connect to nothing yet. A migration's statements take the time that they need."""
        # A process that waits for the one lock must not do so with every connection that it has.
        self.queued = frozenset[Mode]({"write"})
        self.engine = create_async_engine(
            "postgresql+asyncpg://",  # the address stays out of what SQLAlchemy prints
            connect_args={
                **_address_arguments(address),
                "timeout": CONNECT_TIMEOUT,
                "command_timeout": None if migrates else ANSWER_TIMEOUT,
                "server_settings": _server_settings(
                    statement=0.0 if migrates else STATEMENT_TIMEOUT,
                    lock=LOCK_TIMEOUT if patience is None else patience,
                ),
                # After a failover a name may still lead to the former primary, whose data stands still.
                "target_session_attrs": "read-write",
            },
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=START_TIMEOUT,
            hide_parameters=True,
        )
        self._in_a_hurry = False
        event.listen(self.engine.sync_engine, "checkout", _refuse_dead)
        event.listen(self.engine.sync_engine, "close", self._closes)
        event.listen(self.engine.sync_engine, "handle_error", _judge)

    def options(self, mode: Mode) -> Mapping[str, Any]:
        """Return what a connection must know before its transaction begins."""
        return _ISOLATION[mode]

    async def begun(self, conn: AsyncConnection, mode: Mode) -> None:
        """Take the lock of a transaction that has begun, before it has seen anything."""
        lock = _LOCKS.get(mode)
        if lock is not None:
            idle = f"set_config('idle_in_transaction_session_timeout', '{IDLE_TIMEOUT * 1000:.0f}', true)"
            await conn.exec_driver_sql(f"SELECT {idle}, {lock}({WRITE_LOCK})")

    def is_held(self, error: exc.DBAPIError) -> bool:
        """Say whether an error means that another held the lock for longer than a statement waits."""
        return sqlstate_of(error) == _LOCK_NOT_AVAILABLE

    async def prepare(self) -> None:
        """Make the first connection.

        Raises:
            ConfigError: the server refuses the login, has no such database, or is none that we can use.
            OSError: it cannot be reached.
        """
        try:
            async with self.engine.connect() as conn:
                raw = (await conn.get_raw_connection()).driver_connection
                assert raw is not None
                settings, version = raw.get_settings(), raw.get_server_version()
        except exc.DBAPIError as error:
            state = sqlstate_of(error)
            if state.startswith(_LOGIN_CLASS) or state == _NO_DATABASE:
                fault = Fault(path="database", message=f"was refused by the server: {error.orig}")
                raise ConfigError([fault]) from error
            raise
        if version.major * 10_000 < LEAST_VERSION:
            raise ConfigError([Fault(path="database", message="needs PostgreSQL 13 or later")])
        if settings.server_encoding != "UTF8":
            message = "is not encoded in UTF-8; make it with: createdb --encoding=UTF8 --template=template0"
            raise ConfigError([Fault(path="database", message=message)])

    async def aclose(self) -> None:
        """Close every connection, without waiting for a server that does not answer."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.engine.dispose()
        except TimeoutError:
            self._in_a_hurry = True
            await self.engine.dispose()

    def _closes(self, connection: Any, _record: object) -> None:
        if self._in_a_hurry:
            connection.driver_connection.terminate()


def sqlstate_of(error: BaseException) -> str:
    """Return PostgreSQL's code of an error, empty when it came from elsewhere."""
    origin = error.orig if isinstance(error, exc.DBAPIError) else error
    return getattr(origin, "sqlstate", None) or ""


def translation_of(error: exc.DBAPIError, reason: str) -> StorageUnavailable | InputError | None:
    """Return what an error of the server means to us; None for a fault of ours."""
    state = sqlstate_of(error)
    if state[:2] in _UNAVAILABLE_CLASSES or state in _UNAVAILABLE_STATES:
        return StorageUnavailable(_BUSY, detail=f"{reason} ({state})")
    if state.startswith(_DATA_CLASS):
        return InputError("A value is too long, out of range or holds a NUL character.", detail=f"{reason} ({state})")
    return None


def _address_arguments(address: PostgresServer) -> dict[str, Any]:
    arguments = {
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "database": address.database,
        "ssl": address.tls.context() or False,
    }
    return arguments if address.password is None else {**arguments, "password": address.password.reveal()}


def _server_settings(*, statement: float, lock: float) -> dict[str, str]:
    """Return the session's settings; the server takes times in milliseconds."""
    return {
        "application_name": "portico",
        "statement_timeout": f"{statement * 1000:.0f}",
        "lock_timeout": f"{lock * 1000:.0f}",
        "idle_in_transaction_session_timeout": f"{READ_IDLE_TIMEOUT * 1000:.0f}",
        "jit": "off",  # every statement is short
    }


def _refuse_dead(connection: Any, _record: object, _proxy: object) -> None:
    """Have the pool replace a connection that the server ended, without asking the server each time."""
    if connection.driver_connection.is_closed():
        raise exc.DisconnectionError


def _judge(context: ExceptionContext) -> StorageUnavailable | None:
    """Take values out of errors, and notice what the dialect does not: silence, and a server that became a standby."""
    original = context.original_exception
    for error in (context.sqlalchemy_exception, *_chain(original)):
        if error is not None:
            _forget_values(error, texts=sqlstate_of(original).startswith(_DATA_CLASS))
    if isinstance(original, OSError):  # TimeoutError among them; what the connection is in the middle of, nobody knows
        context.is_disconnect = True
        return StorageUnavailable(_BUSY, detail=f"{type(original).__name__}: {original}")
    if sqlstate_of(original) == _READ_ONLY:
        context.is_disconnect = True
    return None


def _chain(error: BaseException | None) -> Generator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _forget_values(error: BaseException, *, texts: bool) -> None:
    """Leave no value in an error: a detail quotes keys ("Key (code_hash)=(...) exists"), a text what did not fit."""
    if isinstance(getattr(error, "detail", None), str):  # SQLAlchemy's own errors have a list of that name
        setattr(error, "detail", None)  # noqa: B010 - the errors of driver and dialect have no common type
    if texts:
        error.args = ("a value does not fit",)
