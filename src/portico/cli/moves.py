"""``portico export`` and ``portico import``: what is here as a file, and to and from an AgentCore endpoint."""

from pathlib import Path
from typing import Any, Final

import click
import yaml

from portico.cli.administration import Desk, administer, config_option
from portico.cli.printing import json_option, print_json, printable
from portico.cli.private_file import write_private
from portico.control.exporting import Export, LeftOut, MissingSecret
from portico.control.exporting import export as write_export
from portico.control.resources import Place, Resource, read_resources
from portico.storage.schema import DEFAULT_ACCOUNT

LINE_CHARS: Final = 120  #: of YAML


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write there instead of printing.")
@click.option("--secret-files", metavar="DIR", default="", help="Refer to secrets in files of DIR, not in variables.")
@click.option("--with-hashes", is_flag=True, help="Write the stored hashes of passwords and of machines' secrets.")
@config_option
@json_option
def export(*, out: Path | None, secret_files: str, with_hashes: bool, config: Path, as_json: bool) -> None:
    """Print everything that is declared or was made here as a file for `portico apply`; secrets are never in it."""

    async def work(desk: Desk) -> list[Resource]:
        return await resources_of(desk)

    written = write_export(administer(config, work), secret_files=secret_files, with_hashes=with_hashes)
    if as_json and out is None:
        print_json(written.document)
    elif out is None:
        click.echo(to_yaml(written.document), nl=False)
    else:
        write_private(out, to_yaml(written.document))
    _tell(written)


async def resources_of(desk: Desk) -> list[Resource]:
    """Return everything that is stored."""
    place = Place(account=DEFAULT_ACCOUNT, region=desk.settings.process.region)
    async with desk.database.read() as conn:
        return await read_resources(conn, desk.keyring(), place)


def to_yaml(document: Any) -> str:
    """Return a document as a file has it."""
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=LINE_CHARS)


def tell_left_out(left_out: tuple[LeftOut, ...]) -> None:
    """Name on standard error what was not taken along."""
    for entry in left_out:
        click.echo(f"portico: {printable(str(entry))}", err=True)


def _tell(written: Export) -> None:
    tell_left_out(written.left_out)
    for missing in written.missing:
        click.echo(f"portico: {_where(missing)}", err=True)


def _where(missing: MissingSecret) -> str:
    return f"{missing.kind} {missing.name}: its secret is not in the export; before it is applied set {missing.place}"


class _Plain(yaml.SafeDumper):
    """Without anchors: equal values are written out."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True
