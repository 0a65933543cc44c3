import asyncio
import signal
import subprocess
import sys

import pytest

from portico.audit.journal import Journal
from portico.audit.read import list_records
from portico.audit.shipper import Shipper
from portico.storage.audit import Filters

EVERYTHING = Filters()


@pytest.fixture
async def half_shipped(journal, directory, database, keyring, make_call):
    shipper = Shipper(directory, database, keyring)
    for number in range(10):
        journal.append(
            make_call(
                number,
                user=f"u-{number % 2}",
                client=f"c-{number % 3}",
                tool=f"t-{number % 5}",
                outcome="denied" if number == 7 else "ok",
            )
        )
        if number == 4:
            await shipper.ship()
    return shipper


async def test_shipped_and_unshipped_calls_are_one_list_newest_first(half_shipped, database, directory):
    found = await list_records(database, EVERYTHING, limit=100, directory=directory)
    assert [entry.record.request_id for entry in found] == [f"r-{n}" for n in reversed(range(10))]
    assert [entry.sequence for entry in found] == list(reversed(range(1, 11)))
    without = await list_records(database, EVERYTHING, limit=100)
    assert [entry.sequence for entry in without] == [5, 4, 3, 2, 1]


async def test_the_limit_takes_the_newest_of_both(half_shipped, database, directory):
    found = await list_records(database, EVERYTHING, limit=7, directory=directory)
    assert [entry.sequence for entry in found] == [10, 9, 8, 7, 6, 5, 4]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(user="u-1"), [9, 7, 5, 3, 1]),
        (Filters(client="c-0"), [9, 6, 3, 0]),
        (Filters(tool="t-2"), [7, 2]),
        (Filters(outcome="denied"), [7]),
        (Filters(gateway="tools-abcdefghij", target="calculator", user="u-0", tool="t-0"), [0]),
        (Filters(gateway="other"), []),
        (Filters(since=1_800_000_003.0, until=1_800_000_006.0), [5, 4, 3]),
    ],
)
async def test_filters_hold_in_the_database_and_in_the_journal(half_shipped, database, directory, filters, expected):
    found = await list_records(database, filters, limit=100, directory=directory)
    assert [int(entry.record.request_id[2:]) for entry in found] == expected


async def test_a_call_is_listed_once_while_it_is_being_shipped(half_shipped, database, directory):
    async def ship():
        while await half_shipped.ship():
            pass

    found, _ = await asyncio.gather(list_records(database, EVERYTHING, limit=100, directory=directory), ship())
    assert len(found) == 10


async def test_torn_lines_are_no_calls(half_shipped, journal, database, directory, keyring):
    journal.close()
    with next(directory.glob("*.jsonl")).open("ab") as file:
        file.write(b'{"seq":11')
    assert len(await list_records(database, EVERYTHING, limit=100, directory=directory)) == 10
    reopened = Journal(directory, writer="replica")
    assert len(await list_records(database, EVERYTHING, limit=100, directory=directory)) == 10
    await Shipper(directory, database, keyring).close()
    assert len(await list_records(database, EVERYTHING, limit=100, directory=directory)) == 10
    reopened.close()


async def test_a_directory_without_a_journal_adds_nothing(half_shipped, database, tmp_path):
    assert len(await list_records(database, EVERYTHING, limit=100, directory=tmp_path / "none")) == 5


SERVER = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from conftest import call
from portico.audit.journal import Journal
from portico.audit.shipper import Shipper
from portico.crypto.keyring import Keyring
from portico.storage.engine import Database

async def main():
    journal = Journal(Path(sys.argv[1]), writer="child", segment_bytes=50_000)
    shipper = Shipper(Path(sys.argv[1]), await Database.open(sys.argv[2]), Keyring({"k1": bytes(range(32))}))
    async def ship():
        while True:
            await shipper.ship()
            await asyncio.sleep(0.01)
    task = asyncio.create_task(ship())
    number = 0
    while True:
        for _ in range(20):
            number += 1
            journal.append(call(number))
        print(number, flush=True)
        await asyncio.sleep(0.001)

asyncio.run(main())
"""


async def test_after_kill_9_under_load_no_recorded_call_is_missing(database, directory, url):
    paths = [entry for entry in sys.path if entry.endswith(("/src", "tests/audit"))]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(directory), url, *paths, stdout=subprocess.PIPE
    )
    lines = [await child.stdout.readline() for _ in range(200)]
    child.send_signal(signal.SIGKILL)
    lines += (await child.stdout.read()).split()
    await child.wait()
    answered = int(lines[-1])
    found = await list_records(database, EVERYTHING, limit=1_000_000, directory=directory)
    numbers = {int(entry.record.request_id[2:]) for entry in found}
    assert numbers >= set(range(1, answered + 1))
    assert len(found) == len(numbers)
