"""The keyring's file: read by the process, made by the command line, never made in silence by ``serve``."""

from pathlib import Path
from typing import Final

from portico.crypto.keyring import Keyring
from portico.model.errors import ConfigError, Fault

OTHERS: Final = 0o077  #: permission bits of group and world


def read_keyring(file: Path) -> Keyring:
    """Read the sealing keys.

    Raises:
        ConfigError: the file is missing, readable by others, or holds no good keys.
    """
    try:
        if file.stat().st_mode & OTHERS:
            message = f"{file} can be read by other users of this machine; run: chmod 600 {file}"
            raise ConfigError([Fault(path="keyring", message=message)])
        text = file.read_text()
    except FileNotFoundError as error:
        message = f"{file} does not exist; make it with: portico keyring init {file}"
        raise ConfigError([Fault(path="keyring", message=message)]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Fault(path="keyring", message=f"{file} cannot be read")]) from error
    return Keyring.parse(text)


def keyring_faults(file: Path) -> list[Fault]:
    """Return what is wrong with the keyring's file."""
    try:
        read_keyring(file)
    except ConfigError as error:
        return list(error.faults)
    return []
