"""The steps by which a file's gateways and targets reach storage, inside the transaction of ``apply``.

They are the steps of the AgentCore API: what a call would be refused, a file is refused too.
"""

from collections.abc import Iterable, Mapping

from portico.control import gateways as gateway_steps
from portico.control import targets as target_steps
from portico.control.declarations import GatewayDeclaration
from portico.control.documents import on_gateway_faults
from portico.control.transaction import Transaction
from portico.model.errors import Conflict, Fault, InUse, InvalidInput, QuotaExceeded
from portico.storage import gateways, targets
from portico.storage.gateways import GatewayRow
from portico.storage.targets import TargetRow


class GatewayStep:
    """Writes gateways with their targets; ``faults`` holds what somebody else manages and what goes over a quota."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.faults: list[Fault] = []

    async def run(self, declared: Iterable[GatewayDeclaration]) -> None:
        """Make, change and remove gateways until storage holds what is declared."""
        wanted = tuple(declared)
        names = {gateway.name for gateway in wanted}
        for row in await gateways.list_all(self._tx.conn):
            if self._tx.owns(row) and row.name not in names:
                await self._remove(row)
        for gateway in wanted:
            try:
                row = await gateway_steps.put(self._tx, document=gateway.document, extension=gateway.extension)
            except (Conflict, QuotaExceeded) as error:
                self.faults.append(Fault(path=f"{gateway.path}.name", message=error.public))
                continue
            await self._targets(gateway, row.id)

    async def _targets(self, gateway: GatewayDeclaration, gateway_id: str) -> None:
        stored = await self._remove_targets(gateway_id, keep={target.name for target in gateway.targets})
        self._judge_others(gateway, stored)
        for target in gateway.targets:
            try:
                await target_steps.put(
                    self._tx,
                    gateway_id=gateway_id,
                    stored=stored.get(target.name),
                    document=target.document,
                    extension=target.extension,
                )
            except (Conflict, QuotaExceeded) as error:
                self.faults.append(Fault(path=f"{target.path}.name", message=error.public))
            except InvalidInput as error:
                found = (Fault(path=f"{target.path}.{fault.path}", message=fault.message) for fault in error.faults)
                self.faults.extend(found)

    def _judge_others(self, gateway: GatewayDeclaration, stored: Mapping[str, TargetRow]) -> None:
        """Judge the gateway's document by the targets that others attached: they were saved under another one."""
        declared = {target.name for target in gateway.targets}
        for name in stored.keys() - declared:
            for fault in on_gateway_faults(stored[name].document, gateway.document):
                message = f"does not fit the target {name!r} ({fault.path}: {fault.message})"
                self.faults.append(Fault(path=gateway.path, message=message))

    async def _remove(self, row: GatewayRow) -> None:
        """Remove a gateway that is no longer declared; what others attached to it they have to remove before."""
        await self._remove_targets(row.id, keep=set())
        try:
            await gateway_steps.remove(self._tx, row)
        except InUse as error:
            self.faults.append(Fault(path="gateways", message=f"{error.faults[0].message} (the API manages them)"))

    async def _remove_targets(self, gateway_id: str, *, keep: set[str]) -> dict[str, TargetRow]:
        """Remove what is no longer declared; return what the gateway has beside it, by name."""
        left: dict[str, TargetRow] = {}
        for row in await targets.documents_of(self._tx.conn, gateway_id):
            if self._tx.owns(row) and row.name not in keep:
                await target_steps.remove(self._tx, row)
            else:
                left[row.name] = row
        return left
