"""What a target offers: the eras it speaks, and its tools in each.

An era of which no verdict can be had (``verdicts`` says why) is *undecided*: what was known of it before stays true.
"""

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from portico.model.credential import Credential
from portico.model.errors import EgressDenied, UpstreamError, UpstreamStatus, UpstreamUnreachable
from portico.model.gateway import LEGACY_VERSIONS, Era
from portico.model.target import EraTools, Target
from portico.protocol.client import MODERN_VERSION, modern_headers, modern_request
from portico.protocol.client_answers import IN_FRONT, UNSUPPORTED_VERSION
from portico.protocol.client_handshakes import DiscoverResult, error_code_of, read_result, supported_versions
from portico.targets.credentialed import Credentialed, Sender, refusal_of
from portico.targets.exchange import Route, route_to
from portico.targets.handshake import close_session, open_session
from portico.targets.listing import MAX_TOOLS, Listing, ask, list_legacy, list_modern
from portico.targets.verdicts import OTHER, denies

MAX_REASONS = 50  #: sentences; a server with a thousand bad tools must not fill the database
DISCOVERY_SECONDS = 120.0  #: seconds for all of it
PROBE_SECONDS = 15.0  #: seconds for each answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What was found. No eras at all means that the synchronization failed."""

    eras: tuple[EraTools, ...]
    reasons: tuple[str, ...]  #: what failed or was left out, and how to mend it; holds no address
    undecided: frozenset[Era] = frozenset()  #: eras that could not be judged: keep what was known of them
    refused: bool = False  #: the target answered 401 to the credential


class _NotSpoken(Exception):
    """The server answered, and its answer shows that it does not speak the era. Never leaves this module."""


class _Findings:
    """Collects the outcome era by era."""

    def __init__(self) -> None:
        self.eras: list[EraTools] = []
        self.reasons: list[str] = []
        self.undecided: set[Era] = set()
        self.turned_away = 0  #: HTTP status by which the target refused the credential, or the lack of one

    def say(self, era: Era, sentence: str) -> None:
        if len(self.reasons) < MAX_REASONS:
            self.reasons.append(f"{_LABELS[era]}: {sentence}")


_WHERE_TO_LOOK = "Check that the server runs and that its endpoint is right, as seen from here; it is tried again soon."
_UNAUTHORIZED = 401
_ABOUT_CREDENTIALS = (_UNAUTHORIZED, 403)

_LABELS: dict[Era, str] = {
    "modern": f"protocol {MODERN_VERSION}",
    "legacy": f"protocol {LEGACY_VERSIONS[0]} to {LEGACY_VERSIONS[-1]}",
}


async def discover(
    target: Target,
    credential: Credential | None = None,
    *,
    relay: Sender,
    seconds: float = DISCOVERY_SECONDS,
    max_tools: int = MAX_TOOLS,
) -> Discovery:
    """Probe the eras that ``target.era`` allows and list the tools of each that is spoken.

    Every request bears ``credential``. Takes at most ``seconds``, and ``max_tools`` of each era; leaves no session
    behind. Raises nothing of the upstream's making: what failed is in the reasons.
    """
    route = _probing(route_to(target))
    allowed: tuple[Era, ...] = ("modern", "legacy") if target.era == "auto" else (target.era,)
    found = _Findings()
    if credential is not None:
        relay = Credentialed(relay, credential)
    try:
        async with asyncio.timeout(seconds):
            for era in allowed:
                if not await _try_era(era, relay, route, found, max_tools, hint=target.era == "auto"):
                    found.undecided.update(allowed[allowed.index(era) :])
                    break
    except TimeoutError:
        known = {entry.era for entry in found.eras}
        found.undecided.update(era for era in allowed if era not in known)
        found.say(allowed[-1], f"the target did not finish within {seconds:.0f} seconds.")
    if found.turned_away:
        found.reasons.append(refusal_of(credential))
    return Discovery(
        eras=tuple(found.eras),
        reasons=tuple(found.reasons),
        undecided=frozenset(found.undecided),
        refused=found.turned_away == _UNAUTHORIZED and credential is not None,
    )


def _probing(route: Route) -> Route:
    given = route.timeouts
    seconds = min(given.total, PROBE_SECONDS)
    return replace(route, timeouts=replace(given, first_byte=seconds, total=seconds))


async def _try_era(era: Era, relay: Sender, route: Route, found: _Findings, max_tools: int, *, hint: bool) -> bool:
    """Judge one era. Return False when it makes no sense to knock again for the next one."""
    probe = _modern if era == "modern" else _legacy
    try:
        found.eras.append(await probe(relay, route, Listing(max_tools, partial(found.say, era))))
    except _NotSpoken as verdict:
        found.say(era, str(verdict))
    except UpstreamUnreachable as error:
        found.say(era, f"{error.public} {_WHERE_TO_LOOK}")
        return False
    except EgressDenied as error:
        found.say(era, error.public)
        return False
    except UpstreamError as error:
        # Without a verdict an operator may know better.
        other = OTHER[era]
        if isinstance(error, UpstreamStatus) and error.http_status in _ABOUT_CREDENTIALS:
            found.turned_away = error.http_status
        hint = hint and not found.turned_away
        found.say(era, f"{error.public} If it speaks {other} only, set its era to {other}." if hint else error.public)
        found.undecided.add(era)
        return not (isinstance(error, UpstreamStatus) and error.http_status in IN_FRONT)
    return True


async def _modern(relay: Sender, route: Route, listing: Listing) -> EraTools:
    headers = modern_headers("server/discover")
    try:
        message = await ask(relay, route, headers, modern_request("server/discover", 1), 1)
        if error_code_of(message) == UNSUPPORTED_VERSION:
            offered = [version for version in supported_versions(message) if version in LEGACY_VERSIONS]
            raise _NotSpoken(f"the target offers {', '.join(offered) or 'other versions'} instead.")
        result = read_result(message, DiscoverResult)
    except UpstreamError as error:
        raise _verdict("modern", error) from None
    if MODERN_VERSION not in result.supportedVersions:
        raise _NotSpoken("the target does not offer it.")
    if result.has_tools:
        return await list_modern(relay, route, count(2), listing)
    listing.say("the target declares no tools.")
    return EraTools(era="modern", version=MODERN_VERSION, tools=(), public=True)


async def _legacy(relay: Sender, route: Route, listing: Listing) -> EraTools:
    try:
        session = await open_session(relay, route, LEGACY_VERSIONS[-1])
    except UpstreamError as error:
        raise _verdict("legacy", error) from None
    try:
        if session.has_tools:
            return await list_legacy(relay, route, session, count(1), listing)
        listing.say("the target declares no tools.")
        return EraTools(era="legacy", version=session.version, tools=())
    finally:
        await close_session(relay, route, session)


def _verdict(era: Era, error: UpstreamError) -> Exception:
    """Turn a refused handshake into the verdict that the era is not spoken, where it is one."""
    return _NotSpoken(error.public) if denies(era, error) else error
