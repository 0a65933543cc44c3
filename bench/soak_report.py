"""The verdict of a soak test, and its page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import plot
from soak_load import Tally
from soak_samples import ProcessSample, Sample, flatness

GROWTH_SHARE = 0.05  #: of memory between the second and the last quarter that counts as flat
GROWTH_MB = 8.0  #: likewise; whichever allows more
GROWTH_SESSIONS = 2
JUDGED_FROM = 10.0  #: minutes; before, memory is still warming up
TASK_SLACK = 3  #: jobs that happen to run when looked at
SOCKET_SLACK = 12  #: connections of the database pool that were opened on demand
BEGIN, END = "<!-- begin: soak -->", "<!-- end: soak -->"
SHOWN_LOG_LINES = 10
COLUMNS = (
    "process",
    "RSS MB, 2nd quarter",
    "last quarter",
    "highest",
    "tasks at rest, before and after",
    "sockets at rest, before and after",
    "sessions at targets, at the end",
    "CPU s",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """Everything that a soak test saw."""

    minutes: float
    heading: Sequence[str]  #: command, versions, machine
    samples: Sequence[Sample]
    before: Sequence[ProcessSample]  #: at rest, before the load
    after: Sequence[ProcessSample]  #: at rest, after the load
    tally: Tally
    log: Sequence[str] = field(default_factory=tuple)  #: lines that nothing accounts for


def series(samples: Sequence[Sample], member: str) -> dict[str, list[tuple[float, float]]]:
    """Return (minute, value) per process; what a process does not tell is left out."""
    found: dict[str, list[tuple[float, float]]] = {}
    for sample in samples:
        for process in sample.processes:
            value = getattr(process, member)
            if value >= 0:
                found.setdefault(process.name, []).append((sample.minute, value))
    return found


def faults(soak: Soak) -> list[str]:
    """Return everything that speaks against the process, empty when the test is passed."""
    return [*_errors(soak), *_restarts(soak), *_growth(soak), *_leaks(soak)]


def _errors(soak: Soak) -> list[str]:
    count = sum(number for (_, outcome), number in soak.tally.outcomes.items() if outcome == "UNEXPLAINED")
    found = [f"{count} unexplained answers"] if count else []
    if soak.log:
        found.append(f"{len(soak.log)} lines in the log that nothing accounts for")
    return found


def _restarts(soak: Soak) -> list[str]:
    pids = {tuple(process.pid for process in sample.processes) for sample in soak.samples}
    return ["a process ended or was replaced"] if len(pids) > 1 else []


def _growth(soak: Soak) -> list[str]:
    if soak.minutes < JUDGED_FROM:
        return []
    found: list[str] = []
    for name, points in series(soak.samples, "rss_mb").items():
        early, late = flatness([value for _, value in points])
        if late - early > max(GROWTH_MB, GROWTH_SHARE * early):
            found.append(f"memory of {name} grew from {early:.1f} to {late:.1f} MB after warm-up")
    for name, points in series(soak.samples, "upstream_sessions").items():
        early, late = flatness([value for _, value in points])
        if late - early > GROWTH_SESSIONS:
            found.append(f"upstream sessions of {name} grew from {early:.0f} to {late:.0f} after warm-up")
    return found


def _leaks(soak: Soak) -> list[str]:
    """Compare the processes at rest before and after the load."""
    before = {process.name: process for process in soak.before}
    found: list[str] = []
    for process in soak.after:
        first = before.get(process.name)
        if first is None:
            continue
        if process.tasks > first.tasks + TASK_SLACK:
            found.append(f"{process.name} has {process.tasks} tasks at rest, had {first.tasks}")
        if process.upstream_in_flight > 0:
            found.append(f"{process.name} has {process.upstream_in_flight} calls in flight at rest")
        grown = process.sockets - max(process.upstream_connections, 0) - first.sockets
        if grown > SOCKET_SLACK:
            found.append(f"{process.name} has {grown} sockets more at rest, kept connections to targets not counted")
    return found


def text(soak: Soak) -> str:
    """Return what stands between the markers of docs/soak.md."""
    found = faults(soak)
    verdict = "Passed." if not found else "Not passed: " + "; ".join(found) + "."
    calls, logins = soak.samples[-1].calls, soak.samples[-1].logins
    done = f"{calls:,} calls and {logins:,} logins in {soak.minutes:g} minutes"
    parts = [
        "\n".join(f"- {line}" for line in soak.heading),
        f"**{verdict}** {done}; the slowest call took {soak.tally.slowest:.1f} s.",
        "![memory, sockets, tasks, sessions and rate over time](soak.svg)",
        _process_table(soak),
        "What was answered:",
        _outcome_table(soak.tally),
    ]
    if soak.tally.unexplained:
        parts += ["Unexplained, the first ones:", "```\n" + "\n".join(soak.tally.unexplained) + "\n```"]
    if soak.log:
        parts += ["From the log:", "```\n" + "\n".join(soak.log[:SHOWN_LOG_LINES]) + "\n```"]
    return "\n\n".join(parts)


def _process_table(soak: Soak) -> str:
    rows = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    before = {process.name: process for process in soak.before}
    memory = series(soak.samples, "rss_mb")
    for process in soak.after:
        values = [value for _, value in memory.get(process.name, [(0.0, process.rss_mb)])]
        early, late = flatness(values)
        first = before.get(process.name, process)
        cells = (
            process.name,
            f"{early:.1f}",
            f"{late:.1f}",
            f"{max(values):.1f}",
            f"{first.tasks}, {process.tasks}" if process.tasks >= 0 else "",
            f"{first.sockets}, {process.sockets}"
            + (f" ({process.upstream_idle} kept for targets)" if process.upstream_idle >= 0 else ""),
            process.upstream_sessions if process.upstream_sessions >= 0 else "",
            f"{process.cpu_seconds:.0f}",
        )
        rows.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(rows)


def _outcome_table(tally: Tally) -> str:
    rows = ["| call | outcome | count |", "|---|---|---|"]
    rows += [f"| {kind} | {outcome} | {number:,} |" for (kind, outcome), number in sorted(tally.outcomes.items())]
    return "\n".join(rows)


def picture(samples: Sequence[Sample]) -> str:
    """Return the plot."""
    rates = [
        (late.minute, (late.calls - early.calls) / max(1e-9, late.minute - early.minute) / 60)
        for early, late in pairwise(samples)
    ]
    panels = [
        ("memory, RSS in MB", series(samples, "rss_mb")),
        ("sockets", series(samples, "sockets")),
        ("tasks", series(samples, "tasks")),
        ("sessions at targets", series(samples, "upstream_sessions")),
        ("calls per second", {"calls": rates}),
    ]
    return plot.lines("Portico under mixed load", [panel for panel in panels if panel[1]])


def write(place: Path, soak: Soak, *, template: Path) -> None:
    """Write page, plot and raw series into a directory."""
    page = (template if template.exists() else place / template.name).read_text()
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{template} has no markers {BEGIN} and {END}")
    (place / "soak.md").write_text(f"{before}{BEGIN}\n\n{text(soak)}\n\n{END}{after}")
    (place / "soak.svg").write_text(picture(soak.samples))
    (place / "soak.jsonl").write_text("".join(f"{sample.line()}\n" for sample in soak.samples))


def unexplained_lines(log: Path) -> list[str]:
    """Return the log's lines at error level, and those that are no record at all (a traceback)."""
    found: list[str] = []
    for line in log.read_text(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            found.append(line)
            continue
        if isinstance(record, dict) and record.get("level") in {"error", "critical"}:
            found.append(line)
    return found
