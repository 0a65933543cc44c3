"""Changes while the gateway runs: nothing is dropped, nothing stays behind."""

import asyncio

import pytest
from sqlalchemy import text

from gateway.house import until
from portico.model.errors import StorageUnavailable
from portico.storage import gateways
from targets.servers import modern_server

CALL = ("tools/call", {"name": "one___echo", "arguments": {}})


async def test_reload_under_load_drops_no_call(house):
    async with modern_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        statuses = []

        async def client():
            while len(statuses) < 400:
                heard = await house.modern(url, *CALL)
                statuses.append((heard.status, heard.result.get("isError")))

        async def administrator():
            for number in range(40):
                await house.change_gateway(extension={"pageSize": number + 1})
                await house.remove_target("other") if number % 2 else await house.add_target(
                    server.url, name="other", eras=()
                )

        await asyncio.gather(administrator(), *(client() for _ in range(8)))
        assert set(statuses) == {(200, False)}
        assert len(house.records()) == len(statuses)


async def test_a_replaced_target_is_closed_when_its_last_call_has_ended(house):
    async with modern_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        old = house.snapshots.get("shop").targets["one"]
        call = asyncio.create_task(house.modern(url, "tools/call", {"name": "one___wait"}))
        await until(lambda: server.running)
        await house.remove_target()
        assert (await house.modern(url, *CALL)).error["code"] == -32602
        assert house.snapshots._holders[old] == 1
        server.proceed.set()
        assert (await call).result["isError"] is False
        await until(lambda: old not in house.snapshots._holders)
        await until(lambda: not house.snapshots._closing)


async def test_a_target_that_did_not_change_is_carried_over(house):
    url = await house.add_gateway()
    await house.add_target("http://127.0.0.1:1/mcp", eras=())
    before = house.snapshots.get("shop")
    await house.change_gateway(extension={"pageSize": 7})
    after = house.snapshots.get("shop")
    assert after is not before
    assert after.targets["one"] is before.targets["one"]
    assert url


async def test_a_deleted_gateway_is_gone(house):
    url = await house.add_gateway()
    async with house.database.write() as conn:
        await gateways.delete(conn, "shop")
    await house.snapshots.reload(["shop"])
    assert (await house.modern(url, "tools/list")).status == 404
    assert house.snapshots.get("shop") is None


async def test_everything_is_loaded_at_the_start(house):
    first, second = await house.add_gateway(), await house.add_gateway("second")
    await house.snapshots.aclose()
    assert (await house.modern(first, "tools/list")).status == 404
    await house.snapshots.load_all()
    for url in (first, second):
        assert (await house.modern(url, "tools/list")).status == 200


async def test_a_gateway_that_cannot_be_read_stays_as_it_was_and_hurts_no_other(house):
    first, second = await house.add_gateway(), await house.add_gateway("second")
    async with house.database.write() as conn:
        await conn.execute(text("UPDATE gateways SET document = '{}' WHERE id = 'shop'"))
        await conn.execute(text("UPDATE gateways SET revision = 9 WHERE id = 'second'"))
    await house.snapshots.load_all()
    assert (await house.modern(first, "tools/list")).status == 200
    assert (await house.modern(second, "tools/list")).status == 200
    assert house.snapshots.get("second").snapshot.gateway.revision == 9


async def test_what_is_served_goes_on_without_a_database(house):
    async with modern_server() as server:
        url = await house.add_gateway(jwt_rules={})
        await house.add_target(server.url)
        token = house.token(url)
        await house.database.aclose()
        for _ in range(3):
            assert (await house.modern(url, *CALL, token=token)).status == 200
        fresh = house.token(url, sub="bob")
        assert (await house.modern(url, *CALL, token=fresh)).status == 200


async def test_a_reload_without_a_database_fails_and_changes_nothing(house, tmp_path):
    url = await house.add_gateway()
    (tmp_path / "portico.db").rename(tmp_path / "away.db")
    await house.database.aclose()
    (tmp_path / "portico.db").mkdir()
    with pytest.raises(StorageUnavailable):
        await house.snapshots.load_all()
    assert (await house.modern(url, "tools/list")).status == 200
