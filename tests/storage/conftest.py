import pytest

from portico.storage.engine import Database
from portico.storage.migrate import migrate


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/data/portico.db"


@pytest.fixture
async def database(url):
    await migrate(url)
    opened = await Database.open(url)
    yield opened
    await opened.aclose()
