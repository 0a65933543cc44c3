"""Applying what a file declares: all of it in one transaction, and again without effect.

What the file managed before and no longer declares is removed, with the revocations that belong to it. What others
manage (the API, the command line) is never touched; a name that they hold is a fault. Passwords are hashed before the
transaction: a write lock is not held for 150 ms. When another replica has applied the same file meanwhile its hashes
stand, and are judged anew: a second salt of the same password must not log everybody out again.
"""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control.apply_access_keys import AccessKeyStep
from portico.control.apply_directory import DirectoryStep, PasswordHashes
from portico.control.apply_gateways import GatewayStep
from portico.control.declarations import MANAGED_BY, Declarations, UserDeclaration
from portico.control.quotas import DEFAULT_QUOTAS, Quotas
from portico.control.secrets import Random
from portico.control.transaction import DEFAULT_REGION, Transaction, of_file
from portico.crypto.keyring import Keyring
from portico.crypto.passwords import hash_password, verify_password
from portico.model.errors import ConfigError, StorageUnavailable
from portico.storage import users
from portico.storage.engine import Database

ATTEMPTS: Final = 5  #: to find the same passwords in storage before and after hashing


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
        for _ in range(ATTEMPTS):
            stored = await self._stored_hashes(declared)
            hashes = await self._password_hashes(declared, stored)
            if await self._write(declared, stored, hashes):
                return
        raise StorageUnavailable("Others are changing the same users; try again.", detail=f"{ATTEMPTS} attempts")

    async def _write(self, declared: Declarations, stored: PasswordHashes, hashes: PasswordHashes) -> bool:
        """Write everything, unless other hashes are stored by now than those that the new ones were judged by."""
        now = int(self._clock())
        async with self._database.write() as conn:
            if await _password_hashes_of(conn, declared) != stored:
                return False
            directory = DirectoryStep(conn, ground=declared.ground, hashes=hashes, now=now, random=self._random)
            await directory.run(declared.issuers, self._keyring)
            gateways = GatewayStep(self._transaction(conn, now))
            await gateways.run(declared.gateways)
            access_keys = AccessKeyStep(conn, self._keyring, now=now)
            await access_keys.run(declared.access_keys)
            faults = directory.faults + gateways.faults + access_keys.faults
            if faults:
                raise ConfigError(faults)  # rolls the transaction back
        return True

    def _transaction(self, conn: AsyncConnection, now: int) -> Transaction:
        return of_file(conn, MANAGED_BY, now=now, random=self._random, region=self._region, quotas=self._quotas)

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
