"""From raw outcomes to the tables of docs/benchmarks.md."""

import platform
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from statistics import median

from rounds import Outcome
from subjects import ROOT, nginx_binary

BEGIN = "<!-- begin: written by bench/run.py -->"
END = "<!-- end: written by bench/run.py -->"
COLUMNS = (
    "subject",
    "era",
    "connections",
    "calls/s",
    "of nginx",
    "p50 ms",
    "p99 ms",
    "CPU s per 1,000 calls",
    "RSS MB",
    "errors",
)
PACKAGES = ("uvicorn", "uvloop", "httptools", "msgspec", "joserfc", "cryptography")


def tables(outcomes: Sequence[Outcome], *, command: str, rounds: int, seconds: float) -> str:
    """Return everything between the markers."""
    closed = [outcome for outcome in outcomes if outcome.connections]
    fixed = [outcome for outcome in outcomes if outcome.rate]
    parts = [
        _environment(command, rounds, seconds),
        "Closed loop (`wrk`): as many calls as the connections allow.",
        _table(closed, of_nginx=True),
    ]
    if fixed:
        parts += [
            f"Open loop (`bench/rate.py`) at half of Portico's maximum, {fixed[0].rate:.0f} calls/s:",
            _table(fixed, of_nginx=False),
        ]
    return "\n\n".join(parts)


def write_into(path: Path, text: str) -> None:
    """Replace what stands between the markers."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} has no markers {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _table(outcomes: Iterable[Outcome], *, of_nginx: bool) -> str:
    rows = [
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
    ]
    ordered = sorted(outcomes, key=_key)
    grouped = {key: list(group) for key, group in groupby(ordered, key=_key)}
    for (connections, _, subject, era), group in grouped.items():
        speed = median(one.per_second for one in group)
        nginx = [one.per_second for one in ordered if one.subject == "nginx" and one.connections == connections]
        share = f"{speed / median(nginx):.2f}" if of_nginx and nginx else ""
        cells = (
            subject,
            era,
            connections or "open",
            _spread([one.per_second for one in group], 0),
            share,
            _spread([one.p50_ms for one in group], 2),
            _spread([one.p99_ms for one in group], 2),
            "" if subject == "direct" else f"{median(one.cpu_per_1000 for one in group):.3f}",
            "" if subject == "direct" else f"{max(one.rss_mb for one in group):.0f}",
            sum(one.errors for one in group),
        )
        rows.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(rows)


def _key(outcome: Outcome) -> tuple[int, int, str, str]:
    order = {"direct": 0, "nginx": 1}.get(outcome.subject, 2)
    return (outcome.connections, order, outcome.subject, outcome.era)


def _spread(values: list[float], digits: int) -> str:
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def _environment(command: str, rounds: int, seconds: float) -> str:
    commit = _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    lines = (
        f"- `{command}`: {rounds} interleaved rounds of {seconds:g} s each; median (lowest-highest)",
        f"- Portico {version('portico')} at commit {commit}, Python {platform.python_version()}, {packages}",
        f"- {_output(nginx_binary() or 'nginx', '-v')}, {_output('wrk', '-v').split(' Copyright')[0]}",
        f"- {_processor()}, Linux {platform.release().partition('-')[0]}",
    )
    return "\n".join(lines)


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores of {names[0]}" if names else platform.machine()
