"""A file of declarations beside the process's own: what ``portico apply`` and ``portico diff`` read.

It declares resources and nothing of the process. Its resources are managed by its logical name: what it declared
before and no longer does is removed, what other files declare is not.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from portico.control.declarations import MANAGED_BY, Declarations
from portico.control.declared import DECLARED, read_declarations
from portico.model.errors import ConfigError, Fault, InputError
from portico.net.egress import Egress
from portico.service.settings import Settings, file_reader, read_document
from portico.storage import issuers
from portico.storage.engine import Database

MAX_NAME_CHARS: Final = 200  #: the column's width


def logical_name(file: Path, settings: Settings, *, given: str | None) -> str:
    """Return by which name a file manages its resources: the given one, or the file's own.

    Raises:
        InputError: the name cannot be used.
    """
    if is_own(file, settings):
        if given not in {None, MANAGED_BY}:
            raise InputError(f"The configuration file of the process is always known as {MANAGED_BY}.")
        return MANAGED_BY
    name = file.name if given is None else given
    if name == MANAGED_BY:
        raise InputError(
            f"{MANAGED_BY} is the name of the process's own file (--config); give another one with --name."
        )
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise InputError(f"The name of a file must have 1 to {MAX_NAME_CHARS} printable characters.")
    return name


def read_declared(
    file: Path, settings: Settings, *, name: str, others: frozenset[str], environ: Mapping[str, str] | None = None
) -> Declarations:
    """Read what a file declares under its logical name; it may refer to the issuers ``others``.

    Raises:
        ConfigError: every fault at once; also when the file cannot be read.
    """
    document, faults = read_document(file, os.environ if environ is None else environ)
    if not is_own(file, settings):
        message = f"belongs into the configuration file of the process; known here are: {', '.join(DECLARED)}"
        faults += [Fault(path=key, message=message) for key in document if key not in DECLARED]
    declared, declared_faults = read_declarations(
        document,
        public_url=settings.public_url,
        egress=Egress(),
        read_file=file_reader(file.absolute().parent),
        quotas=settings.process.quotas,
        managed_by=name,
        other_issuers=others,
    )
    faults += declared_faults
    if faults:
        raise ConfigError(faults)
    return declared


async def issuers_beside(database: Database, name: str) -> frozenset[str]:
    """Return the issuers that are there and that others than ``name`` manage.

    Raises:
        StorageUnavailable: the database cannot be reached.
    """
    async with database.read() as conn:
        return frozenset(row.name for row in await issuers.list_all(conn) if row.managed_by != name)


def is_own(file: Path, settings: Settings) -> bool:
    """Say whether a file is the one that the process is configured by."""
    return settings.config_file is not None and file.resolve() == settings.config_file.resolve()
