"""Measures what Portico costs: beside the stub alone, nginx as a plain proxy, and the peers.

All on one machine: the server under test has a core of its own, stub and load generator share another. The rounds of
a section are interleaved, so that a noisy minute hits all of its subjects. docs/benchmarks.md says how to read the
figures and what they do not say.

    .venv/bin/python bench/run.py                   the whole measurement; writes docs/benchmarks.md, .jsonl and .svg
    .venv/bin/python bench/run.py --only cells,lists  some sections; what the others wrote stays
    .venv/bin/python bench/run.py --quick           short rounds, nothing written: does everything work?
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import plot
import report
from processes import ROOT, NotStarted
from rounds import Outcome, Plan, check, read_outcomes, run_round
from sections import SECTIONS, Bench, Section
from subjects import missing_packages

sys.path.append(str(ROOT / "tests"))  # for the tests' own PostgreSQL

CHECK_SECONDS = 1.0
DOCUMENT = ROOT / "docs" / "benchmarks.md"
RAW = ROOT / "docs" / "benchmarks.jsonl"
PLOT = ROOT / "docs" / "benchmarks.svg"


def main() -> None:
    options = _options()
    missing = missing_packages()
    if missing:
        sys.exit(f"missing: {' '.join(missing)} (on Debian: sudo apt install {' '.join(missing)})")
    failed = [name for name in options.only if not _run_section(name, options)]
    if failed:
        sys.exit(f"not measured, or with errors, so that the figures do not count: {', '.join(failed)}")


def _run_section(name: str, options: argparse.Namespace) -> bool:
    """Measure one section and write it down; return whether all went well."""
    section = SECTIONS[name]
    print(f"== {name}", file=sys.stderr, flush=True)
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portico-bench-")))
        bench = Bench(stack=stack, place=place, quick=options.quick)
        if section.measure is not None:
            return _write_measured(name, section, section.measure, bench, options)
        assert section.build is not None
        try:
            plans = section.build(bench)
        except NotStarted as error:
            print(f"{name}: {error}", file=sys.stderr)
            return False
        wrong = _wrong(plans, bench)
        if wrong:
            print(f"{name}: answers are wrong, nothing was measured:\n{wrong}", file=sys.stderr)
            return False
        outcomes = _measure(name, section, plans, bench, options)
    command = " ".join(["bench/run.py", *sys.argv[1:]])
    text = report.tables(outcomes, command=command, rounds=options.rounds, seconds=options.seconds, notes=bench.notes)
    print(f"\n## {section.title}\n\n{text}\n", flush=True)
    good = not any(outcome.errors for outcome in outcomes)
    if not options.quick and good:
        _write(name, text, outcomes)
    return good and not any(note.startswith("not measured") for note in bench.notes)


def _write_measured(
    name: str, section: Section, measure: Callable[[Bench], str], bench: Bench, options: argparse.Namespace
) -> bool:
    """Write down a section that measures in a way of its own."""
    try:
        found = measure(bench)
    except NotStarted as error:
        print(f"{name}: {error}", file=sys.stderr)
        return False
    command = " ".join(["bench/run.py", *sys.argv[1:]])
    text = "\n".join([report.begun(command), report.packages(), report.machine(), "", found])
    print(f"\n## {section.title}\n\n{text}\n", flush=True)
    if not options.quick:
        report.write_into(DOCUMENT, name, text)
    return True


def _measure(
    name: str, section: Section, plans: Sequence[Plan], bench: Bench, options: argparse.Namespace
) -> list[Outcome]:
    def interleaved(chosen: Sequence[Plan]) -> list[Outcome]:
        found: list[Outcome] = []
        for _ in range(options.rounds):
            for plan in chosen:
                outcome = run_round(plan, section=name, seconds=options.seconds, load_core=bench.cores.load[0])
                print(outcome.line(), flush=True)
                found.append(outcome)
        return found

    outcomes = interleaved(plans)
    if section.half_load_of:
        rate = round(_best(outcomes, section.half_load_of) / 2, -2)
        smallest = min(plan.connections for plan in plans)
        modern = [plan for plan in plans if plan.era == "modern" and plan.connections == smallest]
        outcomes += interleaved([replace(plan, connections=0, rate=rate) for plan in modern])
    return outcomes


def _best(outcomes: Sequence[Outcome], subject: str) -> float:
    """Return a subject's calls per second at the smallest number of connections, in its slowest case but legacy."""
    smallest = min(one.connections for one in outcomes)
    chosen = [
        one for one in outcomes if one.subject == subject and one.connections == smallest and one.case != "legacy"
    ]
    cases = {one.case for one in chosen}
    return min(median(one.per_second for one in chosen if one.case == case) for case in cases)


def _wrong(plans: Sequence[Plan], bench: Bench) -> str:
    """Look into every answer of an untimed round of each plan: ids are echoed once, each holds what it should."""
    seen: set[tuple[str, str, str]] = set()
    found: list[str] = []
    for plan in plans:
        key = (plan.subject.name, plan.subject.url, f"{plan.era} {plan.case}")
        if key in seen:
            continue
        seen.add(key)
        wrong = check(plan, seconds=CHECK_SECONDS, load_core=bench.cores.load[0])
        if wrong:
            found.append(f"{plan.subject.name} ({plan.case or plan.era}): {wrong}")
    return "\n".join(found)


def _write(name: str, text: str, outcomes: Sequence[Outcome]) -> None:
    order = list(SECTIONS)
    kept = [outcome for outcome in read_outcomes(RAW) if outcome.section in order and outcome.section != name]
    every = sorted([*kept, *outcomes], key=lambda outcome: order.index(outcome.section))
    RAW.write_text("".join(f"{outcome.line()}\n" for outcome in every))
    if name == "peers":
        PLOT.write_text(plot.speeds(outcomes))
        text = f"![calls per second]({PLOT.name})\n\n{text}"
    report.write_into(DOCUMENT, name, text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=_names, default=list(SECTIONS), help=f"sections: {','.join(SECTIONS)}")
    parser.add_argument("--quick", action="store_true", help="one short round of each, nothing is written")
    parser.add_argument("--seconds", type=int, help="length of a round (default 8)")
    parser.add_argument("--rounds", type=int, help="rounds of each subject (default 3)")
    options = parser.parse_args()
    options.seconds = options.seconds or (1 if options.quick else 8)
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    unknown = sorted(set(names) - set(SECTIONS))
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known are {', '.join(SECTIONS)}")
    return [name for name in SECTIONS if name in names]


if __name__ == "__main__":
    main()
