"""``portico serve``, ``portico check`` and ``portico migrate``."""

import asyncio
from pathlib import Path

import click
import uvloop

from portico.cli.administration import config_option
from portico.cli.printing import json_option, print_json
from portico.model.errors import ConfigError
from portico.service.serve import serve as run_service
from portico.service.settings import load_settings
from portico.storage.migrate import migrate as migrate_database


@click.command()
@config_option
def serve(config: Path) -> None:
    """Run Portico until it is told to stop; the configuration file is watched and applied again when it changes."""
    uvloop.run(run_service(load_settings(config)))


@click.command()
@config_option
@json_option
def check(config: Path, *, as_json: bool) -> int:
    """Check the configuration without starting anything; every fault in one report. Exit code 1 when there is one."""
    try:
        load_settings(config)
    except ConfigError as error:
        if not as_json:
            raise
        faults = [{"path": fault.path, "message": fault.message} for fault in error.faults]
        print_json({"ok": False, "faults": faults})
        return 1
    if as_json:
        print_json({"ok": True, "faults": []})
    else:
        click.echo(f"{config} is in order.")
    return 0


@click.command()
@config_option
def migrate(config: Path) -> None:
    """Bring the database to this version's schema; `portico serve` does it too when it starts."""
    asyncio.run(migrate_database(load_settings(config).database))
    click.echo("The database is up to date.")
