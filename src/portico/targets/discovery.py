"""What a target offers: the eras it speaks, and its tools in each.

An era verdict is learnt only from an answer that a server of the other era gives. Credentials, overload, faults and
silence (401, 403, 429, 5xx, no connection) say nothing about eras: such an era is *undecided*, and what was known
of it before stays true (2026-07-28 streamable-http "Backward Compatibility").
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count

from portico.model.errors import (
    EgressDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamStatus,
    UpstreamTooLarge,
    UpstreamUnreachable,
)
from portico.model.gateway import LEGACY_VERSIONS, Era
from portico.model.target import EraTools, Target, Tool
from portico.net.relay import Relay
from portico.protocol.client import (
    MODERN_VERSION,
    Headers,
    legacy_request,
    modern_headers,
    modern_request,
)
from portico.protocol.client_answers import (
    HEADER_MISMATCH,
    IN_FRONT,
    INTERNAL_ERROR,
    MISSING_CLIENT_CAPABILITY,
    UNSUPPORTED_VERSION,
    Message,
)
from portico.protocol.client_handshakes import (
    DiscoverResult,
    Refusal,
    ToolsPage,
    error_code_of,
    read_result,
    supported_versions,
)
from portico.targets.definitions import InvalidDefinition, read_definition
from portico.targets.exchange import Route, answer_of, route_to
from portico.targets.handshake import close_session, open_session

MAX_TOOLS = 1000  #: tools of one target in one era
MAX_PAGES = 100  #: pages of one list
MAX_REASONS = 50  #: sentences; a server with a thousand bad tools must not fill the database
DISCOVERY_SECONDS = 120.0  #: seconds for all of it
PROBE_SECONDS = 15.0  #: seconds for each answer

_REFUSALS = range(400, 500)  #: HTTP
#: JSON-RPC errors that tell of a fault, or of a modern server that could not take our request.
_NO_VERDICT = frozenset({INTERNAL_ERROR, HEADER_MISMATCH, MISSING_CLIENT_CAPABILITY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What was found. No eras at all means that the synchronization failed."""

    eras: tuple[EraTools, ...]
    reasons: tuple[str, ...]  #: what failed or was left out, and how to mend it; holds no address
    undecided: frozenset[Era] = frozenset()  #: eras that could not be judged: keep what was known of them


class _NotSpoken(Exception):
    """The server answered, and its answer shows that it does not speak the era. Never leaves this module."""


class _Findings:
    """Collects the outcome era by era."""

    def __init__(self) -> None:
        self.eras: list[EraTools] = []
        self.reasons: list[str] = []
        self.undecided: set[Era] = set()

    def say(self, era: Era, sentence: str) -> None:
        if len(self.reasons) < MAX_REASONS:
            self.reasons.append(f"{_LABELS[era]}: {sentence}")


_LABELS: dict[Era, str] = {
    "modern": f"protocol {MODERN_VERSION}",
    "legacy": f"protocol {LEGACY_VERSIONS[0]} to {LEGACY_VERSIONS[-1]}",
}
_OTHER: dict[Era, Era] = {"modern": "legacy", "legacy": "modern"}


async def discover(target: Target, *, relay: Relay, seconds: float = DISCOVERY_SECONDS) -> Discovery:
    """Probe the eras that ``target.era`` allows and list the tools of each that is spoken.

    Takes at most ``seconds``; leaves no session behind. Raises nothing of the upstream's making: what
    failed is in the reasons.
    """
    route = _probing(route_to(target))
    allowed: tuple[Era, ...] = ("modern", "legacy") if target.era == "auto" else (target.era,)
    found = _Findings()
    try:
        async with asyncio.timeout(seconds):
            for era in allowed:
                if not await _try_era(era, relay, route, found, hint=target.era == "auto"):
                    found.undecided.update(allowed[allowed.index(era) :])
                    break
    except TimeoutError:
        known = {entry.era for entry in found.eras}
        found.undecided.update(era for era in allowed if era not in known)
        found.say(allowed[-1], f"the target did not finish within {seconds:.0f} seconds.")
    return Discovery(eras=tuple(found.eras), reasons=tuple(found.reasons), undecided=frozenset(found.undecided))


def _probing(route: Route) -> Route:
    given = route.timeouts
    seconds = min(given.total, PROBE_SECONDS)
    return replace(route, timeouts=replace(given, first_byte=seconds, total=seconds))


async def _try_era(era: Era, relay: Relay, route: Route, found: _Findings, *, hint: bool) -> bool:
    """Judge one era. Return False when it makes no sense to knock again for the next one."""
    probe = _modern if era == "modern" else _legacy
    try:
        found.eras.append(await probe(relay, route, lambda sentence: found.say(era, sentence)))
    except _NotSpoken as verdict:
        found.say(era, str(verdict))
    except (UpstreamUnreachable, EgressDenied) as error:
        found.say(era, error.public)
        return False
    except UpstreamError as error:
        # Without a verdict an operator may know better.
        other = _OTHER[era]
        found.say(era, f"{error.public} If it speaks {other} only, set its era to {other}." if hint else error.public)
        found.undecided.add(era)
        return not (isinstance(error, UpstreamStatus) and error.http_status in IN_FRONT)
    return True


Say = Callable[[str], None]


async def _modern(relay: Relay, route: Route, say: Say) -> EraTools:
    headers = modern_headers("server/discover")
    try:
        message = await _ask(relay, route, headers, modern_request("server/discover", 1), 1)
        if error_code_of(message) == UNSUPPORTED_VERSION:
            offered = [version for version in supported_versions(message) if version in LEGACY_VERSIONS]
            raise _NotSpoken(f"the target offers {', '.join(offered) or 'other versions'} instead.")
        result = read_result(message, DiscoverResult)
    except UpstreamError as error:
        raise _verdict(error) from None
    if MODERN_VERSION not in result.supportedVersions:
        raise _NotSpoken("the target does not offer it.")
    tools: tuple[Tool, ...] = ()
    if result.has_tools:
        numbers = count(2)

        async def page(cursor: str | None) -> Message:
            number = next(numbers)
            body = modern_request("tools/list", number, cursor=cursor)
            return await _ask(relay, route, modern_headers("tools/list"), body, number)

        tools = await _list_tools("modern", page, say)
    else:
        say("the target declares no tools.")
    return EraTools(era="modern", version=MODERN_VERSION, tools=tools)


async def _legacy(relay: Relay, route: Route, say: Say) -> EraTools:
    try:
        session = await open_session(relay, route, LEGACY_VERSIONS[-1])
    except UpstreamError as error:
        raise _verdict(error) from None
    try:
        tools: tuple[Tool, ...] = ()
        if session.has_tools:
            numbers = count(1)

            async def page(cursor: str | None) -> Message:
                number = next(numbers)
                return await _ask(
                    relay, route, session.headers, legacy_request("tools/list", number, cursor=cursor), number
                )

            tools = await _list_tools("legacy", page, say)
        else:
            say("the target declares no tools.")
        return EraTools(era="legacy", version=session.version, tools=tools)
    finally:
        await close_session(relay, route, session)


def _verdict(error: UpstreamError) -> Exception:
    """Turn a refused handshake into the verdict that the era is not spoken, where it is one."""
    match error:
        case UpstreamStatus(http_status=status) if status not in _REFUSALS or status in IN_FRONT:
            return error
        case Refusal(rpc_code=code) if code in _NO_VERDICT:
            return error
        case UpstreamStatus() | UpstreamInvalid() | UpstreamTooLarge():
            return _NotSpoken(error.public)
        case _:
            return error


async def _ask(relay: Relay, route: Route, headers: Headers, body: bytes, number: int) -> Message:
    # Lists and probes change nothing, so that they may be sent twice over a connection that broke.
    response = await relay.send(
        route.peer, b"POST", route.path, headers, body, timeouts=route.timeouts, repeatable=True
    )
    return await answer_of(response, request_id=number, max_bytes=route.max_bytes, total=route.timeouts.total)


async def _list_tools(era: Era, page: Callable[[str | None], Awaitable[Message]], say: Say) -> tuple[Tool, ...]:
    """Read all pages. An error in the middle fails the era as undecided: half a list would look like a whole one."""
    tools: dict[str, Tool] = {}
    cursors: set[str] = set()
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        result = read_result(await page(cursor), ToolsPage)
        for raw in result.tools:
            _take(tools, bytes(raw), era, say)
        if len(tools) >= MAX_TOOLS:
            if len(tools) > MAX_TOOLS or result.nextCursor is not None:
                say(f"only the first {MAX_TOOLS} tools are published.")
            return tuple(tools.values())[:MAX_TOOLS]
        cursor = result.nextCursor
        if cursor is None:
            return tuple(tools.values())
        if cursor in cursors:
            say("the list of tools goes round in circles; it was read up to there.")
            return tuple(tools.values())
        cursors.add(cursor)
    say(f"the list of tools has more than {MAX_PAGES} pages; the rest is not published.")
    return tuple(tools.values())


def _take(tools: dict[str, Tool], raw: bytes, era: Era, say: Say) -> None:
    try:
        tool = read_definition(raw, era)
    except InvalidDefinition as error:
        say(f"{error}.")
        return
    if tool.name in tools:
        say(f"tool {tool.name} is listed twice; the first is published.")
        return
    tools[tool.name] = tool
