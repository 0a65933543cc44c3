"""What is fetched of a provider now and then, its metadata and its keys: kept in memory, one fetch at a time.

Ages, in seconds::

    0 ............ fresh ................. stale
    as it is       wait for a new one,     nothing: the fault of the last attempt
                   briefly; else as it is

A provider that is down for a day stops nobody whose login needs only what is kept; one that comes back is found at the
next attempt. Nobody's cancellation stops a fetch for the others who wait for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from portico.model.errors import PorticoError, UpstreamTimeout, UpstreamUnreachable
from portico.model.oauth_errors import OAuthError, ServerError, TemporarilyUnavailable

COOL_DOWN: Final = 60.0  #: seconds between two fetches of what we have
RETRY: Final = 3.0  #: seconds between two attempts at what we do not have
PATIENCE: Final = 1.0  #: seconds that a login waits for a new one when there is an old one to go on with

T = TypeVar("T")


class ProviderDocument(Generic[T]):
    """One value out of a provider's documents."""

    def __init__(
        self, load: Callable[[], Awaitable[T]], *, fresh: float, stale: float, monotonic: Callable[[], float]
    ) -> None:
        """Take what fetches and judges it, and its ages in seconds.

        ``load`` raises an ``UpstreamError`` or ``OAuthError``, or ``ValueError`` for a document that is not usable.
        """
        self._load = load
        self._fresh = fresh
        self._stale = stale
        self._monotonic = monotonic
        self._value: T | None = None
        self._loaded_at = float("-inf")
        self._tried_at = float("-inf")
        self._failure: Exception | None = None
        self._flight: asyncio.Task[None] | None = None

    async def get(self) -> T:
        """Return the value, from memory while it is fresh.

        Raises:
            TemporarilyUnavailable: there is none, and the provider cannot be asked.
            ServerError: there is none, and what the provider answers is not usable.
        """
        age = self._monotonic() - self._loaded_at
        if age >= self._stale:
            await self._wait(RETRY, None)
        elif age >= self._fresh:
            await self._wait(COOL_DOWN, PATIENCE)
        if self._value is None or self._monotonic() - self._loaded_at >= self._stale:
            raise provider_fault(self._failure)
        return self._value

    async def renewed(self) -> T:
        """Return the value after a new fetch, unless one began less than ``COOL_DOWN`` ago; raises as :meth:`get`."""
        if self._value is not None:
            await self._wait(COOL_DOWN, None)
        return await self.get()

    async def aclose(self) -> None:
        """Stop the fetch on its way."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.gather(self._flight, return_exceptions=True)

    async def _wait(self, pause: float, patience: float | None) -> None:
        if self._flight is None and self._monotonic() - self._tried_at >= pause:
            self._tried_at = self._monotonic()
            self._flight = asyncio.create_task(self._fly(), name="document of an identity provider")
        if self._flight is not None:
            await asyncio.wait({self._flight}, timeout=patience)  # cancels nothing, whatever happens here

    async def _fly(self) -> None:
        try:
            self._value = await self._load()
            self._loaded_at = self._monotonic()
            self._failure = None
        except (PorticoError, ValueError) as error:
            self._failure = error
        finally:
            self._flight = None


def provider_fault(error: Exception | None) -> OAuthError:
    """Return what a client is told when a provider's document or answer cannot be had; the reason is for the log.

    A new error for each raise: a shared one would collect every caller's traceback.
    """
    detail = str(error) if error is not None else ""
    if error is None or isinstance(error, UpstreamUnreachable | UpstreamTimeout | TemporarilyUnavailable):
        return TemporarilyUnavailable("The identity provider cannot be reached right now; try again.", detail=detail)
    return ServerError(
        "The identity provider's answer is not usable; the administrator finds out why in the log.", detail=detail
    )
