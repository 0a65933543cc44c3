"""What every administrator's command needs: the settings, the database, the keyring."""

import asyncio
import secrets
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from portico.control.changes import changes_of_command
from portico.control.operations.context import Changes
from portico.control.relaxations import Ground
from portico.crypto.keyring import Keyring
from portico.model.errors import PorticoError
from portico.model.secret import Secret
from portico.service.keyring_file import read_keyring
from portico.service.settings import Settings, load_settings
from portico.storage.engine import Database
from portico.storage.migrate import is_current

DEFAULT_CONFIG: Final = "portico.yaml"
GENERATED_PASSWORD_BYTES: Final = 15  #: of randomness

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What an administrator's command works with."""

    settings: Settings
    database: Database
    ground: Ground
    now: int  #: seconds since the epoch
    changes: Changes  #: the audit trail, on behalf of whoever runs the command

    def keyring(self) -> Keyring:
        """Read the sealing keyring."""
        return read_keyring(self.settings.keyring_file)

    def issuer(self, named: str | None) -> str:
        """Return the issuer that is meant: the named one, or the only one there is.

        Raises:
            PorticoError: there are several, or none.
        """
        if named is not None:
            return named
        known = sorted(self.ground.issuers)
        if len(known) != 1:
            raise PorticoError(f"Say which issuer is meant: --issuer {' | '.join(known) or 'NAME'}")
        return known[0]


def config_option(command: _F) -> _F:
    """Add ``--config``."""
    return click.option(
        "--config",
        envvar="PORTICO_CONFIG",
        default=DEFAULT_CONFIG,
        show_default=True,
        type=click.Path(dir_okay=False, path_type=Path),
        help="The configuration file.",
    )(command)


def issuer_option(command: _F) -> _F:
    """Add ``--issuer``."""
    return click.option("--issuer", help="The issuer's name; needed only when there are several.")(command)


def administer(config: Path, work: Callable[[Desk], Awaitable[_T]]) -> _T:
    """Do ``work`` with the database that ``config`` names and return its outcome.

    Raises:
        ConfigError: every fault of the configuration.
        PorticoError: whatever the work raises.
    """

    async def run() -> _T:
        async with _desk(config) as desk:
            return await work(desk)

    return asyncio.run(run())


def ask_password(*, from_stdin: bool, generate: bool) -> Secret:
    """Return a new password: read, made up (see :func:`tell_password`), or asked for twice."""
    if from_stdin and generate:
        raise click.UsageError("Give either --password-stdin or --generate, not both.")
    if from_stdin:
        return Secret(sys.stdin.readline().rstrip("\r\n"))
    if generate:
        return Secret(secrets.token_urlsafe(GENERATED_PASSWORD_BYTES))
    return Secret(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def tell_password(password: Secret, *, generate: bool) -> None:
    """Print a password that was made up, once and on stderr, now that it is somebody's."""
    if generate:
        click.echo(f"Password: {password.reveal()}", err=True)


@asynccontextmanager
async def _desk(config: Path) -> AsyncGenerator[Desk]:
    settings = load_settings(config)
    database = await Database.open(settings.database)
    try:
        if not await is_current(database):
            raise PorticoError("The database has another version's schema. Run: portico migrate")
        yield Desk(
            settings=settings,
            database=database,
            ground=settings.ground,
            now=int(time.time()),
            changes=changes_of_command(),
        )
    finally:
        await database.aclose()
