"""The two real MCP servers behind the demo's gateway, as supervised children on loopback."""

import asyncio
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import portico
from portico.cli.demo.place import free_port
from portico.model.errors import NotFound
from portico.process.child import Child

READY_SECONDS: Final = 60.0  #: for a server to listen; a cold Node on a slow disk takes a while
EVERYTHING_PACKAGE: Final = "@modelcontextprotocol/server-everything"
CALCULATOR: Final = "calculator"
EVERYTHING: Final = "everything"

_LOOPBACK: Final = Path(__file__).with_name("loopback.cjs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running MCP server."""

    name: str
    endpoint: str
    child: Child


async def start_calculator() -> Server:
    """Start the calculator (Python SDK, both eras).

    Raises:
        ChildDied: it ended before it listened.
    """
    port = free_port()
    argv = [sys.executable, "-m", "portico.cli.demo.calculator", "--port", str(port)]
    return await _started(CALCULATOR, port, await Child.start(CALCULATOR, argv))


async def start_everything(package: "Everything") -> Server:
    """Start the everything server (npm, legacy era).

    Raises:
        ChildDied: it ended before it listened.
    """
    port = free_port()
    argv = [package.node, "--require", str(_LOOPBACK), str(package.script), "streamableHttp"]
    return await _started(EVERYTHING, port, await Child.start(EVERYTHING, argv, environment={"PORT": str(port)}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """Where the npm package and a Node for it are."""

    node: str
    script: Path


def find_everything() -> Everything:
    """Look for the package in `node_modules` here and beside Portico's sources.

    Raises:
        NotFound: the package or Node.js is not installed; says how to get it.
    """
    places = [Path.cwd() / "node_modules", Path(portico.__file__).parents[2] / "node_modules"]
    for modules in places:
        script = modules / EVERYTHING_PACKAGE / "dist" / "index.js"
        if script.exists():
            break
    else:
        raise NotFound(f"The npm package {EVERYTHING_PACKAGE} is not installed. Run: npm install {EVERYTHING_PACKAGE}")
    bundled = modules / ".bin" / "node"
    node = str(bundled) if bundled.exists() else shutil.which("node")
    if node is None:
        raise NotFound("Node.js is not installed; the demo's everything server needs version 18 or later.")
    return Everything(node=node, script=script)


async def _started(name: str, port: int, child: Child) -> Server:
    async def listens() -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    try:
        await child.wait_ready(listens, seconds=READY_SECONDS)
    except BaseException:
        await asyncio.shield(child.stop())
        raise
    return Server(name=name, endpoint=f"http://127.0.0.1:{port}/mcp", child=child)
