"""``portico users``: the people of an issuer's own directory."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from portico.cli.administration import (
    Desk,
    administer,
    ask_password,
    config_option,
    issuer_option,
    tell_password,
)
from portico.cli.printing import json_option, moment, print_json, print_rows
from portico.control import users as use_cases
from portico.control.users import UserSummary

_COLUMNS: Final = ("issuer", "name", "display_name", "email", "state", "created", "managed_by")

_F = TypeVar("_F", bound=Callable[..., Any])


def _password_options(command: _F) -> _F:
    command = click.option("--generate", is_flag=True, help="Make a password up and print it once.")(command)
    return click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")(command)


@click.group()
def users() -> None:
    """List, add, disable, enable and delete users; change their passwords."""


@users.command("list")
@config_option
@issuer_option
@json_option
def list_users(config: Path, issuer: str | None, *, as_json: bool) -> None:
    """List the users."""

    async def work(desk: Desk) -> list[UserSummary]:
        return await use_cases.list_all(desk.database, issuer=issuer)

    rows = [_row(user) for user in administer(config, work)]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="No users. Add one with: portico users add NAME")


@users.command("add")
@click.argument("name")
@click.option("--display-name", default="", help="What pages call the user.")
@click.option("--email", default="")
@_password_options
@config_option
@issuer_option
@json_option
def add_user(
    name: str,
    display_name: str,
    email: str,
    config: Path,
    issuer: str | None,
    *,
    password_stdin: bool,
    generate: bool,
    as_json: bool,
) -> None:
    """Add the user NAME; asks for the password unless an option gives it."""
    password = ask_password(from_stdin=password_stdin, generate=generate)

    async def work(desk: Desk) -> UserSummary:
        return await use_cases.add(
            desk.database,
            issuer=desk.issuer(issuer),
            name=name,
            password=password,
            display_name=display_name,
            email=email,
            now=desk.now,
            changes=desk.changes,
        )

    added = _row(administer(config, work))
    tell_password(password, generate=generate)
    if as_json:
        print_json(added)
    else:
        click.echo(f"Added {name} to the issuer {added['issuer']}.")


@users.command("passwd")
@click.argument("name")
@_password_options
@config_option
@issuer_option
def change_password(name: str, config: Path, issuer: str | None, *, password_stdin: bool, generate: bool) -> None:
    """Give NAME a new password; whoever was logged in with the old one has to log in again."""
    password = ask_password(from_stdin=password_stdin, generate=generate)

    async def work(desk: Desk) -> None:
        await use_cases.set_password(
            desk.database,
            ground=desk.ground,
            issuer=desk.issuer(issuer),
            name=name,
            password=password,
            now=desk.now,
            changes=desk.changes,
        )

    administer(config, work)
    tell_password(password, generate=generate)
    click.echo(f"{name} has a new password; former logins have ended.")


@users.command("disable")
@click.argument("name")
@config_option
@issuer_option
def disable_user(name: str, config: Path, issuer: str | None) -> None:
    """Lock NAME out: no login, and live tokens end within a second."""

    async def work(desk: Desk) -> None:
        await use_cases.disable(
            desk.database, ground=desk.ground, issuer=desk.issuer(issuer), name=name, now=desk.now, changes=desk.changes
        )

    administer(config, work)
    click.echo(f"{name} is disabled.")


@users.command("enable")
@click.argument("name")
@config_option
@issuer_option
def enable_user(name: str, config: Path, issuer: str | None) -> None:
    """Let NAME log in again; what was ended stays ended."""

    async def work(desk: Desk) -> None:
        await use_cases.enable(desk.database, issuer=desk.issuer(issuer), name=name, changes=desk.changes)

    administer(config, work)
    click.echo(f"{name} is enabled.")


@users.command("delete")
@click.argument("name")
@config_option
@issuer_option
def delete_user(name: str, config: Path, issuer: str | None) -> None:
    """Delete NAME and end all that they allowed."""

    async def work(desk: Desk) -> None:
        await use_cases.delete(
            desk.database, ground=desk.ground, issuer=desk.issuer(issuer), name=name, now=desk.now, changes=desk.changes
        )

    administer(config, work)
    click.echo(f"{name} is deleted.")


def _row(user: UserSummary) -> Mapping[str, object]:
    state = "active" if user.disabled_at is None else "disabled"
    return asdict(user) | {"state": state, "created": moment(user.created_at)}
