import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from issuer_world import Clock, World

from portico.crypto.keyring import Keyring
from portico.storage.engine import Database
from portico.storage.migrate import migrate

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
        await migrate(database_url)
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
