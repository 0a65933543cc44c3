import os

import pytest

from identity.house import Clock, House
from portico.crypto.keyring import Keyring
from portico.net.egress import Egress
from portico.net.fetch import Fetcher
from portico.storage.engine import Database


@pytest.fixture
async def database(database_url):
    opened = await Database.open(database_url)
    yield opened
    await opened.aclose()


@pytest.fixture
async def fetcher():
    made = Fetcher(egress=Egress())
    yield made
    await made.aclose()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def house(database, fetcher, clock):
    """Providers in a database, and processes that use them."""
    made = House(database, Keyring({"k1": os.urandom(32)}), fetcher, clock)
    yield made
    await made.aclose()
