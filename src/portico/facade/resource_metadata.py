"""The metadata of the one resource (RFC 9728): it names our issuer, never the provider behind it.

Public and readable from every origin, at ``/.well-known/oauth-protected-resource/mcp`` and, as the origin has one
resource only, at the root form too.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from portico.oauth.resource import protected_resource_metadata
from portico.web.asgi import Header, Receive, Scope, Send, send_response
from portico.web.cors import Cors

_HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"public, max-age=60"),
)
_REFUSED: Final[tuple[Header, ...]] = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"allow", b"GET"),
)


class ResourceMetadata:
    """Plain ASGI; whoever routes decides which paths lead here."""

    def __init__(self, *, resource: str, issuer: str, scopes: Sequence[str], name: str = "") -> None:
        """Take the resource and the issuer as clients know them, byte for byte."""
        self._document = msgspec.json.encode(
            protected_resource_metadata(resource=resource, authorization_servers=[issuer], scopes=scopes, name=name)
        )
        self._app = Cors(self._serve, methods=b"GET, OPTIONS")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            await send_response(send, 405, _REFUSED, msgspec.json.encode({"error": "method_not_allowed"}))
            return
        await send_response(send, 200, _HEADERS, b"" if scope["method"] == "HEAD" else self._document)
