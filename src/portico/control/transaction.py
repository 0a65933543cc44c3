"""One change of the control plane under way: its transaction, and on whose behalf it is made.

The API, a file and the command line hand the same thing to the same steps, so that none of them can leave out what
belongs to a change: its record, quotas, and that nobody changes what somebody else manages.
"""

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control.changes import ChangeLog
from portico.control.operations.context import Changes, OperationContext
from portico.control.quotas import DEFAULT_QUOTAS, Quotas
from portico.control.secrets import Random
from portico.model.errors import Conflict
from portico.storage.schema import DEFAULT_ACCOUNT

DEFAULT_REGION = "us-east-1"  #: as it stands in ARNs where no other is configured


class Managed(Protocol):
    """A row that somebody manages."""

    @property
    def name(self) -> str:
        """By what people know it."""
        ...

    @property
    def managed_by(self) -> str:
        """The file that declares it; empty: the API."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What steps are handed. They run inside ``conn``'s transaction and leave committing to whoever opened it."""

    conn: AsyncConnection
    now: int  #: seconds since the epoch
    random: Random
    changes: Changes
    managed_by: str = ""  #: on whose behalf: a file's logical name; empty: the API
    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION
    quotas: Quotas = DEFAULT_QUOTAS

    def owns(self, row: Managed) -> bool:
        """Say whether a row goes when its file no longer declares it; what nobody manages never goes by itself."""
        return bool(self.managed_by) and row.managed_by == self.managed_by

    def protect(self, what: str, row: Managed) -> None:
        """Make sure that a row may be changed on this behalf.

        Raises:
            Conflict: somebody else manages it.
        """
        if row.managed_by == self.managed_by:
            return
        if not row.managed_by:
            raise Conflict(f"A {what} named {row.name!r} exists and is managed by the API.")
        raise Conflict(f"The {what} {row.name!r} is managed by {row.managed_by}; change it there.")


def of_request(context: OperationContext, conn: AsyncConnection) -> Transaction:
    """Return the transaction of an API request."""
    return Transaction(
        conn=conn,
        now=context.now,
        random=context.random,
        changes=context.changes,
        account=context.account,
        region=context.region,
        quotas=context.quotas,
    )


def of_file(
    conn: AsyncConnection, name: str, *, now: int, random: Random, region: str = DEFAULT_REGION, quotas: Quotas
) -> Transaction:
    """Return the transaction of a file that is applied; without a name of one that is imported, managed by nobody."""
    kind, caller = ("file", name) if name else ("command", "portico import")
    return Transaction(
        conn=conn,
        now=now,
        random=random,
        changes=ChangeLog(kind=kind, caller=caller, clock=lambda: float(now), random=random),
        managed_by=name,
        region=region,
        quotas=quotas,
    )
