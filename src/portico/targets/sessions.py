"""The legacy sessions that are open at targets, and who shares one.

A session belongs to (target, principal, credential, downstream session or none, protocol version): nobody ever meets
another caller's state at a server. It is opened by the first call that needs it, once for all that wait for it, used by
any number of calls at a time, and ended when its downstream session ends, when it lay idle, or when the bound is
reached and it is the least recently used. A session with a call in flight is never taken away for room.

Without a downstream session, callers of one principal may be several people, and what they pass on to the target (a key
of their own, a tenant) may decide whose session it becomes there. So each set of such values has a session of its own;
only :data:`MAX_APART` of these are kept, for the values may differ with every call.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from portico.model.credential import CredentialUse
from portico.model.errors import LimitExceeded, UpstreamUnreachable
from portico.net.relay import Relay
from portico.targets.credentialed import Sender
from portico.targets.exchange import Route
from portico.targets.handshake import ASIDE_SECONDS, LegacySession, close_session, open_session

_T = TypeVar("_T")

MAX_SESSIONS = 10_000  #: open sessions at all targets together
MAX_APART = 100  #: sessions of one principal at one target that differ only in what callers pass on
MAX_CLOSING = 50  #: sessions that are ended at their servers at the same time
IDLE_SECONDS = 3600.0  #: seconds that a session is kept without a call


class Place(NamedTuple):
    """Where sessions are held: the same for every revision of a target that is reached the same way."""

    target_id: str
    endpoint: str
    ca_file: str
    proxy: str
    credential: CredentialUse | None = None  #: which credential it is called with


class SessionKey(NamedTuple):
    """Who may share a session. A tuple, because every legacy call hashes one."""

    place: Place
    principal: str  #: ``Principal.key``
    downstream: str  #: number of the downstream session, empty for none
    version: str  #: the revision that the caller speaks and that initialize proposes
    credential: str = ""  #: ``Credential.identity``
    apart: str = ""  #: ``ToolCall.apart``


@dataclass(slots=True, kw_only=True, eq=False)
class Entry:
    """One session and its use. ``opening`` is done as soon as the session can be used."""

    key: SessionKey
    route: Route
    sender: Sender  #: sends with the credential of the last call that used it
    opening: asyncio.Task[LegacySession]
    users: int = 0  #: calls in flight
    used_at: float = 0.0
    ended: bool = False  #: to be closed as soon as no call uses it

    @property
    def session(self) -> LegacySession:
        """The session; only after :meth:`UpstreamSessions.acquire` has returned."""
        return self.opening.result()


class UpstreamSessions:
    """All upstream sessions of the process.

    Its own tasks (opening, ending) are bounded in time and awaited by :meth:`aclose`.
    """

    def __init__(
        self,
        *,
        relay: Relay,
        clock: Callable[[], float] = time.monotonic,
        max_sessions: int = MAX_SESSIONS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._relay = relay
        self._clock = clock
        self._max = max_sessions
        self._idle = idle_seconds
        self._entries: OrderedDict[SessionKey, Entry] = OrderedDict()  # least recently used first
        self._of_downstream: dict[str, set[SessionKey]] = {}
        self._apart: dict[tuple[Place, str], set[SessionKey]] = {}
        self._holders: Counter[Place] = Counter()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = asyncio.Semaphore(MAX_CLOSING)

    def count(self) -> int:
        """Return how many sessions are open or being opened."""
        return len(self._entries)

    async def acquire(self, key: SessionKey, route: Route, sender: Sender | None = None) -> Entry:
        """Return the caller's session, opened if need be; give it back with :meth:`release`.

        ``sender`` is what sends its messages: the relay, or one with a credential around it.

        Raises:
            LimitExceeded: every session there is room for has a call in flight.
            UpstreamError: the session could not be opened; the next call tries anew.
        """
        sender = sender or self._relay
        entry = self._entries.get(key) or self._open(key, route, sender)
        entry.sender = sender  # a token that was renewed ends the session too
        entry.users += 1
        self._touch(entry)
        opening = entry.opening
        if not opening.done():
            try:
                # Waits without cancelling it: others may wait too, and a session that the server has made by now
                # would be lost to us and left open there.
                await asyncio.wait({opening})
            except asyncio.CancelledError:
                self.release(entry)
                raise
        if _failed(opening):
            self.release(entry)
            raise _failure_of(opening)
        return entry

    def release(self, entry: Entry) -> None:
        """Say that a call no longer uses the session."""
        entry.users -= 1
        self._touch(entry)
        self._close_if_over(entry)

    def forget(self, entry: Entry) -> None:
        """Drop a session that its server no longer knows; the next :meth:`acquire` opens another."""
        self._remove(entry)

    async def end(self, downstream_session: str) -> None:
        """End everything that belongs to a downstream session; what has a call in flight ends after it."""
        keys = self._of_downstream.get(downstream_session, ())
        await self._end([self._entries[key] for key in keys])

    def hold(self, place: Place) -> None:
        """Say that one more target revision uses the sessions at ``place``."""
        self._holders[place] += 1

    async def let_go(self, place: Place) -> None:
        """Say that one less does; with the last one its sessions end."""
        self._holders[place] -= 1
        if self._holders[place] > 0:
            return
        del self._holders[place]
        await self._end([entry for key, entry in self._entries.items() if key.place == place])

    def expire(self) -> None:
        """End the sessions that lay idle. To be called now and then; opening a session does it too."""
        bound = self._clock() - self._idle
        idle: list[Entry] = []
        for entry in self._entries.values():
            if entry.used_at > bound:
                break  # the rest were used later
            if not entry.users and entry.opening.done():
                idle.append(entry)
        for entry in idle:
            self._finish(entry)

    async def aclose(self) -> None:
        """End every session at its server, within a bound, and wait for all that was begun."""
        await self._end(list(self._entries.values()))
        try:
            async with asyncio.timeout(ASIDE_SECONDS):
                while self._tasks:  # an opening that ends now begins a closing
                    await asyncio.wait(set(self._tasks))
        except TimeoutError:
            late = set(self._tasks)
            for task in late:
                task.cancel()
            await asyncio.wait(late)

    def spawn(self, work: Coroutine[object, object, _T]) -> asyncio.Task[_T]:
        """Run something bounded that outlives its caller; :meth:`aclose` waits for it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _open(self, key: SessionKey, route: Route, sender: Sender) -> Entry:
        self.expire()
        if key.apart:
            self._make_room_apart(key)
        if len(self._entries) >= self._max:
            self._make_room()
        opening = self.spawn(open_session(sender, route, key.version, self.spawn))
        entry = Entry(key=key, route=route, sender=sender, opening=opening)
        opening.add_done_callback(lambda _: self._opened(entry))
        self._entries[key] = entry
        for index, of in self._indexes(key):
            index.setdefault(of, set()).add(key)
        return entry

    def _indexes(self, key: SessionKey) -> Iterator[tuple[dict[Any, set[SessionKey]], object]]:
        if key.downstream:
            yield self._of_downstream, key.downstream
        if key.apart:
            yield self._apart, (key.place, key.principal)

    def _opened(self, entry: Entry) -> None:
        if _failed(entry.opening):
            self._remove(entry)
        else:
            self._close_if_over(entry)

    def _touch(self, entry: Entry) -> None:
        entry.used_at = self._clock()
        if self._entries.get(entry.key) is entry:
            self._entries.move_to_end(entry.key)

    def _make_room(self) -> None:
        for entry in self._entries.values():
            if not entry.users and entry.opening.done():
                self._finish(entry)
                return
        raise LimitExceeded("Too many sessions with targets are in use at once; try again later.")

    def _make_room_apart(self, key: SessionKey) -> None:
        """End the least recently used of the sessions that differ from ``key`` only in what is passed on."""
        alike = self._apart.get((key.place, key.principal), ())
        if len(alike) < MAX_APART:
            return
        entries = [self._entries[other] for other in alike]
        idle = [entry for entry in entries if not entry.users and entry.opening.done()]
        if idle:
            self._finish(min(idle, key=lambda entry: entry.used_at))

    def _remove(self, entry: Entry) -> None:
        key = entry.key
        if self._entries.get(key) is not entry:
            return
        del self._entries[key]
        for index, of in self._indexes(key):
            keys = index[of]
            keys.discard(key)
            if not keys:
                del index[of]

    async def _end(self, entries: Iterable[Entry]) -> None:
        closing = [task for task in map(self._finish, list(entries)) if task is not None]
        if closing:
            await asyncio.wait(closing)

    def _finish(self, entry: Entry) -> asyncio.Task[None] | None:
        self._remove(entry)
        entry.ended = True
        return self._close_if_over(entry)

    def _close_if_over(self, entry: Entry) -> asyncio.Task[None] | None:
        if not entry.ended or entry.users or not entry.opening.done() or _failed(entry.opening):
            return None
        return self.spawn(self._close(entry))

    async def _close(self, entry: Entry) -> None:
        async with self._closing:
            await close_session(entry.sender, entry.route, entry.session)


def _failed(opening: asyncio.Task[LegacySession]) -> bool:
    return opening.cancelled() or opening.exception() is not None


def _failure_of(opening: asyncio.Task[LegacySession]) -> BaseException:
    """Return why a session could not be opened. A cancelled opening is our shutdown, not the caller's end."""
    if opening.cancelled():
        return UpstreamUnreachable("The gateway is shutting down.")
    error = opening.exception()
    assert error is not None
    return error
