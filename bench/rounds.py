"""One timed round: load on a subject, and what it cost."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from processes import ROOT
from subjects import Era, Subject

HERE = Path(__file__).parent
SESSIONS_AT_MOST = 64
CHECK_CONNECTIONS = 8
SETTLE_SECONDS = 30.0
SETTLE_STEP = 0.2  #: seconds
IDLE_SHARE = 0.2  #: of a core that an idle subject may use
SLOW_SECONDS = 15.0  #: that a subject gets whose first answers take long
Method = Literal["tools/call", "tools/list"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a round does."""

    subject: Subject
    era: Era
    case: str = ""  #: what the round is about, for the report; the era when empty
    connections: int = 0  #: closed loop with as many; 0 for a fixed rate
    rate: float = 0.0  #: calls per second, open loop
    method: Method = "tools/call"
    cursor: str = ""  #: of the page that tools/list asks for
    progress: bool = False  #: ask for progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a round yielded; one raw line."""

    section: str
    subject: str
    case: str
    connections: int
    rate: float
    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: int
    cpu_per_1000: float  #: CPU seconds of the subject per 1,000 calls
    rss_mb: float
    command: str

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def line(self) -> str:
        return json.dumps(asdict(self))


def read_outcomes(path: Path) -> list[Outcome]:
    """Read raw lines back; those of another version of this program are dropped."""
    if not path.exists():
        return []
    known = {one.name for one in fields(Outcome)}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [Outcome(**line) for line in lines if set(line) == known]


def run_round(plan: Plan, *, section: str, seconds: float, load_core: int) -> Outcome:
    """Run one round and read what the generator printed."""
    subject = plan.subject
    command = _command(plan, seconds)
    environment = _environment(plan)
    before = subject.cpu_seconds()
    output = _generate(command, environment, seconds, load_core)
    spent = subject.cpu_seconds() - before
    settle(subject)
    figures = json.loads(output)
    return Outcome(
        section=section,
        subject=subject.name,
        case=plan.case or plan.era,
        connections=plan.connections,
        rate=plan.rate,
        requests=figures["requests"],
        seconds=figures["seconds"],
        p50_ms=figures["p50_ms"],
        p99_ms=figures["p99_ms"],
        max_ms=figures["max_ms"],
        errors=figures["not_2xx"] + figures["socket_errors"] + figures["wrong_bodies"],
        cpu_per_1000=1000 * spent / max(1, figures["requests"]),
        rss_mb=subject.rss_bytes() / 2**20,
        command=" ".join(command).replace(f"{ROOT}/", ""),
    )


def check(plan: Plan, *, seconds: float, load_core: int) -> str:
    """Look into every answer of an untimed round, which also warms up; return what is wrong, empty for nothing.

    A peer that answers nothing within that time gets a longer one.
    """
    for patience in (seconds, SLOW_SECONDS):
        figures, output = _checked(plan, patience, load_core)
        settle(plan.subject)
        if figures.get("requests") or figures.get("socket_errors"):
            break
    errors = sum(figures.get(kind, 0) for kind in ("not_2xx", "socket_errors", "wrong_bodies"))
    return "" if figures.get("requests") and not errors else output


def _checked(plan: Plan, seconds: float, load_core: int) -> tuple[dict[str, float], str]:
    """Return the figures of a checking round, none when there are none, and its output in short."""
    command = _wrk(plan.subject, CHECK_CONNECTIONS, seconds)
    done = subprocess.run(
        ["taskset", "-c", str(load_core), *command],
        env={**_environment(plan), "BENCH_CHECK": "1"},
        capture_output=True,
        text=True,
        timeout=seconds + 120,
        check=False,
    )
    raw = next((line[4:] for line in done.stdout.splitlines() if line.startswith("RAW ")), None)
    if raw is None:
        return {}, f"no figures:\n{done.stdout}{done.stderr}"
    examples = [line for line in done.stdout.splitlines() if line.startswith("WRONG ")]
    return json.loads(raw), "\n".join([raw, *examples])


def settle(subject: Subject) -> None:
    """Wait until a subject has ended what the last round left: its work would be counted against the next one."""
    deadline = time.monotonic() + SETTLE_SECONDS
    spent = subject.cpu_seconds()
    while time.monotonic() < deadline:
        time.sleep(SETTLE_STEP)
        before, spent = spent, subject.cpu_seconds()
        if spent - before < SETTLE_STEP * IDLE_SHARE:
            return


def _generate(command: list[str], environment: dict[str, str], seconds: float, load_core: int) -> str:
    done = subprocess.run(
        ["taskset", "-c", str(load_core), *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    raw = next((line[4:] for line in done.stdout.splitlines() if line.startswith("RAW ")), None)
    if raw is None:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return raw


def _environment(plan: Plan) -> dict[str, str]:
    subject = plan.subject
    count = min(plan.connections or SESSIONS_AT_MOST, SESSIONS_AT_MOST)
    sessions = subject.sessions(count) if plan.era == "legacy" else []
    return {
        **os.environ,
        "BENCH_ERA": plan.era,
        "BENCH_METHOD": plan.method,
        "BENCH_TOOLS": ",".join(subject.tools),
        "BENCH_CURSOR": plan.cursor,
        "BENCH_PROGRESS": "1" if plan.progress else "",
        "BENCH_TOKEN": subject.token(),
        "BENCH_SESSIONS": ",".join(sessions),
    }


def _command(plan: Plan, seconds: float) -> list[str]:
    if plan.rate:
        return [sys.executable, str(HERE / "rate.py"), plan.subject.url, f"{plan.rate:.0f}", f"{seconds:g}"]
    return _wrk(plan.subject, plan.connections, seconds)


def _wrk(subject: Subject, connections: int, seconds: float) -> list[str]:
    script = str(HERE / "call.lua")
    timeout = ["--timeout", "10s"]  # a slow peer is slow, not broken
    return ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", *timeout, "--latency", "-s", script, subject.url]
