"""``portico audit``: who called and who changed what, and whether the record is whole."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, get_args

import click
import msgspec

from portico.audit.read import ChangeEntry, Entry, list_changes, list_records
from portico.audit.verify import Report, verify
from portico.cli.administration import Desk, administer, config_option
from portico.cli.printing import json_option, moment, print_json, print_rows
from portico.control import users
from portico.model.call import Outcome
from portico.service.seat import JOURNAL_DIRECTORY
from portico.storage.audit import Filters

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1_000_000

_COLUMNS: Final = ("when", "outcome", "who", "client", "gateway", "target", "tool", "ms", "request_id")
_CHANGE_COLUMNS: Final = ("when", "by", "who", "operation", "arn", "changed", "request_id")
_AGO: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])\Z")


class _Moment(click.ParamType[float]):
    """A moment: ISO 8601, or how long ago."""

    name = "moment"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds since the epoch; a time without zone is UTC."""
        text = str(value)
        found = _DURATION.match(text)
        if found is not None:
            return datetime.now(UTC).timestamp() - int(found[1]) * _AGO[found[2]]
        try:
            parsed = datetime.fromisoformat(text)
        except ValueError:
            self.fail("write 90s, 15m, 2h, 7d or a time like 2026-11-21T08:00", param, ctx)
        return parsed.replace(tzinfo=parsed.tzinfo or UTC).timestamp()


@click.group()
def audit() -> None:
    """List the recorded calls and changes; verify that no record was changed or removed."""


@audit.command("list")
@click.option("--since", type=_Moment(), help="From then on: 15m, 2h, 7d ago, or a time.")
@click.option("--until", type=_Moment(), help="Until then.")
@click.option("--user", default="", help="A user's name or subject.")
@click.option("--client", default="", help="A client id.")
@click.option("--gateway", default="", help="A gateway's id.")
@click.option("--target", default="", help="A target's name.")
@click.option("--tool", default="", help="A tool as its target names it.")
@click.option("--outcome", type=click.Choice(get_args(Outcome)), help="What became of the call.")
@click.option("--limit", type=click.IntRange(1, MAX_LIMIT), default=DEFAULT_LIMIT, show_default=True)
@config_option
@json_option
def list_calls(
    *,
    since: float | None,
    until: float | None,
    user: str,
    outcome: str | None,
    limit: int,
    config: Path,
    as_json: bool,
    **wanted: str,
) -> None:
    """List the newest calls, newest first. Arguments and results are never recorded."""

    async def work(desk: Desk) -> tuple[list[Entry], dict[str, str]]:
        names = {known.subject: known.name for known in await users.list_all(desk.database)}
        subject = next((subject for subject, name in names.items() if name == user), user)
        filters = Filters(since=since, until=until, user=subject, outcome=outcome or "", **wanted)
        directory = desk.settings.data_dir / JOURNAL_DIRECTORY
        return await list_records(desk.database, filters, limit=limit, directory=directory), names

    entries, names = administer(config, work)
    if as_json:
        print_json([_record(entry, names) for entry in entries])
    else:
        print_rows([_row(entry, names) for entry in entries], _COLUMNS, as_json=False, empty="No calls.")


@audit.command("changes")
@click.option("--since", type=_Moment(), help="From then on: 15m, 2h, 7d ago, or a time.")
@click.option("--until", type=_Moment(), help="Until then.")
@click.option("--caller", "user", default="", help="The name of an access key, or of the file.")
@click.option("--access-key", "client", default="", help="The id of an access key.")
@click.option("--gateway", default="", help="A gateway's id.")
@click.option("--operation", "tool", default="", help="An operation's name: UpdateGateway.")
@click.option("--limit", type=click.IntRange(1, MAX_LIMIT), default=DEFAULT_LIMIT, show_default=True)
@config_option
@json_option
def list_what_changed(
    *, since: float | None, until: float | None, limit: int, config: Path, as_json: bool, **wanted: str
) -> None:
    """List the newest changes, newest first, with what was there before and after. Secrets are never recorded."""

    async def work(desk: Desk) -> list[ChangeEntry]:
        directory = desk.settings.data_dir / JOURNAL_DIRECTORY
        filters = Filters(since=since, until=until, **wanted)
        return await list_changes(desk.database, filters, limit=limit, directory=directory)

    entries = administer(config, work)
    if as_json:
        print_json([_change(entry) for entry in entries])
    else:
        rows = [_change_row(entry) for entry in entries]
        print_rows(rows, _CHANGE_COLUMNS, as_json=False, empty="No changes.")


@audit.command("verify")
@config_option
@json_option
def verify_chains(config: Path, *, as_json: bool) -> int:
    """Check the chain of every writer; exit code 1 when something was changed, cut or is missing."""

    async def work(desk: Desk) -> Report:
        return await verify(desk.database, desk.keyring(), directory=desk.settings.data_dir / JOURNAL_DIRECTORY)

    report = administer(config, work)
    if as_json:
        print_json({"intact": report.intact, "writers": [asdict(writer) for writer in report.writers]})
    else:
        _print_report(report)
    return 0 if report.intact else 1


def _record(entry: Entry, names: Mapping[str, str]) -> Mapping[str, object]:
    record = msgspec.to_builtins(entry.record)
    user_name = names.get(entry.record.user, "")
    return {"writer": entry.writer, "sequence": entry.sequence, "reason": "", **record, "user_name": user_name}


def _row(entry: Entry, names: Mapping[str, str]) -> Mapping[str, object]:
    record = entry.record
    outcome = record.outcome if not record.code else f"{record.outcome} ({record.code})"
    return {
        "when": moment(record.time),
        "outcome": outcome,
        "who": names.get(record.user, record.user) or record.kind,
        "client": record.client,
        "gateway": record.gateway,
        "target": record.target,
        "tool": record.tool,
        "ms": f"{record.duration_ms:.1f}",
        "request_id": record.request_id,
    }


def _change(entry: ChangeEntry) -> Mapping[str, object]:
    return {"writer": entry.writer, "sequence": entry.sequence, **msgspec.to_builtins(entry.record)}


def _change_row(entry: ChangeEntry) -> Mapping[str, object]:
    record = entry.record
    return {
        "when": moment(record.time),
        "by": record.kind,
        "who": record.caller,
        "operation": record.operation,
        "arn": record.arn,
        "changed": _changed_members(record.before, record.after),
        "request_id": record.request_id,
    }


def _changed_members(before: Mapping[str, object] | None, after: Mapping[str, object] | None) -> list[str]:
    """Return the names of the members that differ; none for what was made or deleted as a whole."""
    if before is None or after is None:
        return []
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _print_report(report: Report) -> None:
    if not report.writers:
        click.echo("Nothing was recorded yet.")
    for writer in report.writers:
        state = "intact" if not writer.faults else f"{len(writer.faults)} faults"
        click.echo(f"{writer.writer}: {writer.lines} lines, signed up to {writer.signed} of {writer.last}: {state}")
        for fault in writer.faults:
            click.echo(f"  {fault.kind} at {fault.sequence}: {fault.message}", err=True)
