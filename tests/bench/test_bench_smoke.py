"""Each tool once, in small: does everything start, answer rightly and end?"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BOUND = 300.0  #: seconds on a busy machine

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("bench")]


def run(*command):
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=BOUND, check=False
    )


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a core for the server and one for the load")
@pytest.mark.parametrize(
    ("section", "row"),
    [
        ("core", "| portico | legacy |"),
        ("cells", "modern client, legacy target"),
        ("lists", "10 of 10,000 tools"),
        ("logins", "| refresh (`POST /token`) |"),
    ],
)
def test_a_quick_benchmark_measures_and_writes_nothing(section, row):
    page = ROOT / "docs" / "benchmarks.md"
    before = page.read_text()
    done = run("bench/run.py", "--quick", "--only", section)
    assert done.returncode == 0, done.stderr
    assert row in done.stdout
    assert page.read_text() == before


def test_an_unknown_section_is_refused_with_the_names_of_all():
    done = run("bench/run.py", "--only", "nothing")
    assert done.returncode == 2
    assert "core" in done.stderr


@pytest.mark.parametrize(
    "setup", [("--workers", "2", "--database", "postgresql"), ("--workers", "1", "--database", "sqlite")]
)
def test_a_short_soak_is_passed_and_written_beside_the_docs(setup):
    out = ROOT / ".artifacts" / "soak"
    shutil.rmtree(out, ignore_errors=True)
    done = run("bench/soak.py", "--minutes", "0.1", "--rate", "20", "--sample", "2", *setup)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "**Passed.**" in (out / "soak.md").read_text()
    assert (out / "soak.svg").exists()
