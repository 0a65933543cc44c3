"""A worker as its supervisor sees it: a process, and the channel to it."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from portico.service.channel import CLOSED, LEAVING, PUBLIC, READY

EVENT_BYTES: Final = 4096  #: read at once of what a worker says


class Worker:
    """One worker process."""

    def __init__(
        self, process: asyncio.subprocess.Process, channel: socket.socket, *, number: int, changed: Callable[[], None]
    ) -> None:
        self.number = number  #: of its journal; free again when it has ended
        self.pid = process.pid
        self.started_at = time.monotonic()
        self.load = 0  #: connections to the public address that it holds
        self.leaving = False  #: was told to end
        self._process = process
        self._channel = channel
        self._changed = changed
        self._ready = asyncio.Event()
        self._full = False  # connections go elsewhere
        asyncio.get_running_loop().add_reader(channel, self._read)

    @classmethod
    async def start(
        cls, command: Sequence[str], *, environment: Mapping[str, str], number: int, changed: Callable[[], None]
    ) -> "Worker":
        """Start a worker; ``changed`` is called when it becomes ready or asks for no more connections.

        It gets the whole environment, being the same program, with ``environment`` on top; and a session of its own,
        so that a Ctrl-C in a terminal reaches the supervisor alone.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - the socket's own signature
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    "--channel",
                    str(theirs.fileno()),
                    pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                    env=os.environ | environment,
                )
        except BaseException:
            ours.close()
            raise
        return cls(process, ours, number=number, changed=changed)

    @property
    def takes(self) -> bool:
        """Whether connections may be handed to it."""
        return self._ready.is_set() and not self.leaving and not self._full

    def take(self, connection: socket.socket, tag: bytes) -> bool:
        """Hand over a connection; False when the worker cannot take it."""
        try:
            socket.send_fds(self._channel, [tag], [connection.fileno()])
        except OSError:  # it does not read, or is gone
            return False
        self.load += tag == PUBLIC
        return True

    async def becomes_ready(self, seconds: float) -> bool:
        """Wait until it takes connections; False when it died before, or was killed because it took too long."""
        ready, ended = asyncio.ensure_future(self._ready.wait()), asyncio.ensure_future(self._process.wait())
        try:
            await asyncio.wait({ready, ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            ended.cancel()
        if not self._ready.is_set():
            self.kill()
        return self._ready.is_set() and self._process.returncode is None

    def leave(self) -> None:
        """Tell it to serve what it has and end; no connection is handed to it any more."""
        self.leaving = True
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)

    async def end_within(self, seconds: float) -> None:
        """Wait for its end; kill it when that takes too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    async def wait(self) -> int:
        """Wait for its end and return its exit status, negative for a signal."""
        status = await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        self._ready.clear()
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.signal(signal.SIGKILL)

    def _read(self) -> None:
        try:
            events = self._channel.recv(EVENT_BYTES)
        except BlockingIOError:
            return
        except OSError:
            events = b""
        if not events:
            asyncio.get_running_loop().remove_reader(self._channel)
            self._full = True
            return
        self.load -= events.count(CLOSED)
        if READY in events:
            self._ready.set()
            self._changed()
        if LEAVING in events:  # somebody signalled it, not us
            self.leave()
            self._changed()
