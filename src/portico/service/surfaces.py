"""Which part answers which path, on the public address and on the administrator's."""

from collections.abc import Sequence

from starlette.routing import Route, Router

from portico.gateway import internal
from portico.oauth.resource import WELL_KNOWN
from portico.service.vitals import VITALS_PATH
from portico.web.asgi import ASGIApp, Receive, Scope, Send


def administration(internal_endpoint: ASGIApp, probes: ASGIApp, counts: ASGIApp) -> ASGIApp:
    """Part what replicas say to each other from what an orchestrator and an administrator ask."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(internal.PREFIX):
            app = internal_endpoint
        else:
            app = counts if scope["path"] == VITALS_PATH else probes
        await app(scope, receive, send)

    return serve


def data_plane(endpoint: ASGIApp, metadata: ASGIApp) -> ASGIApp:
    """Part what lies under ``/g/``: MCP, and the metadata of a gateway where scripts look for it."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        app = metadata if scope["path"].endswith(WELL_KNOWN) else endpoint
        await app(scope, receive, send)

    return serve


def pages(issuer_routes: Sequence[Route], metadata: ASGIApp, others: ASGIApp) -> ASGIApp:
    """Everything that is not the data plane, behind a router; ``others`` takes what is not in it."""
    return Router(
        [
            *issuer_routes,
            Route(WELL_KNOWN, metadata),
            Route(WELL_KNOWN + "/{resource:path}", metadata),
        ],
        redirect_slashes=False,
        default=others,
    )
