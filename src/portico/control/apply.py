"""Applying what a file declares: all of it in one transaction, and again without effect.

What that would change can be asked before: it is rehearsed, by the same steps in a transaction that is taken back, so
that nothing can be told otherwise than it would happen.

What the file managed before and no longer declares is removed, with the revocations that belong to it. What others
manage (the API, the command line) is never touched; a name that they hold is a fault. Passwords are hashed before the
transaction: a write lock is not held for 150 ms. When another replica has applied the same file meanwhile its hashes
stand, and are judged anew: a second salt of the same password must not log everybody out again.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control.apply_access_keys import AccessKeyStep
from portico.control.apply_directory import DirectoryStep, PasswordHashes
from portico.control.apply_gateways import GatewayStep
from portico.control.apply_providers import IdentityStep, ProviderStep
from portico.control.declarations import Declarations, UserDeclaration
from portico.control.differences import Difference, differences
from portico.control.quotas import DEFAULT_QUOTAS, Quotas
from portico.control.resources import Place, read_resources
from portico.control.secrets import Random
from portico.control.transaction import DEFAULT_REGION, of_file
from portico.crypto.keyring import Keyring
from portico.crypto.passwords import hash_password, verify_password
from portico.model.errors import ConfigError, Fault, StorageUnavailable
from portico.storage import users
from portico.storage.engine import Database
from portico.storage.schema import DEFAULT_ACCOUNT

ATTEMPTS: Final = 5  #: to find the same passwords in storage before and after hashing


_Write = Callable[[AsyncConnection, Declarations, PasswordHashes], Awaitable[None]]


class _Rehearsed(Exception):
    """Takes a transaction back and carries out of it what would have been changed."""

    def __init__(self, told: list[Difference]) -> None:
        super().__init__()
        self.told = told


class Applier:
    """Writes declarations to storage. Remembers which passwords it has checked, so that a reload need not again."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        *,
        region: str = DEFAULT_REGION,
        quotas: Quotas = DEFAULT_QUOTAS,
        clock: Callable[[], float] = time.time,
        random: Random = os.urandom,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._region = region
        self._quotas = quotas
        self._clock = clock
        self._random = random
        self._checked: dict[tuple[str, str], tuple[UserDeclaration, str]] = {}

    async def apply(self, declared: Declarations) -> None:
        """Make storage hold what the file declares; all or nothing.

        Raises:
            ConfigError: every name that somebody else manages.
            StorageUnavailable: nothing was written.
        """
        await self._run(declared, self._write)

    async def apply_and_tell(self, declared: Declarations) -> list[Difference]:
        """Like :meth:`apply`; return what was changed.

        Raises:
            ConfigError: like :meth:`apply`.
            StorageUnavailable: like :meth:`apply`.
        """
        told: list[Difference] = []

        async def write(conn: AsyncConnection, declared: Declarations, hashes: PasswordHashes) -> None:
            told[:] = await self._told(conn, declared, hashes)

        await self._run(declared, write)
        return told

    async def rehearse(self, declared: Declarations) -> list[Difference]:
        """Return what :meth:`apply` would change, and change nothing.

        Raises:
            ConfigError: like :meth:`apply`.
            StorageUnavailable: like :meth:`apply`.
        """

        async def write(conn: AsyncConnection, declared: Declarations, hashes: PasswordHashes) -> None:
            raise _Rehearsed(await self._told(conn, declared, hashes))  # takes the transaction back

        try:
            await self._run(declared, write)
        except _Rehearsed as rehearsed:
            return rehearsed.told
        raise AssertionError("a rehearsal was not taken back")

    async def _run(self, declared: Declarations, write: _Write) -> None:
        """Write everything, unless other hashes are stored by then than those that the new ones were judged by."""
        for _ in range(ATTEMPTS):
            stored = await self._stored_hashes(declared)
            hashes = await self._password_hashes(declared, stored)
            # Patient: when replicas start together, each of them applies the same file.
            async with self._database.write(patient=True) as conn:
                if await _password_hashes_of(conn, declared) == stored:
                    await write(conn, declared, hashes)
                    return
        raise StorageUnavailable("Others are changing the same users; try again.", detail=f"{ATTEMPTS} attempts")

    async def _told(self, conn: AsyncConnection, declared: Declarations, hashes: PasswordHashes) -> list[Difference]:
        place = Place(account=DEFAULT_ACCOUNT, region=self._region)
        before = await read_resources(conn, self._keyring, place)
        await self._write(conn, declared, hashes)
        return differences(before, await read_resources(conn, self._keyring, place))

    async def _write(self, conn: AsyncConnection, declared: Declarations, hashes: PasswordHashes) -> None:
        """Take every step, in the order in which one refers to another."""
        now = int(self._clock())
        tx = of_file(conn, declared.managed_by, now=now, random=self._random, region=self._region, quotas=self._quotas)
        directory = DirectoryStep(tx, ground=declared.ground, hashes=hashes)
        await directory.run(declared.issuers, self._keyring)
        providers = ProviderStep(tx, self._keyring)
        await providers.put(declared.providers)
        gateways = GatewayStep(tx)
        await gateways.run(declared.gateways)
        await providers.remove(declared.providers)
        identities = IdentityStep(tx)
        await identities.run(declared.identities)
        access_keys = AccessKeyStep(tx, self._keyring)
        await access_keys.run(declared.access_keys)
        faults: list[Fault] = []
        for step in (directory, providers, gateways, identities, access_keys):
            faults += step.faults
        if faults:
            raise ConfigError(faults)  # rolls the transaction back

    async def _stored_hashes(self, declared: Declarations) -> PasswordHashes:
        async with self._database.read() as conn:
            return await _password_hashes_of(conn, declared)

    async def _password_hashes(self, declared: Declarations, stored: PasswordHashes) -> PasswordHashes:
        """Return the hash to store per (issuer, user): the stored one wherever it fits the declared password."""
        checked: dict[tuple[str, str], tuple[UserDeclaration, str]] = {}
        for issuer in declared.issuers:
            for user in issuer.users:
                key = (issuer.name, user.name)
                checked[key] = (user, await self._password_hash(key, user, stored.get(key, "")))
        self._checked = checked
        return {key: password_hash for key, (_, password_hash) in checked.items()}

    async def _password_hash(self, key: tuple[str, str], user: UserDeclaration, stored: str) -> str:
        if user.password is None:
            return user.password_hash
        password = user.password.reveal()
        if stored:
            known, known_hash = self._checked.get(key, (None, ""))
            if known is not None and known.password == user.password and known_hash == stored:
                return stored
            if await asyncio.to_thread(verify_password, stored, password):
                return stored
        return await asyncio.to_thread(hash_password, password)


async def _password_hashes_of(conn: AsyncConnection, declared: Declarations) -> PasswordHashes:
    """Return the stored hashes of the declared users, by (issuer, user)."""
    names = {(issuer.name, user.name) for issuer in declared.issuers for user in issuer.users}
    stored = {(row.issuer, row.name): row.password_hash for row in await users.list_all(conn)}
    return {key: stored[key] for key in names & stored.keys()}
