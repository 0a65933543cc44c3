"""Where a façade's keyring comes from: a file that is followed, or a text in the environment.

A façade starts without keys and says what it lacks: whoever waits behind it sees a reason, not a refused connection.
It looks at its file when it is asked for something, so it needs no task of its own (a function has none between two
requests), and at once when a value names a key that it does not know: the other replica may have it already.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from portico.crypto.keyring import Keyring
from portico.model.errors import ConfigError, Fault
from portico.model.secret import Secret
from portico.service.keyring_file import read_keyring
from portico.service.watch import POLL_SECONDS, WatchedFile

NO_KEYRING: Final = "This façade has no keys: its keyring does not exist. Make one with: portico keyring init"
BAD_KEYRING: Final = (
    "This façade has no keys: its keyring cannot be used; its log and `portico facade --check` say why."
)

_log = structlog.stdlib.get_logger("portico.config")


class KeyringSource:
    """Holds the keyring, once there is one, and keeps it as its file is."""

    def __init__(self, *, file: Path, text: Secret, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the file, or the ``text`` that stands in its place."""
        self._path = file
        self._text = text
        self._clock = clock
        self._looked_at = clock()
        self._file = None if text else WatchedFile(file)
        self._reason = ""
        self._keyring: Keyring | None = None
        self._load()

    @property
    def keyring(self) -> Keyring | None:
        """The keyring as it is now; None while there is none. It is the same object for ever."""
        if self._clock() - self._looked_at >= POLL_SECONDS:
            self.look()
        return self._keyring

    @property
    def reason(self) -> str:
        """Why there is no keyring, for the public; empty when there is one."""
        return "" if self._keyring is not None else self._reason

    def look(self) -> bool:
        """Look at the file now; True when its keys were taken over. A bad file changes nothing."""
        self._looked_at = self._clock()
        return self._file is not None and self._file.changed() and self._load()

    def _load(self) -> bool:
        try:
            read = _parse(self._text) if self._text else read_keyring(self._path)
        except ConfigError as error:
            self._reason = NO_KEYRING if not self._text and not self._path.exists() else BAD_KEYRING
            for fault in error.faults:
                _log.error("config_fault", path=fault.path, message=fault.message)
            return False
        if self._keyring is None:
            self._keyring = read
            read.when_unknown(self.look)
        else:
            self._keyring.adopt(read)
        _log.info("keyring_adopted", keys=read.kids)
        return True


def keyring_text_faults(text: Secret) -> list[Fault]:
    """Return what is wrong with a keyring that came as a text."""
    try:
        _parse(text)
    except ConfigError as error:
        return list(error.faults)
    return []


def _parse(text: Secret) -> Keyring:
    """Read keys that are parted by line ends, spaces or commas: not every place for variables takes line ends.

    Lines that are comments in a keyring's file are left out here too.

    Raises:
        ConfigError: every fault at once.
    """
    lines = [line for line in text.reveal().splitlines() if not line.lstrip().startswith("#")]
    return Keyring.parse("\n".join(re.split(r"[\s,]+", " ".join(lines))))
