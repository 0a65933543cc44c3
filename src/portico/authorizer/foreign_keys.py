"""Keys of issuers that others run: fetched through ``net``, cached, refreshed ahead, served stale when they are down.

Ages of a key set, in seconds::

    0 ........... REFRESH_AHEAD ........ FRESH ................ STALE_LIMIT
    as it is      as it is, and         wait for a refresh,    no keys: KeysUnavailable
                  refreshed behind      briefly; else stale

So a key that its issuer dropped in an emergency is dead here after FRESH, and an issuer that is down for a day stops
nobody who has a token. An unknown ``kid`` asks for a refresh at once, but only once per COOL_DOWN: anyone can write a
``kid`` into a token. One refresh per issuer is on its way at any time, and nobody's cancellation stops it for others.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from portico.authorizer.keys import IssuerKeys, unavailable
from portico.model.errors import KeysUnavailable, PorticoError
from portico.net.fetch import Fetcher
from portico.oauth.discovery import read_metadata
from portico.oauth.jwk import load_keys
from portico.oauth.strict_json import parse_object

REFRESH_AHEAD: Final = 240.0  #: seconds
FRESH: Final = 300.0  #: seconds
STALE_LIMIT: Final = 24 * 3600.0  #: seconds
COOL_DOWN: Final = 60.0  #: seconds between two refreshes of keys that we have
RETRY: Final = 5.0  #: seconds between two attempts to get keys that we do not have
PATIENCE: Final = 1.0  #: seconds after its start that calls wait for a refresh when there are stale keys to go on with
FETCH_TIMEOUT: Final = 5.0  #: seconds for each of the two documents
MAX_DOCUMENT_BYTES: Final = 256 * 1024  #: bytes of each


@dataclass(slots=True)
class _Entry:
    """What is known of one discovery URL. Times are those of the clock; none is ``-inf``."""

    keys: IssuerKeys | None = None
    fetched_at: float = float("-inf")
    tried_at: float = float("-inf")
    failure: KeysUnavailable | None = None  #: of the last attempt, None when it succeeded
    flight: asyncio.Task[None] | None = None


class ForeignKeys:
    """Key sets by discovery URL, in memory.

    ``allows_private`` says which discovery URLs may lie on loopback or private addresses, and so may be plain http.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        allows_private: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetcher = fetcher
        self._allows_private = allows_private
        self._clock = clock
        self._entries: dict[str, _Entry] = {}

    async def keys_for(self, discovery_url: str, *, kid: str | None = None) -> IssuerKeys:
        """Return the issuer's keys, from memory when they are fresh and hold ``kid``.

        Raises:
            KeysUnavailable: there are none, or ``kid`` is not among them and the issuer cannot be asked.
        """
        entry = self._entries.get(discovery_url)
        if entry is None:
            entry = self._entries[discovery_url] = _Entry()
        age = self._clock() - entry.fetched_at
        if age >= STALE_LIMIT:
            await self._refreshed(discovery_url, entry, pause=RETRY)
        elif age >= FRESH:
            await self._refreshed(discovery_url, entry, pause=COOL_DOWN, patience=PATIENCE)
        elif age >= REFRESH_AHEAD:
            self._refresh(discovery_url, entry, pause=COOL_DOWN)
        if kid and entry.keys is not None and kid not in entry.keys.keys:
            await self._refreshed(discovery_url, entry, pause=COOL_DOWN)
        return self._usable(discovery_url, entry, kid)

    async def aclose(self) -> None:
        """Stop what is on its way."""
        flights = [entry.flight for entry in self._entries.values() if entry.flight is not None]
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _usable(self, discovery_url: str, entry: _Entry, kid: str | None) -> IssuerKeys:
        keys = entry.keys
        if keys is None or self._clock() - entry.fetched_at >= STALE_LIMIT:
            raise _again(entry.failure, discovery_url)
        if kid and kid not in keys.keys and entry.failure is not None:
            raise _again(entry.failure, discovery_url)  # perhaps a new key; 401 would make clients drop good tokens
        return keys

    async def _refreshed(self, url: str, entry: _Entry, *, pause: float, patience: float | None = None) -> None:
        flight = self._refresh(url, entry, pause=pause)
        if flight is not None:
            left = None if patience is None else max(0.0, patience - (self._clock() - entry.tried_at))
            done, _ = await asyncio.wait({flight}, timeout=left)  # cancels nothing, whatever happens here
            for finished in done:
                if not finished.cancelled():  # by aclose, not by whoever waits here
                    finished.result()

    def _refresh(self, url: str, entry: _Entry, *, pause: float) -> asyncio.Task[None] | None:
        """Return the refresh on its way, or start one unless the last began less than ``pause`` seconds ago."""
        if entry.flight is not None:
            return entry.flight
        if self._clock() - entry.tried_at < pause:
            return None
        entry.tried_at = self._clock()
        entry.flight = asyncio.create_task(self._fly(url, entry), name=f"keys of {url}")
        return entry.flight

    async def _fly(self, url: str, entry: _Entry) -> None:
        try:
            entry.keys = await self._fetch(url)
            entry.fetched_at = self._clock()
            entry.failure = None
        except (PorticoError, ValueError) as error:
            reason = error.public if isinstance(error, PorticoError) else str(error)
            entry.failure = unavailable(f"The keys behind the gateway's discoveryUrl {url!r} cannot be read: {reason}")
        finally:
            entry.flight = None

    async def _fetch(self, url: str) -> IssuerKeys:
        issuer, jwks_uri = read_metadata(await self._document(url, url), url)
        loaded = load_keys(await self._document(jwks_uri, url))
        if not loaded.keys:
            raise ValueError(f"no usable key in the key set ({'; '.join(loaded.ignored[:3]) or 'it is empty'})")
        return IssuerKeys(issuer=issuer, own=False, keys=loaded.keys)

    async def _document(self, url: str, discovery_url: str) -> dict[str, object]:
        fetched = await self._fetcher.get(
            url,
            max_bytes=MAX_DOCUMENT_BYTES,
            timeout=FETCH_TIMEOUT,
            allow_private=self._allows_private(discovery_url),
            accept="application/json, application/jwk-set+json",
        )
        if fetched.status != 200:  # noqa: PLR2004 - HTTP's own number; redirects are not followed
            raise ValueError(f"HTTP status {fetched.status}")
        return parse_object(fetched.body)


def _again(failure: KeysUnavailable | None, url: str) -> KeysUnavailable:
    """Return a new error for each raise: a shared one would collect every caller's traceback."""
    return unavailable(failure.debug_hint if failure is not None else f"The keys behind {url!r} were never fetched.")
