"""Clients on the official TypeScript SDK, both majors, unmodified, with a person in place of their browser."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

from e2e.node import node22
from e2e.person import Person

COURSE_SECONDS = 90.0  #: bound for a whole course on a busy machine
HERE = Path(__file__).parent
#: id → name, revision that it has to negotiate, driver and its options
SDKS = {
    "v1": ("TypeScript SDK v1", "2025-11-25", "typescript_sdk_v1.mjs"),
    "v2-legacy": ("TypeScript SDK v2 legacy", "2025-11-25", "typescript_sdk_v2.mjs", "legacy"),
    "v2-auto": ("TypeScript SDK v2 auto", "2026-07-28", "typescript_sdk_v2.mjs", "auto"),
}


@dataclass
class Course:
    """What one client did, as it tells it itself, and what its person saw."""

    name: str
    revision: str  #: that it has to negotiate
    person: Person
    asked: dict[str, list[str]] = field(default_factory=dict[str, list[str]])  #: the parameters of its authorize URL
    report: dict[str, Any] = field(default_factory=dict[str, Any])

    async def take(self, *command: str, stderr: IO[bytes], tools: Mapping[str, Any] | None = None) -> int:
        """Run the client to its end, logging in when it asks, and return how it ended.

        ``tools``: what it calls, where that is not the demo (see ``typescript_course.mjs``).
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            stdin=asyncio.subprocess.DEVNULL,
            env={} if tools is None else {"COURSE_TOOLS": json.dumps(tools)},
        )
        try:
            async with asyncio.timeout(COURSE_SECONDS):
                await self._converse(process)
                return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _converse(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            said: dict[str, Any] = json.loads(line)
            if "authorize_url" in said:
                url: str = said["authorize_url"]
                self.asked = parse_qs(urlsplit(url).query)
                await asyncio.to_thread(self.person.log_in, url)
            else:
                self.report = said["report"]


def course_of(sdk: str, person: Person, url: str, log: Path, tools: Mapping[str, Any] | None = None) -> Course:
    """Take the course against a gateway; neither an error nor a warning of the SDK is let pass."""
    name, revision, driver, *options = SDKS[sdk]
    taken = Course(name=name, revision=revision, person=person)
    with log.open("wb") as told:
        ended = asyncio.run(taken.take(node22(), str(HERE / driver), url, *options, stderr=told, tools=tools))
    assert (ended, log.read_text()) == (0, ""), "neither an error nor a warning of the SDK"
    return taken
