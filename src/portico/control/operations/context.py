"""What every operation of the AgentCore API is handed beside its input."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control.access import Caller
from portico.control.quotas import Quotas
from portico.control.relaxations import Ground
from portico.control.secrets import Random
from portico.crypto.keyring import Keyring
from portico.net.egress import Egress
from portico.net.fetch import Fetcher
from portico.storage.engine import Database


class Changes(Protocol):
    """The audit trail of changes, bound to one caller and request."""

    async def record(
        self,
        conn: AsyncConnection,
        action: str,
        arn: str,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
        /,
    ) -> None:
        """Record what ``action`` (the operation's name) made of a resource; None where there was or is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationContext:
    """One request's context: what the process is made of, and who asks when."""

    database: Database
    keyring: Keyring
    ground: Ground
    egress: Egress
    account: str  #: twelve digits; the tenant
    region: str  #: as it stands in ARNs and signatures
    quotas: Quotas
    caller: Caller
    request_id: str
    now: int  #: seconds since the epoch
    random: Random
    fetcher: Fetcher | None  #: for discovery documents; None where nothing may be fetched
    changes: Changes
    #: ``x-portico`` of targets that are made through the API, which has no place to say it; a setting.
    target_extension: Mapping[str, Any] = field(default_factory=dict[str, Any])


#: An operation. The input was checked against the service model and holds its member names; so does the output, with
#: times as seconds since the epoch.
Operation = Callable[[OperationContext, Mapping[str, Any]], Awaitable[dict[str, Any]]]
