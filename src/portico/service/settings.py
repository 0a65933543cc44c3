"""Everything that is configured: ``portico.yaml`` with ``PORTICO_*`` over it, read into one frozen value.

Unknown keys are refused, every fault comes in one report, and a dangerous combination refuses to start and names the
setting to change.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from portico.control.declarations import Declarations
from portico.control.declared import DECLARED, read_declarations
from portico.control.reader import ReadFile
from portico.control.relaxations import Ground
from portico.model.errors import ConfigError, Fault
from portico.net.egress import Egress
from portico.service.keyring_file import keyring_faults
from portico.service.keys import unknown_key_faults
from portico.service.process_settings import KEYS, ProcessSettings, read_process_settings
from portico.service.yaml_text import MAX_BYTES, parse_yaml
from portico.storage.address import address_faults

#: Keys that belong to Portico's design and have no effect yet: refused by name.
NOT_BUILT: Final[Mapping[str, str]] = {
    "tls": "is not built yet; let a reverse proxy speak https and set public_url to its URL",
    "metrics": "is not built yet",
    "valkey": "is not built yet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is configured about the process, and what the file declares."""

    config_file: Path | None
    process: ProcessSettings
    declared: Declarations = field(repr=False)

    @property
    def public_url(self) -> str:
        """The origin by which clients know us, without a slash at its end."""
        return self.process.public_url

    @property
    def data_dir(self) -> Path:
        """Where the journal and, by default, database and keyring lie."""
        return self.process.data_dir

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.process.database

    @property
    def keyring_file(self) -> Path:
        """The file of sealing keys."""
        return self.process.keyring_file

    @property
    def ground(self) -> Ground:
        """What documents and revocations are judged against."""
        return self.declared.ground

    @property
    def issuers(self) -> frozenset[str]:
        """The names of the issuers that the file declares."""
        return self.declared.ground.issuers


def load_settings(config: Path | None, *, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the file and the environment.

    Raises:
        ConfigError: every fault at once; also when the file cannot be read.
    """
    variables = os.environ if environ is None else environ
    base = Path.cwd() if config is None else config.absolute().parent
    document, faults = ({}, []) if config is None else read_document(config, variables)
    faults += unknown_key_faults(document, variables=KEYS, also=frozenset(DECLARED), not_built=NOT_BUILT)
    process = read_process_settings(document, environ=variables, base=base, faults=faults)
    declared, declared_faults = read_declarations(
        document,
        public_url=process.public_url,
        egress=Egress(),
        read_file=file_reader(base),
        quotas=process.quotas,
    )
    faults += declared_faults
    faults += keyring_faults(process.keyring_file)
    faults += address_faults(process.database)
    if process.default_gateway and process.default_gateway not in {gateway.name for gateway in declared.gateways}:
        faults.append(Fault(path="default_gateway", message="must be the name of a gateway of this file"))
    if faults:
        raise ConfigError(faults)
    return Settings(config_file=config, process=process, declared=declared)


def load_worker_settings(*, environ: Mapping[str, str] | None = None) -> Settings:
    """Read what a supervisor gave to a worker: the process alone, since the supervisor applies the file.

    Raises:
        ConfigError: every fault at once.
    """
    faults: list[Fault] = []
    variables = os.environ if environ is None else environ
    process = read_process_settings({}, environ=variables, base=Path.cwd(), faults=faults)
    if faults:
        raise ConfigError(faults)
    declared, _ = read_declarations(
        {}, public_url=process.public_url, egress=Egress(), read_file=lambda name: Path(name).read_text()
    )
    return Settings(config_file=None, process=process, declared=declared)


def read_document(
    file: Path, environ: Mapping[str, str], *, page: str = "docs/configuration.md"
) -> tuple[dict[str, Any], list[Fault]]:
    """Read a file's document and what is wrong with its references to the environment; ``page`` explains such files.

    Raises:
        ConfigError: it cannot be read, or is no document.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigError([Fault(path=str(file), message=f"is larger than {MAX_BYTES} bytes")])
        return parse_yaml(content.decode(), environ=environ)
    except OSError as error:
        advice = f"name the file with --config, or write one: {page} has an example to start from"
        message = f"cannot be read ({error.strerror}); {advice}"
        raise ConfigError([Fault(path=str(file), message=message)]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(path=str(file), message="is not UTF-8 text")]) from error


def file_reader(base: Path) -> ReadFile:
    """Return what reads the files that a document in ``base`` names."""
    return lambda name: (base / name).expanduser().read_text(encoding="utf-8")
