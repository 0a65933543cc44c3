import pytest

from portico.storage.engine import Database
from portico.storage.migrate import migrate


@pytest.fixture
def url(database_kind, tmp_path, request):
    """A database of each kind: without tables, unless the test asks for ``database`` too."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path}/data/portico.db"
    return request.getfixturevalue("postgres_url" if "database" in request.fixturenames else "empty_postgres_url")


@pytest.fixture
async def database(url):
    await migrate(url)
    opened = await Database.open(url)
    yield opened
    await opened.aclose()
