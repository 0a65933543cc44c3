"""From raw outcomes to the tables of docs/benchmarks.md."""

import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from statistics import median

from processes import ROOT
from rounds import Outcome
from subjects import nginx_binary

COLUMNS = (
    "subject",
    "case",
    "connections",
    "calls/s",
    "of nginx",
    "p50 ms",
    "p99 ms",
    "CPU s per 1,000 calls",
    "RSS MB",
    "errors",
)
PACKAGES = ("uvicorn", "uvloop", "httptools", "msgspec", "joserfc", "cryptography", "sqlalchemy", "asyncpg")
ORDER = {"direct": 0, "nginx": 1, "portico": 2}


def tables(outcomes: Sequence[Outcome], *, command: str, rounds: int, seconds: float, notes: Sequence[str] = ()) -> str:
    """Return everything that stands between a section's markers."""
    closed = [outcome for outcome in outcomes if outcome.connections]
    fixed = [outcome for outcome in outcomes if outcome.rate]
    environment = [*_environment(command, rounds, seconds), *(f"- {_one_line(note)}" for note in notes)]
    parts = ["\n".join(environment), _table(closed)]
    parts += _summary(closed)
    if fixed:
        parts += [
            f"Open loop (`bench/rate.py`) at half of Portico's maximum, {fixed[0].rate:.0f} calls/s:",
            _table(fixed),
        ]
        parts += _added(fixed)
    return "\n\n".join(parts)


def write_into(path: Path, name: str, text: str) -> None:
    """Replace what stands between the markers of a section."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    before, found, rest = path.read_text().partition(begin)
    _, also, after = rest.partition(end)
    if not found or not also:
        raise SystemExit(f"{path} has no markers {begin} and {end}")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def _table(outcomes: Iterable[Outcome]) -> str:
    rows = [
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
    ]
    for (connections, subject, case), group in _grouped(outcomes).items():
        speed = median(one.per_second for one in group)
        nginx = [one.per_second for one in outcomes if one.subject == "nginx" and one.connections == connections]
        share = speed / median(nginx) if connections and nginx else 0
        cells = (
            subject,
            case,
            connections or "open",
            _spread([one.per_second for one in group], 0),
            f"{share:.4f}" if 0 < share < 0.1 else f"{share:.2f}" if share else "",
            _spread([one.p50_ms for one in group], 2),
            _spread([one.p99_ms for one in group], 2),
            "" if subject == "direct" else f"{median(one.cpu_per_1000 for one in group):.3f}",
            "" if subject == "direct" else f"{max(one.rss_mb for one in group):.0f}",
            sum(one.errors for one in group),
        )
        rows.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(rows)


def _grouped(outcomes: Iterable[Outcome]) -> dict[tuple[int, str, str], list[Outcome]]:
    """Group by connections, subject and case: the house first, others and cases in the order of their rounds."""
    listed = list(outcomes)
    first: dict[tuple[str, str], int] = {}
    for index, one in enumerate(listed):
        first.setdefault((one.subject, one.case), index)

    def place(one: Outcome) -> tuple[int, int, int]:
        return (one.connections, ORDER.get(one.subject, 3), first[one.subject, one.case])

    ordered = sorted(listed, key=place)
    grouped = groupby(ordered, key=lambda one: (one.connections, one.subject, one.case))
    return {key: list(group) for key, group in grouped}


def _summary(outcomes: Sequence[Outcome]) -> list[str]:
    """Say how Portico stands to the fastest variant of each peer, and to itself with another number of workers."""
    smallest = min((one.connections for one in outcomes), default=0)
    speeds: dict[str, list[tuple[float, str]]] = {}
    costs: dict[str, float] = {}
    for (connections, subject, case), group in _grouped(outcomes).items():
        if connections == smallest:
            speeds.setdefault(subject, []).append((median(one.per_second for one in group), case))
            costs[f"{subject} {case}"] = median(one.cpu_per_1000 for one in group)
    sentences: list[str] = []
    modern = next((speed for speed, case in speeds.get("portico", []) if case == "modern"), 0.0)
    for peer in speeds.keys() - ORDER.keys():
        speed, case = max(speeds[peer])
        if not speed:
            continue
        sentences.append(
            f"Portico (modern) answers {modern / speed:.0f} times the calls of {peer} at its best ({case})."
        )
    alone = costs.get("portico 1 worker, PostgreSQL")
    if alone:
        change = costs["portico 2 workers, PostgreSQL"] / alone - 1
        sentences.append(f"CPU per call with two workers: {change:+.1%} against one.")
    return ["\n".join(sorted(sentences))] if sentences else []


def _added(fixed: Sequence[Outcome]) -> list[str]:
    """Say what Portico adds to latency at that load."""
    direct = [one for one in fixed if one.subject == "direct"]
    house = [one for one in fixed if one.subject == "portico"]
    if not direct or not house:
        return []
    p50 = median(one.p50_ms for one in house) - median(one.p50_ms for one in direct)
    p99 = median(one.p99_ms for one in house) - median(one.p99_ms for one in direct)
    return [f"Portico adds {p50:.2f} ms at the median and {p99:.2f} ms at p99, at this load."]


def _spread(values: list[float], digits: int) -> str:
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def _one_line(note: str) -> str:
    return note.strip().splitlines()[0]


def _environment(command: str, rounds: int, seconds: float) -> list[str]:
    return [
        f"{begun(command)}: {rounds} interleaved rounds of {seconds:g} s each; median (lowest-highest)",
        packages(),
        f"- {_output(nginx_binary() or 'nginx', '-v')}, {_output('wrk', '-v').split(' Copyright')[0]}",
        machine(),
    ]


def begun(command: str) -> str:
    """Return the line that says what was run when."""
    return f"- `{command}`, {datetime.now(UTC).date().isoformat()}"


def packages() -> str:
    """Return the line that says of what."""
    commit = _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    listed = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"- Portico {version('portico')} at commit {commit}, Python {platform.python_version()}, {listed}"


def machine() -> str:
    """Return the line that says on what."""
    return f"- {_processor()}, Linux {platform.release().partition('-')[0]}"


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores of {names[0]}" if names else platform.machine()
