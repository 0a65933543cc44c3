import shutil

import pytest

from gateway.house import House
from portico.storage.engine import Database
from portico.storage.migrate import migrate


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A migrated, empty database file."""
    import asyncio

    path = tmp_path_factory.mktemp("template") / "portico.db"
    asyncio.run(migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture
async def house(tmp_path, template):
    shutil.copy(template, tmp_path / "portico.db")
    database = await Database.open(f"sqlite:///{tmp_path}/portico.db")
    async with House(tmp_path, database).running() as house:
        yield house
    await database.aclose()


@pytest.fixture(params=["direct", "asgi"])
def either_way(house, request):
    """Serve requests straight from the parser, as production does, and over ASGI, as other servers would."""
    house.over_asgi = request.param == "asgi"
