"""The one MCP endpoint of a façade: ``{public_url}/mcp``, passed on to a server that somebody else runs.

The order is the security of it, as at a gateway's endpoint:

1. Another path: 404. CORS preflight: public. 2. ``Origin``: 403 for a page that may not call (incident T15).
3. The caller, whatever the HTTP method: 401 and 403 with our challenge. 4. Method and size.
5. A request of our own making upstream: only headers that are known to be harmless, and what the caller was admitted
   with in place of the caller's token. 6. The answer, streamed; its redirects and challenges stop here.

MCP itself is not read. Whoever goes away takes the upstream request along, as if there were no façade between.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import structlog

from portico.facade.admitted import Admit, Admitted
from portico.facade.challenges import REFUSED, Challenges
from portico.facade.headers import handed_back, passed_on
from portico.model.errors import Forbidden, InvalidToken, PorticoError, Unauthenticated, Unavailable, UpstreamError
from portico.net.relay import Peer, Relay, Response, Timeouts
from portico.protocol.errors import encode_error
from portico.web.asgi import ClientDisconnected, Header, Receive, Scope, Send, header, header_values
from portico.web.cors import OriginPolicy, cors_headers, is_preflight, preflight_headers
from portico.web.exchange import AsgiExchange, Exchange

MAX_REQUEST_BYTES: Final = 6 * 1024 * 1024  #: AgentCore quota for a payload
MAX_CONNECTIONS: Final = 1000  #: to the upstream server; each open stream holds one
MAX_LOCATION_CHARS: Final = 200  #: of a redirect's target, in the log
ALLOWED_METHODS: Final = b"GET, POST, DELETE, OPTIONS"
RETRY_AFTER: Final[Header] = (b"retry-after", b"5")
NO_STORE: Final[Header] = (b"cache-control", b"no-store")  # whatever the upstream server says: answers are somebody's
JSON_HEADERS: Final[tuple[Header, ...]] = ((b"content-type", b"application/json"), NO_STORE)

#: A call may take as long as AgentCore lets a tool take, and longer while it streams.
CALL_TIMEOUTS: Final = Timeouts(connect=5.0, first_byte=300.0, idle=300.0, total=900.0)
#: A stream that a client listens to: silent for long, and renewed by the client when it ends.
LISTEN_TIMEOUTS: Final = Timeouts(connect=5.0, first_byte=60.0, idle=3600.0, total=24 * 3600.0)

_REDIRECTS: Final = range(300, 400)

_log = structlog.stdlib.get_logger("portico.facade")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """The MCP server behind the façade."""

    url: str  #: of its endpoint; a query is kept
    allow_private: bool = False
    request_headers: AbstractSet[bytes] = field(default_factory=frozenset[bytes])  #: that pass beside those of MCP
    response_headers: AbstractSet[bytes] = field(default_factory=frozenset[bytes])
    call_timeouts: Timeouts = CALL_TIMEOUTS
    listen_timeouts: Timeouts = LISTEN_TIMEOUTS

    @property
    def target(self) -> bytes:
        """The request target (RFC 9112 section 3.2.1)."""
        parts = urlsplit(self.url)
        return f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}".encode("ascii")

    @property
    def peer(self) -> Peer:
        """Where the relay connects to."""
        return Peer(url=self.url, allow_private=self.allow_private, max_connections=MAX_CONNECTIONS)


@dataclass(slots=True, kw_only=True)
class _Visit:
    """One HTTP request, and what the log will say of it."""

    exchange: Exchange
    cors: tuple[Header, ...]
    began: float
    admitted: Admitted | None = None
    status: int = 0  #: of the answer; 0 while none is begun
    outcome: str = "answered"
    detail: str = ""

    async def reply(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        self.status = status
        await self.exchange.respond(status, [*headers, *self.cors], body)

    async def refuse(self, status: int, public: str, *headers: Header) -> None:
        """Answer with an error of HTTP: its code is the status, which lies outside JSON-RPC's own codes."""
        await self.reply(status, (*JSON_HEADERS, *headers), encode_error(None, status, public))


class Proxy:
    """Serves the endpoint. Lives on one event loop."""

    def __init__(
        self,
        *,
        path: str,
        upstream: Upstream,
        admit: Admit,
        relay: Relay,
        challenges: Challenges,
        origins: OriginPolicy,
    ) -> None:
        """Take the endpoint's ``path``, what is behind it, and who judges callers."""
        self._path = path
        self._upstream = upstream
        self._peer = upstream.peer
        self._target = upstream.target
        self._exposed = b", ".join(sorted(upstream.response_headers))
        self._admit = admit
        self._relay = relay
        self._challenges = challenges
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request over ASGI."""
        await self.serve(AsgiExchange(scope, receive, send))

    async def serve(self, exchange: Exchange) -> None:
        """Serve one HTTP request."""
        origin = header(exchange.headers, b"origin")
        visit = _Visit(exchange=exchange, cors=cors_headers(self._origins, origin), began=time.monotonic())
        if exchange.path != self._path:
            await visit.refuse(404, f"There is nothing here. The MCP endpoint is {self._path}.")
            return
        if is_preflight(exchange.method, exchange.headers):
            also = self._upstream.request_headers
            permission = preflight_headers(self._origins, exchange.headers, methods=ALLOWED_METHODS, also=also)
            await exchange.respond(204, permission, b"")
            return
        if not self._origins.allows(origin):
            await visit.refuse(403, "Pages of this Origin may not call; allow it in allowed_origins.")
            return
        await self._answer(visit)

    async def _answer(self, visit: _Visit) -> None:
        """Serve a request and render whatever it raises; the outermost handler of the endpoint."""
        try:
            await self._serve(visit)
        except ClientDisconnected:
            visit.outcome = "client_gone"
        except asyncio.CancelledError:  # the process ends
            visit.outcome = "cancelled"
            raise
        except PorticoError as error:
            visit.outcome, visit.detail = error.code, str(error)
            await self._refuse(visit, error)
        except Exception:  # noqa: BLE001 - the outermost handler: logged, answered with 500
            visit.outcome = "internal_error"
            _log.exception("request_failed", request_id=visit.exchange.id)
            if not visit.status:
                await visit.refuse(500, f"Internal error; the log has it under {visit.exchange.id}.")
        finally:
            _record(visit)

    async def _refuse(self, visit: _Visit, error: PorticoError) -> None:
        if visit.status:  # an answer that has begun can only break: its end would look complete
            return
        headers: tuple[Header, ...] = ()
        if isinstance(error, Unauthenticated | Forbidden):
            headers = ((b"www-authenticate", self._challenges.of(error)),)
        elif isinstance(error, Unavailable):
            headers = (RETRY_AFTER,)
        told = f"The MCP server behind this façade failed. {error.public}"
        await visit.refuse(error.status, told if isinstance(error, UpstreamError) else error.public, *headers)

    async def _serve(self, visit: _Visit) -> None:
        exchange = visit.exchange
        admitted = visit.admitted = await self._authenticate(exchange)
        if exchange.method not in {"POST", "GET", "DELETE"}:
            await visit.refuse(405, "MCP uses POST, GET and DELETE.", (b"allow", ALLOWED_METHODS))
            return
        body = await exchange.body(MAX_REQUEST_BYTES)
        async with _while_somebody_waits(exchange):
            response = await self._send(exchange, admitted, body if exchange.method == "POST" else b"")
            try:
                await self._relayed(visit, response)
            finally:
                await response.aclose()

    async def _authenticate(self, exchange: Exchange) -> Admitted:
        sent = header_values(exchange.headers, b"authorization")
        if len(sent) > 1:  # whoever reads the first and whoever reads the last would not agree who calls (T10)
            raise InvalidToken("The Authorization header must be sent once.")
        if sent and not sent[0].isascii():
            raise InvalidToken("The Authorization header holds a character that no token has.")
        return await self._admit(sent[0] if sent else None)

    async def _send(self, exchange: Exchange, admitted: Admitted, body: bytes) -> Response:
        headers = passed_on(exchange.headers, self._upstream.request_headers)
        if admitted.authorization:
            headers.append((b"authorization", admitted.authorization.reveal().encode("ascii")))
        timeouts = self._upstream.listen_timeouts if exchange.method == "GET" else self._upstream.call_timeouts
        return await self._relay.send(
            self._peer, exchange.method.encode("ascii"), self._target, headers, body, timeouts=timeouts
        )

    async def _relayed(self, visit: _Visit, response: Response) -> None:
        status = response.status
        # Following would take the token elsewhere, passing on would take the client there (T17).
        if status in _REDIRECTS:
            location = (response.header(b"location") or b"").decode("latin-1")
            raise UpstreamError(
                f"It answered with a redirect ({status}), which is never followed; correct upstream.url.",
                detail=location.partition("?")[0][:MAX_LOCATION_CHARS],  # what stands behind may be a secret
            )
        challenge = self._challenges.rewritten(status, header_values(response.headers, b"www-authenticate"))
        if status == Unauthenticated.status:
            assert challenge is not None
            await visit.refuse(status, REFUSED, (b"www-authenticate", challenge))
            return
        headers = [*handed_back(response.headers, self._upstream.response_headers), NO_STORE]
        if challenge is not None:
            headers.append((b"www-authenticate", challenge))
        if visit.cors and self._exposed:
            headers.append((b"access-control-expose-headers", self._exposed))
        if response.finished:
            await visit.reply(status, headers, await response.read(response.buffered))
            return
        await self._stream(visit, response, [*headers, (b"x-accel-buffering", b"no"), *visit.cors])

    async def _stream(self, visit: _Visit, response: Response, headers: list[Header]) -> None:
        """Hand on each piece when it arrives; while the client does not read, the server is not read either."""
        visit.status = response.status
        await visit.exchange.begin(response.status, headers)
        async for chunk in response.chunks():
            await visit.exchange.push(chunk)
        await visit.exchange.push(b"", last=True)


@asynccontextmanager
async def _while_somebody_waits(exchange: Exchange) -> AsyncGenerator[None]:
    """Run the block for as long as the client is there; then end what it awaits.

    A timeout without a time does it: it ends a block from outside and cannot be taken for another cancellation.

    Raises:
        ClientDisconnected: the client went away.
    """
    loop = asyncio.get_running_loop()
    watching = True
    patience = asyncio.timeout(None)
    try:
        async with patience:

            def gone() -> None:
                nonlocal watching
                if watching:
                    watching = False
                    patience.reschedule(loop.time())

            exchange.watch(gone)
            try:
                yield
            finally:
                watching = False
                exchange.unwatch()
    except TimeoutError as error:
        if not patience.expired():
            raise
        raise ClientDisconnected from error


def _record(visit: _Visit) -> None:
    """Say in the log who asked for what and how it ended; tokens, arguments and results are not looked at."""
    caller = None if visit.admitted is None else visit.admitted.principal
    _log.log(
        logging.WARNING if visit.status >= UpstreamError.status else logging.INFO,
        "relayed",
        request_id=visit.exchange.id,
        method=visit.exchange.method,
        status=visit.status,
        outcome=visit.outcome,
        seconds=round(time.monotonic() - visit.began, 3),
        **({} if caller is None else {"subject": caller.subject, "client_id": caller.client_id}),
        **({"detail": visit.detail} if visit.detail else {}),
    )
