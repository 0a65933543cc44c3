"""How often one may try: logins per account and address, registrations per address.

In memory and per process, bounded in size, with the clock as an argument. An attempt is counted before it is checked,
so that many at once cannot outrun the count.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MAX_TRACKED: Final = 20_000  #: keys of each kind; the one that was quiet the longest is forgotten first
FORGET_SECONDS: Final = 3600.0  #: after so long without an attempt a key starts anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """After ``free`` attempts in a row each further one locks: ``first`` seconds, doubling up to ``longest``."""

    free: int
    first: float
    longest: float


#: One account from one address: a person who mistypes is not bothered, a guesser gets some hundred guesses a day.
ACCOUNT_AT_ADDRESS: Final = Ladder(free=5, first=15.0, longest=900.0)
#: One address over all accounts (spraying). An office behind one address must still get in.
ADDRESS: Final = Ladder(free=50, first=15.0, longest=900.0)
#: One account from all addresses. The lock is short, as anybody can cause it for anybody.
ACCOUNT: Final = Ladder(free=100, first=5.0, longest=60.0)

LADDERS: Final = (ACCOUNT_AT_ADDRESS, ADDRESS, ACCOUNT)

_Key = tuple[str, ...]


@dataclass(slots=True)
class _Track:
    attempts: int = 0
    last: float = 0.0
    locked_until: float = 0.0


class LoginThrottle:
    """Delays guessing. It knows names only as they were typed, so it treats unknown users like known ones (G07)."""

    def __init__(self) -> None:
        # A map per ladder: made-up names, of which there are as many as anybody likes, push out no address.
        self._tracks = tuple(OrderedDict[_Key, _Track]() for _ in LADDERS)

    @property
    def tracked(self) -> int:
        """How many keys are remembered."""
        return sum(map(len, self._tracks))

    def attempt(self, issuer: str, account: str, address: str, now: float) -> float:
        """Count an attempt and return 0, or return the seconds until the next one is looked at."""
        keys = _keys(issuer, account, address)
        wait = max(_wait(tracks, key, now) for tracks, key in zip(self._tracks, keys, strict=True))
        if wait <= 0:
            for tracks, key, ladder in zip(self._tracks, keys, LADDERS, strict=True):
                _count(tracks, key, ladder, now)
        return max(wait, 0.0)

    def succeeded(self, issuer: str, account: str, address: str) -> None:
        """Forget the attempts of this account at this address, and take this one back elsewhere."""
        own, *others = _keys(issuer, account, address)
        self._tracks[0].pop(own, None)
        for tracks, key in zip(self._tracks[1:], others, strict=True):
            track = tracks.get(key)
            if track is not None:
                track.attempts -= 1
                track.locked_until = 0.0

    def untried(self, issuer: str, account: str, address: str) -> None:
        """Take an attempt back whose password was not looked at: a flood of others' must not lock anybody out."""
        for tracks, key, ladder in zip(self._tracks, _keys(issuer, account, address), LADDERS, strict=True):
            track = tracks.get(key)
            if track is not None:
                track.attempts -= 1
                if track.attempts < ladder.free:
                    track.locked_until = 0.0


def _wait(tracks: OrderedDict[_Key, _Track], key: _Key, now: float) -> float:
    track = tracks.get(key)
    return 0.0 if track is None else track.locked_until - now


def _count(tracks: OrderedDict[_Key, _Track], key: _Key, ladder: Ladder, now: float) -> None:
    track = tracks.pop(key, None)
    if track is None or now - track.last > FORGET_SECONDS:
        track = _Track()
    track.attempts += 1
    track.last = now
    over = track.attempts - ladder.free
    if over >= 0:
        track.locked_until = now + min(ladder.first * 2.0 ** min(over, 30), ladder.longest)
    tracks[key] = track
    while len(tracks) > MAX_TRACKED:
        tracks.popitem(last=False)


class RateLimit:
    """A token bucket per address."""

    def __init__(self, *, burst: int, per_second: float) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str, now: float) -> float:
        """Take one and return 0, or return the seconds until there is one."""
        key = network_of(address)
        level, since = self._buckets.pop(key, (self._burst, now))
        level = min(self._burst, level + max(now - since, 0.0) * self._per_second)
        wait = 0.0 if level >= 1 else (1 - level) / self._per_second
        self._buckets[key] = (level - 1 if level >= 1 else level, now)
        while len(self._buckets) > MAX_TRACKED:
            self._buckets.popitem(last=False)
        return wait


def network_of(address: str) -> str:
    """Return what counts as one address: of IPv6 the /64, which one host has whole."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004 - the protocol's number
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _keys(issuer: str, account: str, address: str) -> tuple[_Key, ...]:
    """Return what an attempt counts for, in the order of :data:`LADDERS`."""
    name, network = account.casefold(), network_of(address)
    return ((issuer, name, network), (issuer, network), (issuer, name))
