"""One supervised child process.

An argument list, never a shell (command injection through configuration is how CVE-2026-30623 and its kin work); an
environment that names what it lets through; a guard (:mod:`portico.process.guard`) that ends it with us; output
that is drained always and kept only as the last lines, for the error that says why it died.
"""

import asyncio
import os
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from portico.model.errors import UpstreamError
from portico.process import guard

#: What a child may see of our environment; everything else, secrets first, stays here.
ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SYSTEMROOT")
KEPT_LINES: Final = 20  #: last lines of output that are kept
MAX_LINE_BYTES: Final = 2048  #: longer lines are cut
POLL_SECONDS: Final = 0.05  #: between two looks at whether a child is ready
STOP_SECONDS: Final = guard.GRACE_SECONDS + 2.0  #: until the guard has ended the child's group
OUTPUT_SECONDS: Final = 1.0  #: that the rest of a dead child's output is waited for; a grandchild may hold it open


class ChildDied(UpstreamError):
    """A child ended, or never began; ``public`` holds its exit status and its last lines."""

    code = "child_died"


class Child:
    """A running child. Make one with :meth:`start`, end it with :meth:`stop`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        assert process.stdout is not None
        self._pump = asyncio.create_task(self._drain(process.stdout), name=f"output of {name}")

    @classmethod
    async def start(
        cls,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> "Child":
        """Start ``argv`` with the allowed part of our environment and ``environment`` on top.

        Raises:
            ChildDied: the guard could not be started.
        """
        passed = {key: os.environ[key] for key in ENVIRONMENT if key in os.environ}
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", str(guard.__file__), *argv),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={**passed, **(environment or {})},
                cwd=directory,
                start_new_session=True,
            )
        except OSError as error:
            raise ChildDied(f"{name} could not be started: {error.strerror}.") from error
        return cls(name, process)

    @property
    def pid(self) -> int:
        """The process id of the guard, whose child is the child."""
        return self._process.pid

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines of the child's output, both streams."""
        return tuple(self._lines)

    async def wait_ready(self, ready: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
        """Wait until ``ready`` says so.

        Raises:
            ChildDied: the child ended first, or was not ready within ``seconds``.
        """
        try:
            async with asyncio.timeout(seconds):
                while not await ready():
                    if self._process.returncode is not None:
                        raise await self.death()
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise ChildDied(f"{self.name} was not ready within {seconds:g} s.{self._tail()}") from error

    async def wait_death(self) -> ChildDied:
        """Wait until the child ends and return the error that says how."""
        await self._process.wait()
        return await self.death()

    async def death(self) -> ChildDied:
        """Return the error that says how the child, which has ended, did so."""
        await asyncio.wait([self._pump], timeout=OUTPUT_SECONDS)
        return ChildDied(f"{self.name} ended with status {self._process.returncode}.{self._tail()}")

    async def stop(self) -> None:
        """End the child and its process group: TERM, and KILL after the guard's grace. Safe to call twice.

        The same happens when this process dies, so a cancelled ``stop`` leaves nothing behind either.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()  # this is what the guard waits for
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self._pump.cancel()
        await asyncio.wait([self._pump])

    async def _drain(self, output: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await output.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[:MAX_LINE_BYTES]
            self._lines.extend(line[:MAX_LINE_BYTES].decode(errors="replace") for line in lines if line.strip())
        if rest.strip():
            self._lines.append(rest.decode(errors="replace"))

    def _tail(self) -> str:
        return "" if not self._lines else " Its last lines:\n  " + "\n  ".join(self._lines)
