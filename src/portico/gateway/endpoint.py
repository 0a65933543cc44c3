"""The MCP endpoint: what is served at ``/g/{gatewayId}/mcp`` and ``/g/{gatewayId}/mcp/{target}``.

The order is the security of it: what a caller may learn grows with every step.

1. CORS preflight: public. An unknown path: 404.
2. ``Origin``: a page that was rebound to our address gets 403 (incident T15).
3. The caller, whatever the HTTP method: 401 and 403 with their challenge. mcp-remote opens with a GET and needs it.
4. Method, content type, size, JSON. 5. Era, from body and header. 6. Session. 7. The method.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from portico.audit.journal import Journal
from portico.authorizer.authorizer import Authorizer
from portico.crypto.keyring import Keyring
from portico.gateway import rendering
from portico.gateway.calls import ToolCalls, read_params
from portico.gateway.cancellation import Cancellations
from portico.gateway.live_lists import TOOLS_LIST, LiveLists
from portico.gateway.methods import Methods
from portico.gateway.outbound import Outbound
from portico.gateway.recording import TOOLS_CALL, CallFacts, Recorder
from portico.gateway.request import Reply, Request
from portico.gateway.session_ends import SessionEnds
from portico.gateway.sessions import Session, Sessions
from portico.gateway.snapshot import Endpoint
from portico.gateway.store import Live, Snapshots
from portico.identity.credentials import Credentials
from portico.model.errors import Forbidden, InvalidToken, PorticoError, Unauthenticated, UnsupportedMedia
from portico.model.principal import ANONYMOUS, Principal
from portico.protocol import era, headers, jsonrpc, naming
from portico.protocol.era import Spoken
from portico.protocol.errors import INVALID_REQUEST, RpcRefused
from portico.protocol.headers import McpHeaders
from portico.protocol.jsonrpc import Message
from portico.targets.listing import MAX_TOOLS
from portico.targets.sessions import UpstreamSessions
from portico.web.asgi import ClientDisconnected, Header, Receive, Scope, Send
from portico.web.cors import cors_headers, is_preflight, preflight_headers
from portico.web.exchange import AsgiExchange, Exchange

MAX_REQUEST_BYTES: Final = 6 * 1024 * 1024  #: AgentCore quota for a payload
MAX_UNPROVEN_BYTES: Final = 64 * 1024  #: read of a refused request whose sender is not known
MAX_VERSION_CHARS: Final = 64  #: of a protocol version, in a record
ALLOWED_METHODS: Final = b"GET, POST, DELETE, OPTIONS"
CANCELLED: Final = "notifications/cancelled"
_JSON: Final = b"application/json"

_log = structlog.get_logger("portico.gateway")


class _Visit(msgspec.Struct, frozen=True):
    """One HTTP request at a known place; nothing in it is judged yet."""

    exchange: Exchange
    live: Live
    endpoint: Endpoint
    headers: McpHeaders
    cors: tuple[Header, ...]

    async def reply(self, reply: Reply) -> None:
        headers = (*reply.headers, *self.cors) if self.cors else reply.headers
        await self.exchange.respond(reply.status, headers, reply.body)


class McpEndpoint:
    """Serves every gateway of the process."""

    def __init__(
        self,
        *,
        snapshots: Snapshots,
        authorizer: Authorizer,
        journal: Journal,
        sessions: UpstreamSessions,
        credentials: Credentials,
        keyring: Keyring,
        replica: str,
        cancellations: Cancellations | None = None,
        session_ends: SessionEnds | None = None,
        max_tools: int = MAX_TOOLS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what serves; without ``cancellations`` and ``session_ends`` other replicas hear nothing.

        ``max_tools`` is how many tools of a target are listed live at most.
        """
        self._session_ends = session_ends
        self._snapshots = snapshots
        self._authorizer = authorizer
        self._upstream_sessions = sessions
        self._sessions = Sessions(keyring=keyring, replica=replica, clock=clock)
        self._recorder = Recorder(journal, clock=clock)
        outbound = Outbound(credentials)
        self._calls = ToolCalls(self._recorder, cancellations or Cancellations(), outbound)
        self._methods = Methods(self._sessions)
        self._live_lists = LiveLists(outbound, max_tools=max_tools)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request over ASGI."""
        await self.serve(AsgiExchange(scope, receive, send))

    async def serve(self, exchange: Exchange) -> None:
        """Serve one HTTP request."""
        found = self._snapshots.route(exchange.path)
        if found is None:
            reply = rendering.http_error(404, "There is no such gateway or target here.")
            await exchange.respond(reply.status, reply.headers, reply.body)
            return
        live, endpoint = found
        origins = live.snapshot.origins
        if exchange.method == "OPTIONS" and is_preflight(exchange.method, exchange.headers):
            permission = preflight_headers(
                origins, exchange.headers, methods=ALLOWED_METHODS, also=endpoint.passed_headers
            )
            await exchange.respond(204, permission, b"")
            return
        read = headers.collect(exchange.headers)
        cors = () if read.origin is None else cors_headers(origins, read.origin)
        with live:
            await self._answer(_Visit(exchange, live, endpoint, read, cors))

    def session_ended(self, number: str, *, expires_at: int) -> None:
        """Take note that a session ended at another replica."""
        if self._sessions.remember(number, expires_at):
            self._upstream_sessions.spawn(self._upstream_sessions.end(number))

    async def _answer(self, visit: _Visit) -> None:
        """Serve a request and render whatever it raises; the outermost handler of the data plane."""
        try:
            await self._serve(visit)
        except ClientDisconnected:
            return
        except (Unauthenticated, Forbidden) as error:
            await visit.reply(rendering.challenged(error, visit.live.snapshot, visit.endpoint))
        except PorticoError as error:
            await visit.reply(rendering.refused(error, None))
        except Exception:  # noqa: BLE001 - the outermost handler: logged, answered with 500
            _log.exception("request_failed", request_id=visit.exchange.id, gateway=visit.live.snapshot.gateway.id)
            await visit.reply(rendering.http_error(500, f"Internal error; the log has it under {visit.exchange.id}."))

    async def _serve(self, visit: _Visit) -> None:
        if not visit.live.snapshot.origins.allows(visit.headers.origin):
            await visit.reply(
                rendering.http_error(403, "This Origin may not call; allow it in x-portico.allowedOrigins.")
            )
            return
        try:
            principal = await self._authenticate(visit)
        except (Unauthenticated, Forbidden) as error:
            await self._record_denied(visit, error)
            raise
        match visit.exchange.method:
            case "POST":
                await self._post(visit, principal)
            case "DELETE" if visit.live.snapshot.gateway.session_timeout:
                await self._end_session(visit, principal)
            case _:
                allowed = b"POST, DELETE" if visit.live.snapshot.gateway.session_timeout else b"POST"
                reply = rendering.http_error(405, "MCP messages are sent by POST.", (b"allow", allowed))
                await visit.reply(reply)

    async def _authenticate(self, visit: _Visit) -> Principal:
        if "authorization" in visit.headers.repeated:
            raise InvalidToken("The Authorization header must be sent once.")
        return await self._authorizer.authenticate(
            visit.live.snapshot.gateway.authorizer,
            audience=visit.endpoint.audience,
            authorization=visit.headers.authorization,
            request=visit.exchange,
        )

    async def _post(self, visit: _Visit, principal: Principal) -> None:
        content_type = visit.headers.content_type
        if content_type != _JSON and content_type.partition(b";")[0].strip().lower() != _JSON:
            raise UnsupportedMedia("The content type must be application/json.")
        message = jsonrpc.decode(await visit.exchange.body(MAX_REQUEST_BYTES))
        gateway = visit.live.snapshot.gateway
        try:
            spoken = era.classify(message, visit.headers, gateway.supported_versions)
            session = self._session(visit, principal, message, spoken)
        except RpcRefused as refusal:
            if message.method == TOOLS_CALL:
                self._recorder.refused(_facts(visit, principal, message), refusal)
            await visit.reply(rendering.refused(refusal, message.raw_id))
            return
        request = Request(
            exchange=visit.exchange,
            live=visit.live,
            endpoint=visit.endpoint,
            principal=principal,
            headers=visit.headers,
            message=message,
            spoken=spoken if session is None else Spoken("legacy", session.version),
            session=session,
            cors=visit.cors,
        )
        try:
            if message.method == TOOLS_CALL and message.id is not None:
                await self._calls.serve(request)
                return
            if message.method == CANCELLED and message.id is None and not request.modern:
                await self._calls.cancel(request)
            if message.method == TOOLS_LIST and request.catalog.live and message.id is not None:
                reply = await self._live_lists.answer(request)
            else:
                reply = self._methods.answer(request)
        except PorticoError as error:
            reply = rendering.failed(error, request)
        await visit.reply(reply)

    def _session(self, visit: _Visit, principal: Principal, message: Message, spoken: Spoken) -> Session | None:
        gateway = visit.live.snapshot.gateway
        if not gateway.session_timeout or spoken.era == "modern" or message.method == "initialize":
            return None  # a modern request has no session, and a stray id is ignored
        session = self._sessions.open(
            visit.headers.session,
            principal,
            gateway=gateway.id,
            endpoint=visit.endpoint.target,
            timeout=gateway.session_timeout,
        )
        if visit.headers.version is not None and spoken.version != session.version:
            text = f"The session speaks {session.version}, but the header MCP-Protocol-Version says another revision."
            raise RpcRefused(INVALID_REQUEST, text, http_status=400)
        return session

    async def _end_session(self, visit: _Visit, principal: Principal) -> None:
        gateway = visit.live.snapshot.gateway
        session = self._sessions.open(
            visit.headers.session,
            principal,
            gateway=gateway.id,
            endpoint=visit.endpoint.target,
            timeout=gateway.session_timeout,
        )
        if self._session_ends is not None:
            await self._session_ends.publish(session.number, expires_at=session.issued + gateway.session_timeout)
        self._sessions.end(session, timeout=gateway.session_timeout)
        await self._upstream_sessions.end(session.number)
        await visit.reply(Reply(204, b"", ()))

    async def _record_denied(self, visit: _Visit, error: Unauthenticated | Forbidden) -> None:
        """Record a refused ``tools/call``; only now is it worth looking at what was refused."""
        if visit.exchange.method != "POST":
            return
        limit = MAX_UNPROVEN_BYTES if error.caller is None else MAX_REQUEST_BYTES
        try:
            message = jsonrpc.decode(await visit.exchange.body(limit))
        except PorticoError:
            return  # no call, whatever it was
        if message.method == TOOLS_CALL:
            self._recorder.refused(_facts(visit, error.caller or ANONYMOUS, message), error)


def _facts(visit: _Visit, principal: Principal, message: Message) -> CallFacts:
    """Return what can be said of a call that was refused before it became a request."""
    try:
        name = read_params(message).name
    except RpcRefused:
        name = ""
    named = visit.endpoint.target
    target, tool = (named, name) if named else naming.split(name)
    return CallFacts(
        request_id=visit.exchange.id,
        gateway=visit.live.snapshot.gateway.id,
        target=target,
        tool=tool,
        era="modern" if era.PROTOCOL_VERSION in message.meta else "legacy",
        version=(visit.headers.version or b"").decode("latin-1")[:MAX_VERSION_CHARS],
        principal=principal,
    )
