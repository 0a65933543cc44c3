"""``/healthz`` and ``/readyz``.

A process whose database is away still serves every call, so it stays ready and only says so: taking all replicas out
of the balancer would turn an outage of the database into one of everything.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from portico.service.refresh import Refresher
from portico.web.asgi import Header, Receive, Scope, Send, send_response

_HEADERS: Final[tuple[Header, ...]] = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))


class Probes:
    """Plain ASGI for the two paths; anything else is 404."""

    def __init__(self, refresher: Refresher, *, draining: Callable[[], bool]) -> None:
        self._refresher = refresher
        self._draining = draining

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        status, content = self._answer(scope["path"])
        headers = _HEADERS
        if status != 404 and scope["method"] not in {"GET", "HEAD"}:  # noqa: PLR2004 - HTTP statuses are their own names
            status, content, headers = 405, {"error": "method_not_allowed"}, (*_HEADERS, (b"allow", b"GET"))
        body = b"" if scope["method"] == "HEAD" else msgspec.json.encode(content)
        await send_response(send, status, headers, body)

    def _answer(self, path: str) -> tuple[int, Mapping[str, object]]:
        if path == "/healthz":
            return 200, {"status": "ok"}
        if path != "/readyz":
            return 404, {"error": "not_found"}
        if self._draining():
            return 503, {"status": "draining"}
        down = self._refresher.down_seconds
        if down is not None:
            return 200, {"status": "degraded", "database": "unreachable", "seconds": round(down, 1)}
        return 200, {"status": "ready", "database": "ok"}
