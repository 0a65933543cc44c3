import asyncio

import pytest

from portico.audit import shipper as module
from portico.audit.journal import Journal
from portico.audit.recent import Recent
from portico.audit.segments import list_segments
from portico.audit.shipper import BATCH_LINES, Shipper
from portico.audit.verify import verify
from portico.crypto.keyring import Keyring
from portico.model.errors import Conflict, StorageUnavailable
from portico.storage import audit
from portico.storage.engine import Database
from support.outage import writes_locked

BOUND = 30.0  # seconds


@pytest.fixture
def from_disk(journal, directory, database, keyring, clock):
    return Shipper(directory, database, keyring, clock=clock)


@pytest.fixture(params=["memory", "disk"])
def shipper(request, from_disk, journal, directory, database, keyring, clock):
    if request.param == "disk":
        return from_disk
    return Shipper(directory, database, keyring, recent=journal.recent, clock=clock)


async def stored(database, writer):
    rows = []
    async with database.read() as conn:
        while page := await audit.chain_after(conn, writer, rows[-1].sequence if rows else 0, limit=1000):
            rows += page
    return rows


async def ship_all(shipper):
    while await shipper.ship():
        pass


async def test_lines_arrive_byte_for_byte_with_their_hash_and_columns(shipper, journal, database, directory, make_call):
    journal.append(make_call(1, user="ada", client="c", tool="add", target="t", gateway="g", outcome="denied"))
    await ship_all(shipper)
    [row] = await stored(database, journal.writer)
    text = list_segments(directory)[0].path.read_text()
    assert row.line + "\n" == text
    assert (row.user, row.client, row.tool, row.target, row.gateway, row.outcome) == (
        ("ada", "c", "add", "t", "g", "denied")
    )


async def test_batches_are_bounded_and_everything_arrives(shipper, journal, database, keyring, directory, make_call):
    for number in range(BATCH_LINES * 2 + 10):
        journal.append(make_call(number))
    assert [await shipper.ship() for _ in range(4)] == [BATCH_LINES, BATCH_LINES, 10, 0]
    assert len(await stored(database, journal.writer)) == journal.sequence
    assert (await verify(database, keyring, directory=directory)).intact


async def test_lines_that_come_during_shipping_are_not_missed(shipper, journal, database, keyring, make_call):
    async def produce():
        for number in range(3000):
            journal.append(make_call(number))
            if number % 50 == 0:
                await asyncio.sleep(0)

    task = asyncio.create_task(produce())
    while not task.done():
        await shipper.ship()
    await ship_all(shipper)
    assert len(await stored(database, journal.writer)) == 3000
    assert (await verify(database, keyring)).intact


async def test_shipped_segments_are_deleted_and_the_newest_stays(directory, database, keyring, clock, make_call):
    journal = Journal(directory, writer="replica", segment_bytes=2000)
    shipper = Shipper(directory, database, keyring, clock=clock)
    for number in range(30):
        journal.append(make_call(number))
    before = list_segments(directory)
    await ship_all(shipper)
    assert list_segments(directory) == before[-1:]
    journal.close()
    journal = Journal(directory, writer="replica", segment_bytes=2000)
    journal.append(make_call())
    journal.close()
    again = Shipper(directory, database, keyring, clock=clock)
    await ship_all(again)
    assert len(await stored(database, journal.writer)) == 31
    assert (await verify(database, keyring, directory=directory)).intact


async def test_a_restarted_shipper_goes_on_where_the_database_stands(
    shipper, journal, directory, database, keyring, clock, make_call
):
    for number in range(10):
        journal.append(make_call(number))
    await ship_all(shipper)
    journal.append(make_call(10))
    again = Shipper(directory, database, keyring, clock=clock)
    await ship_all(again)
    assert len(await stored(database, journal.writer)) == 11


@pytest.mark.usefixtures("gives_up_on_locks")
async def test_with_the_database_away_nothing_is_lost_and_all_arrives_when_it_is_back(
    shipper, journal, database, keyring, url, make_call, monkeypatch
):
    monkeypatch.setattr(module, "INTERVAL", 0.02)
    journal.append(make_call(1))
    await ship_all(shipper)
    async with writes_locked(url):
        journal.append(make_call(2))
        with pytest.raises(StorageUnavailable):
            await shipper.ship()
        running = asyncio.create_task(shipper.run())
        journal.append(make_call(3))
    async with asyncio.timeout(20):
        while len(await stored(database, journal.writer)) < 3:
            await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await verify(database, keyring)).intact


async def test_a_journal_that_cannot_be_read_is_tried_again(
    from_disk, journal, directory, database, make_call, monkeypatch
):
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    journal.append(make_call())
    path = list_segments(directory)[0].path
    path.rename(path.with_suffix(".away"))
    path.mkdir()  # opening it fails, for root too
    running = asyncio.create_task(from_disk.run())
    await asyncio.sleep(0.1)
    assert not running.done()
    path.rmdir()
    path.with_suffix(".away").rename(path)
    async with asyncio.timeout(10):
        while not await stored(database, journal.writer):
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_batch_whose_acknowledgement_was_lost_is_not_copied_twice(shipper, journal, database, make_call):
    for number in range(100):
        journal.append(make_call(number))
    task = asyncio.create_task(shipper.ship())
    while not await stored(database, journal.writer):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await ship_all(shipper)
    assert [row.sequence for row in await stored(database, journal.writer)] == list(range(1, 101))


async def test_cancelling_at_any_moment_loses_and_doubles_nothing(
    shipper, journal, database, keyring, directory, make_call
):
    for number in range(40):
        for _ in range(20):
            journal.append(make_call(number))
        task = asyncio.create_task(shipper.ship())
        for _ in range(number):
            await asyncio.sleep(0.0005)  # a different moment each time
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await ship_all(shipper)
    assert len(await stored(database, journal.writer)) == journal.sequence
    assert (await verify(database, keyring, directory=directory)).intact


async def test_the_head_is_signed_every_minute_while_something_comes(shipper, journal, database, make_call, clock):
    async def heads():
        async with database.read() as conn:
            return [(head.sequence, head.closed) for head in await audit.heads(conn)]

    await shipper.sign()
    assert await heads() == []
    journal.append(make_call())
    await ship_all(shipper)
    await shipper.sign()
    await shipper.sign()
    assert await heads() == [(1, False)]
    journal.append(make_call())
    await ship_all(shipper)
    await shipper.sign()
    assert await heads() == [(1, False), (2, False)]


async def test_running_signs_by_the_clock(shipper, journal, database, make_call, clock, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    journal.append(make_call())
    running = asyncio.create_task(shipper.run())
    async with asyncio.timeout(10):
        while not await stored(database, journal.writer):
            await asyncio.sleep(0.01)
        async with database.read() as conn:
            assert await audit.heads(conn) == []
        clock.now += module.HEAD_INTERVAL
        head = None
        while head is None:
            await asyncio.sleep(0.01)
            async with database.read() as conn:
                head = await audit.last_head(conn, journal.writer)
    running.cancel()
    assert (head.sequence, head.signed_at) == (1, int(clock.now))


async def test_closing_ships_what_is_left_and_signs_it_as_closed(
    shipper, journal, database, directory, keyring, make_call
):
    for number in range(5):
        journal.append(make_call(number))
    await shipper.close()
    async with database.read() as conn:
        head = await audit.last_head(conn, journal.writer)
    assert (head.sequence, head.closed) == (5, True)
    [report] = (await verify(database, keyring, directory=directory)).writers
    assert (report.lines, report.signed, report.faults) == (5, 5, ())


@pytest.mark.usefixtures("gives_up_on_locks")
async def test_closing_without_a_database_gives_up_in_time(shipper, journal, database, url, make_call, monkeypatch):
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.5)
    journal.append(make_call())
    async with writes_locked(url), asyncio.timeout(BOUND):
        await shipper.close()
    assert await stored(database, journal.writer) == []


async def test_a_directory_restored_from_an_old_copy_is_noticed(
    shipper, journal, directory, database, keyring, make_call
):
    for number in range(3):
        journal.append(make_call(number))
    path = list_segments(directory)[0].path
    old = path.read_bytes()
    journal.append(make_call(4))
    await ship_all(shipper)
    path.write_bytes(old)
    with pytest.raises(Conflict) as caught:
        await Shipper(directory, database, keyring).ship()
    assert "move it aside" in caught.value.detail
    assert not (await verify(database, keyring, directory=directory)).intact


async def test_a_damaged_line_does_not_stop_the_others(from_disk, journal, directory, database, keyring, make_call):
    for number in range(3):
        journal.append(make_call(number))
    path = list_segments(directory)[0].path
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"!" * (len(second) - 1) + b"\n" + third)
    await ship_all(from_disk)
    assert [row.sequence for row in await stored(database, journal.writer)] == [1, 3]
    [report] = (await verify(database, keyring)).writers
    assert [fault.kind for fault in report.faults] == ["gap"]


async def test_two_writers_share_a_database(tmp_path, database, keyring, make_call):
    for name in ("one", "two"):
        journal = Journal(tmp_path / name, writer=name)
        journal.append(make_call())
        await Shipper(tmp_path / name, database, keyring).close()
        journal.close()
    report = await verify(database, keyring)
    assert [writer.writer[:3] for writer in report.writers] == ["one", "two"]
    assert report.intact


async def test_a_rotated_keyring_still_verifies_old_heads(shipper, journal, directory, database, keyring, make_call):
    journal.append(make_call())
    await shipper.close()
    old = bytes(range(32))
    assert (await verify(database, Keyring({"k2": old[::-1], "k1": old}))).intact
    assert not (await verify(database, Keyring({"k2": old[::-1]}))).intact


async def test_shipping_goes_on_in_a_new_process_after_the_database_was_opened_anew(
    shipper, journal, directory, database, keyring, url, make_call
):
    journal.append(make_call())
    await ship_all(shipper)
    other = await Database.open(url)
    journal.append(make_call())
    await ship_all(Shipper(directory, other, keyring))
    await other.aclose()
    assert len(await stored(database, journal.writer)) == 2


async def test_what_a_caller_chose_as_a_name_cannot_stop_the_shipping(
    shipper, journal, database, directory, keyring, make_call
):
    journal.append(make_call(1, tool="a\0b", user="u\0" * 400, target="t" * 256))
    journal.append(make_call(2))
    await ship_all(shipper)
    odd, _ = await stored(database, journal.writer)
    assert (odd.tool, len(odd.target)) == ("a\N{REPLACEMENT CHARACTER}b", 100)
    assert (await verify(database, keyring, directory=directory)).intact


def test_the_columns_take_what_is_searched_for():
    from portico.audit.record import SEARCHED
    from portico.storage.schema import audit_records

    widths = {name: audit_records.c[name].type.length for name in SEARCHED}
    assert widths == dict(SEARCHED)


async def test_what_is_too_much_to_remember_is_read_from_the_segments(directory, database, keyring, clock, make_call):
    journal = Journal(directory, writer="replica", segment_bytes=20_000, recent=Recent(max_bytes=10_000))
    shipper = Shipper(directory, database, keyring, recent=journal.recent, clock=clock)
    for number in range(200):
        journal.append(make_call(number))
    assert journal.recent.after(0, 1) is None
    await ship_all(shipper)
    assert journal.recent.after(journal.sequence, 1) == []  # from here on it is remembered again
    journal.append(make_call(200))
    await ship_all(shipper)
    assert len(await stored(database, journal.writer)) == 201
    assert (await verify(database, keyring, directory=directory)).intact
    journal.close()


async def test_what_is_remembered_arrives_although_its_segment_was_taken_away(
    journal, directory, database, keyring, clock, make_call
):
    shipper = Shipper(directory, database, keyring, recent=journal.recent, clock=clock)
    for number in range(3):
        journal.append(make_call(number))
    list_segments(directory)[0].path.unlink()
    await ship_all(shipper)
    assert [row.sequence for row in await stored(database, journal.writer)] == [1, 2, 3]


async def test_lines_of_a_former_process_come_before_what_is_remembered(directory, database, keyring, clock, make_call):
    for _ in range(2):
        journal = Journal(directory, writer="replica")
        for number in range(3):
            journal.append(make_call(number))
        journal.close()
    shipper = Shipper(directory, database, keyring, recent=journal.recent, clock=clock)
    assert [await shipper.ship() for _ in range(2)] == [6, 0]
    assert [row.sequence for row in await stored(database, journal.writer)] == [1, 2, 3, 4, 5, 6]
