import pytest
from identity_provider import FakeClock, IdentityProvider

from portico.authorizer.foreign_keys import ForeignKeys
from portico.net.egress import Egress
from portico.net.fetch import Fetcher
from portico.storage.engine import Database


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def provider():
    started = IdentityProvider()
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
async def fetcher():
    made = Fetcher(egress=Egress())
    yield made
    await made.aclose()


@pytest.fixture
async def foreign(fetcher, clock):
    keys = ForeignKeys(fetcher, allows_private=lambda _url: True, clock=clock)
    yield keys
    await keys.aclose()


@pytest.fixture
async def database(sqlite_url):
    opened = await Database.open(sqlite_url)
    yield opened
    await opened.aclose()
