import os

import pytest

from control.agentcore import Api
from portico.control.apply import Applier
from portico.control.declared import read_declarations
from portico.control.relaxations import Ground
from portico.crypto.keyring import Keyring
from portico.net.egress import Egress
from portico.storage.engine import Database

PUBLIC_URL = "https://portico.example"


@pytest.fixture
async def database(database_url):
    opened = await Database.open(database_url)
    yield opened
    await opened.aclose()


@pytest.fixture
async def sqlite_database(sqlite_url):
    """A database for what does not depend on its kind."""
    opened = await Database.open(sqlite_url)
    yield opened
    await opened.aclose()


@pytest.fixture
def keyring():
    return Keyring({"k1": os.urandom(32)})


@pytest.fixture
def ground():
    return Ground(public_url=PUBLIC_URL, issuers=frozenset({"main"}))


@pytest.fixture
def egress():
    return Egress()


class Clock:
    """Time that a test moves."""

    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def no_file(name):
    raise FileNotFoundError(2, "No such file or directory", name)


def declare(document, *, read_file=no_file):
    declared, faults = read_declarations(document, public_url=PUBLIC_URL, egress=Egress(), read_file=read_file)
    assert [str(fault) for fault in faults] == []
    return declared


@pytest.fixture
def applied(database, keyring, clock):
    """Apply documents with one applier, as a process does."""
    applier = Applier(database, keyring, clock=clock)

    async def apply(**document):
        await applier.apply(declare(document))

    return apply


@pytest.fixture
def api(database, keyring, clock):
    """The operations of the AgentCore API."""
    return Api(database, keyring, clock)


@pytest.fixture
def read(database):
    """Call a function of a storage module in a transaction of its own."""

    async def read(function, *args, **kwargs):
        async with database.read() as conn:
            return await function(conn, *args, **kwargs)

    return read
