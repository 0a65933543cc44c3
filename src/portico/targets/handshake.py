"""A session of the legacy era with a target: opened by initialize, ended by DELETE.

Here is the conversation only; who shares a session and for how long is in ``sessions``.
"""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass

from portico.model.errors import UpstreamError, UpstreamInvalid
from portico.model.gateway import LEGACY_VERSIONS
from portico.net.relay import Timeouts
from portico.protocol.client import INITIALIZED, Headers, initialize_request, legacy_headers
from portico.protocol.client_answers import status_error
from portico.protocol.client_handshakes import InitializeResult, read_result
from portico.targets.credentialed import Sender
from portico.targets.exchange import Linger, Route, answer_of

#: Seconds for messages that a call need not wait for: cancelled, DELETE, refusals.
ASIDE_SECONDS = 2.0
#: Seconds for each of the two requests of a handshake.
HANDSHAKE_SECONDS = 20.0

MAX_SESSION_ID_BYTES = 4096

_INITIALIZE_ID = 0  # calls count from one
_SESSION_ID = re.compile(rb"[\x21-\x7e]+")  # 2025-11-25 transports "Session Management" 1
_MAX_ASIDE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacySession:
    """What initialize agreed on."""

    version: str
    session_id: bytes | None  #: None: the server keeps no session
    headers: Headers  #: of every later message
    has_tools: bool  #: the server declares tools


async def open_session(relay: Sender, route: Route, version: str, linger: Linger | None = None) -> LegacySession:
    """Initialize a session, proposing ``version``.

    A caller that must not lose a session which the server made already runs this in a task of its own.

    Raises:
        UpstreamError: the server cannot be reached, is no legacy server, or agrees on no version that we speak.
    """
    timeouts = _handshake_timeouts(route)
    response = await relay.send(
        route.peer,
        b"POST",
        route.path,
        legacy_headers(None, None),
        initialize_request(_INITIALIZE_ID, version),
        timeouts=timeouts,
    )
    message = await answer_of(
        response, request_id=_INITIALIZE_ID, max_bytes=route.max_bytes, total=timeouts.total, linger=linger
    )
    session = _agreed(read_result(message, InitializeResult), response.header(b"mcp-session-id"))
    try:
        if session.version not in LEGACY_VERSIONS:
            raise UpstreamInvalid("The target answers initialize with a protocol version that is not supported.")
        await post_aside(relay, route, session, INITIALIZED, timeouts=timeouts)
    except UpstreamError:
        await close_session(relay, route, session)
        raise
    return session


def _agreed(result: InitializeResult, session_id: bytes | None) -> LegacySession:
    if session_id is not None and (len(session_id) > MAX_SESSION_ID_BYTES or _SESSION_ID.fullmatch(session_id) is None):
        raise UpstreamInvalid("The target minted a session id that is too long or not visible ASCII.")
    version = result.protocolVersion
    return LegacySession(
        version=version,
        session_id=session_id,
        headers=legacy_headers(version if version in LEGACY_VERSIONS else None, session_id),
        has_tools=result.has_tools,
    )


async def post_aside(
    relay: Sender, route: Route, session: LegacySession, body: bytes, *, timeouts: Timeouts | None = None
) -> None:
    """POST a notification or a response, whose own answer has no content.

    Raises:
        UpstreamError: it did not arrive, or the server refused it.
    """
    timeouts = timeouts or _aside_timeouts(route)
    response = await relay.send(route.peer, b"POST", route.path, session.headers, body, timeouts=timeouts)
    try:
        if not response.status // 100 == 2:  # noqa: PLR2004  # any success
            raise status_error(response.status)
        await response.read(_MAX_ASIDE_BYTES)
    finally:
        await response.aclose()


async def close_session(relay: Sender, route: Route, session: LegacySession) -> None:
    """End a session at its server. Errors are of no interest: 405 is allowed, and servers expire sessions."""
    if session.session_id is None:
        return
    with suppress(UpstreamError, TimeoutError):
        async with asyncio.timeout(ASIDE_SECONDS):
            response = await relay.send(
                route.peer, b"DELETE", route.path, session.headers, b"", timeouts=_aside_timeouts(route)
            )
            try:
                await response.read(_MAX_ASIDE_BYTES)
            finally:
                await response.aclose()


def _aside_timeouts(route: Route) -> Timeouts:
    return _within(route, ASIDE_SECONDS)


def _handshake_timeouts(route: Route) -> Timeouts:
    return _within(route, HANDSHAKE_SECONDS)


def _within(route: Route, seconds: float) -> Timeouts:
    given = route.timeouts
    return Timeouts(
        connect=min(given.connect, seconds),
        first_byte=min(given.first_byte, seconds),
        idle=min(given.idle, seconds),
        total=min(given.total, seconds),
    )
