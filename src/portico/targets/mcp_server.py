"""Targets that are MCP servers over Streamable HTTP, spoken to in the era that they were found to speak."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import count

from msgspec import UNSET

from portico.model.call import Answer, ListCall, ToolCall
from portico.model.credential import Credential
from portico.model.errors import LimitExceeded, UpstreamError, UpstreamInvalid, UpstreamStatus, UpstreamTimeout
from portico.model.gateway import LEGACY_VERSIONS, Era
from portico.model.target import EraTools, Target
from portico.net.relay import PreparedHead, Relay, Response, Timeouts
from portico.protocol.client import (
    MODERN_VERSION,
    PreparedCall,
    call_body,
    cancelled_notification,
    prepare_legacy_call,
    prepare_modern_call,
)
from portico.protocol.client_answers import Message, status_error, tool_answer
from portico.protocol.client_handshakes import error_code_of
from portico.protocol.mirrored import Mirror
from portico.targets.credentialed import Sender, path_with, sender_with
from portico.targets.eras import Doubted, EraKnowledge
from portico.targets.exchange import answer_of, route_to
from portico.targets.handing_back import with_headers
from portico.targets.handshake import ASIDE_SECONDS, close_session, open_session, post_aside
from portico.targets.listeners import Notify, legacy_listener, modern_listener
from portico.targets.live import LiveTools
from portico.targets.sessions import Entry, Place, SessionKey, UpstreamSessions
from portico.targets.verdicts import OTHER, denies, doubts

MAX_MIRRORED_TOOLS = 1000  #: with live lists, of which it is known that arguments must be repeated in headers
_NEGLIGIBLE = 0.05  # seconds
_OK = 200
_BAD_REQUEST = 400
_NOT_FOUND = 404
#: What the TypeScript SDK's servers answer, with HTTP 400, to a session that they do not know (any more).
_SDK_NO_SESSION = -32000


class McpServerTarget:
    """One revision of a target: where it is, what its calls share, and how many of them are in flight.

    It holds its place in ``sessions`` until :meth:`aclose`, so that a newer revision of the same server keeps them.
    """

    def __init__(
        self,
        target: Target,
        *,
        relay: Relay,
        sessions: UpstreamSessions,
        clock: Callable[[], float] = time.monotonic,
        stale: Callable[[str], None] | None = None,
    ) -> None:
        """Take what is called with the target's id when it turned out to speak another era than it did."""
        self.target = target
        self._relay = relay
        self._sessions = sessions
        self._clock = clock
        self._route = route_to(target)
        self._place = Place(target.id, target.kind.endpoint, target.ca_file, target.proxy, target.credential)
        self._handed_back = target.propagation.response_headers
        passed = target.propagation.request_headers or target.propagation.query_parameters
        self.takes_along = target.credential is not None or bool(passed)  #: its calls bear more than their message
        self._numbers = count(1)
        self._in_flight = 0
        self._modern = _prepared(target, modern=True)
        self._legacy = _prepared(target, modern=False)
        self._heads: dict[str, PreparedHead] = {}  # of modern calls, by tool
        if target.live_lists:  # nobody reads it, so that nobody need be told
            stale = None
        self._eras = EraKnowledge(clock=clock, stale=lambda: None if stale is None else stale(target.id))
        self._live = LiveTools(
            target,
            route=self._route,
            place=self._place,
            relay=relay,
            sessions=sessions,
            eras=self._eras,
            numbers=self._numbers,
        )
        #: of tools with live lists, as they were last listed: arguments that must be repeated in headers
        self.mirrors: dict[str, tuple[Mirror, ...]] = {}
        sessions.hold(self._place)

    @property
    def in_flight(self) -> int:
        """How many calls are under way."""
        return self._in_flight

    async def aclose(self) -> None:
        """Let go of the upstream sessions; they end when no other revision uses them. Call it once."""
        await self._sessions.let_go(self._place)

    async def invoke(self, call: ToolCall, notify: Notify | None = None) -> Answer:
        """Call a tool and return what the target answered, byte by byte as it sent it.

        A target that turns the call away because it no longer speaks the era is asked once more in the other one,
        unless its setting fixes the era; nothing that could have had an effect is sent twice.

        Cancelling the task cancels the call upstream: in the modern era by closing the stream, in the legacy era by
        ``notifications/cancelled``.

        Args:
            call: the call, with the tool's own name.
            notify: awaited for each progress and log notification, in order; None to drop them.

        Raises:
            LimitExceeded: the target has as many calls in flight as it may.
            UpstreamError: the target did not answer, or not as its protocol says.
        """
        if self._in_flight >= self.target.max_concurrency:
            raise self._too_many()
        self._in_flight += 1
        try:
            era = self._eras.era_for(call.era)
            deadline = self._clock() + self.target.call_timeout
            try:
                if era == "modern":
                    return await self._invoke_modern(call, notify, deadline)
                return await self._invoke_legacy(call, notify, deadline)
            except Doubted as doubt:
                if self.target.era != "auto" or not await self._has_turned_from(
                    era, doubt, sender_with(self._relay, call.attached)
                ):
                    return doubt.settle()
                return await self._invoke_in_other(era, call, notify, deadline, doubt)
        finally:
            self._in_flight -= 1

    async def list_tools(self, call: ListCall, *, max_tools: int) -> EraTools:
        """Return the tools that the target shows to this caller now.

        Raises:
            LimitExceeded: the target has as many calls in flight as it may.
            UpstreamError: it did not answer in time, or not as its protocol says.
        """
        if self._in_flight >= self.target.max_concurrency:
            raise self._too_many()
        self._in_flight += 1
        try:
            return await self._live.read(call, max_tools=max_tools)
        finally:
            self._in_flight -= 1

    def note_mirrors(self, listed: Mapping[str, tuple[Mirror, ...]]) -> None:
        """Take note of which arguments of tools must be repeated in headers. Each caller may be shown other tools."""
        if len(self.mirrors) > MAX_MIRRORED_TOOLS:
            self.mirrors.clear()
        for tool, mirrors in listed.items():
            if mirrors:
                self.mirrors[tool] = mirrors
            else:
                self.mirrors.pop(tool, None)

    def _too_many(self) -> LimitExceeded:
        return LimitExceeded(
            f"Target {self.target.name} has {self._in_flight} calls in flight, as many as it may; try again later."
        )

    async def _invoke_in(self, era: Era, call: ToolCall, notify: Notify | None, deadline: float) -> Answer:
        if era == "modern":
            return await self._invoke_modern(call, notify, deadline)
        return await self._invoke_legacy(call, notify, deadline)

    async def _invoke_in_other(
        self, era: Era, call: ToolCall, notify: Notify | None, deadline: float, doubt: Doubted
    ) -> Answer:
        try:
            answer = await self._invoke_in(OTHER[era], call, notify, deadline)
        except Doubted:
            self._eras.affirm(era)  # neither era: then it is something else
            return doubt.settle()
        self._eras.turn_from(era)
        return answer

    async def _has_turned_from(self, era: Era, doubt: Doubted, sender: Sender) -> bool:
        """Look into a doubt: initialize tells a legacy server from others, and changes nothing."""
        if doubt.denied:
            return True
        if self._eras.is_sure(era):
            return False
        # In a task of its own: a session that the server has made by the time we are cancelled must be ended.
        legacy = await asyncio.shield(self._sessions.spawn(self._speaks_legacy(sender)))
        if legacy is None:
            return False
        if legacy == (era == "legacy"):
            self._eras.affirm(era)
            return False
        return True

    async def _speaks_legacy(self, sender: Sender) -> bool | None:
        """Ask the target; None when its answer is no verdict."""
        try:
            session = await open_session(sender, self._route, LEGACY_VERSIONS[-1])
        except UpstreamError as error:
            return False if denies("legacy", error) else None
        await close_session(sender, self._route, session)
        return True

    async def _invoke_modern(self, call: ToolCall, notify: Notify | None, deadline: float) -> Answer:
        number = next(self._numbers)
        prepared = self._modern.get(call.tool) or prepare_modern_call(call.tool)
        route = self._route
        timeouts = self._left(deadline)
        body = _body(prepared, number, call)
        if call.attached is None:
            head, extra = self._heads.get(call.tool) or self._prepare_head(call.tool, prepared), call.mirrored
        else:
            head, extra = self._attach(call, call.attached, prepared)
        response = await self._relay.send_prepared(route.peer, head, extra, body, timeouts=timeouts)
        # Cancelled in here, answer_of closes the connection: that is how a modern request is cancelled
        # (2026-07-28 streamable-http "Cancellation").
        try:
            message = await answer_of(
                response,
                request_id=number,
                max_bytes=route.max_bytes,
                total=timeouts.total,
                listener=modern_listener(number, call, notify),
                linger=self._sessions.spawn,
            )
        except UpstreamStatus as error:
            if doubts("modern", error.http_status, None):
                raise Doubted(error) from error
            raise
        if message.error is not UNSET and doubts("modern", response.status, error_code_of(message)):
            raise Doubted(_outcome(message, MODERN_VERSION))
        return self._answer(response, message, MODERN_VERSION)

    async def _invoke_legacy(self, call: ToolCall, notify: Notify | None, deadline: float) -> Answer:
        # A modern caller has no revision that a legacy server knows, and no session.
        version = call.version if call.version in LEGACY_VERSIONS else LEGACY_VERSIONS[-1]
        identity = "" if call.attached is None else call.attached.identity
        key = SessionKey(self._place, call.principal.key, call.session, version, identity, call.apart)
        answer = None
        for _ in range(2):
            try:
                entry = await self._sessions.acquire(key, self._route, sender_with(self._relay, call.attached))
            except UpstreamError as error:
                if denies("legacy", error):
                    raise Doubted(error, denied=True) from error
                raise
            try:
                answer = await self._call_in_session(entry, call, notify, deadline)
            finally:
                self._sessions.release(entry)
            if answer is not None:
                return answer
            # The server forgot the session, so it did not do the call either: a new session, once
            # (2025-11-25 transports "Session Management" 4).
            self._sessions.forget(entry)
        raise UpstreamInvalid("The target forgets its sessions as soon as it has made them.")

    async def _call_in_session(
        self, entry: Entry, call: ToolCall, notify: Notify | None, deadline: float
    ) -> Answer | None:
        """Return the answer, or None when the server does not know the session."""
        number = next(self._numbers)
        settled = False
        try:
            answer = await self._send_in_session(entry, number, call, notify, deadline)
            settled = True
        except UpstreamTimeout:
            raise  # 2025-11-25 lifecycle "Timeouts": tell the server that nobody waits any more
        except UpstreamError:
            settled = True
            raise
        finally:
            if not settled:
                await self._tell_cancelled(entry, number)
        return answer

    async def _send_in_session(
        self, entry: Entry, number: int, call: ToolCall, notify: Notify | None, deadline: float
    ) -> Answer | None:
        route, session = self._route, entry.session
        timeouts = self._left(deadline)
        refuse = partial(post_aside, entry.sender, route, session)
        body = _body(self._legacy.get(call.tool) or prepare_legacy_call(call.tool), number, call)
        sender = sender_with(self._relay, call.attached)
        response = await sender.send(route.peer, b"POST", route.path, session.headers, body, timeouts=timeouts)
        if response.status == _NOT_FOUND:
            await response.aclose()
            if session.session_id is None:
                raise Doubted(status_error(_NOT_FOUND))
            return None
        try:
            message = await answer_of(
                response,
                request_id=number,
                max_bytes=route.max_bytes,
                total=timeouts.total,
                listener=legacy_listener(number, call, notify, refuse=refuse),
                linger=self._sessions.spawn,
            )
        except UpstreamStatus as error:
            if doubts("legacy", error.http_status, None):
                raise Doubted(error) from error
            raise
        if message.error is not UNSET:
            if _lost_session(response, message, entry):
                return None
            if doubts("legacy", response.status, error_code_of(message)):
                raise Doubted(_outcome(message, session.version))
        return self._answer(response, message, session.version)

    def _answer(self, response: Response, message: Message, version: str) -> Answer:
        answer = tool_answer(message, version=version)
        return with_headers(answer, response.headers, self._handed_back) if self._handed_back else answer

    def _attach(
        self, call: ToolCall, attached: Credential, prepared: PreparedCall
    ) -> tuple[PreparedHead, tuple[tuple[bytes, bytes], ...]]:
        """Return the head of a modern call, and the headers that follow it, with what is added to the request."""
        if attached.query:  # which may differ with every call
            path = path_with(self._route.path, attached)
            head = self._relay.prepare(self._route.peer, b"POST", path, prepared.headers)
        else:
            head = self._heads.get(call.tool) or self._prepare_head(call.tool, prepared)
        return head, (*call.mirrored, *attached.headers)

    def _prepare_head(self, tool: str, prepared: PreparedCall) -> PreparedHead:
        head = self._relay.prepare(self._route.peer, b"POST", self._route.path, prepared.headers)
        if tool in self._modern:  # as many as the target has, no more
            self._heads[tool] = head
        return head

    def _left(self, deadline: float) -> Timeouts:
        """Return the bounds of a request that must be answered by ``deadline``."""
        timeouts = self._route.timeouts
        left = deadline - self._clock()
        if left >= timeouts.total - _NEGLIGIBLE:
            return timeouts
        # Opening a session took its share, or a first try.
        return replace(timeouts, total=max(left, 0.001), first_byte=max(left, 0.001))

    async def _tell_cancelled(self, entry: Entry, number: int) -> None:
        """Cancel a call at the server, within :data:`ASIDE_SECONDS`, even when we are cancelled once more."""
        entry.users += 1  # the session must stay until the server was told

        async def tell() -> None:
            try:
                async with asyncio.timeout(ASIDE_SECONDS):
                    await post_aside(entry.sender, self._route, entry.session, cancelled_notification(number))
            except (UpstreamError, TimeoutError):
                return  # the server is free to ignore it, and there is nobody left to tell
            finally:
                self._sessions.release(entry)

        await asyncio.shield(self._sessions.spawn(tell()))


def _prepared(target: Target, *, modern: bool) -> dict[str, PreparedCall]:
    era = target.tools_in("modern" if modern else "legacy")
    prepare = prepare_modern_call if modern else prepare_legacy_call
    return {} if era is None else {tool.name: prepare(tool.name) for tool in era.tools}


def _body(prepared: PreparedCall, number: int, call: ToolCall) -> bytes:
    return call_body(
        prepared,
        request_id=number,
        arguments=call.arguments,
        wants_progress=call.wants_progress,
        log_level=call.log_level,
        trace=call.trace,
    )


def _outcome(message: Message, version: str) -> Answer | UpstreamError:
    try:
        return tool_answer(message, version=version)
    except UpstreamError as error:
        return error


def _lost_session(response: Response, message: Message, entry: Entry) -> bool:
    error = message.error
    return (
        response.status == _BAD_REQUEST
        and entry.session.session_id is not None
        and getattr(error, "code", None) == _SDK_NO_SESSION
    )
