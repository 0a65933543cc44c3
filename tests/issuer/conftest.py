import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any

import pytest
from issuer_world import Clock, World
from provider_world import CALLBACKS, FACADE, RESOURCES, ProvidedWorld, Providers, RunningClock, SealedWorld

from portico.crypto.keyring import Keyring
from portico.net.egress import Egress
from portico.net.fetch import Fetcher
from portico.storage.engine import Database
from portico.storage.migrate import migrate
from support.provider.identity_provider import IdentityProvider, identity_provider

WorldMaker = Callable[..., Any]


@pytest.fixture
def database_kind() -> str:
    """Modules whose tests contend for something override it, and run on both databases."""
    return "sqlite"


@pytest.fixture
async def make_world(database_url: str) -> AsyncIterator[WorldMaker]:
    opened: list[Database] = []

    @asynccontextmanager
    async def make(**more: Any) -> AsyncIterator[World]:
        database = await Database.open(database_url)
        opened.append(database)
        world = World(database=database, keyring=Keyring({"k1": os.urandom(32)}), clock=Clock(), **more)
        await world.settle(scopes=["mcp/invoke", "mcp/read"])
        await world.add_key()
        await world.add_user()
        yield world

    yield make
    for database in opened:
        await database.aclose()


@pytest.fixture
async def world(make_world: WorldMaker) -> AsyncIterator[World]:
    async with make_world() as made:
        yield made


@pytest.fixture
async def client_id(world: World) -> str:
    return await world.register()


# Issuers whose people log in at a provider


@pytest.fixture(scope="session")
def started_providers() -> Iterator[Providers]:
    running: dict[str, IdentityProvider] = {}
    with ExitStack() as stack:

        def start(profile: str) -> IdentityProvider:
            if profile not in running:
                callbacks = [*CALLBACKS, *(f"{url}/{profile}" for url in CALLBACKS)]
                made = identity_provider(profile, redirect_uris=callbacks, resources=RESOURCES)
                running[profile] = stack.enter_context(made)
            return running[profile]

        yield start


@pytest.fixture
def providers(started_providers: Providers) -> Providers:
    """Real providers by profile, each as it was at first; Ada is logged in there without a page."""
    fresh: dict[str, IdentityProvider] = {}

    def get(profile: str) -> IdentityProvider:
        if profile not in fresh:
            fresh[profile] = started_providers(profile)
            fresh[profile].heal()
            fresh[profile].change(silent="ada", access_seconds=3600)
            fresh[profile].forget_requests()
        return fresh[profile]

    return get


@pytest.fixture
async def provided(providers: Providers, tmp_path: Any) -> AsyncIterator[dict[str, Any]]:
    """What every world with providers is made of; closed at the end, apps before what they stand on."""
    async with AsyncExitStack() as stack:
        fetcher = Fetcher(egress=Egress())
        stack.push_async_callback(fetcher.aclose)
        yield {
            "keyring": Keyring({"k1": os.urandom(32)}),
            "clock": RunningClock(),
            "fetcher": fetcher,
            "directory": tmp_path,
            "stack": stack,
            "providers": providers,
        }


def _opener(stack: AsyncExitStack, url: str) -> Callable[[], Any]:
    async def reopen() -> Database:
        opened = await Database.open(url)
        stack.push_async_callback(opened.aclose)
        return opened

    return reopen


@pytest.fixture
async def make_provided(provided: dict[str, Any], database_url: str) -> WorldMaker:
    """Make an issuer over a database, with the providers that are named."""

    async def make(*profiles: str, **more: Any) -> ProvidedWorld:
        reopen = _opener(provided["stack"], database_url)
        parts = {name: provided[name] for name in ("keyring", "clock", "fetcher")}
        idps = tuple(provided["providers"](profile) for profile in profiles)
        made = ProvidedWorld(database=await reopen(), idps=idps, reopen=reopen, **parts, **more)
        provided["stack"].push_async_callback(made.app.aclose)
        await made.begin()
        return made

    return make


@pytest.fixture
def store_url() -> str:
    """Modules whose façades have a store override it."""
    return ""


@pytest.fixture
async def make_sealed(provided: dict[str, Any], store_url: str) -> WorldMaker:
    """Make a façade's issuer; with ``store`` it has a database."""

    async def make(*profiles: str, store: bool = False, **more: Any) -> SealedWorld:
        reopen = _opener(provided["stack"], store_url)
        if store:
            await migrate(store_url)
        parts = {name: provided[name] for name in ("keyring", "clock", "fetcher", "directory")}
        idps = tuple(provided["providers"](profile) for profile in profiles)
        opened = await reopen() if store else None
        made = SealedWorld(database=None, store=opened, idps=idps, reopen=reopen, public_url=FACADE, **parts, **more)
        provided["stack"].push_async_callback(made.closing.aclose)
        return made

    return make
