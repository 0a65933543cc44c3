"""Lists that are asked for when a client asks: of targets whose tools nobody reads beforehand (listingMode DYNAMIC).

Nobody has asked such a target which eras it speaks either. It is asked in its client's own, and in the other one when
it turns that away; what was learnt so counts for its calls too. A list changes nothing, so that it may be asked for
twice.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import structlog

from portico.model.call import ListCall
from portico.model.errors import UpstreamError, UpstreamStatus, UpstreamTimeout
from portico.model.gateway import LEGACY_VERSIONS, Era
from portico.model.target import EraTools, Target
from portico.net.relay import Relay
from portico.protocol.client_handshakes import Refusal
from portico.targets.credentialed import Sender, sender_with
from portico.targets.eras import EraKnowledge
from portico.targets.exchange import Route
from portico.targets.listing import Listing, list_legacy, list_modern
from portico.targets.sessions import Place, SessionKey, UpstreamSessions
from portico.targets.verdicts import OTHER, denies

LIST_SECONDS: Final = 20.0  #: for a whole list, unless the target's call timeout is shorter

_log = structlog.stdlib.get_logger("portico.targets")


class LiveTools:
    """Reads one target's tools for a caller."""

    def __init__(
        self,
        target: Target,
        *,
        route: Route,
        place: Place,
        relay: Relay,
        sessions: UpstreamSessions,
        eras: EraKnowledge,
        numbers: Iterator[int],
    ) -> None:
        """Take what the target's calls use too: its legacy sessions, its eras, the ids of its requests."""
        self._target = target
        self._seconds = min(target.call_timeout, LIST_SECONDS)
        bounds = replace(route.timeouts, first_byte=self._seconds, total=self._seconds)
        self._route = replace(route, timeouts=bounds)
        self._place = place
        self._relay = relay
        self._sessions = sessions
        self._eras = eras
        self._numbers = numbers

    async def read(self, call: ListCall, *, max_tools: int) -> EraTools:
        """Return the tools that the target shows to this caller.

        Raises:
            UpstreamError: it cannot be had, or not in time.
            LimitExceeded: there is no room for another session.
        """
        era = self._eras.era_for(call.era)
        try:
            async with asyncio.timeout(self._seconds):
                try:
                    return await self._read(era, call, max_tools)
                except UpstreamError as error:
                    if self._target.era != "auto" or not denies(era, error):
                        raise
                    found = await self._read_other(OTHER[era], call, max_tools, error)
                self._eras.turn_from(era)
                return found
        except TimeoutError:
            raise UpstreamTimeout(f"The target did not list its tools within {self._seconds:g} s.") from None

    async def _read_other(self, era: Era, call: ListCall, max_tools: int, first: UpstreamError) -> EraTools:
        try:
            return await self._read(era, call, max_tools)
        except UpstreamStatus:
            raise  # about credentials, perhaps
        except UpstreamError:
            raise first from None  # neither era: then the first refusal was about something else

    async def _read(self, era: Era, call: ListCall, max_tools: int) -> EraTools:
        left_out: list[str] = []
        sender = sender_with(self._relay, call.attached)
        if era == "modern":
            listing = Listing(max_tools, left_out.append)
            found = await list_modern(sender, self._route, self._numbers, listing)
        else:
            found = await self._read_legacy(sender, call, lambda: Listing(max_tools, left_out.append))
        if left_out:
            _log.debug("tools_left_out", target=self._target.name, reasons=left_out)
        return found

    async def _read_legacy(self, sender: Sender, call: ListCall, listing: Callable[[], Listing]) -> EraTools:
        version = call.version if call.version in LEGACY_VERSIONS else LEGACY_VERSIONS[-1]
        identity = "" if call.attached is None else call.attached.identity
        key = SessionKey(self._place, call.principal.key, call.session, version, identity, call.apart)
        for fresh in (False, True):
            entry = await self._sessions.acquire(key, self._route, sender)
            try:
                if not entry.session.has_tools:
                    return EraTools(era="legacy", version=entry.session.version, tools=(), ttl_ms=0)
                found = await list_legacy(sender, self._route, entry.session, self._numbers, listing())
                return replace(found, ttl_ms=0)  # it cannot say, and the next one is to be asked for as well
            except (UpstreamStatus, Refusal) as error:
                # The server may have forgotten the session, and servers say so in many ways.
                if fresh or entry.session.session_id is None or not denies("legacy", error):
                    raise
                self._sessions.forget(entry)
            finally:
                self._sessions.release(entry)
        raise AssertionError("the second try returns or raises")
