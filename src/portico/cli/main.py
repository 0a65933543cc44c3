"""The command's entry: which commands there are, and how a failure is told."""

import sys
from importlib import import_module
from typing import Final, cast

import click

from portico.model.errors import ConfigError, PorticoError

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130  #: as a shell reports SIGINT

#: Command → where it stands. A module is imported when its command is asked for, so that `portico tools` does not
#: wait for the database layer nor `portico serve` for the MCP SDK.
_COMMANDS: Final = {
    "serve": "portico.cli.serve:serve",
    "worker": "portico.cli.serve:worker",
    "check": "portico.cli.serve:check",
    "migrate": "portico.cli.serve:migrate",
    "apply": "portico.cli.apply:apply",
    "diff": "portico.cli.apply:diff",
    "export": "portico.cli.moves:export",
    "import": "portico.cli.moves:import_",
    "demo": "portico.cli.demo.command:demo",
    "facade": "portico.cli.facade:facade",
    "gateways": "portico.cli.gateways:gateways",
    "users": "portico.cli.users:users",
    "clients": "portico.cli.clients:clients",
    "grants": "portico.cli.grants:grants",
    "access-keys": "portico.cli.access_keys:access_keys",
    "keyring": "portico.cli.keyring:keyring",
    "audit": "portico.cli.audit:audit",
    "doctor": "portico.cli.doctor.command:doctor",
    "login": "portico.cli.client.commands:login",
    "tools": "portico.cli.client.commands:tools",
    "call": "portico.cli.client.commands:call",
}


class _Commands(click.Group):
    """A group whose commands are imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # likewise
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        return cast("click.Command", getattr(import_module(module), name))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="portico")
def root() -> None:
    """Portico: one OAuth-protected MCP endpoint in front of all your MCP servers.

    Start with `portico demo`. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted; `portico diff` has its own.
    """


def run(args: list[str] | None = None) -> int:
    """Run one command and return its exit code; every failure is told on stderr in one place."""
    try:
        outcome: object = root.main(args=args, prog_name="portico", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("portico: interrupted", err=True)
        return EXIT_INTERRUPTED
    except PorticoError as error:
        show_error(error)
        return EXIT_FAILED
    except BrokenPipeError:  # `portico audit list | head`
        sys.stderr.close()
        return EXIT_FAILED
    return outcome if isinstance(outcome, int) else 0


def show_error(error: PorticoError) -> None:
    """Print ``error`` on stderr: one clear line, or one line per fault of a configuration."""
    if isinstance(error, ConfigError):
        for fault in error.faults:
            click.echo(f"portico: {fault}", err=True)
        return
    detail = f" ({error.detail})" if error.detail else ""
    click.echo(f"portico: {error.public}{detail}", err=True)


def main() -> None:
    """Run the ``portico`` command and leave with its exit code."""
    sys.exit(run())
