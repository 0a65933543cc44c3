"""One timed round: load on a subject, and what it cost."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from subjects import ROOT, Subject

HERE = Path(__file__).parent
Era = Literal["modern", "legacy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a round does."""

    subject: Subject
    era: Era
    connections: int = 0  #: closed loop with as many; 0 for a fixed rate
    rate: float = 0.0  #: calls per second, open loop
    check: bool = False  #: look into every body instead of measuring


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a round yielded; one raw line."""

    subject: str
    era: Era
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


def run_round(plan: Plan, *, seconds: float, load_core: int) -> Outcome:
    """Run one round and read what the generator printed."""
    subject = plan.subject
    command = _command(plan, seconds)
    environment = {
        **os.environ,
        "BENCH_ERA": plan.era,
        "BENCH_TOOL": subject.tool,
        "BENCH_TOKEN": subject.fresh_token(),
        "BENCH_CHECK": "1" if plan.check else "",
    }
    before = subject.cpu_seconds()
    done = subprocess.run(
        ["taskset", "-c", str(load_core), *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    spent = subject.cpu_seconds() - before
    raw = next((line[4:] for line in done.stdout.splitlines() if line.startswith("RAW ")), None)
    if raw is None:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    figures = json.loads(raw)
    return Outcome(
        subject=subject.name,
        era=plan.era,
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


def _command(plan: Plan, seconds: float) -> list[str]:
    if plan.rate:
        return [sys.executable, str(HERE / "rate.py"), plan.subject.url, f"{plan.rate:.0f}", f"{seconds:g}"]
    script = str(HERE / "call.lua")
    return ["wrk", "-t1", f"-c{plan.connections}", f"-d{seconds:g}s", "--latency", "-s", script, plan.subject.url]
