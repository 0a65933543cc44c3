"""The steps by which a file's issuers, users and clients reach storage, inside the transaction of ``apply``."""

from collections.abc import Iterable, Mapping
from dataclasses import replace as changed

from portico.control import clients as client_steps
from portico.control import issuers as issuer_steps
from portico.control import signing_keys as key_steps
from portico.control import users as user_steps
from portico.control.connector_secrets import same_but_for_seals, seal_document
from portico.control.declarations import ClientDeclaration, IssuerDeclaration, UserDeclaration
from portico.control.relaxations import Ground
from portico.control.secrets import new_subject
from portico.control.transaction import Transaction
from portico.crypto.keyring import Keyring
from portico.model.errors import Conflict, Fault
from portico.storage import clients, counters, issuers, users
from portico.storage.clients import ClientRow
from portico.storage.users import UserRow

PasswordHashes = Mapping[tuple[str, str], str]  #: (issuer, user name) → the hash that storage has to hold


class DirectoryStep:
    """Writes issuers with their directories; ``faults`` holds the names that somebody else manages."""

    def __init__(self, tx: Transaction, *, ground: Ground, hashes: PasswordHashes) -> None:
        self._tx = tx
        self._conn = tx.conn
        self._now = tx.now
        self._changes = tx.changes
        self._managed_by = tx.managed_by
        self._ground = ground
        self._hashes = hashes
        self.faults: list[Fault] = []

    async def run(self, declared: Iterable[IssuerDeclaration], keyring: Keyring) -> None:
        """Make, change and remove issuers until storage holds what is declared."""
        names: set[str] = set()
        for issuer in declared:
            names.add(issuer.name)
            await self._issuer(issuer, keyring)
        for row in await issuers.list_all(self._conn):
            if self._owns(row.managed_by) and row.name not in names:
                await self._directory(IssuerDeclaration(name=row.name, document={}))
                await issuer_steps.remove(self._conn, row, now=self._now, changes=self._changes)

    async def _issuer(self, issuer: IssuerDeclaration, keyring: Keyring) -> None:
        stored = await issuers.get(self._conn, issuer.name)
        if stored is not None and stored.managed_by != self._managed_by:
            self._taken(f"{issuer.path}.name", "issuer", stored.managed_by)
            return
        before = None if stored is None else stored.document
        document = seal_document(keyring, issuer.name, issuer.document, before, random=self._tx.random)
        await issuer_steps.put(
            self._conn,
            name=issuer.name,
            document=document,
            managed_by=self._managed_by,
            now=self._now,
            changes=self._changes,
            resealed=before is not None and same_but_for_seals(keyring, issuer.name, before, document),
        )
        if await key_steps.ensure(self._conn, keyring, issuer=issuer.name, now=self._now):
            await counters.bump(self._conn, f"issuer/{issuer.name}")
        await self._directory(issuer)

    async def _directory(self, issuer: IssuerDeclaration) -> None:
        await self._users(issuer)
        await self._clients(issuer)

    async def _users(self, issuer: IssuerDeclaration) -> None:
        rows = {row.name: row for row in await users.list_all(self._conn, issuer=issuer.name)}
        for user in issuer.users:
            await self._user(issuer.name, user, rows.get(user.name), self._hashes[issuer.name, user.name])
        names = {user.name for user in issuer.users}
        for row in rows.values():
            if self._owns(row.managed_by) and row.name not in names:
                await user_steps.remove(self._conn, row, ground=self._ground, now=self._now, changes=self._changes)

    async def _user(self, issuer: str, user: UserDeclaration, stored: UserRow | None, password_hash: str) -> None:
        if stored is None:
            row = UserRow(
                issuer=issuer,
                subject=new_subject(self._tx.random),
                name=user.name,
                display_name=user.display_name,
                email=user.email,
                password_hash=password_hash,
                password_changed_at=self._now,
                managed_by=self._managed_by,
                created_at=self._now,
            )
            await user_steps.create(self._conn, row, self._changes)
            return
        if stored.managed_by != self._managed_by:
            self._taken(f"{user.path}.name", "user", stored.managed_by)
            return
        if stored.password_hash != password_hash:
            await user_steps.change_password(
                self._conn, stored, password_hash, ground=self._ground, now=self._now, changes=self._changes
            )
        if (stored.display_name, stored.email) != (user.display_name, user.email):
            await user_steps.set_profile(
                self._conn, stored, display_name=user.display_name, email=user.email, changes=self._changes
            )

    async def _clients(self, issuer: IssuerDeclaration) -> None:
        rows = {row.client_id: row for row in await clients.list_all(self._conn, issuer=issuer.name)}
        for client in issuer.clients:
            await self._client(client, rows.get(client.row.client_id))
        ids = {client.row.client_id for client in issuer.clients}
        for row in rows.values():
            if self._owns(row.managed_by) and row.client_id not in ids:
                await client_steps.remove(self._conn, row, ground=self._ground, now=self._now, changes=self._changes)

    async def _client(self, client: ClientDeclaration, stored: ClientRow | None) -> None:
        if stored is None:
            try:
                await client_steps.create(self._conn, self._row(client, created_at=self._now), self._changes)
            except Conflict as error:
                self.faults.append(Fault(path=f"{client.path}.clientId", message=error.public))
            return
        if stored.managed_by != self._managed_by:
            self._taken(f"{client.path}.clientId", "client", stored.managed_by)
            return
        wanted = self._row(client, created_at=stored.created_at, disabled_at=stored.disabled_at)
        if wanted == stored:
            return
        await client_steps.replace(self._conn, stored, wanted, self._changes)
        if client_steps.loses_something(stored, wanted):
            await client_steps.end_everything(self._conn, wanted, ground=self._ground, now=self._now)

    def _row(self, client: ClientDeclaration, *, created_at: int, disabled_at: int | None = None) -> ClientRow:
        return changed(client.row, managed_by=self._managed_by, created_at=created_at, disabled_at=disabled_at)

    def _owns(self, managed_by: str) -> bool:
        """Say whether what is no longer declared was ours; what nobody manages is never removed."""
        return bool(managed_by) and managed_by == self._managed_by

    def _taken(self, path: str, what: str, managed_by: str) -> None:
        message = f"is the name of a {what} that {managed_by or 'the command line'} manages; delete that one first"
        self.faults.append(Fault(path=path, message=message))
