"""The composition root of a façade: one issuer, one proxy, a keyring, no database.

Nothing runs beside the requests, so the same application serves a process of its own and a function that exists only
while it answers. Without a keyring it answers 503 and the reason, and issues nothing: the issuer is made when the
first good keyring is read.
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog
from starlette.routing import Route, Router

from portico.crypto.keyring import Keyring
from portico.facade.admitted import Admitted
from portico.facade.challenges import Challenges
from portico.facade.proxy import Proxy, Upstream
from portico.facade.resource_metadata import ResourceMetadata
from portico.model.errors import Unavailable
from portico.net.egress import Egress
from portico.net.fetch import Fetcher
from portico.net.relay import Relay
from portico.oauth.resource import WELL_KNOWN, metadata_url
from portico.service.app import App
from portico.service.facade_issuer import IssuerSide, make_issuer
from portico.service.facade_settings import MCP_PATH, FacadeSettings
from portico.service.keyring_source import KeyringSource
from portico.service.server import Server, bind
from portico.service.signals import handling
from portico.storage.engine import Database
from portico.storage.migrate import migrate
from portico.telemetry import logs
from portico.web.asgi import ASGIApp, Header, Receive, Scope, Send, send_response
from portico.web.cors import policy_for

_JSON: Final[tuple[Header, ...]] = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))

_log = structlog.stdlib.get_logger("portico.service")


MakeIssuer = Callable[[FacadeSettings, Keyring, Fetcher, Database | None], IssuerSide]


class Facade:
    """A façade that is ready to serve, for as long as it is entered. Lives on one event loop."""

    def __init__(self, settings: FacadeSettings, *, make_issuer: MakeIssuer = make_issuer) -> None:
        """Make every part but the issuer, which is made when there are keys. Nothing is opened yet."""
        self.settings = settings
        self.draining = False  #: no further requests should be sent here
        self._source = KeyringSource(file=settings.keyring_file, text=settings.keyring_keys)
        self._make_issuer = make_issuer
        self._made: tuple[IssuerSide, ASGIApp] | None = None
        egress = Egress()
        self._relay = Relay(egress=egress)
        self._fetcher = Fetcher(egress=egress)
        self._store: Database | None = None
        self._closing = AsyncExitStack()
        scopes = settings.issuer.default_scopes or settings.issuer.scopes
        self._metadata = ResourceMetadata(
            resource=settings.resource, issuer=settings.public_url, scopes=scopes, name=settings.issuer.title
        )
        proxy = Proxy(
            path=MCP_PATH,
            upstream=_upstream(settings),
            admit=self._admit,
            relay=self._relay,
            challenges=Challenges(
                resource_metadata=metadata_url(settings.resource), scopes=scopes, scope_names=_scope_names(settings)
            ),
            origins=policy_for(settings.public_url, settings.allowed_origins),
        )
        self.app: Final = App(
            data_plane=proxy,
            direct=proxy.serve,
            pages=self._pages,
            allowed_hosts=settings.allowed_hosts,
            trusted_proxies=settings.trusted_proxies,
            data_plane_prefix=MCP_PATH,
        )

    async def __aenter__(self) -> Self:
        """Open what has to be closed.

        Raises:
            ConfigError: the store cannot be used.
            StorageUnavailable: it cannot be reached: without it, what was used up would count again.
        """
        self._closing.push_async_callback(self._relay.aclose)
        self._closing.push_async_callback(self._fetcher.aclose)
        try:
            if self.settings.store:
                await migrate(self.settings.store)
                self._store = await Database.open(self.settings.store)
                self._closing.push_async_callback(self._store.aclose)
            if self._source.keyring is not None:  # what is wrong with the issuer shows now, not at the first request
                self._made_with_keys()
        except BaseException:
            await self._closing.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close in reverse; requests in flight fail."""
        await self._closing.aclose()

    def look_at_keyring(self) -> None:
        """Read the keyring again now, if it changed (SIGHUP)."""
        self._source.look()

    async def _admit(self, authorization: bytes | None) -> Admitted:
        side, _ = self._made_with_keys()
        return await side.admit(authorization)

    async def _pages(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve everything but the MCP endpoint."""
        if scope["path"] in {"/healthz", "/readyz"}:
            await self._probe(scope, send)
            return
        _, router = self._made_with_keys()
        await router(scope, receive, send)

    def _made_with_keys(self) -> tuple[IssuerSide, ASGIApp]:
        """Return what there is when there are keys.

        Raises:
            Unavailable: there are none, and why: nothing is ever issued unsigned.
        """
        keyring = self._source.keyring
        if keyring is None:
            raise Unavailable(self._source.reason)
        if self._made is None:
            side = self._make_issuer(self.settings, keyring, self._fetcher, self._store)
            self._closing.push_async_callback(side.aclose)
            places = [Route(WELL_KNOWN, self._metadata), Route(WELL_KNOWN + MCP_PATH, self._metadata)]
            self._made = (side, Router([*side.routes, *places], redirect_slashes=False, default=_not_found))
        return self._made

    async def _probe(self, scope: Scope, send: Send) -> None:
        status, content = self._state() if scope["path"] == "/readyz" else (200, {"status": "ok"})
        if scope["method"] not in {"GET", "HEAD"}:
            status, content = 405, {"error": "method_not_allowed"}
        body = b"" if scope["method"] == "HEAD" else msgspec.json.encode(content)
        await send_response(send, status, _JSON, body)

    def _state(self) -> tuple[int, dict[str, str]]:
        if self.draining:
            return 503, {"status": "draining"}
        if self._source.keyring is None:
            return 503, {"status": "no_keys", "reason": self._source.reason}
        return 200, {"status": "ready"}


def build_facade(settings: FacadeSettings) -> Facade:
    """Return the façade of ``settings``; enter it before its ``app`` serves, leave it afterwards."""
    return Facade(settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningFacade:
    """A process that serves a façade."""

    host: str
    port: int  #: that was bound
    facade: Facade
    stop: Callable[[], None]  #: drain and end, as SIGTERM does


async def serve_facade(
    settings: FacadeSettings,
    *,
    build: Callable[[FacadeSettings], Facade] = build_facade,
    ready: Callable[[RunningFacade], object] = lambda _running: None,
) -> None:
    """Serve until SIGINT or SIGTERM; ``ready`` is called once connections are taken.

    Requests in flight get ``drain_seconds``; a second signal does not wait for them.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    logs.configure(json=settings.log_format == "json", level=settings.log_level)
    with bind(settings.listen, setting="listen") as sock:
        async with build(settings) as facade:
            server = Server(facade.app, drain_seconds=settings.drain_seconds, direct=facade.app)
            stop = asyncio.Event()
            end = partial(_end, stop, server)
            handlers = {signal.SIGINT: end, signal.SIGTERM: end, signal.SIGHUP: facade.look_at_keyring}
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(server.serve(sockets=[sock]))
                await server.listening.wait()
                with handling(handlers):
                    host, port = sock.getsockname()[:2]
                    _log.info("serving_facade", listen=f"{host}:{port}", public_url=settings.public_url)
                    ready(RunningFacade(host=host, port=port, facade=facade, stop=stop.set))
                    await stop.wait()
                    _log.info("draining", seconds=settings.drain_seconds)
                    facade.draining = True
                    server.should_exit = True
                    await asyncio.wait({serving})
    _log.info("stopped")


def _end(stop: asyncio.Event, server: Server) -> None:
    if stop.is_set():
        server.force_exit = True
    stop.set()


def _upstream(settings: FacadeSettings) -> Upstream:
    named = settings.upstream
    return Upstream(
        url=named.url,
        allow_private=named.allow_private,
        request_headers=frozenset(name.encode() for name in named.allowed_request_headers),
        response_headers=frozenset(name.encode() for name in named.allowed_response_headers),
    )


def _scope_names(settings: FacadeSettings) -> dict[str, str]:
    """Return what the providers' scopes, which the upstream server asks for, are called by our issuer."""
    return {
        theirs: ours
        for connector in settings.issuer.connectors
        for ours, mapped in connector.scope_map.items()
        for theirs in mapped
    }


async def _not_found(scope: Scope, _receive: Receive, send: Send) -> None:
    del scope
    await send_response(send, 404, _JSON, msgspec.json.encode({"error": "not_found"}))
