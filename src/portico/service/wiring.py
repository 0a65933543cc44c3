"""The composition root: every part of the process, made once, in order, and closed in reverse."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from dataclasses import replace as changed
from functools import partial
from typing import Any, Final

from portico.audit.journal import Journal
from portico.audit.leftovers import ship_leftovers
from portico.audit.shipper import Shipper
from portico.authorizer.access_keys import AccessKeys
from portico.authorizer.authorizer import Authorizer
from portico.authorizer.foreign_keys import ForeignKeys
from portico.authorizer.keys import OwnKeys, TrustedKeys
from portico.authorizer.revocations import Revocations
from portico.authorizer.sigv4 import Signatures
from portico.control import pruning, targets
from portico.control.apply import Applier
from portico.control.changes import CHANGES_JOB, ChangeShipper
from portico.control.discovering import CredentialedDiscovery
from portico.control.healing import Healer
from portico.control.jobs import Again, JobWorker
from portico.control.sync import Synchronizer
from portico.crypto.keyring import Keyring
from portico.gateway.cancellation import Cancellations
from portico.gateway.endpoint import McpEndpoint
from portico.gateway.hop import HopSeal
from portico.gateway.internal import InternalEndpoint
from portico.gateway.peers import Peers
from portico.gateway.resource_metadata import ResourceMetadata
from portico.gateway.session_ends import SessionEnds
from portico.gateway.store import Snapshots
from portico.identity.credentials import Credentials
from portico.issuer.app import IssuerApp
from portico.model.errors import StorageUnavailable
from portico.net.egress import Egress
from portico.net.fetch import Fetcher
from portico.net.relay import Relay
from portico.service import surfaces
from portico.service.agentcore_api import AgentCoreApi
from portico.service.app import App
from portico.service.followed import SLOW, Followed
from portico.service.keyring_file import read_keyring
from portico.service.preparation import prepared
from portico.service.probes import Probes
from portico.service.refresh import Refresher
from portico.service.seat import Seat
from portico.service.settings import Settings, load_settings
from portico.service.trusted_gateways import TrustedGateways
from portico.service.vitals import Vitals
from portico.service.watch import ConfigWatch
from portico.storage.engine import Database
from portico.storage.grants import TELL_JOB
from portico.storage.jobs import JobRow
from portico.targets.discovery import discover
from portico.targets.sessions import UpstreamSessions
from portico.web.asgi import ASGIApp

SESSION_SWEEP_SECONDS: Final = 60.0  #: between looks for idle upstream sessions
_REPLICA_BYTES: Final = 4  #: of randomness behind a writer's name: a process that starts again is another replica


@dataclass(slots=True)
class State:
    """What changes in the life of a process."""

    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A process that is ready to serve."""

    settings: Settings
    seat: Seat
    database: Database
    app: App  #: the public address
    administration: ASGIApp  #: the administrator's address: probes, and what replicas say to each other
    watch: ConfigWatch
    state: State
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]]  #: to be run for as long as the process serves


@asynccontextmanager
async def open_service(settings: Settings, seat: Seat) -> AsyncGenerator[Service]:
    """Make every part, apply the configuration (unless a supervisor has) and load what is served.

    Raises:
        ConfigError: the data directory, the keyring, the database or a declaration cannot be used.
        StorageUnavailable: the database is locked or damaged.
    """
    process = settings.process
    async with AsyncExitStack() as stack:
        keyring = read_keyring(process.keyring_file)
        database, applier = await stack.enter_async_context(_database(settings, seat, keyring))

        outbound = await stack.enter_async_context(_outbound())
        healer = Healer(database)
        snapshots = Snapshots(
            database=database,
            relay=outbound.relay,
            sessions=outbound.sessions,
            public_url=settings.public_url,
            stale=healer.ask,
        )
        stack.push_async_callback(snapshots.aclose)
        trusted = TrustedGateways(snapshots, public_url=settings.public_url)
        trust = await stack.enter_async_context(_trust(settings, database, keyring, outbound.fetcher, trusted))

        journal = Journal(seat.journal, writer=seat.name, max_bytes=seat.journal_max)
        stack.callback(journal.close)
        shipper = Shipper(seat.journal, database, keyring, recent=journal.recent)
        stack.push_async_callback(shipper.close)

        replica = f"{journal.writer}-{secrets.token_hex(_REPLICA_BYTES)}"
        others = _others(database, outbound.relay, keyring, replica, seat)
        credentials = await stack.enter_async_context(_credentials(database, keyring, outbound.fetcher, replica))

        issuers = await stack.enter_async_context(
            aclosing(
                IssuerApp(
                    database=database,
                    keyring=keyring,
                    fetcher=outbound.fetcher,
                    public_url=settings.public_url,
                    resources=trusted.of_issuer,
                    resource_name=trusted.name_of,
                    cookie_suffix=hashlib.sha256(settings.public_url.encode()).hexdigest()[:8],
                )
            )
        )
        endpoint = McpEndpoint(
            snapshots=snapshots,
            authorizer=trust.authorizer,
            journal=journal,
            sessions=outbound.sessions,
            credentials=credentials,
            keyring=keyring,
            replica=replica,
            cancellations=others.cancellations,
            session_ends=others.session_ends,
            max_tools=process.quotas.tools_per_target,
        )
        followed = Followed(
            snapshots=snapshots,
            issuers=issuers,
            own_keys=trust.own_keys,
            revocations=trust.revocations,
            access_keys=trust.access_keys,
            credentials=credentials,
            peers=others.peers,
            session_ends=others.session_ends,
            endpoint=endpoint,
        )
        refresher = Refresher(database, followed.reloads(), slow=SLOW)
        await refresher.start()
        await followed.load()
        await others.peers.join()
        stack.push_async_callback(others.peers.leave)

        worker = _worker(
            settings=settings,
            database=database,
            journal=journal,
            credentials=credentials,
            relay=outbound.relay,
            issuers=issuers,
            replica=replica,
        )
        issuers.when_revoked(worker.wake)
        state = State()
        probes = Probes(refresher, draining=lambda: state.draining)
        metadata = ResourceMetadata(
            snapshots=snapshots,
            authorizer=trust.authorizer,
            default_gateway=trusted.id_of(process.default_gateway),
        )

        wake = partial(_wake, refresher, worker)

        async def apply(read: Settings) -> None:
            if applier is not None:
                await applier.apply(read.declared)
            wake()

        front = AgentCoreApi(
            process=process,
            database=database,
            keyring=keyring,
            egress=outbound.egress,
            fetcher=outbound.fetcher,
            signatures=trust.signatures,
            issuers=lambda: issuers.issuers.names,
            changed=wake,
        ).front(probes)

        # A worker follows the keyring alone: its supervisor applies the file, once.
        watched = settings if seat.alone else changed(settings, config_file=None)
        watch = ConfigWatch(watched, keyring, load=load_settings, apply=apply)
        yield Service(
            settings=settings,
            seat=seat,
            database=database,
            app=App(
                data_plane=surfaces.data_plane(endpoint, metadata),
                direct=endpoint.serve,
                pages=surfaces.pages(issuers.routes(), metadata, front if process.api == "public" else probes),
                allowed_hosts=process.allowed_hosts,
                trusted_proxies=process.trusted_proxies,
            ),
            administration=surfaces.administration(
                others.endpoint,
                front if process.api == "admin" else probes,
                Vitals(relay=outbound.relay, sessions=outbound.sessions),
            ),
            watch=watch,
            state=state,
            background=(
                refresher.run,
                worker.run,
                healer.run,
                shipper.run,
                watch.run,
                trust.access_keys.run,
                others.peers.run,
                partial(_sweep, outbound.sessions),
                partial(_ship_leftovers, seat, database, keyring),
            ),
        )


@asynccontextmanager
async def _database(
    settings: Settings, seat: Seat, keyring: Keyring
) -> AsyncGenerator[tuple[Database, Applier | None]]:
    """Open the database; whoever stands alone prepares it first and gets what applies a changed file."""
    if seat.alone:
        async with prepared(settings, keyring) as both:
            yield both
        return
    database = await Database.open(settings.database)
    try:
        yield database, None
    finally:
        await database.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outbound:
    """What goes out of the process, all under one egress rule."""

    egress: Egress
    relay: Relay
    fetcher: Fetcher
    sessions: UpstreamSessions


@asynccontextmanager
async def _outbound() -> AsyncGenerator[_Outbound]:
    async with AsyncExitStack() as stack:
        egress = Egress()
        relay = Relay(egress=egress)
        stack.push_async_callback(relay.aclose)
        fetcher = Fetcher(egress=egress)
        stack.push_async_callback(fetcher.aclose)
        sessions = UpstreamSessions(relay=relay)
        stack.push_async_callback(sessions.aclose)
        yield _Outbound(egress=egress, relay=relay, fetcher=fetcher, sessions=sessions)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trust:
    """What proves who is calling."""

    own_keys: OwnKeys
    revocations: Revocations
    access_keys: AccessKeys
    signatures: Signatures
    authorizer: Authorizer


@asynccontextmanager
async def _trust(
    settings: Settings, database: Database, keyring: Keyring, fetcher: Fetcher, trusted: TrustedGateways
) -> AsyncGenerator[_Trust]:
    own_keys = OwnKeys(database, public_url=settings.public_url)
    foreign_keys = ForeignKeys(fetcher, allows_private=trusted.allows_private)
    revocations = Revocations(database)
    access_keys = AccessKeys(database, keyring)
    signatures = Signatures(access_keys, region=settings.process.region)
    authorizer = Authorizer(keys=TrustedKeys(own_keys, foreign_keys), revocations=revocations, signatures=signatures)
    try:
        yield _Trust(
            own_keys=own_keys,
            revocations=revocations,
            access_keys=access_keys,
            signatures=signatures,
            authorizer=authorizer,
        )
    finally:
        await foreign_keys.aclose()


@asynccontextmanager
async def _credentials(
    database: Database, keyring: Keyring, fetcher: Fetcher, replica: str
) -> AsyncGenerator[Credentials]:
    made = Credentials(database=database, keyring=keyring, fetcher=fetcher, owner=replica)
    try:
        yield made
    finally:
        await made.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Others:
    """What concerns other replicas."""

    peers: Peers
    cancellations: Cancellations
    session_ends: SessionEnds
    endpoint: InternalEndpoint


def _others(database: Database, relay: Relay, keyring: Keyring, replica: str, seat: Seat) -> _Others:
    seal = HopSeal(keyring=keyring, replica=replica, clock=time.time)
    known = Peers(database=database, relay=relay, seal=seal, replica=replica, url=seat.url)
    cancellations = Cancellations(known)
    return _Others(
        peers=known,
        cancellations=cancellations,
        session_ends=SessionEnds(database),
        endpoint=InternalEndpoint(seal=seal, cancellations=cancellations),
    )


def _worker(
    *,
    settings: Settings,
    database: Database,
    journal: Journal,
    credentials: Credentials,
    relay: Relay,
    issuers: IssuerApp,
    replica: str,
) -> JobWorker:
    """Return what does the background work that lies in rows, a function for each kind of it."""
    finds = partial(discover, relay=relay, max_tools=settings.process.quotas.tools_per_target)
    return JobWorker(
        database,
        {
            targets.SYNC_JOB: Synchronizer(database, CredentialedDiscovery(credentials, finds)).run,
            pruning.PRUNE_JOB: pruning.Pruner(database).run,
            CHANGES_JOB: ChangeShipper(database, journal).run,
            TELL_JOB: partial(_tell_providers, issuers),
        },
        owner=replica,
    )


async def _tell_providers(issuers: IssuerApp, job: JobRow) -> Again | None:
    pause = await issuers.tell_providers(job.key)
    return None if pause is None else Again(seconds=pause)


def _wake(refresher: Refresher, worker: JobWorker) -> None:
    """Look now at what this process itself has changed."""
    refresher.wake()
    worker.wake()


async def _ship_leftovers(seat: Seat, database: Database, keyring: Keyring) -> None:
    """Ship what workers left that there were before; while there are some, their supervisor does."""
    if not seat.alone:
        return
    try:
        await ship_leftovers(seat.journal, database, keyring, used={seat.journal})
    except StorageUnavailable:
        return  # it is read where it lies, and shipped at the next start


async def _sweep(sessions: UpstreamSessions) -> None:
    while True:
        await asyncio.sleep(SESSION_SWEEP_SECONDS)
        sessions.expire()
