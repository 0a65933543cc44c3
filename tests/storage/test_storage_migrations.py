import asyncio
from dataclasses import replace

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from portico.model.errors import ConfigError
from portico.storage import counters, gateways, workload_identities
from portico.storage.engine import Database
from portico.storage.gateways import GatewayRow
from portico.storage.migrate import config, is_current, migrate
from portico.storage.schema import metadata

GATEWAY = GatewayRow(
    id="tools-abcdefghij", name="tools", document={}, extension={}, status="READY", created_at=1, updated_at=1
)


async def test_the_migrations_make_exactly_the_schema(database):
    def compare(connection):
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)

    async with database.read() as conn:
        assert await conn.run_sync(compare) == []
    assert await is_current(database)


async def test_an_empty_database_is_not_current(url):
    database = await Database.open(url)
    assert not await is_current(database)
    await database.aclose()


async def test_migrating_again_changes_nothing(database, url):
    async with database.write() as conn:
        await counters.bump(conn, "gateway/a")
    await migrate(url)
    async with database.read() as conn:
        assert await counters.read_all(conn) == {"gateway/a": 1}


async def test_processes_that_start_at_once_migrate_once(url):
    await asyncio.gather(*(migrate(url) for _ in range(4)))
    database = await Database.open(url)
    assert await is_current(database)
    await database.aclose()


async def test_a_database_of_a_newer_version_is_refused(database, url):
    async with database.write() as conn:
        await conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError) as caught:
        await migrate(url)
    assert "newer version" in str(caught.value)


async def test_a_failed_migration_leaves_no_half_of_it(url, monkeypatch):
    from portico.storage import migrate as module

    def fails(connection):
        original(connection)
        raise LookupError

    original = module._upgrade
    monkeypatch.setattr(module, "_upgrade", fails)
    with pytest.raises(LookupError):
        await migrate(url)
    database = await Database.open(url)
    async with database.read() as conn:
        assert await conn.run_sync(lambda sync: inspect(sync).get_table_names()) == []
    await database.aclose()


async def test_gateways_that_were_there_before_get_their_workload_identities(url):
    database = await Database.open_to_migrate(url)
    async with database.write() as conn:
        await conn.run_sync(lambda connection: command.upgrade(config(connection), "0002"))
        await gateways.add(conn, replace(GATEWAY, managed_by="portico.yaml"))
    await database.aclose()
    await migrate(url)
    database = await Database.open(url)
    async with database.read() as conn:
        [identity] = await workload_identities.list_all(conn)
    await database.aclose()
    assert (identity.name, identity.owner, identity.managed_by) == (GATEWAY.id, GATEWAY.id, "portico.yaml")
    assert identity.document == {"name": GATEWAY.id}
