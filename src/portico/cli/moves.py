"""``portico export`` and ``portico import``: what is here as a file, and to and from an AgentCore endpoint."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
import yaml

from portico.cli.administration import Desk, administer, config_option
from portico.cli.apply import applier, count_of, print_differences
from portico.cli.aws.endpoint import AgentCore
from portico.cli.aws.secret_files import SecretFiles
from portico.cli.aws.sending import Sender
from portico.cli.printing import json_option, print_json, printable
from portico.cli.private_file import write_private
from portico.control.aws_documents import AwsState
from portico.control.differences import Difference
from portico.control.exporting import Export, LeftOut, MissingSecret
from portico.control.exporting import export as write_export
from portico.control.importing import Bounds, Import
from portico.control.relaxations import Ground
from portico.control.resources import Place, Resource, read_resources
from portico.model.secret import Secret
from portico.net.egress import Egress
from portico.service.declared_file import issuers_beside
from portico.storage.credential_providers import ProviderKind
from portico.storage.schema import DEFAULT_ACCOUNT

_SIGNS: Final = {"created": "+", "changed": "~", "same": "="}
LINE_CHARS: Final = 120  #: of YAML


_endpoint_url = click.option("--endpoint-url", metavar="URL", help="The AgentCore endpoint; AWS's own unless given.")
_region = click.option("--region", help="Its region; that of AWS's environment unless given.")
_rehearse = click.option("--dry-run", is_flag=True, help="Say what would be done and do nothing.")


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write there instead of printing.")
@click.option(
    "--secret-files", metavar="DIR", help="Refer to secrets in files of DIR, not in variables; --to-aws reads them."
)
@click.option("--with-hashes", is_flag=True, help="Write the stored hashes of passwords and of machines' secrets.")
@click.option("--to-aws", is_flag=True, help="Send gateways, targets, providers and identities to AgentCore instead.")
@click.option("--role-arn", metavar="ARN", help="With --to-aws: the role of every gateway there.")
@_endpoint_url
@_region
@_rehearse
@config_option
@json_option
def export(
    *,
    out: Path | None,
    secret_files: str | None,
    with_hashes: bool,
    to_aws: bool,
    role_arn: str | None,
    endpoint_url: str | None,
    region: str | None,
    dry_run: bool,
    config: Path,
    as_json: bool,
) -> int:
    """Print everything that is declared or was made here as a file for `portico apply`; secrets are never in it.

    With --to-aws it goes to an AgentCore endpoint, where nothing is ever deleted.
    """
    if not to_aws and (role_arn or endpoint_url or region or dry_run):
        raise click.UsageError("--role-arn, --endpoint-url, --region and --dry-run belong to --to-aws.")
    if to_aws and (out or with_hashes):
        raise click.UsageError("--out and --with-hashes write a file; they do not go with --to-aws.")
    resources = administer(config, resources_of)
    if not to_aws:
        _print_export(resources, out=out, secret_files=secret_files or "", with_hashes=with_hashes, as_json=as_json)
        return 0
    endpoint = AgentCore.connect(endpoint_url=endpoint_url, region=region)
    files = SecretFiles.at(None if secret_files is None else Path(secret_files))
    return _send(endpoint, resources, files, role=role_arn, rehearse=dry_run, as_json=as_json)


@click.command("import")
@click.option("--from-aws", is_flag=True, required=True, help="Take over from an AgentCore endpoint.")
@click.option(
    "--secret-files",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where files with providers' secrets are; others are asked for.",
)
@_endpoint_url
@_region
@_rehearse
@config_option
@json_option
def import_(
    *,
    from_aws: bool,
    secret_files: Path | None,
    endpoint_url: str | None,
    region: str | None,
    dry_run: bool,
    config: Path,
    as_json: bool,
) -> None:
    """Take over gateways, targets, providers and identities from an AgentCore endpoint, made or replaced by name.

    Nothing is removed here, and nothing is changed there.
    """
    assert from_aws  # click requires it
    state = AgentCore.connect(endpoint_url=endpoint_url, region=region).read()
    files = SecretFiles.at(secret_files)

    async def work(desk: Desk) -> tuple[list[Difference], Import]:
        return await _take_over(desk, state, files, rehearse=dry_run)

    found, imported = administer(config, work)
    if as_json:
        left_out = [asdict(entry) for entry in imported.left_out]
        print_json({"changes": [asdict(difference) for difference in found], "left_out": left_out})
        return
    tell_left_out(imported.left_out)
    print_differences(found)
    click.echo(count_of(found) if found else "Everything is here already; nothing was changed.")


async def _take_over(
    desk: Desk, state: AwsState, files: SecretFiles, *, rehearse: bool
) -> tuple[list[Difference], Import]:
    process = desk.settings.process
    known = await issuers_beside(desk.database, "")
    extension = {"allowPrivateAddresses": True} if process.api_private_addresses else {}
    bounds = Bounds(
        ground=Ground(public_url=desk.settings.public_url, issuers=known),
        egress=Egress(),
        quotas=process.quotas,
        place=Place(account=DEFAULT_ACCOUNT, region=process.region),
        new_extension=extension,
    )
    imported = Import(bounds=bounds, stored=await resources_of(desk))
    imported.read(state)
    wanted: list[tuple[ProviderKind, str]] = [(provider.kind, provider.name) for provider in imported.wanted]
    if rehearse:
        declared = imported.declarations(dict.fromkeys(wanted, Secret("not given yet")))
        return await applier(desk).rehearse(declared), imported
    declared = imported.declarations(files.find(wanted))
    return await applier(desk).apply_and_tell(declared), imported


def _send(
    endpoint: AgentCore,
    resources: list[Resource],
    files: SecretFiles,
    *,
    role: str | None,
    rehearse: bool,
    as_json: bool,
) -> int:
    there = endpoint.read()
    sender = Sender(endpoint=endpoint, there=there, role=role, rehearse=True)
    sender.send(resources)
    if not rehearse:
        secrets = files.find(sender.wanted)  # all of them before anything is sent
        sender = Sender(endpoint=endpoint, there=there, role=role, rehearse=False, secrets=secrets)
        sender.send(resources)
    _print_sent(sender, as_json=as_json)
    return 1 if sender.failed else 0


def _print_sent(sender: Sender, *, as_json: bool) -> None:
    if as_json:
        sent, left_out = ([asdict(entry) for entry in listed] for listed in (sender.sent, sender.left_out))
        print_json({"sent": sent, "left_out": left_out, "failed": sender.failed})
        return
    tell_left_out(sender.left_out)
    for failure in sender.failed:
        click.echo(f"portico: {printable(failure)}", err=True)
    for entry in sender.sent:
        click.echo(f"{_SIGNS[entry.outcome]} {entry.kind} {entry.name}")


def _print_export(
    resources: list[Resource], *, out: Path | None, secret_files: str, with_hashes: bool, as_json: bool
) -> None:
    written = write_export(resources, secret_files=secret_files, with_hashes=with_hashes)
    if out is not None:
        write_private(out, to_yaml(written.document))
    elif as_json:
        print_json(written.document)
    else:
        click.echo(to_yaml(written.document), nl=False)
    _tell(written)


async def resources_of(desk: Desk) -> list[Resource]:
    """Return everything that is stored."""
    place = Place(account=DEFAULT_ACCOUNT, region=desk.settings.process.region)
    async with desk.database.read() as conn:
        return await read_resources(conn, desk.keyring(), place)


def to_yaml(document: Any) -> str:
    """Return a document as a file has it."""
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=LINE_CHARS)


def tell_left_out(left_out: Sequence[LeftOut]) -> None:
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
