"""Calls that are under way, and the two ways in which a client ends one.

*Legacy* clients post ``notifications/cancelled``; a connection that breaks is no cancellation there. *Modern* clients
close the connection. Either way the call's task is cancelled at its current await, the call is recorded, and the
cancellation stops here: the request's task goes on and ends normally.
"""

import asyncio
from types import TracebackType
from typing import Any, Self

from portico.model.errors import PorticoError
from portico.protocol.jsonrpc import RequestId


class CallCancelled(PorticoError):
    """The client ended the call; ``code`` in the audit is ``cancelled`` or ``disconnected``."""

    code = "cancelled"
    status = 499  # as nginx has it: nobody reads this answer

    def __init__(self, *, disconnected: bool) -> None:
        super().__init__("The client ended the call.")
        self.disconnected = disconnected


class Cancellable:
    """A block that :meth:`cancel` ends with :class:`CallCancelled`; built like ``asyncio.timeout``."""

    __slots__ = ("_cancelling", "_disconnected", "_entered", "_requested", "_task")

    def __init__(self, task: asyncio.Task[Any] | None = None) -> None:
        """Take the task that will enter the block; the current one when none is given."""
        running = task or asyncio.current_task()
        assert running is not None
        self._task = running
        self._entered = False
        self._cancelling = 0
        self._requested = False
        self._disconnected = False

    def disconnected(self) -> None:
        """End the block because its client went away."""
        self.cancel(disconnected=True)

    def cancel(self, *, disconnected: bool = False) -> None:
        """End the block at its current await; without effect when it has ended."""
        if self._entered and not self._requested:
            self._requested, self._disconnected = True, disconnected
            self._task.cancel()

    def __enter__(self) -> Self:
        self._entered = True
        self._cancelling = self._task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._entered = self._task, False
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
        """Remember a call until it is released."""
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
    """A call that can be named until :meth:`release`."""

    __slots__ = ("_call", "_calls", "_key")

    def __init__(self, calls: dict[CallKey, list[Cancellable]], key: CallKey, call: Cancellable) -> None:
        self._calls = calls
        self._key = key
        self._call = call

    def release(self) -> None:
        """Forget the call."""
        same = self._calls[self._key]
        same.remove(self._call)
        if not same:
            del self._calls[self._key]
