import pytest

from gateway.house import House
from portico.storage.engine import Database


@pytest.fixture
async def house(tmp_path, sqlite_url):
    database = await Database.open(sqlite_url)
    async with House(tmp_path, database).running() as house:
        yield house
    await database.aclose()


@pytest.fixture(params=["direct", "asgi"])
def either_way(house, request):
    """Serve requests straight from the parser, as production does, and over ASGI, as other servers would."""
    house.over_asgi = request.param == "asgi"
