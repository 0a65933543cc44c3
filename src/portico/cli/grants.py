"""``portico grants``: what users allowed clients."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from portico.cli.administration import Desk, administer, config_option, issuer_option
from portico.cli.printing import json_option, moment, print_rows
from portico.control import grants as use_cases
from portico.control.grants import GrantSummary

_COLUMNS: Final = ("id", "issuer", "user", "client", "scopes", "resource", "created", "state")


@click.group()
def grants() -> None:
    """List and revoke what users allowed clients."""


@grants.command("list")
@click.option("--all", "with_ended", is_flag=True, help="Also those that are over or revoked.")
@config_option
@issuer_option
@json_option
def list_grants(config: Path, issuer: str | None, *, with_ended: bool, as_json: bool) -> None:
    """List the grants, newest first."""

    async def work(desk: Desk) -> tuple[list[GrantSummary], int]:
        found = await use_cases.list_all(desk.database, now=desk.now, issuer=issuer, with_ended=with_ended)
        return found, desk.now

    found, now = administer(config, work)
    print_rows([_row(grant, now) for grant in found], _COLUMNS, as_json=as_json, empty="No grants.")


@grants.command("revoke")
@click.argument("grant_id")
@config_option
def revoke_grant(grant_id: str, config: Path) -> None:
    """Take the grant GRANT_ID back: its refresh tokens end now, its access tokens within a second."""

    async def work(desk: Desk) -> None:
        await use_cases.revoke(desk.database, ground=desk.ground, grant_id=grant_id, now=desk.now, changes=desk.changes)

    administer(config, work)
    click.echo(f"{grant_id} is revoked.")


def _row(grant: GrantSummary, now: int) -> Mapping[str, object]:
    state = "revoked" if grant.revoked_at is not None else "over" if grant.expires_at <= now else "live"
    return asdict(grant) | {"state": state, "created": moment(grant.created_at)}
