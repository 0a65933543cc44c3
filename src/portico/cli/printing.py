"""What commands print: a table for a person, JSON for a program."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import click

_F = TypeVar("_F", bound=Callable[..., Any])


def json_option(command: _F) -> _F:
    """Add ``--json``: the outcome as one JSON document on stdout and nothing else there."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")(command)


def print_json(value: object) -> None:
    """Print ``value`` as one indented JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_rows(rows: Sequence[Mapping[str, object]], columns: Sequence[str], *, as_json: bool, empty: str) -> None:
    """Print ``rows``: with ``as_json`` all they hold, else ``columns`` aligned, or ``empty`` when there are none."""
    if as_json:
        print_json([dict(row) for row in rows])
        return
    if not rows:
        click.echo(empty)
        return
    table = [[column.upper().replace("_", " ") for column in columns]]
    table += [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in table) for index in range(len(columns))]
    for line in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def moment(seconds: float | None) -> str:
    """Return ``seconds`` since the epoch as UTC text; empty for None."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def printable(text: str) -> str:
    """Return ``text`` without what a terminal would obey: servers and clients write it, not we (T26)."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        value = " ".join(str(part) for part in cast("Sequence[object]", value))
    text = "" if value is None else printable(str(value)).replace("\n", " ").replace("\t", " ")
    return text or "-"
