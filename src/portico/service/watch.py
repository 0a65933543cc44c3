"""Watched files: an edited configuration or keyring takes effect without a restart, a broken one changes nothing.

Polled, not notified: network file systems and Kubernetes' swapped symbolic links look the same to a stat. SIGHUP
reads again whatever the files look like, for example after a secret's own file was changed.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import structlog

from portico.crypto.keyring import Keyring
from portico.model.errors import ConfigError, Fault, PorticoError, StorageUnavailable
from portico.service.keyring_file import read_keyring
from portico.service.process_settings import ProcessSettings
from portico.service.settings import Settings

POLL_SECONDS: Final = 1.0

Load = Callable[[Path], Settings]
Apply = Callable[[Settings], Awaitable[None]]

_log = structlog.stdlib.get_logger("portico.config")


class WatchedFile:
    """Says when a file's content changed. A touched file of the same content did not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stat = self._look()
        self._digest = self._read()

    def changed(self) -> bool:
        """Look at the file; True once after each change. A file that is gone is one of empty content."""
        stat = self._look()
        if stat == self._stat:
            return False
        self._stat = stat
        digest, former = self._read(), self._digest
        self._digest = digest
        return digest != former

    def _look(self) -> tuple[int, int, int]:
        try:
            found = self.path.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def _read(self) -> bytes:
        try:
            return hashlib.sha256(self.path.read_bytes()).digest()
        except OSError:
            return b""


class ConfigWatch:
    """Watches the configuration file and the keyring. ``apply`` has been called for their first content already."""

    def __init__(self, settings: Settings, keyring: Keyring, *, load: Load, apply: Apply) -> None:
        self._settings = settings
        self._keyring = keyring
        self._load = load
        self._apply = apply
        self._config = None if settings.config_file is None else WatchedFile(settings.config_file)
        self._keyring_file = WatchedFile(settings.keyring_file)
        self._wake = asyncio.Event()
        self._forced = False  # asked for by reload()
        self._due = False  # could not be applied at the last look

    def reload(self) -> None:
        """Read everything again now, changed or not (SIGHUP)."""
        self._forced = True
        self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self.look()

    async def look(self) -> None:
        """Apply what changed since the last look, or what could not be applied then."""
        forced, due, self._forced, self._due = self._forced, self._due, False, False
        if self._keyring_file.changed() or forced:
            due = self._adopt_keyring() or due
        if self._config is not None and self._config.changed():
            due = True
        if not due and not forced:
            return
        try:
            settings = await self._read_settings()
            self._require_same_place(settings)
            await self._apply(settings)
        except ConfigError as error:
            self._log_faults(error)
        except StorageUnavailable as error:
            self._due = True
            _log.warning("config_waits_for_storage", detail=error.detail)
        except PorticoError as error:
            _log.error("config_not_applied", error=error.code, detail=str(error))
        else:
            _log.info("config_applied", file=str(settings.config_file))
            self._note_process_changes(settings.process)

    async def _read_settings(self) -> Settings:
        """Read the file in a thread: it may lie on a slow file system, and its shapes take time to check."""
        if self._config is None:
            return self._settings
        return await asyncio.to_thread(self._load, self._config.path)

    def _require_same_place(self, settings: Settings) -> None:
        """Refuse documents that were judged for another public_url: here, our own issuers would look foreign."""
        if settings.public_url != self._settings.public_url:
            message = "cannot change while the process runs; restart it, then all of the file takes effect"
            raise ConfigError([Fault(path="public_url", message=message)])

    def _adopt_keyring(self) -> bool:
        try:
            self._keyring.adopt(read_keyring(self._keyring_file.path))
        except ConfigError as error:
            self._log_faults(error)
            return False
        _log.info("keyring_adopted", keys=self._keyring.kids)
        return True

    def _log_faults(self, error: ConfigError) -> None:
        for fault in error.faults:
            _log.error("config_fault", path=fault.path, message=fault.message)
        _log.error("config_not_applied", faults=len(error.faults))

    def _note_process_changes(self, process: ProcessSettings) -> None:
        running = self._settings.process
        names = [
            name for name in ProcessSettings.__dataclass_fields__ if getattr(process, name) != getattr(running, name)
        ]
        if names:
            _log.warning("config_needs_restart", settings=names)
