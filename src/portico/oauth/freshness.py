"""How long what a stranger published may be used, by its HTTP headers (RFC 9111 sections 4.2 and 5.2.2), within bounds.

The bounds are ours to set (client id metadata documents, draft section 5.2). The lower one also holds against
``no-store``: the steps of one login must see the same document, and its host is not asked for each of them.
"""

import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MIN_SECONDS: Final = 60.0
MAX_SECONDS: Final = 24 * 3600.0
DEFAULT_SECONDS: Final = 300.0  #: when the headers say nothing

_DIGITS = re.compile(r"[0-9]{1,12}\Z", re.ASCII)
_NEVER_STALE: Final = frozenset({"no-store", "no-cache", "must-revalidate", "proxy-revalidate", "s-maxage"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """What the headers of an answer allow."""

    seconds: float  #: that it may be used without asking again
    stale: bool  #: whether it may be used after that while its host cannot be asked


def freshness(headers: Mapping[str, str], now: float) -> Freshness:
    """Judge the headers of an answer; ``headers`` have names in lower case, ``now`` is in seconds since the epoch."""
    directives = _directives(headers.get("cache-control", ""))
    seconds = _lifetime(directives, headers, now)
    return Freshness(
        seconds=DEFAULT_SECONDS if seconds is None else min(max(seconds, MIN_SECONDS), MAX_SECONDS),
        stale=not _NEVER_STALE & set(directives),
    )


def _lifetime(directives: Mapping[str, str], headers: Mapping[str, str], now: float) -> float | None:
    if "no-store" in directives or "no-cache" in directives:
        return 0.0
    for name in ("s-maxage", "max-age"):
        if name in directives:
            return _number(directives[name]) - _number(headers.get("age", "0"))
    if "expires" in headers:
        return _time(headers["expires"], 0.0) - _time(headers.get("date", ""), now)
    return None


def _directives(value: str) -> dict[str, str]:
    """Read Cache-Control; of a directive that stands twice the first counts (RFC 9111 section 4.2.1)."""
    found: dict[str, str] = {}
    for part in value.split(","):
        name, _, argument = part.strip().partition("=")
        found.setdefault(name.strip().lower(), argument.strip().strip('"'))
    return found


def _number(text: str) -> float:
    """Return a number of seconds; what is none counts as over (RFC 9111 section 4.2.1)."""
    return float(text) if _DIGITS.match(text.strip()) else 0.0


def _time(text: str, otherwise: float) -> float:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return otherwise
