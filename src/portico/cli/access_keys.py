"""``portico access-keys``: keys that sign requests of the AgentCore API (SigV4)."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from portico.cli.administration import Desk, administer, config_option
from portico.cli.printing import json_option, moment, print_json, print_rows
from portico.control import access_keys as use_cases
from portico.control.access_keys import AccessKeySummary, NewAccessKey
from portico.model.access_key import ROLES

_COLUMNS: Final = ("access_key_id", "name", "role", "gateways", "state", "created", "last_used")


@click.group("access-keys")
def access_keys() -> None:
    """List, add, disable, enable and delete the keys that boto3 and the aws CLI sign with."""


@access_keys.command("list")
@config_option
@json_option
def list_keys(config: Path, *, as_json: bool) -> None:
    """List the access keys, oldest first."""

    async def work(desk: Desk) -> list[AccessKeySummary]:
        return await use_cases.list_all(desk.database)

    rows = [_row(key) for key in administer(config, work)]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="No access keys.")


@access_keys.command("add")
@click.argument("name")
@click.option("--role", required=True, type=click.Choice(ROLES), help="What the key may do.")
@click.option(
    "--gateway", "gateways", multiple=True, help="A gateway (name or id) to confine the key to; repeat for more."
)
@config_option
@json_option
def add_key(name: str, role: str, gateways: tuple[str, ...], config: Path, *, as_json: bool) -> None:
    """Make an access key for NAME. The secret is printed once and never again.

    Several keys of one NAME are one caller: to change a key, add another, use it, and delete the former.
    """

    async def work(desk: Desk) -> NewAccessKey:
        return await use_cases.add(
            desk.database,
            desk.keyring(),
            name=name,
            role=role,
            confined_to=gateways,
            now=desk.now,
            changes=desk.changes,
        )

    added = administer(config, work)
    secret = added.secret.reveal()
    if as_json:
        print_json({**_row(added.key), "secret_access_key": secret})
        return
    click.echo(f"Added an access key of the role {added.key.role} for {added.key.name}; the secret is shown this once.")
    click.echo(f"AWS_ACCESS_KEY_ID={added.key.access_key_id}\nAWS_SECRET_ACCESS_KEY={secret}")


@access_keys.command("disable")
@click.argument("access_key_id")
@config_option
def disable_key(access_key_id: str, config: Path) -> None:
    """Refuse what ACCESS_KEY_ID signs, within a second."""

    async def work(desk: Desk) -> None:
        await use_cases.disable(desk.database, key_id=access_key_id, now=desk.now, changes=desk.changes)

    administer(config, work)
    click.echo(f"{access_key_id} is disabled.")


@access_keys.command("enable")
@click.argument("access_key_id")
@config_option
def enable_key(access_key_id: str, config: Path) -> None:
    """Take what ACCESS_KEY_ID signs again."""

    async def work(desk: Desk) -> None:
        await use_cases.enable(desk.database, key_id=access_key_id, changes=desk.changes)

    administer(config, work)
    click.echo(f"{access_key_id} is enabled.")


@access_keys.command("delete")
@click.argument("access_key_id")
@config_option
def delete_key(access_key_id: str, config: Path) -> None:
    """Delete ACCESS_KEY_ID for good."""

    async def work(desk: Desk) -> None:
        await use_cases.delete(desk.database, key_id=access_key_id, changes=desk.changes)

    administer(config, work)
    click.echo(f"{access_key_id} is deleted.")


def _row(key: AccessKeySummary) -> Mapping[str, object]:
    times = {"created": moment(key.created_at), "last_used": moment(key.last_used_at)}
    return asdict(key) | {"state": "active" if key.disabled_at is None else "disabled"} | times
