"""``portico facade``: any identity provider made ready for MCP, in front of an MCP server that somebody else runs."""

import os
from pathlib import Path
from typing import Final

import click
import uvloop

from portico.cli.printing import json_option, print_json
from portico.model.errors import ConfigError
from portico.service.facade import serve_facade
from portico.service.facade_settings import (
    CONFIG_VARIABLE,
    DEFAULT_CONFIG,
    FACADE_KEYS,
    PROVIDER_KEYS,
    TOKEN_MODES,
    check_facade,
    load_facade_settings,
)

#: Parameter of the command → the variable that it is laid over.
_OPTIONS: Final = {
    "listen": FACADE_KEYS["listen"],
    "public_url": FACADE_KEYS["public_url"],
    "upstream": FACADE_KEYS["upstream.url"],
    "tokens": FACADE_KEYS["tokens"],
    "keyring": FACADE_KEYS["keyring"],
    "provider": PROVIDER_KEYS["discoveryUrl"],
    "client_id": PROVIDER_KEYS["clientId"],
}


@click.group(invoke_without_command=True)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar=CONFIG_VARIABLE,
    help=f"The file; default {DEFAULT_CONFIG} if there is one.",
)
@click.option("--public-url", help="The URL by which clients know the façade, without a path.")
@click.option("--upstream", help="The URL of the MCP server behind it.")
@click.option("--provider", help="The discovery URL of the identity provider.")
@click.option("--client-id", help="The client that the provider knows the façade as.")
@click.option("--listen", help="The address to listen on, for example 127.0.0.1:8080.")
@click.option("--tokens", type=click.Choice(TOKEN_MODES), help="What clients get as their access tokens.")
@click.option("--keyring", help="The file of keys; make it with `portico keyring init`.")
@click.option("--check", is_flag=True, help="Print every fault of the configuration and start nothing.")
@json_option
@click.pass_context
def facade(context: click.Context, config: Path | None, *, check: bool, as_json: bool, **options: str | None) -> int:
    """Serve an issuer and a proxy in front of one MCP server, with a keyring and no database.

    Everything that is configured is a key of the file or a variable PORTICO_FACADE_...; options win over both.
    """
    given = {_OPTIONS[name]: value for name, value in options.items() if value is not None}
    environ = {**os.environ, **given}
    file = config or (Path(DEFAULT_CONFIG) if Path(DEFAULT_CONFIG).exists() else None)
    if check:
        return _check(file, environ, as_json=as_json)
    if context.invoked_subcommand is None:
        uvloop.run(serve_facade(load_facade_settings(file, environ=environ)))
    return 0


def _check(file: Path | None, environ: dict[str, str], *, as_json: bool) -> int:
    """Print every fault at once; 1 when there is one."""
    faults = check_facade(file, environ=environ)
    if as_json:
        print_json({"ok": not faults, "faults": [{"path": fault.path, "message": fault.message} for fault in faults]})
    elif faults:
        raise ConfigError(faults)
    else:
        click.echo(f"{file or 'The configuration'} is in order.")
    return 1 if faults else 0
