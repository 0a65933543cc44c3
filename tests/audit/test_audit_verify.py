import json

import pytest
from sqlalchemy import delete, text, update

from portico.audit.record import digest
from portico.audit.segments import list_segments
from portico.audit.shipper import Shipper
from portico.audit.verify import verify
from portico.crypto.keyring import Keyring
from portico.model.errors import StorageUnavailable
from portico.storage import audit
from portico.storage.schema import audit_heads, audit_records

SHIPPED = 20
UNSHIPPED = 5


@pytest.fixture
async def shipped(journal, directory, database, keyring, make_call):
    """A chain of 25 lines: 10 signed, 20 in the database and signed, 5 in the journal only."""
    shipper = Shipper(directory, database, keyring)
    for number in range(1, SHIPPED + 1):
        journal.append(make_call(number))
        if number in {10, SHIPPED}:
            while await shipper.ship():
                pass
            await shipper.sign()
    for number in range(UNSHIPPED):
        journal.append(make_call(number))
    return journal.writer


@pytest.fixture
def faults(database, keyring, directory):
    async def find(*, with_journal=True, ring=keyring):
        report = await verify(database, ring, directory=directory if with_journal else None)
        return [(fault.kind, fault.sequence) for writer in report.writers for fault in writer.faults]

    return find


async def change(database, statement):
    async with database.write() as conn:
        await conn.execute(statement)


async def row(database, writer, sequence):
    async with database.read() as conn:
        return (await audit.chain_after(conn, writer, sequence - 1, limit=1))[0]


def record(sequence):
    return audit_records.c.sequence == sequence


async def test_an_untouched_chain_is_intact(shipped, database, keyring, directory):
    report = await verify(database, keyring, directory=directory)
    assert report.intact
    [writer] = report.writers
    assert (writer.lines, writer.last, writer.signed, writer.torn) == (25, 25, 20, 0)
    assert (await verify(database, keyring)).writers[0].lines == 20


async def test_nothing_at_all_is_intact(database, keyring, tmp_path):
    assert (await verify(database, keyring, directory=tmp_path)).writers == ()


async def test_a_record_taken_out_is_a_gap(shipped, database, faults):
    await change(database, delete(audit_records).where(record(7)))
    assert await faults() == [("gap", 7)]


async def test_the_first_records_taken_out_are_a_gap(shipped, database, faults):
    await change(database, delete(audit_records).where(audit_records.c.sequence <= 3))
    assert await faults() == [("gap", 1)]


async def test_a_changed_record_is_an_edit(shipped, database, faults):
    line = (await row(database, shipped, 7)).line.replace("u-ada", "u-eve")
    await change(database, update(audit_records).where(record(7)).values(line=line))
    assert ("edit", 7) in await faults(with_journal=False)


async def test_a_changed_record_with_its_hash_mended_is_an_edit(shipped, database, faults):
    line = (await row(database, shipped, 7)).line.replace("add_numbers", "multiply")
    values = {"line": line, "hash": digest(line.encode()), "tool": "multiply"}
    await change(database, update(audit_records).where(record(7)).values(values))
    assert await faults(with_journal=False) == [("edit", 7)]


async def rechain(database, writer, first):
    """What a patient forger does: every line from ``first`` on is written again, with links and hashes that fit."""
    previous = None
    for sequence in range(first, SHIPPED + 1):
        document = json.loads((await row(database, writer, sequence)).line)
        if previous is None:
            document["user"] = "u-eve"
        else:
            document["prev"] = previous
        line = json.dumps(document, separators=(",", ":"))
        previous = digest(line.encode())
        values = {"line": line, "hash": previous, "user": document["user"]}
        await change(database, update(audit_records).where(record(sequence)).values(values))


async def test_a_chain_forged_from_a_line_on_does_not_fit_its_signed_heads(shipped, database, faults):
    await rechain(database, shipped, 15)
    assert await faults(with_journal=False) == [("edit", 20)]
    assert ("edit", 15) in await faults()


async def test_a_forger_without_the_keyring_cannot_sign_again(shipped, database, faults):
    await rechain(database, shipped, 15)
    forged = (await row(database, shipped, 20)).hash
    statement = update(audit_heads).where(audit_heads.c.sequence == 20).values(hash=forged)
    await change(database, statement)
    assert ("signature", 20) in await faults(with_journal=False)


@pytest.mark.parametrize("column", ["signed_at", "closed", "sequence", "signature", "hash", "writer"])
async def test_every_word_of_a_head_is_signed(shipped, database, faults, column):
    other = {"signed_at": 5, "closed": True, "sequence": 19, "signature": "v1.k1.AAAA", "hash": "0", "writer": "w"}
    statement = update(audit_heads).where(audit_heads.c.sequence == 20).values({column: other[column]})
    await change(database, statement)
    assert "signature" in {kind for kind, _ in await faults(with_journal=False)}


async def test_a_head_of_another_keyring_is_not_genuine(shipped, faults):
    assert {kind for kind, _ in await faults(ring=Keyring({"k1": bytes(range(1, 33))}))} == {"signature"}


async def test_a_cut_tail_is_noticed_by_its_signed_head(shipped, database, faults):
    await change(database, delete(audit_records).where(audit_records.c.sequence > 15))
    assert await faults(with_journal=False) == [("cut", 16)]


async def test_a_cut_tail_is_noticed_even_when_nothing_is_left(shipped, database, faults):
    await change(database, delete(audit_records))
    assert await faults(with_journal=False) == [("cut", 1)]


async def test_a_tail_cut_together_with_its_heads_is_a_gap_before_the_journal(
    journal, directory, database, shipped, faults
):
    journal.close()
    await change(database, delete(audit_records).where(audit_records.c.sequence > 15))
    await change(database, delete(audit_heads).where(audit_heads.c.sequence > 15))
    path = list_segments(directory)[0].path
    kept = path.read_bytes().splitlines(keepends=True)[18:]  # as if the shipped segments were deleted
    path.unlink()
    (directory / f"{19:020d}.jsonl").write_bytes(b"".join(kept))
    assert await faults() == [("gap", 16)]


async def test_a_column_that_says_something_else_than_its_record_is_an_edit(shipped, database, faults):
    await change(database, update(audit_records).where(record(7)).values(user="u-eve"))
    assert await faults() == [("edit", 7)]


async def test_a_time_that_says_something_else_than_its_record_is_an_edit(shipped, database, faults):
    await change(database, update(audit_records).where(record(7)).values(time=5.0))
    assert await faults() == [("edit", 7)]


async def test_swapped_records_are_edits(shipped, database, faults):
    seven, eight = (await row(database, shipped, 7)), (await row(database, shipped, 8))
    for sequence, other in ((7, eight), (8, seven)):
        values = {"line": other.line, "hash": other.hash}
        await change(database, update(audit_records).where(record(sequence)).values(values))
    assert {("edit", 7), ("edit", 8)} <= set(await faults())


async def test_garbage_in_a_record_is_an_edit(shipped, database, faults):
    await change(database, update(audit_records).where(record(7)).values(line='{"seq":7'))
    assert ("edit", 7) in await faults()


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)  # PostgreSQL's columns have types
async def test_a_row_of_another_type_is_refused_loudly(shipped, database, faults):
    await change(database, update(audit_records).where(record(7)).values(line=b"bytes"))
    with pytest.raises(StorageUnavailable) as caught:
        await faults()
    assert "did not write" in caught.value.public


async def test_a_number_that_no_journal_gives_is_found(shipped, database, faults):
    await change(database, update(audit_records).where(record(20)).values(sequence=-5))
    assert ("edit", -5) in await faults()


async def test_one_writer_chain_cannot_be_passed_off_as_another(shipped, database, faults):
    await change(database, update(audit_records).values(writer="someone"))
    kinds = await faults(with_journal=False)
    assert ("edit", 0) in kinds
    assert ("cut", 1) in kinds


def edit_journal(directory, number, change):
    path = list_segments(directory)[0].path
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1 : number] = change(lines[number - 1])
    path.write_bytes(b"".join(lines))


async def test_an_unshipped_line_that_was_changed_is_an_edit(shipped, directory, faults):
    edit_journal(directory, 22, lambda line: [line.replace(b"u-ada", b"u-eve")])
    assert await faults() == [("edit", 22)]


async def test_an_unshipped_line_that_was_taken_out_is_a_gap(shipped, directory, faults):
    edit_journal(directory, 22, lambda line: [])
    assert await faults() == [("gap", 22)]


async def test_an_unshipped_line_that_was_made_unreadable_is_found(shipped, directory, faults):
    edit_journal(directory, 22, lambda line: [b"x" * 20 + b"\n"])
    assert ("edit", 22) in await faults()


async def test_a_line_put_in_is_found(shipped, directory, faults):
    edit_journal(directory, 22, lambda line: [line, line])
    assert await faults() != []


async def test_a_shipped_line_that_was_changed_in_the_journal_is_found(shipped, directory, faults):
    edit_journal(directory, 7, lambda line: [line.replace(b"u-ada", b"u-eve")])
    assert await faults() == [("edit", 7)]


async def test_faults_are_bounded(shipped, database, faults):
    async with database.write() as conn:
        await conn.execute(text("UPDATE audit_records SET hash = 'x'"))
    assert 0 < len(await faults()) <= 100
