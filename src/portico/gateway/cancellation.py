"""``notifications/cancelled``, wherever the call runs that it names.

A call runs on the replica that took it, not on the one that opened its session, and its cancellation may come to any.
So every replica is asked. Without a session request ids are small numbers that other clients use too: then a call is
only ended when all replicas together know exactly one of that name.
"""

import asyncio
from typing import Final

import msgspec
import structlog

from portico.gateway.inflight import CallKey, InFlight
from portico.gateway.peers import Peers
from portico.storage.replicas import ReplicaRow

COUNT_PATH: Final = "/internal/calls/count"
CANCEL_PATH: Final = "/internal/calls/cancel"
MAX_ASKING: Final = 32  #: cancellations that ask other replicas at once; a client may send any number of them

_log = structlog.stdlib.get_logger("portico.gateway")
_decode_count = msgspec.json.Decoder(int).decode


class Cancellations:
    """Ends legacy calls, here and on the other replicas."""

    def __init__(self, peers: Peers | None = None) -> None:
        self.in_flight = InFlight()
        self._peers = peers
        self._asking = 0

    async def cancel(self, key: CallKey, *, exclusive: bool) -> None:
        """End the call of that key; ``exclusive`` when nobody else can have chosen it (it holds a session)."""
        here = self.in_flight.count(key)
        others = () if self._peers is None else self._peers.others()
        if not others or (exclusive and here):
            self.in_flight.cancel(key)
            return
        if self._asking >= MAX_ASKING:
            _log.warning("cancellation_dropped", reason="too many at once")
            return
        self._asking += 1
        try:
            await self._cancel_somewhere(key, here, exclusive=exclusive)
        finally:
            self._asking -= 1

    async def _cancel_somewhere(self, key: CallKey, here: int, *, exclusive: bool) -> None:
        assert self._peers is not None
        others, body = self._peers.others(), msgspec.json.encode(key)
        counts = await asyncio.gather(*(self._count(other, body) for other in others))
        if None in counts and not exclusive:
            return  # somebody whom we cannot ask may have another client's call of that name
        known = [count or 0 for count in counts]
        if here + sum(known) != 1:
            return
        if here:
            self.in_flight.cancel(key)
            return
        await self._peers.ask(others[known.index(1)], CANCEL_PATH, body)

    async def _count(self, other: ReplicaRow, body: bytes) -> int | None:
        assert self._peers is not None
        answer = await self._peers.ask(other, COUNT_PATH, body)
        try:
            return None if answer is None else _decode_count(answer)
        except msgspec.DecodeError:
            return None
