"""The peers' own Python environments, made by the benchmark out of lock files with hashes (bench/locks)."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from processes import ROOT

ENVIRONMENTS = ROOT / ".artifacts" / "bench-envs"
LOCKS = Path(__file__).parent / "locks"
UV_LOCK = ROOT / "scripts" / "locks" / "uv.lock"
STAMP = ".bench-lock"


class NotInstalled(Exception):
    """A peer's environment cannot be made; the text says why and what helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One peer's environment."""

    place: Path

    @property
    def python(self) -> Path:
        return self.place / "bin" / "python"

    def program(self, name: str) -> str:
        return str(self.place / "bin" / name)

    def version_of(self, package: str) -> str:
        code = f"import importlib.metadata as m; print(m.version({package!r}))"
        return subprocess.run([self.python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()

    def python_version(self) -> str:
        code = "import platform; print(platform.python_version())"
        return subprocess.run([self.python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def environment(name: str, *, python: str) -> Environment:
    """Return the environment of a lock file, making it when it is not there or the lock file has changed.

    Raises:
        NotInstalled: there is no such Python, or a package cannot be had.
    """
    lock = LOCKS / f"{name}.lock"
    place = ENVIRONMENTS / name
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = place / STAMP
    if stamp.exists() and stamp.read_text() == digest:
        return Environment(place=place)
    interpreter = _interpreter(python)
    print(f"installing {name} into {place.relative_to(ROOT)}", file=sys.stderr)
    place.parent.mkdir(parents=True, exist_ok=True)
    uv = _uv()
    _run([uv, "venv", "--quiet", "--clear", "--no-python-downloads", "--python", interpreter, str(place)])
    _run([uv, "pip", "install", "--quiet", "--python", str(place / "bin/python"), "--require-hashes", "-r", str(lock)])
    stamp.write_text(digest)
    return Environment(place=place)


def _interpreter(version: str) -> str:
    """Return a Python of that version: this one, one on PATH, or one of pyenv's; nothing is downloaded."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [
        sys.executable,
        shutil.which(f"python{version}") or "",
        *(str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)),
    ]
    code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, candidates):
        done = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() == version:
            return candidate
    raise NotInstalled(f"it needs Python {version}, which is neither on PATH nor among pyenv's versions")


def _uv() -> str:
    found = shutil.which("uv")
    if found:
        return found
    own = ROOT / ".tools" / "uv"  # where scripts/setup.sh puts it
    if not (own / "bin" / "uv").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(own)])
        pip = [str(own / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--require-hashes", "-r", str(UV_LOCK)])
    return str(own / "bin" / "uv")


def _run(command: list[str]) -> None:
    # A company's own CA is in the system's store.
    env = {"UV_SYSTEM_CERTS": "1", **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise NotInstalled(f"`{' '.join(command[:4])} ...` failed:\n{done.stderr[-2000:]}")
