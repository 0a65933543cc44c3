"""The composition root: every part of the process, made once, in order, and closed in reverse."""

import asyncio
import hashlib
import os
import socket
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from starlette.routing import Route, Router

from portico.audit.journal import Journal
from portico.audit.shipper import Shipper
from portico.authorizer.authorizer import Authorizer
from portico.authorizer.foreign_keys import ForeignKeys
from portico.authorizer.keys import OwnKeys, TrustedKeys
from portico.authorizer.revocations import Revocations
from portico.control import pruning, targets
from portico.control.apply import Applier
from portico.control.jobs import JobWorker
from portico.control.sync import Synchronizer
from portico.gateway.endpoint import McpEndpoint
from portico.gateway.resource_metadata import ResourceMetadata
from portico.gateway.store import Snapshots
from portico.issuer.app import IssuerApp
from portico.model.errors import ConfigError, Fault
from portico.net.egress import Egress
from portico.net.fetch import Fetcher
from portico.net.relay import Relay
from portico.oauth.resource import WELL_KNOWN
from portico.service.app import App
from portico.service.keyring_file import read_keyring
from portico.service.probes import Probes
from portico.service.refresh import Refresher
from portico.service.settings import Settings, load_settings
from portico.service.trusted_gateways import TrustedGateways
from portico.service.watch import ConfigWatch
from portico.storage.engine import Database
from portico.storage.migrate import migrate
from portico.targets.discovery import discover
from portico.targets.sessions import UpstreamSessions
from portico.web.asgi import ASGIApp, Receive, Scope, Send

DATA_DIRECTORY_MODE: Final = 0o700
SESSION_SWEEP_SECONDS: Final = 60.0  #: between looks for idle upstream sessions
JOURNAL_DIRECTORY: Final = "journal"


@dataclass(slots=True)
class State:
    """What changes in the life of a process."""

    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A process that is ready to serve."""

    settings: Settings
    database: Database
    app: ASGIApp  #: the public address
    probes: ASGIApp  #: the administrator's address
    watch: ConfigWatch
    state: State
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]]  #: to be run for as long as the process serves


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncGenerator[Service]:
    """Make every part, apply the configuration and load what is served.

    Raises:
        ConfigError: the data directory, the keyring, the database or a declaration cannot be used.
        StorageUnavailable: the database is locked or damaged.
    """
    process = settings.process
    async with AsyncExitStack() as stack:
        _make_directory(process.data_dir)
        keyring = read_keyring(process.keyring_file)
        await migrate(process.database)
        database = await Database.open(process.database)
        stack.push_async_callback(database.aclose)
        applier = Applier(database, keyring)
        await applier.apply(settings.declared)

        egress = Egress()
        relay = Relay(egress=egress)
        stack.push_async_callback(relay.aclose)
        fetcher = Fetcher(egress=egress)
        stack.push_async_callback(fetcher.aclose)
        sessions = UpstreamSessions(relay=relay)
        stack.push_async_callback(sessions.aclose)
        snapshots = Snapshots(database=database, relay=relay, sessions=sessions, public_url=settings.public_url)
        stack.push_async_callback(snapshots.aclose)
        trusted = TrustedGateways(snapshots, public_url=settings.public_url)

        own_keys = OwnKeys(database, public_url=settings.public_url)
        foreign_keys = ForeignKeys(fetcher, allows_private=trusted.allows_private)
        stack.push_async_callback(foreign_keys.aclose)
        revocations = Revocations(database)
        authorizer = Authorizer(keys=TrustedKeys(own_keys, foreign_keys), revocations=revocations)

        journal = Journal(
            process.data_dir / JOURNAL_DIRECTORY, writer=socket.gethostname(), max_bytes=process.journal_max
        )
        stack.callback(journal.close)
        shipper = Shipper(process.data_dir / JOURNAL_DIRECTORY, database, keyring)
        stack.push_async_callback(shipper.close)

        issuers = IssuerApp(
            database=database,
            keyring=keyring,
            public_url=settings.public_url,
            resources=trusted.of_issuer,
            resource_name=trusted.name_of,
            cookie_suffix=hashlib.sha256(os.fsencode(process.data_dir.absolute())).hexdigest()[:8],
        )
        refresher = Refresher(
            database,
            {
                "gateway": snapshots.reload,
                "issuer": partial(_reload_issuers, issuers, own_keys),
                "revocations": partial(_reload_revocations, revocations),
            },
        )
        await refresher.start()
        await snapshots.load_all()
        await own_keys.reload()
        await revocations.reload()
        await issuers.load_all()
        await targets.synchronize_all(database, now=time.time())
        await pruning.arm(database, now=time.time())

        synchronizer = Synchronizer(database, partial(discover, relay=relay))
        worker = JobWorker(
            database,
            {targets.SYNC_JOB: synchronizer.run, pruning.PRUNE_JOB: pruning.Pruner(database).run},
            owner=f"{journal.writer}/{os.getpid()}",
        )
        state = State()
        probes = Probes(refresher, draining=lambda: state.draining)
        metadata = ResourceMetadata(
            snapshots=snapshots,
            authorizer=authorizer,
            default_gateway=trusted.id_of(process.default_gateway),
        )
        endpoint = McpEndpoint(
            snapshots=snapshots,
            authorizer=authorizer,
            journal=journal,
            sessions=sessions,
            keyring=keyring,
            replica=journal.writer,
        )

        async def apply(changed: Settings) -> None:
            await applier.apply(changed.declared)
            refresher.wake()
            worker.wake()

        watch = ConfigWatch(settings, keyring, load=load_settings, apply=apply)
        yield Service(
            settings=settings,
            database=database,
            app=App(
                data_plane=_data_plane(endpoint, metadata),
                pages=_pages(issuers.routes(), metadata, probes),
                allowed_hosts=process.allowed_hosts,
                trusted_proxies=process.trusted_proxies,
            ),
            probes=probes,
            watch=watch,
            state=state,
            background=(refresher.run, worker.run, shipper.run, watch.run, partial(_sweep, sessions)),
        )


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=DATA_DIRECTORY_MODE, parents=True, exist_ok=True)
    except OSError as error:
        message = f"{path} cannot be made ({error.strerror}); choose another directory or mend its permissions"
        raise ConfigError([Fault(path="data_dir", message=message)]) from error


def _data_plane(endpoint: ASGIApp, metadata: ASGIApp) -> ASGIApp:
    """Part what lies under ``/g/``: MCP, and the metadata of a gateway where scripts look for it."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        app = metadata if scope["path"].endswith(WELL_KNOWN) else endpoint
        await app(scope, receive, send)

    return serve


def _pages(issuer_routes: Sequence[Route], metadata: ASGIApp, probes: ASGIApp) -> ASGIApp:
    """Everything that is not the data plane, behind a router; the probes answer 404 for what nobody knows."""
    return Router(
        [
            *issuer_routes,
            Route(WELL_KNOWN, metadata),
            Route(WELL_KNOWN + "/{resource:path}", metadata),
        ],
        redirect_slashes=False,
        default=probes,
    )


async def _reload_issuers(issuers: IssuerApp, own_keys: OwnKeys, names: AbstractSet[str]) -> None:
    for name in names:
        await issuers.reload(name)
    await own_keys.reload()


async def _reload_revocations(revocations: Revocations, _scopes: AbstractSet[str]) -> None:
    await revocations.reload()


async def _sweep(sessions: UpstreamSessions) -> None:
    while True:
        await asyncio.sleep(SESSION_SWEEP_SECONDS)
        sessions.expire()
