"""The steps by which a file's credential providers and workload identities reach storage, inside ``apply``.

They are the steps of the AgentCore API. Providers are put before the targets that use them and removed after.
"""

from collections.abc import Iterable

from portico.control import providers as provider_steps
from portico.control import workload_identities as identity_steps
from portico.control.declarations import IdentityDeclaration, ProviderDeclaration
from portico.control.transaction import Transaction
from portico.crypto.keyring import Keyring
from portico.model.errors import Conflict, Fault, InUse, InvalidInput, QuotaExceeded
from portico.storage import credential_providers, workload_identities


class ProviderStep:
    """Writes credential providers; ``faults`` holds what somebody else manages and what goes over a quota."""

    def __init__(self, tx: Transaction, keyring: Keyring) -> None:
        self._tx = tx
        self._keyring = keyring
        self.faults: list[Fault] = []

    async def put(self, declared: Iterable[ProviderDeclaration]) -> None:
        """Make and change providers."""
        for provider in declared:
            try:
                await provider_steps.put(self._tx, self._keyring, provider.request)
            except (Conflict, QuotaExceeded) as error:
                self.faults.append(Fault(path=f"{provider.path}.name", message=error.public))
            except InvalidInput as error:
                found = (Fault(path=f"{provider.path}.{fault.path}", message=fault.message) for fault in error.faults)
                self.faults.extend(found)

    async def remove(self, declared: Iterable[ProviderDeclaration]) -> None:
        """Remove the providers that are no longer declared; no target of the file uses them any more."""
        kept = {(provider.request.kind, provider.name) for provider in declared}
        for row in await credential_providers.list_all(self._tx.conn):
            if not self._tx.owns(row) or (row.kind, row.name) in kept:
                continue
            try:
                await provider_steps.remove(self._tx, row)
            except InUse as error:
                self.faults.append(Fault(path="", message=error.faults[0].message))


class IdentityStep:
    """Writes workload identities; ``faults`` holds what somebody else manages and what goes over a quota."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.faults: list[Fault] = []

    async def run(self, declared: Iterable[IdentityDeclaration]) -> None:
        """Make, change and remove identities until storage holds what is declared; gateways' own are left alone."""
        names: set[str] = set()
        for identity in declared:
            names.add(identity.name)
            try:
                await identity_steps.put(self._tx, identity.document, identity.tags)
            except (Conflict, QuotaExceeded) as error:
                self.faults.append(Fault(path=f"{identity.path}.name", message=error.public))
        for row in await workload_identities.list_all(self._tx.conn):
            if self._tx.owns(row) and not row.owner and row.name not in names:
                await identity_steps.remove(self._tx, row)
