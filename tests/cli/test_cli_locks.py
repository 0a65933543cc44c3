"""The locks: what they hold, what they must not, and that `make run` is served by the smaller one alone."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON_LOCKS = ["requirements.lock", "requirements-dev.lock", "scripts/locks/uv.lock", "scripts/locks/build.lock"]

#: Imports every module of Portico while whatever requirements.lock does not install is out of reach.
_IMPORT_ALL = """
import importlib, importlib.metadata, pkgutil, re, sys
locked = set(sys.argv[1].split())
owners = importlib.metadata.packages_distributions()

class Absent:
    def find_spec(self, name, path=None, target=None):
        dists = owners.get(name.partition(".")[0], [])
        if dists and not any(re.sub("[-_.]+", "-", dist).lower() in locked | {"portico"} for dist in dists):
            raise ModuleNotFoundError(f"{name} is not in requirements.lock", name=name)

sys.meta_path.insert(0, Absent())
import portico
for module in pkgutil.walk_packages(portico.__path__, "portico."):
    if module.name == "portico.service.lambda_handler":  # the extra `lambda`, which nothing else may need
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            assert error.name == "mangum", error
        else:
            raise AssertionError("the extra is not needed any more")
    elif module.name not in ("portico.__main__",) and ".migrations" not in module.name:
        importlib.import_module(module.name)
import sqlalchemy.ext.asyncio
"""


def pins(lock):
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / lock).read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("lock", PYTHON_LOCKS)
def test_every_python_package_has_hashes_and_none_says_where_it_comes_from(lock):
    text = (ROOT / lock).read_text()
    assert not re.search(r"--(extra-)?index-url|--find-links|https?://|file:", text)
    entries = re.split(r"^(?=[A-Za-z0-9_.-]+==)", text, flags=re.MULTILINE)[1:]
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_every_npm_package_has_a_hash_and_none_says_where_it_comes_from():
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    packages.pop("")
    assert [name for name, package in packages.items() if "integrity" not in package] == []
    assert [name for name, package in packages.items() if "resolved" in package] == []


@pytest.mark.parametrize("lock", ["requirements.lock", "scripts/locks/build.lock"])
def test_the_smaller_locks_agree_with_the_developers(lock):
    everything = pins("requirements-dev.lock")
    assert {name: version for name, version in pins(lock).items() if everything.get(name) != version} == {}


def test_portico_runs_with_the_packages_of_the_smaller_lock_alone():
    locked = " ".join(re.sub("[-_.]+", "-", name).lower() for name in pins("requirements.lock"))
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, locked], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
