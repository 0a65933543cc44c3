"""The steps by which a file's gateways and targets reach storage, inside the transaction of ``apply``."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control import gateways as gateway_steps
from portico.control import targets as target_steps
from portico.control.declarations import MANAGED_BY, GatewayDeclaration
from portico.control.secrets import Random
from portico.model.errors import Conflict, Fault
from portico.storage import gateways, targets


class GatewayStep:
    """Writes gateways with their targets; ``faults`` holds the names that somebody else manages."""

    def __init__(self, conn: AsyncConnection, *, now: int, random: Random) -> None:
        self._conn = conn
        self._now = now
        self._random = random
        self.faults: list[Fault] = []

    async def run(self, declared: Iterable[GatewayDeclaration]) -> None:
        """Make, change and remove gateways until storage holds what is declared."""
        names: set[str] = set()
        for gateway in declared:
            names.add(gateway.name)
            try:
                row = await gateway_steps.put(
                    self._conn,
                    document=gateway.document,
                    extension=gateway.extension,
                    managed_by=MANAGED_BY,
                    now=self._now,
                    random=self._random,
                )
            except Conflict as error:
                self.faults.append(Fault(path=f"{gateway.path}.name", message=error.public))
                continue
            await self._targets(gateway, row.id)
        for row in await gateways.list_all(self._conn):
            if row.managed_by == MANAGED_BY and row.name not in names:
                await gateway_steps.remove(self._conn, row.id)

    async def _targets(self, gateway: GatewayDeclaration, gateway_id: str) -> None:
        for target in gateway.targets:
            try:
                await target_steps.put(
                    self._conn,
                    gateway_id=gateway_id,
                    document=target.document,
                    extension=target.extension,
                    managed_by=MANAGED_BY,
                    now=self._now,
                    random=self._random,
                )
            except Conflict as error:
                self.faults.append(Fault(path=f"{target.path}.name", message=error.public))
        names = {target.name for target in gateway.targets}
        for row in await targets.list_all(self._conn, gateway_id=gateway_id):
            if row.managed_by == MANAGED_BY and row.name not in names:
                await target_steps.remove(self._conn, row)
