"""``portico clients``: programs that get tokens from an issuer."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypedDict, Unpack

import click

from portico.cli.administration import Desk, administer, config_option, issuer_option
from portico.cli.client_table import ClientTable, print_client_table
from portico.cli.printing import json_option, moment, print_json, print_rows, printable
from portico.control import clients as use_cases
from portico.control import held_clients as held
from portico.control.clients import ClientSummary
from portico.control.held_clients import ClientValues
from portico.control.operations.context import Changes
from portico.model.secret import Secret
from portico.oauth.hosted_clients import HOSTED_CLIENTS, HostedClient, hosted_client

_COLUMNS: Final = ("issuer", "name", "kind", "scopes", "state", "created", "client_id")


class _Asked(TypedDict):
    """The options of ``add`` that say what is to be added."""

    client_id: str
    name: str
    scopes: tuple[str, ...]
    redirect_uris: tuple[str, ...]
    confidential: bool
    application: str | None
    resource: str
    without_pkce: bool


class _Shared(TypedDict):
    """What every kind of client is made of."""

    issuer: str
    client_id: str
    name: str
    scopes: tuple[str, ...]
    default_resource: str
    now: int
    changes: Changes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """The client that is meant."""

    client_id: str
    name: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    resource: str
    confidential: bool
    pkce_required: bool
    hosted: HostedClient | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Added:
    """The client that was made; ``values`` only when people log in with it."""

    client: ClientSummary
    secret: Secret | None = None
    values: ClientValues | None = None


@click.group()
def clients() -> None:
    """List, add, disable, enable and delete clients; give new secrets; say where codes may go."""


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
@click.option("--scope", "scopes", multiple=True, help="A scope that it may ask for; repeat for more.")
@click.option(
    "--redirect-uri", "redirect_uris", multiple=True, help="Makes it a client that people log in with; repeat for more."
)
@click.option("--confidential", is_flag=True, help="People log in with it, and it has a secret: a hosted application.")
@click.option(
    "--for",
    "application",
    type=click.Choice([hosted.name for hosted in HOSTED_CLIENTS]),
    help="Takes the redirect URIs of a known application.",
)
@click.option("--resource", default="", help="The URL of the gateway that its tokens are for when it does not say.")
@click.option(
    "--without-pkce",
    is_flag=True,
    help="Do not demand PKCE of a confidential client that cannot do it: a stolen code is then kept from others by "
    "its secret alone.",
)
@config_option
@issuer_option
@json_option
def add_client(*, config: Path, issuer: str | None, as_json: bool, **asked: Unpack[_Asked]) -> None:
    """Add CLIENT_ID: a machine with a secret, or a client that people log in with (--redirect-uri, --confidential,
    --for), whose values to paste are printed.

    A secret is printed once and never again.
    """  # noqa: D205 - the ways do not fit into one line
    wanted = _wanted(asked)

    async def work(desk: Desk) -> _Added:
        return await _add(desk, desk.issuer(issuer), wanted)

    added = administer(config, work)
    if added.values is None:
        _print_machine(added.client, added.secret, as_json=as_json)
        return
    if not as_json:
        click.echo(
            f"Added the {added.client.kind} client {added.client.client_id} to the issuer {added.client.issuer}.\n"
        )
    _print_held(added, as_json=as_json, more=_notes(wanted, added.values))


@clients.command("secret")
@click.argument("client_id")
@config_option
@issuer_option
@json_option
def new_secret(client_id: str, config: Path, issuer: str | None, *, as_json: bool) -> None:
    """Give CLIENT_ID, a machine or a confidential client, a new secret; the old one and its tokens end."""

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


@clients.command("show")
@click.argument("client_id")
@config_option
@issuer_option
@json_option
def show_client(client_id: str, config: Path, issuer: str | None, *, as_json: bool) -> None:
    """Print again what has to be pasted into the application CLIENT_ID, without its secret."""

    async def work(desk: Desk) -> ClientValues:
        return await held.values_of(desk.database, ground=desk.ground, issuer=desk.issuer(issuer), client_id=client_id)

    values = administer(config, work)
    _print_held(_Added(client=values.client, values=values), as_json=as_json)


@clients.group("redirect")
def redirect() -> None:
    """Add and remove redirect URIs of a client that people log in with."""


@redirect.command("add")
@click.argument("client_id")
@click.argument("uri")
@config_option
@issuer_option
@json_option
def add_redirect(client_id: str, uri: str, config: Path, issuer: str | None, *, as_json: bool) -> None:
    """Let codes of CLIENT_ID go to URI too, exactly as it is written."""

    async def work(desk: Desk) -> ClientSummary:
        return await held.add_redirect(
            desk.database, issuer=desk.issuer(issuer), client_id=client_id, uri=uri, changes=desk.changes
        )

    _print_redirects(administer(config, work), as_json=as_json)


@redirect.command("remove")
@click.argument("client_id")
@click.argument("uri")
@config_option
@issuer_option
@json_option
def remove_redirect(client_id: str, uri: str, config: Path, issuer: str | None, *, as_json: bool) -> None:
    """Take URI from CLIENT_ID; everybody who uses the client has to log in again."""

    async def work(desk: Desk) -> ClientSummary:
        return await held.remove_redirect(
            desk.database,
            ground=desk.ground,
            issuer=desk.issuer(issuer),
            client_id=client_id,
            uri=uri,
            now=desk.now,
            changes=desk.changes,
        )

    _print_redirects(administer(config, work), as_json=as_json)


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


def _wanted(asked: _Asked) -> _Wanted:
    """Say what kind of client is meant.

    Raises:
        UsageError: the options contradict each other.
    """
    hosted = hosted_client(asked["application"]) if asked["application"] else None
    confidential = asked["confidential"] or (hosted is not None and hosted.needs_secret)
    if asked["without_pkce"] and not confidential:
        raise click.UsageError("--without-pkce is for confidential clients: others prove by nothing else who they are.")
    return _Wanted(
        client_id=asked["client_id"],
        name=asked["name"] or (hosted.title if hosted else asked["client_id"]),
        redirect_uris=tuple(dict.fromkeys((*(hosted.redirect_uris if hosted else ()), *asked["redirect_uris"]))),
        scopes=asked["scopes"],
        resource=asked["resource"],
        confidential=confidential,
        pkce_required=not asked["without_pkce"],
        hosted=hosted,
    )


async def _add(desk: Desk, issuer: str, wanted: _Wanted) -> _Added:
    shared: _Shared = {
        "issuer": issuer,
        "client_id": wanted.client_id,
        "name": wanted.name,
        "scopes": wanted.scopes,
        "default_resource": wanted.resource,
        "now": desk.now,
        "changes": desk.changes,
    }
    if not wanted.confidential and not wanted.redirect_uris:
        machine = await use_cases.add_machine(desk.database, **shared)
        return _Added(client=machine.client, secret=machine.secret)
    secret: Secret | None = None
    if wanted.confidential:
        added = await held.add_confidential(
            desk.database, redirect_uris=wanted.redirect_uris, pkce_required=wanted.pkce_required, **shared
        )
        client, secret = added.client, added.secret
    else:
        client = await use_cases.add_public(desk.database, redirect_uris=wanted.redirect_uris, **shared)
    values = await held.values_of(desk.database, ground=desk.ground, issuer=issuer, client_id=client.client_id)
    return _Added(client=client, secret=secret, values=values)


def _notes(wanted: _Wanted, values: ClientValues) -> list[str]:
    """Return what the administrator has yet to do."""
    hosted, notes = wanted.hosted, list[str]()
    if hosted is not None and hosted.redirects_later:
        notes.append(f"{hosted.redirects_later}. Add it: portico clients redirect add {wanted.client_id} URL")
    elif not wanted.redirect_uris:
        notes.append(f"Add the application's redirect URL: portico clients redirect add {wanted.client_id} URL")
    if hosted is not None and not hosted.sends_pkce and wanted.pkce_required:
        notes.append(
            f"{hosted.title} sends no PKCE when its OAuth type is Manual, so its login will be refused. To permit that "
            "delete the client and add it with --without-pkce; its type Dynamic discovery needs no client here."
        )
    if (hosted is None or not hosted.sends_resource) and len(values.server_urls) > 1:
        notes.append("Several gateways trust this issuer: say with --resource which one its tokens are for.")
    return notes


def _print_machine(client: ClientSummary, secret: Secret | None, *, as_json: bool) -> None:
    if as_json:
        print_json({**_row(client), **({"client_secret": secret.reveal()} if secret else {})})
        return
    click.echo(f"Added the {client.kind} client {client.client_id} to the issuer {client.issuer}.")
    if secret:
        click.echo(f"Its secret, shown this once:\n{secret.reveal()}")


def _print_held(added: _Added, *, as_json: bool, more: Sequence[str] = ()) -> None:
    values = added.values
    assert values is not None
    table = ClientTable(
        client_id=values.client.client_id,
        client_secret=added.secret,
        has_secret=values.client.kind in {"confidential", "machine"},
        issuer_url=values.issuer_url,
        scopes=values.scopes,
        redirect_uris=values.client.redirect_uris,
        server_urls=values.server_urls,
        pkce_required=values.client.pkce_required,
    )
    if as_json:
        print_json({**_row(added.client), **table.values()})
        return
    print_client_table(table, as_json=False, more=more)


def _print_redirects(client: ClientSummary, *, as_json: bool) -> None:
    if as_json:
        print_json(_row(client))
        return
    click.echo(f"Codes of {client.client_id} may go to:")
    for uri in client.redirect_uris or ("(nowhere)",):
        click.echo(f"  {printable(uri)}")
