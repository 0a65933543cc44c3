import json
import os
import signal
import subprocess
import sys

import pytest

from portico.audit.journal import Journal
from portico.audit.record import MAX_RECORD_BYTES, TornRecord, decode_record, digest, genesis
from portico.audit.segments import list_segments, read_lines
from portico.model.errors import ConfigError, JournalFull


def lines(directory):
    return [line.text for segment in list_segments(directory) for line in read_lines(segment.path)]


def assert_chained(directory, writer):
    previous = genesis(writer)
    for number, text in enumerate(lines(directory), 1):
        document = json.loads(text)
        assert (document["seq"], document["prev"]) == (number, previous)
        previous = digest(text)


def test_each_line_names_its_number_and_the_hash_of_the_line_before(journal, directory, make_call):
    for number in range(5):
        journal.append(make_call(number))
    assert_chained(directory, journal.writer)
    assert journal.sequence == 5
    assert journal.size == sum(len(text) + 1 for text in lines(directory))


def test_a_line_holds_the_record_and_nothing_else(journal, directory, make_call):
    journal.append(make_call(1, outcome="denied", code="insufficient_scope"))
    [text] = lines(directory)
    assert decode_record(text) == make_call(1, outcome="denied", code="insufficient_scope")
    fields = {"seq", "prev", "event", *make_call().__struct_fields__}
    assert set(json.loads(text)) == fields - {"reason"}  # which few calls have
    journal.append(make_call(2, outcome="failed", code="credential_unavailable", reason="why"))
    assert set(json.loads(lines(directory)[-1])) == fields


def test_files_are_ours_alone(journal, directory, make_call):
    journal.append(make_call())
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}


def test_reopening_continues_the_chain(directory, make_call):
    for round_ in range(3):
        journal = Journal(directory, writer="replica")
        assert journal.sequence == round_ * 2
        journal.append(make_call())
        journal.append(make_call())
        journal.close()
    assert_chained(directory, journal.writer)


def test_an_emptied_directory_begins_another_writer(directory, tmp_path):
    first = Journal(directory, writer="replica")
    second = Journal(tmp_path / "other", writer="replica")
    assert first.writer != second.writer
    assert first.writer.startswith("replica-")
    first.close()
    second.close()


def test_segments_rotate_by_size_and_the_chain_goes_through(directory, make_call):
    journal = Journal(directory, writer="replica", segment_bytes=1500)
    for number in range(10):
        journal.append(make_call(number))
    journal.close()
    journal = Journal(directory, writer="replica", segment_bytes=1500)
    journal.append(make_call())
    journal.close()
    segments = list_segments(directory)
    assert len(segments) >= 4
    assert all(segment.path.stat().st_size <= 1500 for segment in segments)
    assert_chained(directory, journal.writer)


def test_a_line_longer_than_a_segment_is_written_all_the_same(directory, make_call):
    journal = Journal(directory, writer="replica", segment_bytes=10)
    for _ in range(3):
        journal.append(make_call())
    journal.close()
    assert len(list_segments(directory)) == 3
    assert_chained(directory, journal.writer)


@pytest.mark.parametrize("piece", [b'{"seq":3,"prev":"', b"\0" * 5000, b"x", b"garbage\n", b"garbage\n\0\0\0"])
@pytest.mark.parametrize("whole", [0, 2, 300])
def test_a_torn_line_is_set_aside_and_recorded_and_the_chain_goes_on(directory, make_call, piece, whole):
    journal = Journal(directory, writer="replica")
    for number in range(whole):
        journal.append(make_call(number))
    journal.ensure_room()
    journal.close()
    path = list_segments(directory)[0].path if whole else directory / f"{1:020d}.jsonl"
    with path.open("ab") as file:
        file.write(piece)
    journal = Journal(directory, writer="replica", clock=lambda: 7.0)
    journal.append(make_call())
    journal.close()
    assert_chained(directory, journal.writer)
    torn = decode_record(lines(directory)[whole])
    assert torn == TornRecord(time=7.0, size=len(piece), sha256=digest(piece))
    [aside] = directory.glob("torn-*")
    assert aside.read_bytes() == piece
    assert journal.sequence == whole + 2


def test_a_segment_that_was_begun_and_never_written_to_is_no_trouble(directory, make_call):
    journal = Journal(directory, writer="replica", segment_bytes=10)
    journal.append(make_call())
    journal.close()
    (directory / f"{2:020d}.jsonl").touch()
    journal = Journal(directory, writer="replica", segment_bytes=10)
    journal.append(make_call())
    journal.close()
    assert_chained(directory, journal.writer)
    assert len(lines(directory)) == 2


APPENDER = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from portico.audit.journal import Journal
from conftest import call
journal = Journal(Path(sys.argv[1]), writer="child")
number = 0
while True:
    number += 1
    journal.append(call(number))
    print(number, flush=True)
"""


def start(script, *arguments):
    paths = [entry for entry in sys.path if entry.endswith(("/src", "tests/audit"))]
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments), *paths], stdout=subprocess.PIPE, text=True
    )


def test_what_was_appended_survives_kill_9(directory):
    child = start(APPENDER, directory)
    said = [child.stdout.readline() for _ in range(300)]
    child.send_signal(signal.SIGKILL)
    said += child.stdout.readlines()  # what it said between our last look and its death, perhaps nothing
    acknowledged = int([line for line in said if line.endswith("\n")][-1])
    child.wait(10)
    child.stdout.close()
    assert len(lines(directory)) >= acknowledged >= 300
    journal = Journal(directory, writer="child")
    journal.close()
    assert_chained(directory, journal.writer)


def test_a_second_process_is_told_who_holds_the_directory_and_gets_it_after_kill_9(directory):
    child = start(APPENDER, directory)
    child.stdout.readline()
    with pytest.raises(ConfigError) as caught:
        Journal(directory, writer="replica")
    assert "its own data directory" in str(caught.value)
    child.kill()
    child.wait(10)
    child.stdout.close()
    Journal(directory, writer="replica").close()


def test_a_directory_that_cannot_be_used_is_a_configuration_fault(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError):
        Journal(tmp_path / "file", writer="replica")


def fill(journal, record):
    while True:
        journal.ensure_room()
        journal.append(record)


def fill_regardless(journal, record):
    while True:
        journal.append(record)


def test_room_is_refused_before_the_limit_so_that_calls_under_way_can_be_recorded(directory, make_call, clock):
    journal = Journal(directory, writer="replica", max_bytes=20_000, clock=clock)
    with pytest.raises(JournalFull) as caught:
        fill(journal, make_call())
    assert "audit.journal_max" in caught.value.public
    assert caught.value.status == 503
    assert 20_000 - 2_000 < journal.size < 20_000 - 1_000
    journal.append(make_call())
    journal.append(make_call())
    journal.close()
    assert_chained(directory, journal.writer)


def test_the_limit_itself_is_never_passed(directory, make_call):
    journal = Journal(directory, writer="replica", max_bytes=5_000)
    with pytest.raises(JournalFull):
        fill_regardless(journal, make_call())
    assert sum(segment.path.stat().st_size for segment in list_segments(directory)) <= 5_000
    journal.close()
    Journal(directory, writer="replica", max_bytes=5_000).close()
    assert_chained(directory, journal.writer)


def test_room_comes_back_when_shipped_segments_are_deleted(directory, make_call, clock):
    journal = Journal(directory, writer="replica", max_bytes=20_000, segment_bytes=5_000, clock=clock)
    with pytest.raises(JournalFull):
        fill(journal, make_call())
    list_segments(directory)[0].path.unlink()
    with pytest.raises(JournalFull):
        journal.ensure_room()
    clock.now += 1.0
    journal.ensure_room()
    journal.append(make_call())
    journal.close()


FULL_DISK = """
import sys, resource
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from portico.audit.journal import Journal
from portico.model.errors import JournalFull
from conftest import call
now = [0.0]
journal = Journal(Path(sys.argv[1]), writer="child", clock=lambda: now[0])
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
try:
    while True:
        journal.ensure_room()
        journal.append(call())
except JournalFull as error:
    print("full", journal.sequence)
try:
    journal.ensure_room()
except JournalFull:
    print("refused at once")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
now[0] += 2.0
journal.ensure_room()
journal.append(call())
print("goes on", journal.sequence)
"""


def test_a_full_disk_leaves_no_half_line_and_the_journal_goes_on_afterwards(directory):
    child = start(FULL_DISK, directory)
    output, _ = child.communicate(timeout=20)
    full, refused, on = output.splitlines()
    assert refused == "refused at once"
    assert int(on.split()[-1]) == int(full.split()[-1]) + 1
    text = b"".join(segment.path.read_bytes() for segment in list_segments(directory))
    assert text.endswith(b"\n")
    assert len(lines(directory)) == int(on.split()[-1])
    assert_chained(directory, (directory / "writer").read_text())


def test_long_and_broken_texts_are_cut_and_never_refused(journal, directory, make_call):
    journal.append(make_call(tool="x" * 100_000, method="y" * 100_000))
    journal.append(make_call(tool="\ud800 lone", user="new\nline"))
    first, second = (decode_record(text) for text in lines(directory))
    assert len(lines(directory)[0]) < MAX_RECORD_BYTES
    assert first.tool == "x" * 512
    assert (second.tool, second.user) == ("? lone", "new\nline")
    assert_chained(directory, journal.writer)


def test_an_append_is_one_write_and_asks_nothing_of_the_disk(journal, directory, make_call, monkeypatch):
    asked = []
    for name in ("write", "fsync", "open", "stat", "listdir"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *args, name=name, real=real, **more: asked.append(name) or real(*args, **more)
        )
    for number in range(10):
        journal.append(make_call(number))
    monkeypatch.undo()
    assert asked.count("open") == 1  # the first segment
    assert [name for name in asked if name != "open"] == ["write"] * 10
