"""The outermost ASGI callable: what holds for every request, then the way to the data plane or to the pages.

The data plane is reached before any router or middleware. Every answer carries the request id by which log and audit
know it; whatever escapes from below is logged here and answered without internals.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

import msgspec
import structlog

from portico.gateway.hop import HEADER_PREFIX
from portico.model.errors import PorticoError, Unavailable
from portico.service.process_settings import Network
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
RETRY_AFTER_SECONDS: Final = 5

#: On every answer that does not say otherwise itself. RFC 6797 is for whoever speaks https, which is not us.
SECURITY_HEADERS: Final[Sequence[Header]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)

_HOST = re.compile(rb"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?\Z")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{8,128}\Z")

_log = structlog.stdlib.get_logger("portico.service")


class App:
    """Everything that is served on the public address."""

    def __init__(
        self,
        *,
        data_plane: ASGIApp,
        pages: ASGIApp,
        allowed_hosts: frozenset[str],
        trusted_proxies: Sequence[Network] = (),
        internal: bool = False,
    ) -> None:
        """Take the two sides and what the process is configured to trust.

        ``allowed_hosts`` are lower case and without port; a port in ``Host`` is not looked at, because a rebound name
        stays a wrong name on every port (T15). Headers by which replicas know each other are stripped unless this is
        the address where they talk, which is ``internal``.
        """
        self._data_plane = data_plane
        self._pages = pages
        self._allowed_hosts = frozenset(host.encode() for host in allowed_hosts)
        self._trusted_proxies = tuple(trusted_proxies)
        self._internal = internal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return  # uvicorn is told to offer nothing else
        if self._trusted_proxies:
            self._believe_proxy(scope)
        answer = _Answer(send, request_id(scope))
        refusal = self._refusal(scope)
        if refusal is not None:
            await answer.error(*refusal)
            return
        app = self._data_plane if scope["path"].startswith(DATA_PLANE) else self._pages
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
            await answer.error(500, "internal_error", f"Internal error; the log has it under {answer.id}.")

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        """Judge count, host and internal headers in one pass: this runs on every call."""
        raw: list[Header] = scope["headers"]
        if len(raw) > MAX_HEADERS:
            return 431, "too_large", f"A request may have at most {MAX_HEADERS} headers."
        hosts, foreign = 0, False
        host = b""
        for name, value in raw:
            if name == b"host":
                hosts, host = hosts + 1, value
            elif name.startswith(HEADER_PREFIX):
                foreign = True
        if foreign and not self._internal:  # whoever sends them here is no replica (T9)
            scope["headers"] = [entry for entry in raw if not entry[0].startswith(HEADER_PREFIX)]
        if hosts != 1:
            return 400, "invalid_request", "A request must name its host once."
        found = _HOST.match(host)
        if found is None or found[1].lower() not in self._allowed_hosts:
            return 421, "misdirected_request", "This host name is not served here; it may be added to allowed_hosts."
        return None

    def _believe_proxy(self, scope: Scope) -> None:
        """Take the client's address and the request id from a proxy that is trusted, from nobody else."""
        client = scope.get("client")
        if client is None or not self._is_trusted(client[0]):
            return
        passed = header(scope, b"x-request-id")
        if passed is not None and _REQUEST_ID.match(passed):
            scope[REQUEST_ID] = passed.decode()
        forwarded = b",".join(header_values(scope, b"x-forwarded-for")).decode("latin-1").split(",")
        for hop in reversed(forwarded[-MAX_FORWARDED:]):
            address = hop.strip()
            if not _is_address(address):
                return  # whatever stands before it was written by somebody whom nobody knows
            scope["client"] = (address, 0)
            if not self._is_trusted(address):
                return

    def _is_trusted(self, address: str) -> bool:
        if not _is_address(address):
            return False
        parsed = ip_address(address)
        return any(parsed in network for network in self._trusted_proxies)


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
        headers: list[Header] = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        if status == Unavailable.status:
            headers.append((b"retry-after", b"%d" % RETRY_AFTER_SECONDS))
        body = msgspec.json.encode({"error": code, "error_description": public, "request_id": self.id})
        await send_response(self.send, status, headers, body)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
