"""``portico keyring``: the file of sealing keys, and the issuers' signing keys."""

import secrets
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final, TypeVar

import click

from portico.cli.administration import Desk, administer, config_option, issuer_option
from portico.cli.printing import json_option, moment, print_rows
from portico.cli.private_file import write_private
from portico.control import signing_keys
from portico.control.signing_keys import KeySummary
from portico.crypto.keyring import Keyring, generate_line
from portico.model.errors import Conflict, NotFound, PorticoError
from portico.service.settings import load_settings

KID_BYTES: Final = 4  #: of randomness; a kid only has to differ from the others in its file
_COLUMNS: Final = ("id", "state")
_SIGNING_COLUMNS: Final = ("issuer", "kid", "state", "created", "changed")
_HEADER: Final = "# Portico's sealing keys: the first seals, all open. Keep this file secret and backed up."


_F = TypeVar("_F", bound=Callable[..., object])


def _place_options(command: _F) -> _F:
    """Add what says where the keys are."""
    option = click.option(
        "--file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The keyring's file itself, for example a façade's; by default the one that the configuration names.",
    )
    return config_option(option(command))


@click.group()
def keyring() -> None:
    """Sealing keys (a file): init, list, rotate, retire, drop. Signing keys (in the database): signing."""


@keyring.command("init")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def init(file: Path) -> None:
    """Make FILE with one new sealing key; a file that is there already is left alone."""
    if file.exists():
        raise Conflict(f"{file} is there already. To change the key: portico keyring rotate")
    make_keyring_file(file)
    click.echo(f"Made {file}. Keep it secret and backed up: what it sealed cannot be opened without it.")


@keyring.command("list")
@_place_options
@json_option
def list_keys(config: Path, file: Path | None, *, as_json: bool) -> None:
    """List the sealing keys by id, in order."""
    keys = Keyring.parse(_read(file or _file(config)))
    rows = [{"id": kid, "state": _state(index, retired=kid in keys.retired)} for index, kid in enumerate(keys.kids)]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="No keys.")


@keyring.command("rotate")
@_place_options
def rotate(config: Path, file: Path | None) -> None:
    """Put a new sealing key in front; the former ones go on opening what they sealed."""
    file = file or _file(config)
    former = _read(file)
    kid = _new_kid(set(Keyring.parse(former).kids))
    _write(file, f"{_HEADER}\n{generate_line(kid)}\n{_without_header(former)}")
    click.echo(f"{kid} seals from now on. Running processes follow when they reload the file.")


@keyring.command("retire")
@click.argument("kid")
@_place_options
def retire(kid: str, config: Path, file: Path | None) -> None:
    """Let the sealing key KID open only ids of clients that registered under it, and what lies in the database.

    The routine end of a key that was rotated out: people log in again where a session or token is of that key, and
    clients, which do not recover from a dead id, keep theirs.
    """
    file = file or _file(config)
    former = _read(file)
    keys = Keyring.parse(former)
    _require(file, keys, kid)
    if kid == keys.kids[0]:
        raise PorticoError("It is the key that seals. Put a new one in front first: portico keyring rotate")
    lines = [f"~{line.strip()}" if line.strip().startswith(f"{kid}:") else line for line in former.splitlines()]
    _write(file, "\n".join(lines) + "\n")
    click.echo(f"{kid} is retired. Running processes follow when they reload the file.")


@keyring.command("drop")
@click.argument("kid")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_place_options
def drop(kid: str, config: Path, file: Path | None, *, yes: bool) -> int:
    """Remove the sealing key KID: whatever it sealed can never be opened again.

    Clients that registered themselves under it have to register again.
    """
    file = file or _file(config)
    former = _read(file)
    keys = Keyring.parse(former)
    _require(file, keys, kid)
    left = [one for one in keys.kids if one != kid]
    if not left or left[0] in keys.retired:
        raise PorticoError("No key that seals would come first. Put a new one in front first: portico keyring rotate")
    if not yes and not click.confirm(f"What {kid} sealed is lost for good. Drop it?", err=True):
        click.echo("Nothing was dropped.", err=True)
        return 1
    kept = [line for line in former.splitlines() if not line.strip().removeprefix("~").startswith(f"{kid}:")]
    _write(file, "\n".join(kept) + "\n")
    click.echo(f"{kid} is dropped.")
    return 0


@keyring.group("signing")
def signing() -> None:
    """The keys that sign an issuer's access tokens."""


@signing.command("list")
@config_option
@issuer_option
@json_option
def list_signing(config: Path, issuer: str | None, *, as_json: bool) -> None:
    """List the signing keys."""

    async def work(desk: Desk) -> list[KeySummary]:
        return await signing_keys.list_all(desk.database, issuer=issuer)

    _print_signing(administer(config, work), as_json=as_json)


@signing.command("rotate")
@config_option
@issuer_option
@json_option
def rotate_signing(config: Path, issuer: str | None, *, as_json: bool) -> None:
    """Let the next key sign. Tokens of the former one stay good until they expire."""

    async def work(desk: Desk) -> list[KeySummary]:
        return await signing_keys.rotate(
            desk.database, desk.keyring(), issuer=desk.issuer(issuer), now=desk.now, changes=desk.changes
        )

    _print_signing(administer(config, work), as_json=as_json)


@signing.command("drop")
@click.argument("kid")
@config_option
def drop_signing(kid: str, config: Path) -> None:
    """Delete a signing key: every token that it signed is refused within a second."""

    async def work(desk: Desk) -> None:
        await signing_keys.drop(desk.database, desk.keyring(), kid=kid, now=desk.now, changes=desk.changes)

    administer(config, work)
    click.echo(f"{kid} is dropped; its tokens are refused.")


def make_keyring_file(file: Path) -> None:
    """Write a keyring with one new key.

    Raises:
        PorticoError: it cannot be written.
    """
    _write(file, f"{_HEADER}\n{generate_line(_new_kid(set()))}\n")


def _state(index: int, *, retired: bool) -> str:
    if retired:
        return "retired: opens what lasts"
    return "opens" if index else "seals and opens"


def _require(file: Path, keys: Keyring, kid: str) -> None:
    if kid not in keys.kids:
        raise NotFound(f"{file} has no key {kid!r}; it has: {', '.join(keys.kids)}")


def _new_kid(taken: set[str]) -> str:
    while (kid := f"k{secrets.token_hex(KID_BYTES)}") in taken:
        pass
    return kid


def _file(config: Path) -> Path:
    return load_settings(config).keyring_file


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise PorticoError(f"{file} cannot be read.", detail=error.strerror or "") from error


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_private(file, text)
    except OSError as error:
        raise PorticoError(f"{file} cannot be written.", detail=error.strerror or "") from error


def _without_header(text: str) -> str:
    return text.removeprefix(f"{_HEADER}\n")


def _print_signing(keys: list[KeySummary], *, as_json: bool) -> None:
    rows = [asdict(key) | {"created": moment(key.created_at), "changed": moment(key.changed_at)} for key in keys]
    print_rows(rows, _SIGNING_COLUMNS, as_json=as_json, empty="No signing keys.")
