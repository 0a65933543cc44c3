"""Bringing a database to the schema of this version, with the migrations that the package holds."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from portico.model.errors import ConfigError, Fault, StorageUnavailable
from portico.storage.engine import Database

_SCRIPTS = Path(__file__).parent / "migrations"


async def migrate(url: str) -> None:
    """Bring the database at ``url`` to the newest schema, making it when it is missing.

    Runs in one write transaction: of several processes that start at once one migrates, the others wait and find
    nothing to do. A database that is current is only read, so a server's role for daily use needs no right to change
    tables.

    Raises:
        ConfigError: the URL cannot be used, or the database was written by a newer version.
        StorageUnavailable: the database is locked, damaged or cannot be reached.
    """
    database = await Database.open_to_migrate(url)
    try:
        if not await is_current(database):
            async with database.write() as conn:
                await conn.run_sync(_upgrade)
    finally:
        await database.aclose()


async def is_current(database: Database) -> bool:
    """Say whether the database has the schema of this version."""
    async with database.read() as conn:
        found = await conn.run_sync(lambda sync: MigrationContext.configure(sync).get_current_heads())
    return set(found) == set(ScriptDirectory.from_config(config()).get_heads())


def config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration for our migrations, over ``connection`` when one is given."""
    made = Config()
    made.set_main_option("script_location", str(_SCRIPTS))
    made.attributes["connection"] = connection
    return made


def _upgrade(connection: Connection) -> None:
    try:
        command.upgrade(config(connection), "head")
    except CommandError as error:
        message = "was written by a newer version of Portico; start that version, or restore a backup"
        raise ConfigError([Fault(path="database", message=message)]) from error
    # PostgreSQL checks foreign keys all the time; SQLite was told not to, so that tables can be rebuilt.
    if connection.dialect.name == "sqlite" and (
        broken := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    ):
        raise StorageUnavailable("The migration was rolled back.", detail=f"foreign keys: {broken[:3]}")
