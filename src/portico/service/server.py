"""uvicorn, run as a part of our own process: our sockets, our signals, our bounds."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final, cast

import uvicorn

from portico.model.errors import ConfigError, Fault
from portico.service.direct import HeaderBlocks
from portico.service.http_protocol import DirectApp, HttpProtocol
from portico.service.keys import Listen
from portico.web.asgi import ASGIApp

BACKLOG: Final = 2048  #: connections that wait to be accepted
KEEP_ALIVE_SECONDS: Final = 75  #: of an idle connection; longer than the usual idle time of load balancers in front

CANCEL_SECONDS: Final = 5.0  #: that a cancelled request gets to clean up


class Server(uvicorn.Server):
    """A server whose signals are the business of :mod:`portico.service.serve`."""

    def __init__(self, app: ASGIApp, *, drain_seconds: float, direct: DirectApp | None = None) -> None:
        """Take the application, and what serves the data plane without ASGI; None when ASGI serves everything."""
        self._protocol = partial(HttpProtocol, direct=direct, blocks=HeaderBlocks())
        config = uvicorn.Config(
            app,
            http=cast("Any", self._protocol),  # uvicorn asks for a class and calls it
            interface="asgi3",
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # trusted proxies are judged by portico.service.app
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(drain_seconds)),
            backlog=BACKLOG,
        )
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen and say so."""
        await super().startup(sockets)
        self.listening.set()

    async def adopt(self, connection: socket.socket, *, lost: Callable[[], None] | None = None) -> None:
        """Serve a connection that somebody else accepted; ``lost`` is called when it ends."""
        protocol = self._protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state, lost=lost
        )
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, connection)
        except OSError:  # its client has gone already
            connection.close()
            if lost is not None:
                lost()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain; what is still running after that is cancelled and waited for, so that it is recorded as such."""
        await super().shutdown(sockets)
        late = set(self.server_state.tasks)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=CANCEL_SECONDS)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone."""
        yield


def bind(listen: Listen, *, setting: str) -> socket.socket:
    """Return a bound socket.

    Raises:
        ConfigError: names the setting and what to do.
    """
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((listen.host, listen.port))
    except OSError as error:
        sock.close()
        message = f"{listen} cannot be listened on ({error.strerror}); stop what uses it or choose another"
        raise ConfigError([Fault(path=setting, message=message)]) from error
    return sock
