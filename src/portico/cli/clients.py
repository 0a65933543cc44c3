"""``portico clients``: programs that get tokens from an issuer."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from portico.cli.administration import Desk, administer, config_option, issuer_option
from portico.cli.printing import json_option, moment, print_json, print_rows
from portico.control import clients as use_cases
from portico.control.clients import ClientSummary, NewMachine
from portico.model.secret import Secret

_COLUMNS: Final = ("issuer", "name", "kind", "scopes", "state", "created", "client_id")


@click.group()
def clients() -> None:
    """List, add, disable, enable and delete clients; give machines new secrets."""


@clients.command("list")
@config_option
@issuer_option
@json_option
def list_clients(config: Path, issuer: str | None, *, as_json: bool) -> None:
    """List the clients: machines, declared ones, and those that registered themselves and were allowed by someone."""

    async def work(desk: Desk) -> list[ClientSummary]:
        return await use_cases.list_all(desk.database, issuer=issuer)

    rows = [_row(client) for client in administer(config, work)]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="No clients.")


@clients.command("add")
@click.argument("client_id")
@click.option("--name", default="", help="What pages and lists call it; the id unless given.")
@click.option("--scope", "scopes", multiple=True, help="A scope that a machine may ask for; repeat for more.")
@click.option(
    "--redirect-uri", "redirect_uris", multiple=True, help="Makes it a public client that people log in with."
)
@config_option
@issuer_option
@json_option
def add_client(
    *,
    client_id: str,
    name: str,
    scopes: tuple[str, ...],
    redirect_uris: tuple[str, ...],
    config: Path,
    issuer: str | None,
    as_json: bool,
) -> None:
    """Add CLIENT_ID: a machine with a secret, or with --redirect-uri a public client.

    The secret is printed once and never again.
    """

    async def work(desk: Desk) -> NewMachine | ClientSummary:
        where = desk.issuer(issuer)
        if redirect_uris:
            return await use_cases.add_public(
                desk.database,
                issuer=where,
                client_id=client_id,
                name=name or client_id,
                redirect_uris=redirect_uris,
                scopes=scopes,
                now=desk.now,
                changes=desk.changes,
            )
        return await use_cases.add_machine(
            desk.database,
            issuer=where,
            client_id=client_id,
            name=name or client_id,
            scopes=scopes,
            now=desk.now,
            changes=desk.changes,
        )

    match administer(config, work):
        case NewMachine(client=client, secret=secret):
            _print_added(client, secret, as_json=as_json)
        case client:
            _print_added(client, None, as_json=as_json)


@clients.command("secret")
@click.argument("client_id")
@config_option
@issuer_option
@json_option
def new_secret(client_id: str, config: Path, issuer: str | None, *, as_json: bool) -> None:
    """Give the machine CLIENT_ID a new secret; the old one and its tokens end."""

    async def work(desk: Desk) -> Secret:
        return await use_cases.new_secret(
            desk.database,
            ground=desk.ground,
            issuer=desk.issuer(issuer),
            client_id=client_id,
            now=desk.now,
            changes=desk.changes,
        )

    secret = administer(config, work)
    if as_json:
        print_json({"client_id": client_id, "client_secret": secret.reveal()})
    else:
        click.echo(f"The new secret of {client_id}, shown this once:\n{secret.reveal()}")


@clients.command("disable")
@click.argument("client_id")
@config_option
@issuer_option
def disable_client(client_id: str, config: Path, issuer: str | None) -> None:
    """Refuse CLIENT_ID; its live tokens end within a second."""

    async def work(desk: Desk) -> None:
        await use_cases.disable(
            desk.database,
            ground=desk.ground,
            issuer=desk.issuer(issuer),
            client_id=client_id,
            now=desk.now,
            changes=desk.changes,
        )

    administer(config, work)
    click.echo(f"{client_id} is disabled.")


@clients.command("enable")
@click.argument("client_id")
@config_option
@issuer_option
def enable_client(client_id: str, config: Path, issuer: str | None) -> None:
    """Serve CLIENT_ID again; what was ended stays ended."""

    async def work(desk: Desk) -> None:
        await use_cases.enable(desk.database, issuer=desk.issuer(issuer), client_id=client_id, changes=desk.changes)

    administer(config, work)
    click.echo(f"{client_id} is enabled.")


@clients.command("delete")
@click.argument("client_id")
@config_option
@issuer_option
def delete_client(client_id: str, config: Path, issuer: str | None) -> None:
    """Delete CLIENT_ID and end its tokens; a client that registered itself stays refused for good."""

    async def work(desk: Desk) -> None:
        await use_cases.delete(
            desk.database,
            ground=desk.ground,
            issuer=desk.issuer(issuer),
            client_id=client_id,
            now=desk.now,
            changes=desk.changes,
        )

    administer(config, work)
    click.echo(f"{client_id} is deleted.")


def _row(client: ClientSummary) -> Mapping[str, object]:
    state = "active" if client.disabled_at is None else "disabled"
    return asdict(client) | {"state": state, "created": moment(client.created_at)}


def _print_added(client: ClientSummary, secret: Secret | None, *, as_json: bool) -> None:
    if as_json:
        print_json({**_row(client), **({"client_secret": secret.reveal()} if secret else {})})
        return
    click.echo(f"Added the {client.kind} client {client.client_id} to the issuer {client.issuer}.")
    if secret:
        click.echo(f"Its secret, shown this once:\n{secret.reveal()}")
