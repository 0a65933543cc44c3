"""mcp-remote, unmodified, as a stdio server of the Python SDK's client, with a person in place of its browser."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from e2e.node import node22, script
from e2e.person import Person

LOGIN_SECONDS = 60.0
COURSE_SECONDS = 90.0
_AUTHORIZE = re.compile(r"Please authorize this client by visiting:\s+(http\S+)")


@asynccontextmanager
async def mcp_remote(url: str, person: Person, home: Path, *options: str) -> AsyncGenerator[Client]:
    """Run it before a gateway; yields a client that is connected. What it told its user stands in ``home/stderr``."""
    no_browser = home / "bin"
    no_browser.mkdir(exist_ok=True)
    parameters = StdioServerParameters(
        command=node22(),
        args=[script("mcp-remote", "dist", "proxy.js"), url, *options],
        env={"MCP_REMOTE_CONFIG_DIR": str(home / "config"), "PATH": str(no_browser), "HOME": str(home)},
    )
    stderr = home / "stderr"
    with stderr.open("w") as errlog:
        login = asyncio.create_task(_log_in_when_asked(stderr, person))
        async with asyncio.timeout(COURSE_SECONDS):
            async with Client(stdio_client(parameters, errlog=errlog), mode="legacy") as client:
                yield client
        await login


async def _log_in_when_asked(stderr: Path, person: Person) -> None:
    """Read the authorize URL from what mcp-remote tells its user, then walk it."""
    async with asyncio.timeout(LOGIN_SECONDS):
        while not (url := _asked(stderr)):
            await asyncio.sleep(0.05)
    await asyncio.to_thread(person.log_in, url)


def _asked(stderr: Path) -> str:
    found = _AUTHORIZE.search(stderr.read_text())
    return found[1] if found else ""
