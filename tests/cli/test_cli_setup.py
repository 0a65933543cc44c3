"""`scripts/setup.sh` on machines that lack something and cannot be helped."""

import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "scripts" / "setup.sh"
SHELL_TOOLS = ("bash", "dirname", "xargs", "cat", "ls", "mkdir", "rm", "echo")


@pytest.fixture
def machine(tmp_path):
    """A machine with a shell, a user who is not root, and nothing else."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in SHELL_TOOLS:
        (programs / name).symlink_to(shutil.which(name))
    install(programs, "id", "echo 1000")
    (tmp_path / "scripts").mkdir()
    shutil.copy(SETUP, tmp_path / "scripts")
    return tmp_path


def install(programs, name, body):
    (programs / name).write_text(f"#!{shutil.which('bash')}\n{body}\n")
    (programs / name).chmod(0o755)


def setup(machine, level):
    return subprocess.run(
        [machine / "scripts" / "setup.sh", level],
        env={"PATH": str(machine / "bin"), "HOME": str(machine)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_without_root_the_missing_packages_are_named_in_one_line(machine):
    done = setup(machine, "run")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "missing system packages: python3 python3-venv nodejs npm." in line
    assert "sudo apt install" in line
    assert not (machine / ".venv").exists()


def test_tests_need_a_browser_too(machine):
    assert "chromium" in setup(machine, "dev").stderr
    assert "chromium" not in setup(machine, "run").stderr.partition("Needed:")[0]


def test_a_node_that_is_too_old_counts_as_missing(machine):
    install(machine / "bin", "node", "echo 16")
    install(machine / "bin", "npm", "exit 0")
    install(machine / "bin", "uv", "exit 0")
    assert "missing system packages: nodejs." in setup(machine, "run").stderr


def test_root_without_apt_is_told_the_same(machine):
    install(machine / "bin", "id", "echo 0")
    assert "missing system packages: python3" in setup(machine, "run").stderr


def test_a_level_that_is_none_is_refused(machine):
    done = setup(machine, "everything")
    assert done.returncode == 1
    assert "use run or dev" in done.stderr
