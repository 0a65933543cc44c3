"""A process from its start to its end: listen, announce, follow what changes, drain, close."""

import asyncio
import gc
import inspect
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, cast
from urllib.parse import urlsplit

import structlog

from portico.service.app import App
from portico.service.channel import ADMIN, CLOSED, LEAVING, PUBLIC, READY, Channel
from portico.service.seat import internal_listen, seat_alone, seat_of_worker
from portico.service.server import Server, bind
from portico.service.settings import Settings
from portico.service.signals import handling
from portico.service.wiring import Service, open_service
from portico.storage.engine import Database
from portico.telemetry import logs

#: Allocations until a young collection, young ones until a middle one, middle ones until a full one.
GC_THRESHOLDS: Final = (50_000, 20, 50)

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
        async with open_service(settings, seat_alone(process, own)) as service:
            await _unwrapped(_run_alone(service, public, own, ready))
    _log.info("stopped")


async def serve_as_worker(settings: Settings, *, number: int, descriptor: int) -> None:
    """Serve what the supervisor at the other end of ``descriptor`` hands over, until it has handed over its last.

    Raises:
        ConfigError: the keyring, the database or the journal with that ``number`` cannot be used.
        StorageUnavailable: the database is locked or damaged.
    """
    process = settings.process
    logs.configure(json=process.log_format == "json", level=process.log_level)
    structlog.contextvars.bind_contextvars(worker=number)
    with ExitStack() as sockets:
        channel = Channel(descriptor)
        sockets.callback(channel.close)
        internal = sockets.enter_context(bind(internal_listen(process), setting="admin_listen"))
        async with open_service(settings, seat_of_worker(process, number, internal)) as service:
            await _unwrapped(_run_worker(service, internal, channel))
    _log.info("stopped")


async def _run_alone(service: Service, public: socket.socket, admin: socket.socket | None, ready: Ready) -> None:
    stop = asyncio.Event()

    def reload_process() -> None:
        _log.warning("rolling_restart_refused", reason="one process serves; set workers to 2 or more")

    async with _serving(service, public=[public], admin=None if admin is None else [admin]) as servers:
        running = _running(service, public, stop)
        handlers = {
            signal.SIGINT: partial(_end, stop, servers),
            signal.SIGTERM: partial(_end, stop, servers),
            signal.SIGHUP: service.watch.reload,
            signal.SIGUSR2: reload_process,
        }
        with handling(handlers):
            _log.info("serving", listen=f"{running.host}:{running.port}", public_url=running.public_url)
            announced = ready(running)
            async with asyncio.TaskGroup() as group:
                beside = group.create_task(_awaited(announced)) if inspect.isawaitable(announced) else None
                await stop.wait()
                await servers.drain()
                if beside is not None:
                    beside.cancel()


async def _run_worker(service: Service, internal: socket.socket, channel: Channel) -> None:
    async with _serving(service, public=[], admin=[internal]) as servers:
        assert servers.admin is not None
        takers = {
            PUBLIC: partial(servers.public.adopt, lost=partial(channel.say, CLOSED)),
            ADMIN: servers.admin.adopt,
        }

        def leave() -> None:
            if channel.ended.is_set():
                servers.force()
            channel.say(LEAVING)  # the supervisor ends the channel; only then is nothing on its way to us

        with handling({signal.SIGTERM: leave, signal.SIGHUP: service.watch.reload, signal.SIGUSR2: lambda: None}):
            _log.info("worker_serving", internal_url=service.seat.url)
            channel.say(READY)
            await channel.run(takers)
            await servers.drain()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Servers:
    """What listens for a service, and how it ends."""

    service: Service
    public: Server
    admin: Server | None
    tasks: Sequence[asyncio.Task[None]]  #: of the public server, then of the other

    async def drain(self) -> None:
        """End the public server, then the other: while calls run, other replicas may have to say something."""
        _log.info("draining", seconds=self.service.settings.process.drain_seconds)
        self.service.state.draining = True
        for server, task in zip((self.public, self.admin), self.tasks, strict=False):
            if server is not None:
                server.should_exit = True
                await asyncio.wait({task})

    def force(self) -> None:
        """Wait for calls no longer."""
        self.public.force_exit = True


@asynccontextmanager
async def _serving(
    service: Service, *, public: list[socket.socket], admin: list[socket.socket] | None
) -> AsyncGenerator[_Servers]:
    """Serve and follow changes; a background task that fails ends everything."""
    drain_seconds = service.settings.process.drain_seconds
    main = Server(service.app, drain_seconds=drain_seconds, direct=service.app)
    other = None if admin is None else Server(_admin_app(service), drain_seconds=drain_seconds)
    async with asyncio.TaskGroup() as group:
        background = [group.create_task(work()) for work in service.background]
        tasks = [group.create_task(main.serve(sockets=public))]
        await main.listening.wait()
        if other is not None:
            tasks.append(group.create_task(other.serve(sockets=admin)))
            await other.listening.wait()
        _settle()
        yield _Servers(service=service, public=main, admin=other, tasks=tasks)
        for task in background:
            task.cancel()


def _settle() -> None:
    """Tell the garbage collector that what stands now stays, and to look for cycles less often.

    Every collection walks through all that was imported and compiled; a call makes hardly any cycles. Measured: some
    tenth of the CPU time of a call.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _end(stop: asyncio.Event, servers: _Servers) -> None:
    if stop.is_set():
        servers.force()
    stop.set()


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
    """Return what is served on ``admin_listen``, under the same rule for host names and its own addresses."""
    process = service.settings.process
    hosts = process.allowed_hosts
    if process.admin_listen is not None:
        hosts |= {process.admin_listen.bracketed_host}
    if service.seat.url:
        hosts |= {urlsplit(service.seat.url).netloc.rpartition(":")[0] or urlsplit(service.seat.url).netloc}
    administration = service.administration
    return App(data_plane=administration, pages=administration, allowed_hosts=hosts, internal=True)


async def _unwrapped(work: Coroutine[object, object, None]) -> None:
    """Run ``work`` and raise the one error of a group by itself."""
    try:
        await work
    except BaseExceptionGroup as group:
        raise _only(group) from group


async def _awaited(announced: Awaitable[object]) -> None:
    await announced


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one error in a group, so that callers branch on its type; the group itself when there are several."""
    error = group.exceptions[0]
    if len(group.exceptions) != 1:
        return group
    return _only(cast("BaseExceptionGroup[BaseException]", error)) if isinstance(error, BaseExceptionGroup) else error
