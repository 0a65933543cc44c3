"""``portico apply`` and ``portico diff``: a file of declarations, and what it changes."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from portico.cli.administration import Desk, administer, config_option
from portico.cli.main import show_error
from portico.cli.printing import json_option, print_json, printable
from portico.control.apply import Applier
from portico.control.declarations import Declarations
from portico.control.differences import Difference, MemberDifference
from portico.model.errors import PorticoError
from portico.service.declared_file import issuers_beside, logical_name, read_declared

EXIT_DIFFERS: Final = 1  #: of ``diff``, as other diff tools have it
EXIT_TROUBLE: Final = 2  #: likewise
MAX_SHOWN_CHARS: Final = 120  #: of one value

_SIGNS: Final = {"created": "+", "changed": "~", "removed": "-"}

_file = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
_name = click.option(
    "--name", help="By which name the resources of FILE are managed; the file's own unless given.", metavar="NAME"
)


@click.command()
@_file
@_name
@config_option
@json_option
def apply(file: Path, name: str | None, config: Path, *, as_json: bool) -> None:
    """Make the server hold what FILE declares, all or nothing; what FILE declared before and no longer does goes."""

    async def work(desk: Desk) -> list[Difference]:
        return await applier(desk).apply_and_tell(await _declared(desk, file, name))

    _print(administer(config, work), as_json=as_json, nothing="Everything is as the file says; nothing was changed.")


@click.command()
@_file
@_name
@config_option
@json_option
def diff(file: Path, name: str | None, config: Path, *, as_json: bool) -> int:
    """Show what `portico apply FILE` would change, and change nothing.

    Exit codes: 0 nothing would change, 1 something would, 2 it could not be found out.
    """

    async def work(desk: Desk) -> list[Difference]:
        return await applier(desk).rehearse(await _declared(desk, file, name))

    try:
        found = administer(config, work)
    except PorticoError as error:
        show_error(error)
        return EXIT_TROUBLE
    _print(found, as_json=as_json, nothing="Nothing would change.")
    return EXIT_DIFFERS if found else 0


def applier(desk: Desk) -> Applier:
    """Return what writes declarations to the desk's database."""
    process = desk.settings.process
    return Applier(desk.database, desk.keyring(), region=process.region, quotas=process.quotas)


async def _declared(desk: Desk, file: Path, name: str | None) -> Declarations:
    known_as = logical_name(file, desk.settings, given=name)
    others = await issuers_beside(desk.database, known_as)
    return read_declared(file, desk.settings, name=known_as, others=others)


def _print(found: list[Difference], *, as_json: bool, nothing: str) -> None:
    if as_json:
        print_json({"changes": [asdict(difference) for difference in found]})
        return
    print_differences(found)
    click.echo(count_of(found) if found else nothing)


def print_differences(found: list[Difference]) -> None:
    """Print every resource, and of those that are changed every member."""
    for difference in found:
        click.echo(f"{_SIGNS[difference.action]} {difference.kind} {printable(difference.name)}")
        if difference.action == "changed":
            for member in difference.members:
                click.echo(f"    {_line(member)}")


def count_of(found: list[Difference]) -> str:
    """Return how many resources are created, changed and removed, as a sentence."""
    counted = Counter(difference.action for difference in found)
    return ", ".join(f"{counted[action]} {action}" for action in _SIGNS if counted[action]) + "."


def _line(member: MemberDifference) -> str:
    if member.before == member.after:
        return f"{member.path}: {member.after}, another one"  # both are stars
    return f"{member.path}: {_shown(member.before)} -> {_shown(member.after)}"


def _shown(value: Any) -> str:
    if value is None:
        return "(none)"
    text = printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).replace("\n", " ")
    return text if len(text) <= MAX_SHOWN_CHARS else text[: MAX_SHOWN_CHARS - 3] + "..."
