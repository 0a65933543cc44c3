"""Cross-origin rules: who may read our answers from a browser, and which origins are refused outright.

MCP asks servers to validate ``Origin`` (DNS rebinding, Streamable HTTP "Security Warning") and browser clients need
CORS on MCP, metadata, registration and token paths. Credentials (cookies) are never allowed across origins, so a
wildcard is safe where an answer is public anyway. Login and consent pages have no CORS at all.
"""

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from portico.web.asgi import ASGIApp, Header, Message, Receive, Scope, Send, header

#: What browser clients send to an MCP endpoint; ``Mcp-Param-*`` is added by name, as CORS knows no prefix.
ALLOWED_HEADERS: Final = (
    b"Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID"
)
EXPOSED_HEADERS: Final = b"WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version"
PREFLIGHT_SECONDS: Final = b"600"  #: seconds a browser may remember a preflight
MAX_FURTHER_HEADERS: Final = 64  #: names of headers, ``Mcp-Param-*`` among them, that one preflight may ask for

_MIRRORED = re.compile(rb"mcp-param-[a-z0-9!#$%&'*+.^_`|~-]{1,128}\Z")
_LOOPBACK = re.compile(rb"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginPolicy:
    """Which origins may call. An absent ``Origin`` is no browser and always allowed."""

    origins: frozenset[bytes] = field(default_factory=frozenset[bytes])
    any_origin: bool = False
    loopback: bool = False  #: any port of localhost, 127.0.0.1 and [::1]

    def allows(self, origin: bytes | None) -> bool:
        """Tell whether a request with this ``Origin`` header may be served."""
        if origin is None or self.any_origin or origin in self.origins:
            return True
        return self.loopback and _LOOPBACK.match(origin) is not None


#: For public documents and for endpoints that read no cookie: metadata, registration, token, revocation, keys.
ANY_ORIGIN: Final = OriginPolicy(any_origin=True)


def policy_for(public_url: str, allowed_origins: frozenset[str]) -> OriginPolicy:
    """Return the policy of a gateway: our own origin, the configured ones (``*`` for all), loopback on loopback.

    A gateway that is itself on loopback is somebody's laptop: pages of other local ports (Inspector) may call it,
    a page of the internet whose name was rebound to 127.0.0.1 may not.
    """
    parts = urlsplit(public_url)
    own = f"{parts.scheme}://{parts.netloc}".lower()
    return OriginPolicy(
        origins=frozenset(origin.encode() for origin in {own, *allowed_origins}),
        any_origin="*" in allowed_origins,
        loopback=_LOOPBACK.match(own.encode()) is not None,
    )


def is_preflight(method: str, headers: Sequence[Header]) -> bool:
    """Tell a CORS preflight from a plain OPTIONS (Fetch standard, CORS-preflight request)."""
    return (
        method == "OPTIONS"
        and header(headers, b"origin") is not None
        and header(headers, b"access-control-request-method") is not None
    )


def preflight_headers(
    policy: OriginPolicy, headers: Sequence[Header], *, methods: bytes, also: AbstractSet[bytes] = frozenset()
) -> list[Header]:
    """Return the headers of the 204 that answers a preflight; without permission when the origin is refused.

    ``also`` are names of further headers, in lower case, that may be sent.
    """
    permission = cors_headers(policy, header(headers, b"origin"))
    if not permission:
        return [(b"vary", b"Origin")]
    asked = header(headers, b"access-control-request-headers") or b""
    return [
        *permission,
        (b"access-control-allow-methods", methods),
        (b"access-control-allow-headers", b", ".join((ALLOWED_HEADERS, *_further(asked, also)))),
        (b"access-control-max-age", PREFLIGHT_SECONDS),
    ]


def cors_headers(policy: OriginPolicy, origin: bytes | None) -> tuple[Header, ...]:
    """Return the headers that an answer to ``origin`` carries, success or refusal; none for no browser."""
    if origin is None or not policy.allows(origin):
        return ()
    allowed = b"*" if policy.any_origin else origin
    headers = ((b"access-control-allow-origin", allowed), (b"access-control-expose-headers", EXPOSED_HEADERS))
    return headers if policy.any_origin else (*headers, (b"vary", b"Origin"))


class Cors:
    """Pure ASGI middleware: answers preflights and adds the headers to every answer of ``app``."""

    def __init__(self, app: ASGIApp, *, policy: OriginPolicy = ANY_ORIGIN, methods: bytes) -> None:
        self._app = app
        self._policy = policy
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if is_preflight(scope["method"], scope["headers"]):
            headers = preflight_headers(self._policy, scope["headers"], methods=self._methods)
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        extra = cors_headers(self._policy, header(scope["headers"], b"origin"))

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        await self._app(scope, receive, send_with_cors)


def _further(asked: bytes, also: AbstractSet[bytes]) -> list[bytes]:
    names = [name.strip().lower() for name in asked.split(b",", MAX_FURTHER_HEADERS)[:MAX_FURTHER_HEADERS]]
    return [name for name in names if name in also or _MIRRORED.match(name)]
