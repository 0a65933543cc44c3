"""Tags of resources, by ARN."""

from collections.abc import Iterable, Mapping

from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from portico.storage.rows import upsert
from portico.storage.schema import DEFAULT_ACCOUNT, tags


async def put(conn: AsyncConnection, arn: str, values: Mapping[str, str], *, account: str = DEFAULT_ACCOUNT) -> None:
    """Add tags to a resource; one whose key is there gets the new value."""
    for key, value in values.items():
        row = {"account": account, "arn": arn, "key": key, "value": value}
        await conn.execute(upsert(conn, tags, row, key=("account", "arn", "key")))


async def get(conn: AsyncConnection, arn: str, *, account: str = DEFAULT_ACCOUNT) -> dict[str, str]:
    """Return the tags of a resource, by key."""
    statement = select(tags.c.key, tags.c.value).where(tags.c.account == account, tags.c.arn == arn)
    found = await conn.execute(statement.order_by(tags.c.key))
    return {record.key: record.value for record in found}


async def list_all(conn: AsyncConnection, *, account: str = DEFAULT_ACCOUNT) -> dict[str, dict[str, str]]:
    """Return the tags of all resources, by ARN and key."""
    statement = select(tags.c.arn, tags.c.key, tags.c.value).where(tags.c.account == account)
    everything: dict[str, dict[str, str]] = {}
    for record in await conn.execute(statement.order_by(tags.c.arn, tags.c.key)):
        everything.setdefault(record.arn, {})[record.key] = record.value
    return everything


async def remove(conn: AsyncConnection, arn: str, keys: Iterable[str], *, account: str = DEFAULT_ACCOUNT) -> None:
    """Take tags from a resource; a key that is not there is passed over."""
    mine = (tags.c.account == account) & (tags.c.arn == arn)
    await conn.execute(delete_from(tags).where(mine, tags.c.key.in_(list(keys))))


async def remove_all(conn: AsyncConnection, arn: str, *, account: str = DEFAULT_ACCOUNT) -> None:
    """Take every tag from a resource, as its deletion does."""
    await conn.execute(delete_from(tags).where(tags.c.account == account, tags.c.arn == arn))
