"""Protected resource metadata (RFC 9728): where clients learn which issuer to log in at.

Public, readable from every origin, and the ``resource`` is the very URL that the client uses. Locations:

- ``/.well-known/oauth-protected-resource/g/{gatewayId}/mcp[/{target}]``, the form of RFC 9728 section 3.1;
- ``/g/{gatewayId}/.well-known/oauth-protected-resource``, for scripts that cut ``/mcp`` off a gateway's URL;
- ``/.well-known/oauth-protected-resource`` alone, for the configured default gateway and nobody else.
"""

from typing import Final

import msgspec

from portico.authorizer.authorizer import Authorizer
from portico.gateway.snapshot import Endpoint
from portico.gateway.store import PATH, Live, Snapshots
from portico.model.errors import PorticoError
from portico.model.gateway import JwtAuthorizer
from portico.oauth.resource import WELL_KNOWN, protected_resource_metadata
from portico.web.asgi import Header, Receive, Scope, Send, send_response
from portico.web.cors import Cors

_HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"public, max-age=60"),
)
_ERROR_HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
)


class ResourceMetadata:
    """Plain ASGI for the three locations."""

    def __init__(self, *, snapshots: Snapshots, authorizer: Authorizer, default_gateway: str = "") -> None:
        self._snapshots = snapshots
        self._authorizer = authorizer
        self._default = default_gateway  #: id of the gateway that the root form describes; empty for none
        self._app = Cors(self._serve, methods=b"GET, OPTIONS")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"}:
            await _refuse(send, 405, "method_not_allowed", (b"allow", b"GET"))
            return
        found = self._snapshots.route(self._resource_path(scope["path"]))
        if found is None:
            await _refuse(send, 404, "not_found")
            return
        try:
            document = await self._document(*found)
        except PorticoError as error:
            await _refuse(send, error.status, error.code)
            return
        if document is None:
            await _refuse(send, 404, "not_found")
            return
        await send_response(send, 200, _HEADERS, b"" if scope["method"] == "HEAD" else document)

    def _resource_path(self, path: str) -> str:
        """Return the path of the resource that a location describes; empty for none."""
        if path == WELL_KNOWN:
            return PATH.format(self._default) if self._default else ""
        if path.startswith(WELL_KNOWN):
            return path.removeprefix(WELL_KNOWN)
        return f"{path.removesuffix(WELL_KNOWN)}/mcp" if path.endswith(WELL_KNOWN) else ""

    async def _document(self, live: Live, endpoint: Endpoint) -> bytes | None:
        """Return the document; None for a gateway that asks for no authorization."""
        rules = live.snapshot.gateway.authorizer
        if not isinstance(rules, JwtAuthorizer):
            return None
        return msgspec.json.encode(
            protected_resource_metadata(
                resource=endpoint.resource,
                authorization_servers=[await self._authorizer.issuer_of(rules)],
                scopes=live.snapshot.scopes,
                name=live.snapshot.gateway.name,
            )
        )


async def _refuse(send: Send, status: int, code: str, *headers: Header) -> None:
    await send_response(send, status, (*_ERROR_HEADERS, *headers), msgspec.json.encode({"error": code}))
