"""Journals that nobody writes any more: of workers that were killed, or that are fewer now.

Their lines are read by ``portico audit`` where they lie; this brings them into the database, where everybody sees
them.
"""

import os
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

from portico.audit.journal import lock_directory
from portico.audit.segments import journal_directories
from portico.audit.shipper import Shipper
from portico.crypto.keyring import Keyring
from portico.model.errors import ConfigError
from portico.storage.engine import Database


async def ship_leftovers(
    root: Path, database: Database, keyring: Keyring, *, used: Collection[Path], locked: Collection[Path] = ()
) -> None:
    """Ship what lies in the journals at and below ``root``, except those that are ``used`` or held by a process.

    What cannot be shipped now stays for the next time. ``locked`` are those that the caller itself holds.
    """
    for directory in journal_directories(root):
        if directory in used:
            continue
        with ExitStack() as stack:
            if directory not in locked:
                try:
                    stack.callback(os.close, lock_directory(directory))
                except (ConfigError, OSError):
                    continue  # somebody writes it
            await Shipper(directory, database, keyring).close()
