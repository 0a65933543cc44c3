"""Calls to targets: our own HTTP/1.1 client, small and fast (the relay).

Keep-alive connections, one request at a time on each, bodies streamed with backpressure, a deadline for every phase,
limits on heads and bodies. No redirect is followed, so no credential leaves for where it was not sent (incident
T17); there are no cookies; compressed answers are not asked for.

Repeating. A server may close a kept-alive connection just when a request is under way. Whether it has seen the
request cannot be known, and a tool must not run twice, so a request is repeated (once) only if its method is
idempotent or its sender says that it is ``repeatable``, and only if no byte of an answer had arrived (RFC 9110
section 9.2.2). Everything else is done to make the case rare: connections idle for less time than servers keep
them, ``Keep-Alive: timeout`` is honoured, and the kernel is asked before a rested connection is reused.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from portico.model.errors import UpstreamUnreachable
from portico.net.connection import StaleConnection
from portico.net.dial import Dialer
from portico.net.egress import Egress
from portico.net.patience import Timeouts
from portico.net.pool import Peer, Pool
from portico.net.request import HeadWriter, PreparedHead
from portico.net.response import Response

__all__ = ["MAX_HEADER_BYTES", "Peer", "PreparedHead", "Relay", "RelayStats", "Response", "Timeouts"]

MAX_HEADER_BYTES: Final = 64 * 1024  #: of one answer's head
MAX_PEERS: Final = 1024  #: remembered; idle ones are forgotten first
IDEMPOTENT: Final = frozenset((b"GET", b"PUT", b"DELETE", b"OPTIONS"))  # RFC 9110 section 9.2.2


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayStats:
    """What the relay holds at this moment."""

    open: int  #: connections, also those being made
    idle: int
    in_flight: int  #: requests whose answer is not complete
    waiting: int  #: callers that wait for a connection


class Relay:
    """Sends requests to peers. Lives on one event loop."""

    def __init__(self, *, egress: Egress) -> None:
        """Take the rule that every dialled address must pass."""
        self._dialer = Dialer(egress)
        self._heads = HeadWriter()
        self._pools: dict[tuple[str, str, int, str, str, bool], Pool] = {}
        self._by_peer: dict[Peer, Pool] = {}
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(
        self,
        peer: Peer,
        method: bytes,
        path: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        *,
        timeouts: Timeouts,
        max_header_bytes: int = MAX_HEADER_BYTES,
        repeatable: bool = False,
    ) -> Response:
        """Send one request and return its answer as soon as its head is complete.

        Args:
            peer: where to; the Host header is made from its URL.
            method: GET, POST, PUT, PATCH, DELETE or OPTIONS.
            path: path and query as they go on the wire, beginning with ``/``.
            headers: without those that frame a message or belong to one hop (``request.OWNED``).
            body: sent with Content-Length.
            timeouts: deadlines; that of ``total`` goes on while the answer is read.
            max_header_bytes: bound of the answer's head, and of what surrounds its chunks.
            repeatable: the request may be sent twice without harm although its method does not say so.

        Raises:
            InputError: the request would not be one well-formed request.
            EgressDenied: the address may not be dialled.
            UpstreamUnreachable: no connection, or it broke.
            UpstreamTimeout: a deadline passed.
            UpstreamInvalid: the answer is not acceptable HTTP.
            UpstreamTooLarge: its head is over the bound.
        """
        return await self.send_prepared(
            peer,
            self.prepare(peer, method, path, headers),
            (),
            body,
            timeouts=timeouts,
            max_header_bytes=max_header_bytes,
            repeatable=repeatable,
        )

    def prepare(self, peer: Peer, method: bytes, path: bytes, headers: Sequence[tuple[bytes, bytes]]) -> PreparedHead:
        """Check and write the head that many requests to ``peer`` share, for :meth:`send_prepared`.

        Raises:
            InputError: the request would not be one well-formed request.
            EgressDenied: the peer's URL cannot be called.
        """
        pool = self._by_peer.get(peer) or self._pool_for(peer)
        return self._heads.prepare(method, path, pool.authority, headers)

    async def send_prepared(
        self,
        peer: Peer,
        prepared: PreparedHead,
        extra: Sequence[tuple[bytes, bytes]],
        body: bytes,
        *,
        timeouts: Timeouts,
        max_header_bytes: int = MAX_HEADER_BYTES,
        repeatable: bool = False,
    ) -> Response:
        """Send a request whose head was prepared for this ``peer``, with ``extra`` headers; else as :meth:`send`."""
        pool = self._by_peer.get(peer) or self._pool_for(peer)
        head = self._heads.finish(prepared, extra, len(body))
        now = self._time()
        total_at = now + timeouts.total
        connection = pool.take(now) or await pool.acquire(peer, timeouts, total_at)
        try:
            return await connection.exchange(
                head, body, timeouts=timeouts, total_at=total_at, max_header_bytes=max_header_bytes
            )
        except StaleConnection:
            pool.drop_idle()
            if not repeatable and prepared.method not in IDEMPOTENT:
                raise
        connection = await pool.acquire(peer, timeouts, total_at)
        return await connection.exchange(
            head, body, timeouts=timeouts, total_at=total_at, max_header_bytes=max_header_bytes
        )

    def stats(self) -> RelayStats:
        """Count what is held: zero everywhere once nothing is left behind."""
        counts = [pool.counts for pool in self._pools.values()]
        total = [sum(column) for column in zip(*counts, strict=True)] or [0, 0, 0, 0]
        return RelayStats(open=total[0], idle=total[1], in_flight=total[2], waiting=total[3])

    async def aclose(self) -> None:
        """Close every connection; calls in flight fail. Idempotent."""
        self._closed = True
        self._by_peer.clear()
        pools = tuple(self._pools.values())
        for pool in pools:
            await pool.aclose()

    def _time(self) -> float:
        """Return the event loop's clock; asking which loop is running costs a system call in Python 3.11."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        return loop.time()

    def _pool_for(self, peer: Peer) -> Pool:
        if self._closed:
            raise UpstreamUnreachable("Calls have ended: shutting down.")
        if len(self._by_peer) >= MAX_PEERS:
            self._forget_idle()
        key = peer.key
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(peer, self._dialer)
        self._by_peer[peer] = pool
        return pool

    def _forget_idle(self) -> None:
        """Configurations change: peers that nobody calls any more must not pile up."""
        self._by_peer.clear()
        self._pools = {key: pool for key, pool in self._pools.items() if any(pool.counts)}
