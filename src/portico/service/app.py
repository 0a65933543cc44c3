"""The outermost application: what holds for every request, then the way to the data plane or to the pages.

The data plane is reached before any router or middleware, from our own server even without ASGI (:meth:`App.serve`).
Every answer carries the request id by which log and audit know it; whatever escapes from below is logged here and
answered without internals.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple

import msgspec
import structlog

from portico.gateway.hop import HEADER_PREFIX
from portico.model.errors import PorticoError, Unavailable
from portico.oauth.resource import WELL_KNOWN
from portico.service.direct import SECURITY_HEADERS, DirectExchange
from portico.service.keys import Network
from portico.web.asgi import (
    REQUEST_ID,
    ASGIApp,
    ClientDisconnected,
    Header,
    Message,
    Receive,
    Scope,
    Send,
    header,
    header_values,
    request_id,
    send_response,
)

DATA_PLANE: Final = "/g/"
MAX_HEADERS: Final = 128  #: of one request
MAX_FORWARDED: Final = 32  #: addresses of X-Forwarded-For that are looked at
MAX_JUDGED_HOSTS: Final = 64  #: spellings of allowed hosts that are remembered
RETRY_AFTER_SECONDS: Final = 5

_HOST = re.compile(rb"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?\Z")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{8,128}\Z")

_METADATA: Final = WELL_KNOWN.encode()

_log = structlog.stdlib.get_logger("portico.service")

#: Status, code and public sentence of a refusal.
Refusal = tuple[int, str, str]


class App:
    """Everything that is served on the public address."""

    def __init__(
        self,
        *,
        data_plane: ASGIApp,
        pages: ASGIApp,
        direct: Callable[[DirectExchange], Awaitable[None]] | None = None,
        allowed_hosts: frozenset[str],
        trusted_proxies: Sequence[Network] = (),
        internal: bool = False,
        data_plane_prefix: str = DATA_PLANE,
    ) -> None:
        """Take the two sides and what the process is configured to trust.

        ``direct`` serves MCP requests as the HTTP parser hands them over, the same as ``data_plane`` does over ASGI.
        ``allowed_hosts`` are lower case and without port; a port in ``Host`` is not looked at, because a rebound name
        stays a wrong name on every port (T15). Headers by which replicas know each other are stripped unless this is
        the address where they talk, which is ``internal``. What is under ``data_plane_prefix`` is the data plane's.
        """
        self._prefix = data_plane_prefix
        self._direct_prefix = data_plane_prefix.encode()
        self._data_plane = data_plane
        self._direct = direct
        self._pages = pages
        self._allowed_hosts = frozenset(host.encode() for host in allowed_hosts)
        self._judged_hosts: set[bytes] = set()  # as they stand in Host, found to be allowed
        self._trusted_proxies = tuple(trusted_proxies)
        self._internal = internal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request over ASGI."""
        if scope["type"] != "http":
            return  # uvicorn is told to offer nothing else
        if self._trusted_proxies:
            self._believe_proxy(scope)
        answer = _Answer(send, request_id(scope))
        scope["headers"], refusal = self._judge(scope["headers"])
        if refusal is not None:
            await answer.error(*refusal)
            return
        app = self._data_plane if scope["path"].startswith(self._prefix) else self._pages
        try:
            await app(scope, receive, answer.send)
        except ClientDisconnected:
            return
        except PorticoError as error:
            _log.warning(
                "request_refused", request_id=answer.id, path=scope["path"], error=error.code, detail=str(error)
            )
            await answer.error(error.status, error.code, error.public)
        except Exception:  # noqa: BLE001 - the outermost handler of the process
            _log.exception("request_failed", request_id=answer.id, path=scope["path"])
            await answer.error(500, "internal_error", _internal(answer.id))

    def takes(self, target: bytes) -> bool:
        """Say whether :meth:`serve` serves this request target: MCP endpoints, but not what is said about them."""
        return self._direct is not None and target.startswith(self._direct_prefix) and _METADATA not in target

    async def serve(self, exchange: DirectExchange) -> None:
        """Serve one request of the data plane."""
        assert self._direct is not None
        if self._trusted_proxies:
            trusted = self._proxied(exchange.headers, exchange.client_host)
            exchange.id = trusted.request_id or exchange.id
            exchange.client_host = trusted.client
        exchange.headers, refusal = self._judge(exchange.headers)
        try:
            if refusal is None:
                await self._direct(exchange)
            else:
                await _refuse(exchange, *refusal)
        except ClientDisconnected:
            return
        except Exception:  # noqa: BLE001 - the outermost handler of the process
            _log.exception("request_failed", request_id=exchange.id, path=exchange.path)
            if not exchange.begun:
                await _refuse(exchange, 500, "internal_error", _internal(exchange.id))

    def _judge(self, raw: Sequence[Header]) -> tuple[Sequence[Header], Refusal | None]:
        """Judge count, host and internal headers in one pass: this runs on every call. Returns what is left of them."""
        if len(raw) > MAX_HEADERS:
            return raw, (431, "too_large", f"A request may have at most {MAX_HEADERS} headers.")
        hosts, foreign = 0, False
        host = b""
        for name, value in raw:
            if name == b"host":
                hosts, host = hosts + 1, value
            elif name.startswith(HEADER_PREFIX):
                foreign = True
        if foreign and not self._internal:  # whoever sends them here is no replica (T9)
            raw = [entry for entry in raw if not entry[0].startswith(HEADER_PREFIX)]
        if hosts != 1:
            return raw, (400, "invalid_request", "A request must name its host once.")
        if host not in self._judged_hosts and not self._may_be_host(host):
            text = "This host name is not served here; it may be added to allowed_hosts."
            return raw, (421, "misdirected_request", text)
        return raw, None

    def _may_be_host(self, host: bytes) -> bool:
        found = _HOST.match(host)
        if found is None or found[1].lower() not in self._allowed_hosts:
            return False
        if len(self._judged_hosts) < MAX_JUDGED_HOSTS:
            self._judged_hosts.add(host)
        return True

    def _believe_proxy(self, scope: Scope) -> None:
        """Take the client's address and the request id from a proxy that is trusted, from nobody else."""
        client = scope.get("client")
        if client is None:
            return
        trusted = self._proxied(scope["headers"], client[0])
        if trusted.request_id:
            scope[REQUEST_ID] = trusted.request_id
        if trusted.client != client[0]:
            scope["client"] = (trusted.client, 0)

    def _proxied(self, headers: Sequence[Header], client: str) -> "_Proxied":
        """Return what a trusted proxy says; of everybody else only the address they connect from."""
        if not self._is_trusted(client):
            return _Proxied("", client)
        passed = header(headers, b"x-request-id") or b""
        known_as = passed.decode() if _REQUEST_ID.match(passed) else ""
        forwarded = b",".join(header_values(headers, b"x-forwarded-for")).decode("latin-1").split(",")
        for hop in reversed(forwarded[-MAX_FORWARDED:]):
            address = hop.strip()
            if not _is_address(address):
                break  # whatever stands before it was written by somebody whom nobody knows
            client = address
            if not self._is_trusted(address):
                break
        return _Proxied(known_as, client)

    def _is_trusted(self, address: str) -> bool:
        if not _is_address(address):
            return False
        parsed = ip_address(address)
        return any(parsed in network for network in self._trusted_proxies)


class _Proxied(NamedTuple):
    """What is believed of a request that came through proxies."""

    request_id: str  #: empty when none was passed on
    client: str  #: address


class _Answer:
    """One answer: adds the headers that every one has, and knows whether it has begun."""

    __slots__ = ("_begun", "_send", "id")

    def __init__(self, send: Send, answer_id: str) -> None:
        self._send = send
        self._begun = False
        self.id = answer_id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            headers: list[Header] = list(message.get("headers", ()))
            names = {name for name, _ in headers}
            headers += [entry for entry in SECURITY_HEADERS if entry[0] not in names]
            headers.append((b"x-request-id", self.id.encode()))
            message["headers"] = headers
        await self._send(message)

    async def error(self, status: int, code: str, public: str) -> None:
        """Answer with an error, unless an answer has begun: then the connection's end has to tell."""
        if self._begun:
            return
        headers, body = _error(self.id, status, code, public)
        await send_response(self.send, status, headers, body)


async def _refuse(exchange: DirectExchange, status: int, code: str, public: str) -> None:
    await exchange.respond(status, *_error(exchange.id, status, code, public))


def _error(answer_id: str, status: int, code: str, public: str) -> tuple[list[Header], bytes]:
    headers: list[Header] = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    if status == Unavailable.status:
        headers.append((b"retry-after", b"%d" % RETRY_AFTER_SECONDS))
    return headers, msgspec.json.encode({"error": code, "error_description": public, "request_id": answer_id})


def _internal(answer_id: str) -> str:
    return f"Internal error; the log has it under {answer_id}."


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
