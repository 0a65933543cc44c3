"""Where the npm clients and their Node are."""

import platform
from pathlib import Path

MODULES = Path(__file__).parents[2] / "node_modules"


def node22() -> str:
    """Return Node 22 as npm installed it: the Inspector needs 22.19 or later."""
    system = "darwin" if platform.system() == "Darwin" else "linux"
    machine = "arm64" if platform.machine() in ("arm64", "aarch64") else "x64"
    found = MODULES / f"node-{system}-{machine}" / "bin" / "node"
    assert found.exists(), f"{found} is missing; run `make setup`"
    return str(found)


def script(*parts: str) -> str:
    """Return the path of an npm package's file."""
    found = MODULES.joinpath(*parts)
    assert found.exists(), f"{found} is missing; run `make setup`"
    return str(found)
