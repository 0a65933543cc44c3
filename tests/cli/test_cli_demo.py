"""What the demo says when something that it needs is not there; tests/e2e starts it for good."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = Path("node_modules") / "@modelcontextprotocol" / "server-everything"
BOUND = 90  #: seconds that a process may take on a busy machine


@pytest.fixture
def elsewhere(tmp_path):
    """Portico's sources without the npm packages that lie beside them in a checkout."""
    shutil.copytree(ROOT / "src", tmp_path / "copy" / "src", ignore=shutil.ignore_patterns("__pycache__"))

    def demo(**environment):
        variables = {key: value for key, value in os.environ.items() if not key.startswith("PORTICO_")}
        return subprocess.run(
            [sys.executable, "-m", "portico", "demo", "--port", "0", "--data-dir", str(tmp_path / "data")],
            cwd=tmp_path,
            env=variables | {"PYTHONPATH": str(tmp_path / "copy" / "src")} | environment,
            capture_output=True,
            text=True,
            timeout=BOUND,
            check=False,
        )

    return demo


def install(directory, script):
    package = directory / PACKAGE / "dist"
    package.mkdir(parents=True)
    (package / "index.js").write_text(script)


def failure(done):
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


def test_a_missing_npm_package_is_one_line_with_the_command_that_installs_it(elsewhere):
    told = failure(elsewhere())
    assert told == (
        "portico: The npm package @modelcontextprotocol/server-everything is not installed. "
        "Run: npm install @modelcontextprotocol/server-everything"
    )


def test_a_missing_node_is_one_line(elsewhere, tmp_path):
    install(tmp_path, "")
    assert failure(elsewhere(PATH="")).startswith("portico: Node.js is not installed")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_a_server_that_dies_before_it_listens_ends_the_demo_with_its_last_words(elsewhere, tmp_path):
    install(tmp_path, "console.error('no room in the inn'); process.exit(3)")
    done = elsewhere()
    told = failure(done)
    assert told.startswith("portico: everything ended")
    assert "no room in the inn" in told
    assert not (tmp_path / "data" / "demo.json").exists()
