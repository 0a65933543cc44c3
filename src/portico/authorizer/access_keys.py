"""The access keys in memory: whose signatures count, on every replica, from the next poll of the counters on.

Verifying touches memory only. When a key was used last is noted there too and written now and then: whoever tidies up
wants to know which keys nobody uses.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from portico.crypto.keyring import Keyring
from portico.crypto.sigv4 import CredentialScope, signing_key
from portico.model.access_key import AccessKey
from portico.model.errors import PorticoError, SealError
from portico.model.secret import Secret
from portico.storage import access_keys
from portico.storage.access_keys import AccessKeyRow
from portico.storage.engine import Database

SCOPE: Final = "access-keys"  #: of the counter that says that one was changed
SEALING_PURPOSE: Final = "access-key"
NOTE_SECONDS: Final = 60.0  #: between two writings of when keys were used

_log = structlog.stdlib.get_logger("portico.authorizer")


class AccessKeys:
    """Every key that is not disabled, with its secret; and the signing keys of the day, which are derived from it."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._keys: Mapping[str, AccessKey] = {}
        self._derived: dict[str, tuple[AccessKey, CredentialScope, bytes]] = {}
        self._used: dict[str, int] = {}

    async def run(self) -> None:
        """Write every minute which keys were used, until cancelled."""
        while True:
            await asyncio.sleep(NOTE_SECONDS)
            try:
                await self.write_uses()
            except PorticoError as error:
                _log.warning("access_key_uses_not_written", error=error.code, detail=error.detail)

    async def write_uses(self) -> None:
        """Write which keys were used since the last time; on failure they are kept for the next.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        used, self._used = self._used, {}
        if not used:
            return
        try:
            async with self._database.write(shared=True) as conn:
                for key_id in sorted(used):  # in one order everywhere: replicas must not wait for each other in turn
                    await access_keys.set_used(conn, key_id, used[key_id])
        except PorticoError:
            self._used = used | self._used
            raise

    async def reload(self) -> None:
        """Read all of them again; on failure what was read before stays.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        async with self._database.read() as conn:
            rows = await access_keys.list_all(conn)
        opened = [open_key(self._keyring, row) for row in rows if row.disabled_at is None]
        self._keys = {key.id: key for key in opened if key is not None}
        self._derived = {}

    def get(self, key_id: str) -> AccessKey | None:
        """Return a key, None when it is unknown or disabled."""
        return self._keys.get(key_id)

    def signing_key(self, key: AccessKey, scope: CredentialScope) -> bytes:
        """Return what ``key`` signs with in a scope; the last one of each key is kept."""
        kept = self._derived.get(key.id)
        if kept is not None and kept[0] is key and kept[1] == scope:
            return kept[2]
        derived = signing_key(key.secret.reveal(), scope)
        self._derived[key.id] = (key, scope, derived)
        return derived

    def note_use(self, key: AccessKey, now: float) -> None:
        """Remember that a key has just proven somebody."""
        self._used[key.id] = int(now)


def open_key(keyring: Keyring, row: AccessKeyRow) -> AccessKey | None:
    """Return the key of a row, None when its sealing key was dropped: then it is lost and nobody can use it."""
    try:
        secret = keyring.open(SEALING_PURPOSE, row.sealed_secret, aad=row.id.encode())
    except SealError:
        _log.warning("access_key_lost", access_key_id=row.id, name=row.name)
        return None
    return AccessKey(
        id=row.id,
        secret=Secret(secret.decode()),
        name=row.name,
        role=row.role,
        gateways=frozenset(row.gateways),
        account=row.account,
    )


def sealed_secret(keyring: Keyring, key_id: str, secret: Secret) -> str:
    """Return what is stored of a key's secret."""
    return keyring.seal(SEALING_PURPOSE, secret.reveal().encode(), aad=key_id.encode())
