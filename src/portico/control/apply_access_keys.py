"""The steps by which a file's access keys reach storage, inside the transaction of ``apply``."""

from collections.abc import Iterable

from portico.control import access_keys as steps
from portico.control.declarations import AccessKeyDeclaration
from portico.control.transaction import Transaction
from portico.crypto.keyring import Keyring
from portico.model.errors import Conflict, Fault, NotFound
from portico.storage import access_keys
from portico.storage.access_keys import AccessKeyRow


class AccessKeyStep:
    """Writes access keys; ``faults`` holds ids that somebody else manages and gateways that there are not."""

    def __init__(self, tx: Transaction, keyring: Keyring) -> None:
        self._tx = tx
        self._conn = tx.conn
        self._keyring = keyring
        self.faults: list[Fault] = []

    async def run(self, declared: Iterable[AccessKeyDeclaration]) -> None:
        """Make, change and remove access keys until storage holds what is declared; the gateways are there already."""
        await steps.reseal(self._conn, self._keyring)
        ids: set[str] = set()
        for key in declared:
            ids.add(key.id)
            await self._key(key)
        for row in await access_keys.list_all(self._conn):
            if self._tx.managed_by and row.managed_by == self._tx.managed_by and row.id not in ids:
                await steps.remove(self._conn, row, self._tx.changes)

    async def _key(self, key: AccessKeyDeclaration) -> None:
        try:
            row = AccessKeyRow(
                id=key.id,
                sealed_secret="",
                name=key.name,
                role=key.role,
                gateways=await steps.gateway_ids(self._conn, key.gateways),
                managed_by=self._tx.managed_by,
                created_at=self._tx.now,
            )
            await steps.put(self._conn, self._keyring, row, key.secret, changes=self._tx.changes)
        except NotFound as error:
            self.faults.append(Fault(path=f"{key.path}.gateways", message=error.public))
        except Conflict as error:
            self.faults.append(Fault(path=f"{key.path}.accessKeyId", message=error.public))
