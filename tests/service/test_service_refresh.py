import asyncio

import pytest

from portico.model.errors import StorageUnavailable
from portico.service.refresh import Refresher
from portico.storage import counters
from portico.storage.engine import Database


@pytest.fixture
async def database(sqlite_url):
    opened = await Database.open(sqlite_url)
    yield opened
    await opened.aclose()


class Reloads:
    def __init__(self):
        self.calls = []
        self.error = None

    def of(self, kind):
        async def reload(scopes):
            if self.error is not None:
                raise self.error
            self.calls.append((kind, set(scopes)))

        return reload


@pytest.fixture
def reloads():
    return Reloads()


@pytest.fixture
def refresher(database, reloads):
    return Refresher(database, {kind: reloads.of(kind) for kind in ("gateway", "issuer", "revocations")})


async def bump(database, *scopes):
    async with database.write() as conn:
        for scope in scopes:
            await counters.bump(conn, scope)


async def test_only_what_changed_since_the_start_is_reloaded_and_only_once(database, refresher, reloads):
    await bump(database, "gateway/old")
    await refresher.start()
    await refresher.poll()
    assert reloads.calls == []
    await bump(database, "gateway/a", "gateway/b", "issuer/main", "revocations", "unknown/x")
    await refresher.poll()
    await refresher.poll()
    assert sorted(reloads.calls) == [("gateway", {"a", "b"}), ("issuer", {"main"}), ("revocations", {""})]


async def test_what_could_not_be_reloaded_for_lack_of_storage_is_tried_again(database, refresher, reloads):
    await refresher.start()
    await bump(database, "gateway/a")
    reloads.error = StorageUnavailable("away")
    await refresher.poll()
    assert refresher.down_seconds is not None
    reloads.error = None
    await refresher.poll()
    assert refresher.down_seconds is None
    assert reloads.calls == [("gateway", {"a"})]


async def test_a_bug_in_one_reload_does_not_stop_the_others_nor_repeat_for_ever(database, refresher, reloads):
    await refresher.start()
    await bump(database, "gateway/a")
    reloads.error = ValueError("a bug")
    await refresher.poll()
    reloads.error = None
    await bump(database, "issuer/main")
    await refresher.poll()
    assert reloads.calls == [("issuer", {"main"})]


async def test_running_it_polls_when_woken(database, refresher, reloads):
    await refresher.start()
    task = asyncio.create_task(refresher.run())
    await bump(database, "gateway/a")
    refresher.wake()
    async with asyncio.timeout(30):
        while not reloads.calls:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait({task})


async def test_a_revocation_does_not_wait_for_a_gateway_that_takes_long(database):
    proceed, started, loaded = asyncio.Event(), asyncio.Event(), []

    async def gateways(scopes):
        started.set()
        await proceed.wait()
        loaded.append(set(scopes))

    async def revocations(_scopes):
        loaded.append("revocations")

    refresher = Refresher(database, {"gateway": gateways, "revocations": revocations}, slow={"gateway"})
    await refresher.start()
    running = asyncio.create_task(refresher.run())
    try:
        async with asyncio.timeout(30):
            await bump(database, "gateway/a")
            refresher.wake()
            await started.wait()
            await bump(database, "gateway/a", "gateway/b", "revocations")
            refresher.wake()
            while loaded != ["revocations"]:
                await asyncio.sleep(0.01)
            proceed.set()
            while loaded != ["revocations", {"a"}, {"a", "b"}]:  # what changed meanwhile comes after it, once
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.wait({running})
