"""What is done once before anybody serves: the directory, the schema, what the file declares, the standing jobs.

A process that serves alone does it for itself; for several workers their supervisor does. Of several replicas that
start at once each does it in its turn: the schema is migrated by the first, and a file that was applied already
changes nothing.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from portico.control import pruning, targets
from portico.control.apply import Applier
from portico.crypto.keyring import Keyring
from portico.model.errors import ConfigError, Fault
from portico.service.settings import Settings
from portico.storage.engine import Database
from portico.storage.migrate import migrate

DATA_DIRECTORY_MODE: Final = 0o700


@asynccontextmanager
async def prepared(settings: Settings, keyring: Keyring) -> AsyncGenerator[tuple[Database, Applier]]:
    """Make database and data directory ready; yields the open database and what applies a changed file.

    Raises:
        ConfigError: the data directory, the database or a declaration cannot be used.
        StorageUnavailable: the database is locked, damaged or away.
    """
    make_directory(settings.data_dir)
    await migrate(settings.database)
    database = await Database.open(settings.database)
    try:
        applier = Applier(database, keyring, region=settings.process.region, quotas=settings.process.quotas)
        await applier.apply(settings.declared)
        await targets.synchronize_all(database, now=time.time())
        await pruning.arm(database, now=time.time())
        yield database, applier
    finally:
        await database.aclose()


def make_directory(path: Path) -> None:
    """Make the data directory, closed to others.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        path.mkdir(mode=DATA_DIRECTORY_MODE, parents=True, exist_ok=True)
    except OSError as error:
        message = f"{path} cannot be made ({error.strerror}); choose another directory or mend its permissions"
        raise ConfigError([Fault(path="data_dir", message=message)]) from error
