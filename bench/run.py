"""Measures what Portico costs: the stub alone, nginx as a plain proxy, Portico with tokens checked and calls audited.

All in one run on one machine: the server under test has a core of its own, stub and load generator share another.
The rounds of the subjects are interleaved, so that a noisy minute hits all of them. docs/benchmarks.md says how to
read the figures and what they do not say.

    .venv/bin/python bench/run.py            the whole measurement; writes docs/benchmarks.md and .jsonl
    .venv/bin/python bench/run.py --quick    short rounds, nothing written: does everything work?
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

import report
from rounds import Outcome, Plan, run_round
from subjects import ROOT, Subject, missing_packages, subjects

CONNECTIONS = (16, 64)
QUICK_CONNECTIONS = (16,)
CHECK_SECONDS = 1.0
DOCUMENT = ROOT / "docs" / "benchmarks.md"
RAW = ROOT / "docs" / "benchmarks.jsonl"


def main() -> None:
    options = _options()
    missing = missing_packages()
    if missing:
        sys.exit(f"missing: {' '.join(missing)} (on Debian: sudo apt install {' '.join(missing)})")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("two cores are needed: one for the server under test, one for load and stub")
    seconds = options.seconds or (1.0 if options.quick else 8.0)
    count = options.rounds or (1 if options.quick else 3)
    with (
        tempfile.TemporaryDirectory(prefix="portico-bench-") as place,
        subjects(Path(place), server_core=cores[0], load_core=cores[1]) as found,
    ):
        outcomes = _measure(found, seconds=seconds, count=count, load_core=cores[1], quick=options.quick)
    command = " ".join(["bench/run.py", *sys.argv[1:]])
    text = report.tables(outcomes, command=command, rounds=count, seconds=seconds)
    print(f"\n{text}")
    if not options.quick:
        RAW.write_text("".join(f"{outcome.line()}\n" for outcome in outcomes))
        report.write_into(DOCUMENT, text)
        print(f"\nwritten: {DOCUMENT.relative_to(ROOT)}, {RAW.relative_to(ROOT)}")
    if any(outcome.errors for outcome in outcomes):
        sys.exit("there were errors: the figures do not count")


def _measure(found: list[Subject], *, seconds: float, count: int, load_core: int, quick: bool) -> list[Outcome]:
    plans = [Plan(subject=subject, era="modern") for subject in found]
    plans += [Plan(subject=subject, era="legacy") for subject in found if subject.name == "portico"]
    _check(plans, load_core)
    connections = QUICK_CONNECTIONS if quick else CONNECTIONS
    closed = [Plan(subject=plan.subject, era=plan.era, connections=number) for number in connections for plan in plans]
    outcomes = _interleaved(closed, count=count, seconds=seconds, load_core=load_core)
    rate = median(one.per_second for one in outcomes if one.subject == "portico" and one.era == "modern") / 2
    fixed = [Plan(subject=plan.subject, era=plan.era, rate=round(rate, -2)) for plan in plans if plan.era == "modern"]
    return outcomes + _interleaved(fixed, count=count, seconds=seconds, load_core=load_core)


def _check(plans: list[Plan], load_core: int) -> None:
    """Look into every answer of an untimed round: ids are echoed once, each holds the stub's text. Also warms up."""
    for plan in plans:
        checking = Plan(subject=plan.subject, era=plan.era, connections=CONNECTIONS[-1], check=True)
        outcome = run_round(checking, seconds=CHECK_SECONDS, load_core=load_core)
        if outcome.errors or not outcome.requests:
            sys.exit(f"{plan.subject.name} ({plan.era}) answered wrongly: {outcome.line()}")


def _interleaved(plans: list[Plan], *, count: int, seconds: float, load_core: int) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for _ in range(count):
        for plan in plans:
            outcome = run_round(plan, seconds=seconds, load_core=load_core)
            print(outcome.line(), flush=True)
            outcomes.append(outcome)
    return outcomes


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round of each, nothing is written")
    parser.add_argument("--seconds", type=float, help="length of a round (default 8)")
    parser.add_argument("--rounds", type=int, help="rounds of each subject (default 3)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
