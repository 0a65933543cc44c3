"""kill -9 in the middle of creates, updates, deletes and synchronizations: nothing acknowledged is lost.

What was acknowledged is there; what was not is there whole, or not at all; each has its record in the audit trail, or
none; and what was begun is finished by its job. ``PORTICO_KILLS`` says how often (20; the soak kills more often).
"""

import asyncio
import os

import pytest

from control.scene import Scene
from portico.audit.verify import verify

KILLS = int(os.environ.get("PORTICO_KILLS", "20"))


@pytest.fixture
def scene(database, database_url, tmp_path):
    return Scene(database, database_url, tmp_path)


async def test_kills_at_any_moment_lose_nothing_that_was_acknowledged(scene):
    for number in range(KILLS):
        open_changes = await asyncio.to_thread(scene.kill_one, number)
        await scene.settle(open_changes)
        await scene.ask_again(open_changes)
    assert len(scene.requests) > KILLS
    report = await verify(scene.database, scene.keyring, directory=scene.directory / "audit")
    assert [fault for writer in report.writers for fault in writer.faults] == []
    await scene.finish()
    assert await scene.found() == scene.state
