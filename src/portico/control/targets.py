"""Use cases on targets."""

import os
from collections.abc import Mapping
from dataclasses import replace as changed
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from portico.control.secrets import Random, new_target_id
from portico.model.errors import Conflict, NotFound
from portico.storage import counters, jobs, targets
from portico.storage.engine import Database
from portico.storage.targets import TargetRow

SYNC_JOB: Final = "sync"  #: kind of the jobs that read a target's tools; their key is the target's id


async def synchronize(database: Database, *, target_id: str, now: float) -> None:
    """Ask for a target's tools to be read anew.

    Raises:
        NotFound: there is no such target.
    """
    async with database.write() as conn:
        row = await targets.get(conn, target_id)
        if row is None:
            raise NotFound(f"There is no target {target_id!r}.")
        await targets.set_status(conn, target_id, "SYNCHRONIZING", ())
        await jobs.put(conn, SYNC_JOB, target_id, now)


async def synchronize_all(database: Database, *, now: float) -> None:
    """Ask for the tools of every target to be read anew, as a process does when it starts."""
    async with database.write() as conn:
        for row in await targets.list_all(conn):
            await jobs.put(conn, SYNC_JOB, row.id, now)


# Steps that run in the caller's transaction. Documents were checked by :mod:`portico.control.documents`.


async def put(
    conn: AsyncConnection,
    *,
    gateway_id: str,
    document: Mapping[str, Any],
    extension: Mapping[str, Any],
    managed_by: str,
    now: int,
    random: Random = os.urandom,
) -> TargetRow:
    """Make the target of the document's name or replace it as a whole; unchanged documents change nothing.

    A new or changed target leaves a job that reads its tools; until that is done the last good ones stay.

    Raises:
        Conflict: a target of that name is managed by somebody else.
    """
    name: str = document["name"]
    stored = await targets.by_name(conn, gateway_id, name)
    if stored is None:
        row = TargetRow(
            id=new_target_id(random),
            gateway_id=gateway_id,
            name=name,
            document=dict(document),
            extension=dict(extension),
            status="CREATING",
            managed_by=managed_by,
            created_at=now,
            updated_at=now,
        )
        await targets.add(conn, row)
    elif stored.managed_by != managed_by:
        raise Conflict(f"A target named {name!r} exists and is managed by {stored.managed_by or 'the API'}.")
    elif (stored.document, stored.extension) == (dict(document), dict(extension)):
        return stored
    else:
        row = changed(stored, document=dict(document), extension=dict(extension), status="UPDATING", updated_at=now)
        row = await targets.replace(conn, row, expected_revision=stored.revision)
    await jobs.put(conn, SYNC_JOB, row.id, now)
    await counters.bump(conn, f"gateway/{gateway_id}")
    return row


async def remove(conn: AsyncConnection, row: TargetRow) -> None:
    """Delete a target; a job that is left finds nothing to do."""
    await targets.delete(conn, row.id)
    await counters.bump(conn, f"gateway/{row.gateway_id}")
