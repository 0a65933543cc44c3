"""``portico facade``: any identity provider made ready for MCP, in front of an MCP server that somebody else runs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import click
import uvloop
import yaml

from portico.cli.client_table import ClientTable, print_client_table
from portico.cli.printing import json_option, print_json
from portico.control.secrets import new_client_secret, secret_hash
from portico.model.errors import ConfigError
from portico.oauth.hosted_clients import HOSTED_CLIENTS, HostedClient, hosted_client
from portico.service.facade import serve_facade
from portico.service.facade_settings import (
    CONFIG_VARIABLE,
    DEFAULT_CONFIG,
    FACADE_KEYS,
    PROVIDER_KEYS,
    TOKEN_MODES,
    FacadeSettings,
    check_facade,
    load_facade_settings,
)
from portico.service.memory import settle_memory

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """Where the configuration comes from."""

    file: Path | None
    environ: Mapping[str, str]

    def load(self) -> FacadeSettings:
        return load_facade_settings(self.file, environ=self.environ)


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
    context.obj = _Given(file=file, environ=environ)
    if context.invoked_subcommand is None:
        settle_memory()
        uvloop.run(serve_facade(context.obj.load()))
    return 0


def _check(file: Path | None, environ: Mapping[str, str], *, as_json: bool) -> int:
    """Print every fault at once; 1 when there is one."""
    faults = check_facade(file, environ=environ)
    if as_json:
        print_json({"ok": not faults, "faults": [{"path": fault.path, "message": fault.message} for fault in faults]})
    elif faults:
        raise ConfigError(faults)
    else:
        click.echo(f"{file or 'The configuration'} is in order.")
    return 1 if faults else 0


@facade.command("client")
@click.argument("client_id")
@click.option("--name", default="", help="What pages call it; the application's name or the id unless given.")
@click.option(
    "--for",
    "application",
    type=click.Choice([hosted.name for hosted in HOSTED_CLIENTS]),
    help="Takes the redirect URIs of a known application.",
)
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where its codes may go; repeat for more.")
@click.option("--public", is_flag=True, help="It has no secret.")
@click.option(
    "--without-pkce",
    is_flag=True,
    help="Do not demand PKCE: a stolen code is then kept from others by the secret alone.",
)
@json_option
@click.pass_context
def client(
    context: click.Context,
    client_id: str,
    *,
    name: str,
    application: str | None,
    redirect_uris: tuple[str, ...],
    public: bool,
    without_pkce: bool,
    as_json: bool,
) -> None:
    """Make the entry for the client CLIENT_ID, to be written under issuer.clients, and the values to paste.

    Nothing is stored: the secret is printed once, and its hash stands in the entry.
    """
    settings = cast("_Given", context.obj).load()
    hosted = hosted_client(application) if application else None
    if public and (without_pkce or (hosted is not None and hosted.needs_secret)):
        raise click.UsageError("--public is not for a client that needs a secret.")
    secret = None if public else new_client_secret()
    uris = tuple(dict.fromkeys((*(hosted.redirect_uris if hosted else ()), *redirect_uris)))
    entry: dict[str, object] = {"clientId": client_id, "name": name or (hosted.title if hosted else client_id)}
    if secret is not None:
        entry["secretHash"] = secret_hash(secret)
    entry["redirectUris"] = list(uris)
    if without_pkce:
        entry["pkceRequired"] = False
    table = ClientTable(
        client_id=client_id,
        client_secret=secret,
        has_secret=secret is not None,
        issuer_url=settings.public_url,
        scopes=settings.issuer.scopes,
        redirect_uris=uris,
        server_urls=(settings.resource,),
        pkce_required=not without_pkce,
    )
    if as_json:
        print_json({"entry": entry, **table.values()})
        return
    click.echo("Write this under issuer.clients and start the façade again:\n")
    click.echo(yaml.safe_dump([entry], sort_keys=False, allow_unicode=True))
    print_client_table(table, as_json=False, more=_notes(hosted, uris, pkce_required=not without_pkce))


def _notes(hosted: HostedClient | None, uris: tuple[str, ...], *, pkce_required: bool) -> list[str]:
    """Return what the administrator has yet to do."""
    notes: list[str] = []
    if hosted is not None and hosted.redirects_later:
        notes.append(f"{hosted.redirects_later}. Add it to redirectUris.")
    elif not uris:
        notes.append("Add the application's redirect URL to redirectUris.")
    if hosted is not None and not hosted.sends_pkce and pkce_required:
        notes.append(f"{hosted.title} sends no PKCE, so its login will be refused: make the entry with --without-pkce.")
    return notes
