"""The connections to one peer: reused while they are young, bounded in number, waited for in order."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

import msgspec

from portico.model.errors import UpstreamInvalid, UpstreamTimeout, UpstreamUnreachable
from portico.net.connection import Connection
from portico.net.dial import Dialer
from portico.net.origin import Origin, parse_origin
from portico.net.patience import KEEP_ALIVE, Timeouts

MAX_CONNECTIONS: Final = 100  #: to one peer, unless the peer says otherwise
#: Seconds of rest after which the kernel is asked whether a connection still stands: never under load, else always.
LOOK_AFTER: Final = 0.005
CLOSE_SECONDS: Final = 2.0  #: bound of closing


class Peer(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """Where requests go, and how. Peers that differ only in limits or in the URL's path share connections."""

    url: str  #: absolute; only scheme, host and port count
    connect_timeout: float = 5.0  #: seconds for one connection to be made: name, proxy and TLS included
    allow_private: bool = False
    ca_file: str = ""  #: PEM file of the only CAs that are trusted; empty for the system's
    proxy: str = ""  #: ``http://host:port`` of a CONNECT proxy; empty for none
    max_connections: int = MAX_CONNECTIONS

    @property
    def key(self) -> tuple[str, str, int, str, str, bool]:
        """What must be equal for two peers to share connections."""
        origin = parse_origin(self.url)
        return (origin.scheme, origin.host, origin.port, self.ca_file, self.proxy, self.allow_private)


class Pool:
    """All connections to one peer. Every method runs on one event loop."""

    def __init__(self, peer: Peer, dialer: Dialer) -> None:
        """Make an empty pool for the peers whose key is that of ``peer``.

        Raises:
            EgressDenied: the peer's URL or its proxy's cannot be called.
        """
        self._dialer = dialer
        self._allow_private = peer.allow_private
        self._ca_file = peer.ca_file
        self._origin = parse_origin(peer.url)
        self._proxy = _proxy_origin(peer.proxy)
        self._all: set[Connection] = set()  # being dialled, idle and busy
        self._idle: list[Connection] = []  # the youngest last; it is the one that is reused
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._reaper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None
        self._closed = False
        self.authority = self._origin.authority.encode()  #: for the Host header

    def take(self, now: float) -> Connection | None:
        """Return an idle connection that still stands, or None; ``now`` is the event loop's clock."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            rest = now - connection.idle_since
            if not connection.closed and rest < connection.keep_for and (rest < LOOK_AFTER or connection.is_quiet()):
                return connection
            connection.abort()
        return None

    async def acquire(self, peer: Peer, timeouts: Timeouts, total_at: float) -> Connection:
        """Make a connection, or wait for one when ``peer.max_connections`` are there.

        Raises:
            UpstreamTimeout: neither succeeded within ``timeouts.connect`` or until ``total_at``.
            UpstreamError: the dial failed.
        """
        loop = asyncio.get_running_loop()
        deadline = min(loop.time() + timeouts.connect, total_at)
        try:
            async with asyncio.timeout_at(deadline):
                while len(self._all) >= peer.max_connections:
                    connection = await self._turn()
                    if connection is not None and not connection.closed:
                        return connection
                if self._closed:
                    raise UpstreamUnreachable("Calls have ended: shutting down.")
                deadline = min(deadline, loop.time() + peer.connect_timeout)
                async with asyncio.timeout_at(deadline):
                    return await self._dial(deadline)
        except TimeoutError as error:
            raise UpstreamTimeout("No connection could be made in time.", detail=str(self._origin)) from error

    def drop_idle(self) -> None:
        """Close what is idle, because one of them turned out to be closed by the server."""
        for connection in self._idle:
            connection.abort()
        self._idle.clear()

    async def aclose(self) -> None:
        """Close everything; what is in flight fails. Returns when the sockets are closed."""
        self._closed = True
        self._stop_reaper()
        for connection in tuple(self._all):
            connection.fail(UpstreamUnreachable("The call was ended: shutting down."))
        self._idle.clear()
        while self._waiting:
            self._hand(None)
        if self._all:
            self._emptied = asyncio.get_running_loop().create_future()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._emptied

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Connections open (or being made), idle and busy, and callers that wait for one."""
        return len(self._all), len(self._idle), sum(c.busy for c in self._all), len(self._waiting)

    # ---- told by connections

    def _free(self, connection: Connection) -> None:
        if self._waiting and self._hand(connection):
            return
        self._idle.append(connection)
        if self._reaper is None:
            self._reaper = asyncio.get_running_loop().call_later(KEEP_ALIVE, self._reap)

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        with suppress(ValueError):
            self._idle.remove(connection)
        if self._waiting:
            self._hand(None)
        if self._emptied is not None and not self._all and not self._emptied.done():
            self._emptied.set_result(None)

    # ----

    async def _dial(self, deadline: float) -> Connection:
        connection = Connection(self._free, self._lost)
        self._all.add(connection)
        try:
            await self._dialer.connect(
                connection,
                self._origin,
                allow_private=self._allow_private,
                ca_file=self._ca_file,
                proxy=self._proxy,
                deadline=deadline,
            )
            self._check_silence(connection)
        except BaseException:
            connection.abort()
            self._lost(connection)
            raise
        return connection

    def _check_silence(self, connection: Connection) -> None:
        """Refuse a server that speaks first: its words would be taken for the answer.

        Under TLS the kernel may hold session tickets; there only what the protocol has seen counts.
        """
        if connection.closed or (self._origin.scheme == "http" and not connection.is_quiet()):
            raise UpstreamInvalid("The server spoke, or closed, before it was asked.")

    async def _turn(self) -> Connection | None:
        """Wait for a connection, or for None: room to make one."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # handed over and cancelled in the same moment
                self._pass_on(waiter.result())
            with suppress(ValueError):  # or somebody who handed out turns has seen already that it is cancelled
                self._waiting.remove(waiter)
            raise

    def _pass_on(self, connection: Connection | None) -> None:
        if connection is not None and not connection.closed:
            self._free(connection)
        elif self._waiting:
            self._hand(None)

    def _hand(self, connection: Connection | None) -> bool:
        """Give the turn to who has waited longest; False when nobody took it."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _reap(self) -> None:
        """Close what has been idle for too long, look again later while anything is idle."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        old = [c for c in self._idle if now - c.idle_since >= c.keep_for]
        self._idle = [c for c in self._idle if now - c.idle_since < c.keep_for]
        for connection in old:
            connection.abort()
        self._reaper = loop.call_later(KEEP_ALIVE / 2, self._reap) if self._idle else None

    def _stop_reaper(self) -> None:
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None


def _proxy_origin(url: str) -> Origin | None:
    if not url:
        return None
    origin = parse_origin(url)
    if origin.scheme != "http":
        raise UpstreamUnreachable("The proxy must be given as http://host:port.")
    return origin
