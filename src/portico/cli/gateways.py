"""``portico gateways``: what is served, and the URLs that clients connect to."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from portico.cli.administration import Desk, administer, config_option
from portico.cli.printing import json_option, moment, print_json, print_rows, printable
from portico.control import gateway_summaries as use_cases
from portico.control.gateway_summaries import READY, GatewayDetails, GatewaySummary, TargetSummary

_COLUMNS: Final = ("name", "id", "mcp_url", "status", "targets_ready")
_EMPTY: Final = "No gateways. Declare one under `gateways` of the configuration; portico serve makes it."
#: Authorizer → who may call, in a word.
_AUTHORIZERS: Final = {
    "CUSTOM_JWT": "whoever has a token of its issuer",
    "AWS_IAM": "access keys that may invoke it",
    "AUTHENTICATE_ONLY": "any access key",
    "NONE": "anyone, without a login",
}
_SIGNED: Final = ("AWS_IAM", "AUTHENTICATE_ONLY")
_KINDS: Final = {"mcp_server": "MCP server"}
_WIDTH: Final = len("Targets ready")  #: characters of the longest label

_Line = tuple[str, str]


@click.group()
def gateways() -> None:
    """List gateways and show one: the URL to connect to, and which targets are ready."""


@gateways.command("list")
@config_option
@json_option
def list_gateways(config: Path, *, as_json: bool) -> None:
    """List the gateways with their URLs, and how many of their targets are ready."""

    async def work(desk: Desk) -> list[GatewaySummary]:
        return await use_cases.list_all(desk.database, ground=desk.ground)

    found = administer(config, work)
    if as_json:
        print_json([_document(gateway) for gateway in found])
        return
    rows = [{**_document(gateway), "targets_ready": _ready(gateway)} for gateway in found]
    print_rows(rows, _COLUMNS, as_json=False, empty=_EMPTY)


@gateways.command("show")
@click.argument("name_or_id")
@config_option
@json_option
def show_gateway(name_or_id: str, config: Path, *, as_json: bool) -> None:
    """Show the gateway NAME_OR_ID: its URLs, who may call, its targets and why they are not ready, and what to type."""

    async def work(desk: Desk) -> GatewayDetails:
        return await use_cases.details_of(desk.database, name_or_id=name_or_id, ground=desk.ground)

    details = administer(config, work)
    if as_json:
        print_json({**_document(details.gateway), "targets": [_target_document(one) for one in details.targets]})
        return
    _print_lines(_gateway_lines(details.gateway))
    for target in details.targets:
        click.echo()
        _print_lines(_target_lines(target))
    click.echo(f"\n{_next(details.gateway)}")


def _document(gateway: GatewaySummary) -> Mapping[str, object]:
    times = {"created": moment(gateway.created_at), "updated": moment(gateway.updated_at)}
    return asdict(gateway) | times


def _target_document(target: TargetSummary) -> Mapping[str, object]:
    return asdict(target) | {"synchronized": moment(target.synchronized_at)}


def _ready(gateway: GatewaySummary) -> str:
    return f"{gateway.targets_ready}/{gateway.targets_total}"


def _gateway_lines(gateway: GatewaySummary) -> Iterator[_Line]:
    yield "Gateway", gateway.name
    yield "Id", gateway.id
    yield "MCP URL", gateway.mcp_url
    if gateway.description:
        yield "Description", gateway.description
    yield from _status_lines(gateway.status, gateway.status_reasons)
    who = _AUTHORIZERS.get(gateway.authorizer_type, "")
    yield "Authorizer", f"{gateway.authorizer_type}: {who}" if who else gateway.authorizer_type
    if gateway.issuer:
        yield "Issuer", f"{gateway.issuer}, of this server"
    if gateway.discovery_url:
        yield "Discovery URL", gateway.discovery_url
    yield "Managed by", gateway.managed_by or "no file"
    yield "Targets ready", _ready(gateway)


def _target_lines(target: TargetSummary) -> Iterator[_Line]:
    yield "Target", target.name
    yield "MCP URL", target.mcp_url
    yield _KINDS[target.kind], target.endpoint
    yield from _status_lines(target.status, target.status_reasons)
    yield "Tools", _tools(target)
    if target.listing == "read":
        yield "Synchronized", moment(target.synchronized_at) or "not yet"


def _status_lines(status: str, reasons: tuple[str, ...]) -> Iterator[_Line]:
    yield "Status", status
    for reason in reasons:
        yield "", reason


def _tools(target: TargetSummary) -> str:
    """Say how many tools there are. Those that were read last serve on when reading them anew fails."""
    match target.listing:
        case "live":
            return "asked for whenever a client asks"
        case "stated":
            return f"{target.tools}, as its document states"
        case "read":
            if target.tools is None:
                return "none were read yet"
            return f"{target.tools}" if target.status == READY else f"{target.tools}, as they were last read"


def _next(gateway: GatewaySummary) -> str:
    if gateway.authorizer_type in _SIGNED:
        return (
            "Clients sign their requests (SigV4) with an access key. Make one:\n  portico access-keys add NAME --role "
            f"invoker --gateway {shlex.quote(gateway.id)}"
        )
    add = shlex.join(["claude", "mcp", "add", "--transport", "http", gateway.name, gateway.mcp_url])
    return f"Connect Claude Code, or any other MCP client with the same URL:\n  {printable(add)}"


def _print_lines(lines: Iterator[_Line]) -> None:
    """Print labels and values; a line break within a value could pass for a line of ours."""
    for label, value in lines:
        click.echo(f"{label.ljust(_WIDTH)}  {printable(value).replace(chr(10), ' ')}".rstrip())
