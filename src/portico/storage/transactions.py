"""The kinds of transactions, and what a kind of database does for each."""

from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

START_TIMEOUT: Final = 4.0  #: seconds until a transaction has begun: turn, connection and lock together
PATIENCE: Final = 60.0  #: seconds that a patient writer tries again while others hold the lock

#: ``read`` sees one state and changes nothing; ``write`` is alone; ``shared`` writes beside others of its kind.
Mode = Literal["read", "write", "shared"]


class Backend(Protocol):
    """SQLite or PostgreSQL."""

    @property
    def engine(self) -> AsyncEngine:
        """The pool of connections."""
        ...

    @property
    def queued(self) -> frozenset[Mode]:
        """The modes that take their turn within the process before they take a connection."""
        ...

    def options(self, mode: Mode) -> Mapping[str, Any]:
        """Return what a connection must know before its transaction begins."""
        ...

    async def begun(self, conn: AsyncConnection, mode: Mode) -> None:
        """Take the locks of a transaction that has begun."""
        ...

    def is_held(self, error: DBAPIError) -> bool:
        """Say whether an error means that another held the lock for longer than a statement waits."""
        ...

    async def prepare(self) -> None:
        """Make the first connection and find out whether this database can be used."""
        ...

    async def aclose(self) -> None:
        """Close every connection, in bounded time."""
        ...
