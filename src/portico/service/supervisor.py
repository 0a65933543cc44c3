"""Several workers behind one address: a process that accepts, deals out and keeps the workers alive.

Connections are dealt to the worker that has the fewest (docs/adr/0010). There is one queue of connections that wait,
and it belongs to the process that never serves: whatever becomes of a worker, nobody in the queue is lost, and a
worker that is replaced gets no connection any more before it is told to end.

The supervisor migrates, applies the file and watches it; workers follow the database as replicas do.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from portico.audit.journal import lock_directory
from portico.audit.leftovers import ship_leftovers
from portico.crypto.keyring import Keyring
from portico.model.errors import ConfigError, PorticoError, StorageUnavailable
from portico.service.channel import ADMIN, PUBLIC
from portico.service.keyring_file import read_keyring
from portico.service.preparation import make_directory, prepared
from portico.service.process_settings import environment_of
from portico.service.seat import JOURNAL_DIRECTORY
from portico.service.server import BACKLOG, CANCEL_SECONDS, bind
from portico.service.settings import Settings, load_settings
from portico.service.signals import handling
from portico.service.watch import ConfigWatch
from portico.service.worker import Worker
from portico.storage.engine import Database
from portico.telemetry import logs

START_SECONDS: Final = 60.0  #: for a worker to be ready
STABLE_SECONDS: Final = 30.0  #: a worker that lived as long is replaced at once when it dies
FIRST_DELAY: Final = 0.25  #: seconds before a worker that died young is replaced; doubled each time
MAX_DELAY: Final = 30.0  #: seconds
LEFTOVER_SECONDS: Final = 60.0  #: between looks for journals that nobody writes
CLOSE_SECONDS: Final = 15.0  #: that a worker gets after draining: sessions at targets, the last lines of its journal
RETRY_SECONDS: Final = 0.02  #: between tries to hand a connection over while no worker takes one
ACCEPT_PAUSE_SECONDS: Final = 0.1  #: after the kernel refused to give us a connection

_log = structlog.stdlib.get_logger("portico.supervisor")


#: What a rolling restart cannot change: workers before and after it serve side by side, for one supervisor.
FIXED: Final = ("listen", "admin_listen", "workers", "public_url", "data_dir", "database", "keyring_file")


class WorkerFailed(PorticoError):
    """A worker did not become ready; its own log lines say why."""

    code = "worker_failed"


async def supervise(settings: Settings) -> None:
    """Serve with several workers until SIGINT or SIGTERM. SIGUSR2 replaces one worker after the other.

    Raises:
        ConfigError: an address, the data directory, the keyring, the database or a declaration cannot be used.
        StorageUnavailable: the database is locked or damaged.
        WorkerFailed: the first workers could not start.
    """
    process = settings.process
    logs.configure(json=process.log_format == "json", level=process.log_level)
    async with AsyncExitStack() as stack:
        listening = [(_listen(stack.enter_context(bind(process.listen, setting="listen"))), PUBLIC)]
        if process.admin_listen is not None:
            admin = bind(process.admin_listen, setting="admin_listen")
            listening.append((_listen(stack.enter_context(admin)), ADMIN))
        make_directory(process.data_dir)
        journals = process.data_dir / JOURNAL_DIRECTORY
        stack.callback(os.close, lock_directory(journals))
        keyring = read_keyring(process.keyring_file)
        database, applier = await stack.enter_async_context(prepared(settings, keyring))

        async def apply(read: Settings) -> None:
            await applier.apply(read.declared)

        watch = ConfigWatch(settings, keyring, load=load_settings, apply=apply)
        crew = Crew(settings, journals)
        await _run(crew, watch, listening, partial(_ship_leftovers, crew, journals, database, keyring))
    _log.info("stopped")


async def _run(
    crew: "Crew",
    watch: ConfigWatch,
    listening: Sequence[tuple[socket.socket, bytes]],
    ship: Callable[[], Awaitable[None]],
) -> None:
    stop = asyncio.Event()

    def end() -> None:
        if stop.is_set():
            crew.force()
        stop.set()

    def reload_all() -> None:
        watch.reload()
        crew.signal(signal.SIGHUP)

    handlers = {
        signal.SIGINT: end,
        signal.SIGTERM: end,
        signal.SIGHUP: reload_all,
        signal.SIGUSR2: crew.replace_all,
    }
    with handling(handlers):
        async with crew.working(stop), _background(watch.run, ship):
            async with _background(*(partial(crew.deal, sock, tag) for sock, tag in listening)):
                first = listening[0][0].getsockname()
                _log.info("supervising", listen=f"{first[0]}:{first[1]}", workers=crew.wanted)
                await stop.wait()
            _log.info("draining")
            for sock, tag in listening:
                crew.deal_rest(sock, tag)
                sock.close()


class Crew:
    """The workers, as many as are wanted."""

    def __init__(self, settings: Settings, journals: Path) -> None:
        self.wanted = settings.process.workers
        self._config = settings.config_file
        self._process = settings.process  # of the workers that are started next
        self._journals = journals
        self._workers: list[Worker] = []
        self._changed = asyncio.Event()  # somebody became ready, died or is to be replaced
        self._failures = 0  # workers in a row that died young
        self._replacing = False

    @asynccontextmanager
    async def working(self, stop: asyncio.Event) -> AsyncGenerator[None]:
        """Start the workers, keep as many as are wanted, and end them in order at the end of the block.

        Raises:
            WorkerFailed: one of the first does not become ready.
        """
        try:
            async with asyncio.TaskGroup() as group:
                await self._start_all(group)
                keeping = group.create_task(self._keep(group, stop))
                try:
                    yield
                finally:
                    keeping.cancel()
                    await self._end_all()
        finally:
            for worker in self._workers:  # whoever is left when something went wrong
                worker.kill()

    def used(self) -> set[Path]:
        """Return the journal directories that a worker writes."""
        return {self._journals / str(worker.number) for worker in self._workers}

    def signal(self, number: signal.Signals) -> None:
        """Pass a signal on."""
        for worker in self._workers:
            worker.signal(number)

    def force(self) -> None:
        """Wait for calls no longer."""
        self.signal(signal.SIGTERM)

    def replace_all(self) -> None:
        """Ask for a rolling restart; without effect while one is under way."""
        if self._replacing:
            _log.warning("rolling_restart_refused", reason="one is under way")
            return
        self._replacing = True
        self._changed.set()

    async def deal(self, listening: socket.socket, tag: bytes) -> None:
        """Accept connections and hand them to workers until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            while not self._takers():
                await self._wait()
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:
                _log.error("accept_failed", reason=error.strerror)
                await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            with connection:
                while not self._hand(connection, tag):  # noqa: ASYNC110 - a full channel has no event to wait on
                    await asyncio.sleep(RETRY_SECONDS)

    def deal_rest(self, listening: socket.socket, tag: bytes) -> None:
        """Hand over who still waits, before the socket is closed."""
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # nobody is left
                return
            with connection:
                self._hand(connection, tag)

    def _hand(self, connection: socket.socket, tag: bytes) -> bool:
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return any(worker.take(connection, tag) for worker in sorted(self._takers(), key=lambda taker: taker.load))

    def _takers(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.takes]

    async def _start_all(self, group: asyncio.TaskGroup) -> None:
        workers = [await self._start(group) for _ in range(self.wanted)]
        for worker in workers:
            await self._require(worker)

    async def _require(self, worker: Worker) -> None:
        if not await worker.becomes_ready(START_SECONDS):
            raise WorkerFailed("A worker could not start; its own log lines say why.")

    async def _keep(self, group: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        while not stop.is_set():
            staying = [worker for worker in self._workers if not worker.leaving]
            if len(staying) < self.wanted:
                await asyncio.sleep(self._delay())
                await self._start(group)
            elif self._replacing:
                await self._replace(group, staying)
                self._replacing = False
            else:
                await self._wait()

    async def _replace(self, group: asyncio.TaskGroup, old: Sequence[Worker]) -> None:
        """Replace workers one by one; a new one serves before an old one ends, so there are always enough."""
        if not await self._read_again():
            _log.error("rolling_restart_given_up", reason="the configuration has faults")
            return
        _log.info("rolling_restart_begins", workers=len(old))
        for worker in old:
            fresh = await self._start(group)
            if not await fresh.becomes_ready(START_SECONDS):
                _log.error("rolling_restart_given_up", reason="the new worker could not start; the old ones go on")
                return
            await self._end(worker)
        _log.info("rolling_restart_done")

    async def _read_again(self) -> bool:
        """Read the file's keys of the process for the workers to come; False when it has faults."""
        if self._config is None:
            return True
        try:
            read = (await asyncio.to_thread(load_settings, self._config)).process
        except ConfigError as error:
            for fault in error.faults:
                _log.error("config_fault", path=fault.path, message=fault.message)
            return False
        kept = {name: getattr(self._process, name) for name in FIXED}
        names = [name for name, value in kept.items() if getattr(read, name) != value]
        if names:
            _log.warning("config_needs_restart", settings=names)
        self._process = replace(read, **kept)
        return True

    async def _start(self, group: asyncio.TaskGroup) -> Worker:
        number = min(set(range(1, len(self._workers) + 2)) - {worker.number for worker in self._workers})
        worker = await Worker.start(
            [sys.executable, "-m", "portico", "worker", "--number", str(number)],
            environment=environment_of(self._process),
            number=number,
            changed=self._changed.set,
        )
        self._workers.append(worker)
        _log.info("worker_started", worker=number, pid=worker.pid)
        group.create_task(self._watch(worker))
        return worker

    async def _watch(self, worker: Worker) -> None:
        """Wait for a worker's end and note it."""
        status = await worker.wait()
        self._workers.remove(worker)
        self._changed.set()
        lived = time.monotonic() - worker.started_at
        if worker.leaving:
            _log.info("worker_ended", worker=worker.number, status=status)
            return
        self._failures = 0 if lived >= STABLE_SECONDS else self._failures + 1
        _log.error(
            "worker_died", worker=worker.number, pid=worker.pid, status=status, seconds=round(lived, 1),
            restart_in=self._delay(),
        )  # fmt: skip

    def _delay(self) -> float:
        return min(FIRST_DELAY * 2 ** (self._failures - 1), MAX_DELAY) if self._failures else 0.0

    async def _end_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for worker in list(self._workers):
                group.create_task(self._end(worker))

    async def _end(self, worker: Worker) -> None:
        worker.leave()
        await worker.end_within(self._process.drain_seconds + CANCEL_SECONDS + CLOSE_SECONDS)

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def _listen(sock: socket.socket) -> socket.socket:
    sock.listen(BACKLOG)
    sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
    return sock


@asynccontextmanager
async def _background(*work: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Run things beside a block and cancel them at its end."""

    async def run(one: Callable[[], Awaitable[None]]) -> None:
        await one()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(one)) for one in work]
        yield
        for task in tasks:
            task.cancel()


async def _ship_leftovers(crew: Crew, journals: Path, database: Database, keyring: Keyring) -> None:
    """Ship what workers left that were killed, or that there are no more."""
    while True:
        with suppress(StorageUnavailable):
            await ship_leftovers(journals, database, keyring, used=crew.used(), locked={journals})
        await asyncio.sleep(LEFTOVER_SECONDS)
