"""The worlds that are attacked: a test names the connectors that it holds for, and runs once in each of their worlds.

``@pytest.mark.connector("local", "oidc")`` is what ``tests/test_security_cases.py`` reads, so it is what decides.
"""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from attacks.attack_world import (
    FACADE,
    ISSUERS,
    RESOURCES,
    AttackedWorld,
    FacadeWorld,
    LocalWorld,
    ProviderWorld,
    WorldMaker,
    clock_of,
)
from net.raw_server import RawServer
from portico.crypto.keyring import Keyring
from portico.issuer.providers import callback_url
from portico.storage.engine import Database
from support.provider.identity_provider import IdentityProvider, identity_provider

WORLDS = {"local": ("local",), "oidc": ("provider", "facade")}

Providers = Callable[[str], IdentityProvider]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("connector")
    if "world" not in metafunc.fixturenames:
        return
    assert marker is not None, f"{metafunc.definition.nodeid} does not say for which connectors it is"
    possible = [world for kind in marker.args for world in WORLDS[kind]]
    worlds = [world for world in possible if world in marker.kwargs.get("worlds", possible)]
    metafunc.parametrize("world", worlds, indirect=True)


@pytest.fixture(scope="session")
def started_providers() -> Iterator[dict[str, IdentityProvider]]:
    with ExitStack() as stack:
        running: dict[str, IdentityProvider] = {}

        def start(profile: str) -> IdentityProvider:
            if profile not in running:
                callbacks = [callback_url(issuer, name) for issuer in ISSUERS for name in ("", profile)]
                made = identity_provider(profile, redirect_uris=callbacks, resources=RESOURCES)
                running[profile] = stack.enter_context(made)
            return running[profile]

        yield start  # type: ignore[misc]


@pytest.fixture
def providers(started_providers: Providers) -> Providers:
    """Real providers by profile, each as it was at first; Ada is logged in there without a page."""
    fresh: dict[str, IdentityProvider] = {}

    def get(profile: str) -> IdentityProvider:
        if profile not in fresh:
            fresh[profile] = started_providers(profile)
            fresh[profile].heal()
            fresh[profile].change(silent="ada")
            fresh[profile].forget_requests()
        return fresh[profile]

    return get


@pytest.fixture
async def upstream() -> AsyncIterator[RawServer]:
    """The MCP server behind a façade; it notes every byte that it is asked."""
    server = RawServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def make_world(
    sqlite_template: Path, providers: Providers, upstream: RawServer, tmp_path: Path
) -> AsyncIterator[WorldMaker]:
    """Make worlds by name; ``further`` are profiles of more providers of the same issuer.

    What contends in a database is tried elsewhere, on PostgreSQL too.
    """
    async with contextlib.AsyncExitStack() as stack:

        @asynccontextmanager
        async def database() -> AsyncIterator[Database]:
            opened = await Database.open(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'portico.db')}")
            try:
                yield opened
            finally:
                await opened.aclose()

        async def make(name: str, *, idp: str = "strict", further: tuple[str, ...] = (), **more: Any) -> AttackedWorld:
            common: dict[str, Any] = {"clock": clock_of(name), **more}
            if name != "local":
                common |= {"idp": providers(idp), "further": tuple(providers(one) for one in further)}
            match name:
                case "facade":
                    common = {"public_url": FACADE, "directory": tmp_path, **common}
                    made: AttackedWorld = FacadeWorld(database=None, keyring=None, upstream=upstream, **common)
                case _:
                    kind = LocalWorld if name == "local" else ProviderWorld
                    opened = await stack.enter_async_context(database())
                    made = kind(database=opened, keyring=Keyring({"k1": os.urandom(32)}), **common)
            stack.push_async_callback(made.aclose)
            await made.begin()
            return made

        yield make


@pytest.fixture
async def world(request: pytest.FixtureRequest, make_world: WorldMaker) -> AttackedWorld:
    return await make_world(request.param)


@pytest.fixture
async def client_id(world: AttackedWorld) -> str:
    return await world.register()
