"""``portico serve``, ``portico check`` and ``portico migrate``."""

import asyncio
import os
from pathlib import Path

import click
import uvloop

from portico.cli.administration import config_option
from portico.cli.printing import json_option, print_json
from portico.model.errors import ConfigError
from portico.service.memory import settle_memory
from portico.service.process_settings import KEYS, MAX_WORKERS
from portico.service.serve import serve as run_service
from portico.service.serve import serve_as_worker
from portico.service.settings import load_settings, load_worker_settings
from portico.service.supervisor import supervise
from portico.storage.migrate import migrate as migrate_database


@click.command()
@config_option
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    help="Serve with as many processes; the default is the setting `workers`, or 1.",
)
def serve(config: Path, workers: int | None) -> None:
    """Run Portico until it is told to stop; the configuration file is watched and applied again when it changes.

    SIGTERM drains, SIGHUP reads the configuration again, SIGUSR2 replaces the workers one by one.
    """
    if workers is not None:
        os.environ[KEYS["workers"]] = str(workers)  # where workers, and everything that reads the file again, see it
    settings = load_settings(config)
    settle_memory()
    uvloop.run(run_service(settings) if settings.process.workers == 1 else supervise(settings))


@click.command(hidden=True)
@click.option("--channel", type=int, required=True, help="The descriptor of the channel to the supervisor.")
@click.option("--number", type=int, required=True, help="The number of the journal.")
def worker(channel: int, number: int) -> None:
    """Serve for a supervisor; `portico serve` starts it."""
    settle_memory()
    uvloop.run(serve_as_worker(load_worker_settings(), number=number, descriptor=channel))


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
