"""Calls that are under way, and the two ways in which a client ends one.

*Legacy* clients post ``notifications/cancelled``; a connection that breaks is no cancellation there. *Modern* clients
close the connection. Either way the call's task is cancelled at its current await, the call is recorded, and the
cancellation stops here: the request's task goes on and ends normally.
"""

import asyncio
from types import TracebackType
from typing import Final, Self

from portico.model.errors import PorticoError
from portico.protocol.jsonrpc import RequestId
from portico.web.asgi import Receive

#: Seconds after which a call is worth a task that watches for its client's end; most calls are over by then.
WATCH_AFTER: Final = 0.05


class CallCancelled(PorticoError):
    """The client ended the call; ``code`` in the audit is ``cancelled`` or ``disconnected``."""

    code = "cancelled"
    status = 499  # as nginx has it: nobody reads this answer

    def __init__(self, *, disconnected: bool) -> None:
        super().__init__("The client ended the call.")
        self.disconnected = disconnected


class Cancellable:
    """A block that :meth:`cancel` ends with :class:`CallCancelled`; built like ``asyncio.timeout``."""

    __slots__ = ("_cancelling", "_disconnected", "_requested", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._requested = False
        self._disconnected = False

    def cancel(self, *, disconnected: bool = False) -> None:
        """End the block at its current await; without effect when it has ended."""
        if self._task is not None and not self._requested:
            self._requested, self._disconnected = True, disconnected
            self._task.cancel()

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancelling = self._task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        assert task is not None
        # Our own cancellation is taken back; one from outside (shutdown) goes on its way.
        if self._requested and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise CallCancelled(disconnected=self._disconnected) from error


#: What a call and its cancellation have in common: principal, resource, session or client's host, request id.
CallKey = tuple[str, str, str, RequestId]


class InFlight:
    """Legacy calls that ``notifications/cancelled`` can name."""

    def __init__(self) -> None:
        self._calls: dict[CallKey, list[Cancellable]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._calls.values()))

    def hold(self, key: CallKey, call: Cancellable) -> "HeldCall":
        """Remember a call until the answer to it is closed."""
        self._calls.setdefault(key, []).append(call)
        return HeldCall(self._calls, key, call)

    def count(self, key: CallKey) -> int:
        """Return how many calls of that key are under way."""
        return len(self._calls.get(key, ()))

    def cancel(self, key: CallKey) -> bool:
        """Cancel the call of that key. Two calls of one key are two clients: neither may end the other's."""
        calls = self._calls.get(key, [])
        if len(calls) == 1:
            calls[0].cancel()
            return True
        return False


class HeldCall:
    """A call that can be named until :meth:`aclose`."""

    __slots__ = ("_call", "_calls", "_key")

    def __init__(self, calls: dict[CallKey, list[Cancellable]], key: CallKey, call: Cancellable) -> None:
        self._calls = calls
        self._key = key
        self._call = call

    async def aclose(self) -> None:
        """Forget the call."""
        same = self._calls[self._key]
        same.remove(self._call)
        if not same:
            del self._calls[self._key]


class DisconnectWatch:
    """Cancels a call when its client goes away; costs a timer, and a task only when the call lasts."""

    __slots__ = ("_call", "_receive", "_task", "_timer")

    def __init__(self, receive: Receive, call: Cancellable) -> None:
        self._receive = receive
        self._call = call
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._start)

    async def aclose(self) -> None:
        """Stop watching; leaves no task behind."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _start(self) -> None:
        self._task = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._call.cancel(disconnected=True)
