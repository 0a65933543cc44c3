"""The AgentCore API as a part of the process: what its front and its operations work with."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from portico.authorizer.sigv4 import Signatures
from portico.control.access import Access, Caller
from portico.control.api.front import Front
from portico.control.api.offered import OFFERED
from portico.control.changes import changes_of
from portico.control.operations.context import OperationContext
from portico.control.relaxations import Ground
from portico.crypto.keyring import Keyring
from portico.net.egress import Egress
from portico.net.fetch import Fetcher
from portico.service.process_settings import ProcessSettings
from portico.storage.engine import Database
from portico.web.asgi import ASGIApp


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCoreApi:
    """Makes the front; everything of an operation's context that is not the request's own stands here."""

    process: ProcessSettings
    database: Database
    keyring: Keyring
    egress: Egress
    fetcher: Fetcher
    signatures: Signatures
    issuers: Callable[[], frozenset[str]]  #: names of those that are served now
    changed: Callable[[], None]  #: called when something was changed
    clock: Callable[[], float] = time.time

    def front(self, otherwise: ASGIApp) -> Front:
        """Return what serves the API; requests that are not its own go to ``otherwise``."""
        return Front(
            access=Access(self.signatures),
            offered=OFFERED,
            context=self._context,
            otherwise=otherwise,
            changed=self.changed,
            clock=self.clock,
        )

    def _context(self, caller: Caller, request_id: str, now: int) -> OperationContext:
        return OperationContext(
            database=self.database,
            keyring=self.keyring,
            ground=Ground(public_url=self.process.public_url, issuers=self.issuers()),
            egress=self.egress,
            account=caller.account,
            region=self.process.region,
            quotas=self.process.quotas,
            caller=caller,
            request_id=request_id,
            now=now,
            random=os.urandom,
            fetcher=self.fetcher,
            changes=changes_of(caller, request_id, clock=self.clock),
            target_extension={"allowPrivateAddresses": True} if self.process.api_private_addresses else {},
        )
