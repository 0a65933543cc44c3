"""The tables of docs/conformance.md, made from a run."""

from pathlib import Path

from conformance import suite
from conformance.suite import Run

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"
HEAD = "| scenario | result | checks passed |\n|---|---|---|\n"
EXTENSION = "tasks-"  #: of the scenarios that the suite runs and never scores


def server_table(run: Run, revision: str) -> str:
    """Return the table of a requirement set."""
    expected = suite.expected(revision)
    return HEAD + "".join(_row(run, name, _verdict(run, name, expected)) for name in run.checks)


def authorization_table(run: Run) -> str:
    """Return the table of the authorization leg."""
    return HEAD + "".join(_row(run, name, "passes") for name in run.checks)


def _verdict(run: Run, name: str, expected: dict[str, str]) -> str:
    reasons = [reason for entry, reason in expected.items() if entry.partition(":")[0] == name]
    if name in expected:
        return f"not yet. {reasons[0]}"
    if reasons:
        return f"passes for what is served. {reasons[0]}"
    if name.startswith(EXTENSION):
        return "not scored. The extension is not supported."
    return "passes" if run.passed(name) else "does not apply"


def _row(run: Run, name: str, verdict: str) -> str:
    passed = len(run.passed(name)) if verdict.startswith("passes") else 0
    skipped = sum(check["status"] == "SKIPPED" for check in run.checks[name])
    counted = f"{passed}, {skipped} do not apply" if passed and skipped else str(passed or "")
    return f"| {name} | {verdict} | {counted} |\n"
