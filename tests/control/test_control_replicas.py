"""Several processes that start or reload at once, over one database."""

import asyncio

import pytest

from control.conftest import declare
from control.house import DISCOVERY, gateway, issuer, target
from portico.control import signing_keys
from portico.control.apply import Applier
from portico.crypto.passwords import verify_password
from portico.storage import clients, counters, gateways, issuers, revocations, users
from portico.storage.engine import Database

REPLICAS = 4


@pytest.fixture
async def replicas(database, database_url):
    opened = [await Database.open(database_url) for _ in range(REPLICAS)]
    yield opened
    for one in opened:
        await one.aclose()


@pytest.fixture
def appliers(replicas, keyring, clock):
    return [Applier(one, keyring, clock=clock) for one in replicas]


async def apply(appliers, **document):
    await asyncio.gather(*(applier.apply(declare(document)) for applier in appliers))


async def stored(database):
    async with database.read() as conn:
        return (
            await issuers.list_all(conn),
            await users.list_all(conn),
            await clients.list_all(conn),
            await gateways.list_all(conn),
            await counters.read_all(conn),
            await revocations.list_live(conn, 0),
        )


async def test_a_first_start_of_many_makes_everything_once(database, appliers):
    document = {"issuers": [issuer()], "gateways": [gateway(targets=[target()])]}
    await apply(appliers, **document)
    found = await stored(database)
    assert [len(rows) for rows in found[:4]] == [1, 1, 1, 1]
    assert found[5] == []
    assert sorted(key.state for key in await signing_keys.list_all(database)) == ["current", "next"]
    await apply(appliers, **document)
    assert await stored(database) == found


async def test_a_password_that_many_replicas_change_at_once_is_changed_once(database, appliers, clock):
    await apply(appliers, issuers=[issuer()])
    clock.now += 100
    await apply(appliers, issuers=[issuer(users=[{"name": "ada", "password": "another horse"}])])
    async with database.read() as conn:
        [user] = await users.list_all(conn)
        assert len(await revocations.list_live(conn, 0)) == 1
    assert verify_password(user.password_hash, "another horse")
    assert user.password_changed_at == clock.now


async def test_keys_rotated_and_files_applied_at_once_leave_one_key_that_signs(
    database, replicas, appliers, keyring, clock
):
    document = {
        "issuers": [issuer()],
        "gateways": [
            gateway(
                authorizerConfiguration={
                    "customJWTAuthorizer": {"discoveryUrl": DISCOVERY, "allowedClients": ["robot"]}
                }
            )
        ],
    }
    await apply(appliers[:1], **document)
    rotating = [signing_keys.rotate(one, keyring, issuer="main", now=int(clock.now)) for one in replicas]
    await asyncio.gather(apply(appliers, **document), *rotating)
    states = [key.state for key in await signing_keys.list_all(database)]
    assert (states.count("current"), states.count("next")) == (1, 1)
    assert states.count("previous") == REPLICAS
