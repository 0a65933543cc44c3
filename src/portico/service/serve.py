"""A process from its start to its end: listen, announce, follow what changes, drain, close."""

import asyncio
import inspect
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import cast

import structlog

from portico.service.app import App
from portico.service.server import Server, bind
from portico.service.settings import Settings
from portico.service.wiring import Service, open_service
from portico.storage.engine import Database
from portico.telemetry import logs

_log = structlog.stdlib.get_logger("portico.service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process that serves."""

    host: str
    port: int  #: that was bound
    public_url: str
    settings: Settings
    database: Database  #: for use cases of whoever started us
    stop: Callable[[], None]  #: drain and end, as SIGTERM does
    reload: Callable[[], None]  #: read the configuration again, as SIGHUP does


Ready = Callable[[Running], object]


async def serve(settings: Settings, *, ready: Ready = lambda _running: None) -> None:
    """Serve until SIGINT or SIGTERM, or until :meth:`Running.stop`; ``ready`` is called once connections are taken.

    Calls in flight get ``drain_seconds``; a second signal does not wait for them. What ``ready`` raises ends the
    process in order; when it is a coroutine it runs beside the serving.

    Raises:
        ConfigError: an address, the data directory, the keyring, the database or a declaration cannot be used.
        StorageUnavailable: the database is locked or damaged.
    """
    process = settings.process
    logs.configure(json=process.log_format == "json", level=process.log_level)
    with ExitStack() as sockets:
        public = sockets.enter_context(bind(process.listen, setting="listen"))
        admin = process.admin_listen
        own = None if admin is None else sockets.enter_context(bind(admin, setting="admin_listen"))
        async with open_service(settings) as service:
            try:
                await _run(service, public, own, ready)
            except BaseExceptionGroup as group:
                raise _only(group) from group
    _log.info("stopped")


async def _run(service: Service, public: socket.socket, admin: socket.socket | None, ready: Ready) -> None:
    """Serve and follow changes until told to stop; a background task that fails ends everything."""
    process = service.settings.process
    stop = asyncio.Event()
    servers = [(Server(service.app, drain_seconds=process.drain_seconds), public)]
    if admin is not None:
        servers.append((Server(_admin_app(service), drain_seconds=process.drain_seconds), admin))
    async with asyncio.TaskGroup() as group:
        background = [group.create_task(work()) for work in service.background]
        serving = [group.create_task(server.serve(sockets=[sock])) for server, sock in servers]
        for server, _ in servers:
            await server.listening.wait()
        running = _running(service, public, stop)
        with _signals(stop, servers[0][0], service):
            _log.info("serving", listen=f"{running.host}:{running.port}", public_url=running.public_url)
            announced = ready(running)
            if inspect.isawaitable(announced):
                background.append(group.create_task(_awaited(announced)))
            await stop.wait()
            _log.info("draining", seconds=process.drain_seconds)
            service.state.draining = True
            for server, _ in servers:
                server.should_exit = True
            await asyncio.wait(serving)
        for task in background:
            task.cancel()


def _running(service: Service, public: socket.socket, stop: asyncio.Event) -> Running:
    host, port = public.getsockname()[:2]
    return Running(
        host=host,
        port=port,
        public_url=service.settings.public_url,
        settings=service.settings,
        database=service.database,
        stop=stop.set,
        reload=service.watch.reload,
    )


def _admin_app(service: Service) -> App:
    """Return what is served on ``admin_listen``: the probes, under the same rule for host names and its own address."""
    process = service.settings.process
    hosts = process.allowed_hosts
    if process.admin_listen is not None:
        hosts |= {process.admin_listen.bracketed_host}
    return App(data_plane=service.probes, pages=service.probes, allowed_hosts=hosts)


@contextmanager
def _signals(stop: asyncio.Event, server: Server, service: Service) -> Generator[None]:
    """Handle signals where that is possible: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end() -> None:
        if stop.is_set():
            server.force_exit = True
        stop.set()

    loop = asyncio.get_running_loop()
    handlers = {signal.SIGINT: end, signal.SIGTERM: end, signal.SIGHUP: service.watch.reload}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


async def _awaited(announced: Awaitable[object]) -> None:
    await announced


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one error in a group, so that callers branch on its type; the group itself when there are several."""
    error = group.exceptions[0]
    if len(group.exceptions) != 1:
        return group
    return _only(cast("BaseExceptionGroup[BaseException]", error)) if isinstance(error, BaseExceptionGroup) else error
