"""What a supervisor and a worker say to each other, over one socket pair.

Downwards goes one byte per connection that was accepted, with its descriptor; the end of the stream means: serve what
you have, then leave. It comes after every connection that was handed over, so none is lost, and it comes by itself
when the supervisor dies. Upwards goes one byte per event.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import structlog

PUBLIC: Final = b"p"  #: downwards: a connection to ``listen``
ADMIN: Final = b"a"  #: downwards: a connection to ``admin_listen``
READY: Final = b"r"  #: upwards: connections may come
CLOSED: Final = b"c"  #: upwards: a connection to ``listen`` ended
LEAVING: Final = b"l"  #: upwards: no more connections, please

Take = Callable[[socket.socket], Coroutine[Any, Any, None]]

_log = structlog.stdlib.get_logger("portico.service")


class Channel:
    """The worker's end."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)  # noqa: FBT003 - the socket's own signature
        self._unsaid = b""
        self.ended = asyncio.Event()  #: no connection comes any more

    async def run(self, takers: Mapping[bytes, Take]) -> None:
        """Hand connections on until the supervisor has sent its last one; returns when all are taken."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:

            def read() -> None:
                while (received := self._receive()) is not None:
                    tag, sockets = received
                    if not tag:
                        loop.remove_reader(self._socket)
                        self.ended.set()
                        return
                    for connection in sockets:
                        group.create_task(takers[tag](connection))

            loop.add_reader(self._socket, read)
            try:
                await self.ended.wait()
            finally:
                loop.remove_reader(self._socket)

    def say(self, event: bytes) -> None:
        """Tell the supervisor; what it has no room for is said with the next event."""
        self._unsaid += event
        try:
            sent = self._socket.send(self._unsaid)
        except BlockingIOError:
            return
        except OSError:  # it is gone; the end of the stream says so
            sent = len(self._unsaid)
        self._unsaid = self._unsaid[sent:]

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _receive(self) -> tuple[bytes, list[socket.socket]] | None:
        """Return one tag and its connection; an empty tag at the end, None when nothing has come."""
        try:
            tag, descriptors, flags, _ = socket.recv_fds(self._socket, 1, 1)
        except BlockingIOError:
            return None
        except OSError:
            return b"", []
        if flags & socket.MSG_CTRUNC:
            _log.error("connection_lost", reason="the limit of open files is reached; raise it (ulimit -n)")
        return tag, [socket.socket(fileno=descriptor) for descriptor in descriptors]
