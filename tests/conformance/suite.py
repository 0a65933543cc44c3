"""The official conformance suite as a subprocess, and what it found."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from e2e.node import node22, script

HERE = Path(__file__).parent
REVISIONS = ("2025-11-25", "2026-07-28")
RUN_SECONDS = 300.0  #: bound for a whole requirement set on a busy machine; the suite bounds each scenario itself
SCENARIO_MILLISECONDS = "60000"

_RESULT = re.compile(r"(?:authorization-server|server)-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z\Z")
_ENTRY = re.compile(r"  - (\S+)\Z")
_REASON = re.compile(r"  # (.+)\Z")

Check = dict[str, object]


@dataclass(frozen=True)
class Run:
    """One run of the suite."""

    code: int  #: of the process
    output: str
    checks: Mapping[str, list[Check]]  #: by scenario

    def problems(self, scenario: str) -> list[str]:
        """Return what the suite holds against a scenario: failures, and warnings too, as its baselines do."""
        return [
            f"{check['id']}: {check['status']} {check.get('errorMessage', '')}"
            for check in self.checks[scenario]
            if check["status"] in {"FAILURE", "WARNING"}
        ]

    def passed(self, scenario: str) -> list[str]:
        """Return the ids of the checks that passed."""
        return [str(check["id"]) for check in self.checks[scenario] if check["status"] == "SUCCESS"]


def baseline(revision: str) -> Path:
    """Return the file of expected failures."""
    return HERE / f"expected-failures-{revision}.yml"


def expected(revision: str) -> dict[str, str]:
    """Return the expected failures and the reason over each: ``scenario`` or ``scenario:check-id``."""
    reasons: dict[str, str] = {}
    reason = ""
    for line in baseline(revision).read_text().splitlines():
        if said := _REASON.match(line):
            reason = said[1]
        elif entry := _ENTRY.match(line):
            reasons[entry[1]] = reason
    assert list(reasons) == yaml.safe_load(baseline(revision).read_text())["server"]
    return reasons


async def run_server(url: str, revision: str, results: Path) -> Run:
    """Run a requirement set against a server."""
    options = ("--requirements", revision, "--expected-failures", str(baseline(revision)))
    return await _run(results, "server", "--url", url, *options, "--timeout", SCENARIO_MILLISECONDS)


async def run_authorization(
    issuer: str, resource: str, client: str, port: int, results: Path, person: Callable[[str], object]
) -> Run:
    """Run the scenarios of authorization servers; ``person`` opens the authorize URL that the suite prints."""

    async def listen(line: str) -> None:
        if line.startswith(f"{issuer}/authorize?"):
            await asyncio.to_thread(person, line)

    options = ("--client-id", client, "--resource", resource, "-p", str(port))
    return await _run(results, "authorization", "--url", issuer, *options, listen=listen)


async def _run(results: Path, *arguments: str, listen: Callable[[str], Awaitable[None]] | None = None) -> Run:
    argv = [node22(), script("@modelcontextprotocol", "conformance", "dist", "index.js")]
    process = await asyncio.create_subprocess_exec(
        *argv,
        *arguments,
        "-o",
        str(results),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**24,
    )
    assert process.stdout is not None
    heard: list[str] = []
    try:
        async with asyncio.timeout(RUN_SECONDS):
            async for line in process.stdout:
                heard.append(line.decode())
                if listen is not None:
                    await listen(heard[-1].strip())
            code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Run(code=code, output="".join(heard), checks=_checks(results))


def _checks(results: Path) -> dict[str, list[Check]]:
    found: dict[str, list[Check]] = {}
    for place in sorted(results.iterdir()):
        name = _RESULT.match(place.name)
        assert name is not None, place.name
        found[name[1]] = json.loads((place / "checks.json").read_text())
    return found
