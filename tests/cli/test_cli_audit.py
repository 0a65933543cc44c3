import asyncio
import json
import time

import pytest

from portico.audit.journal import Journal
from portico.audit.record import CallRecord
from portico.control.arns import gateway_arn
from portico.control.changes import ChangeLog
from portico.storage.engine import Database

LONG_AGO = 1_700_000_000.0


@pytest.fixture
def recorded(place):
    """Five calls in the journal of a process that ended before it could ship them."""
    [ada] = place.json("users", "list")
    journal = Journal(place.directory / "data" / "journal", writer="replica")

    def record(number, at, **more):
        values = {
            "time": at,
            "request_id": f"r-{number}",
            "gateway": "tools-0123456789",
            "target": "calc",
            "tool": "add",
            "method": "tools/call",
            "era": "legacy",
            "version": "2025-11-25",
            "issuer": "http://127.0.0.1:8080/i/main",
            "user": ada["subject"],
            "client": "c-1",
            "kind": "user",
            "outcome": "ok",
            "duration_ms": 1.25,
        }
        journal.append(CallRecord(**(values | more)))

    now = time.time()
    record(1, LONG_AGO)
    record(2, now - 600, outcome="denied", code="insufficient_scope")
    record(3, now - 60, target="clock", tool="now")
    record(4, now - 30, user="", client="robot", kind="machine", outcome="tool_error")
    record(5, now - 10, gateway="other-0123456789", tool="\x1b[2Jrude")
    journal.close()
    return place


def listed(place, *options):
    return [record["request_id"].removeprefix("r-") for record in place.json("audit", "list", *options)]


def test_calls_are_listed_newest_first(recorded):
    assert listed(recorded) == ["5", "4", "3", "2", "1"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--since", "5m"), "543"),
        (("--since", "90s", "--until", "20s"), "43"),
        (("--until", "2023-11-15"), "1"),
        (("--since", "2023-11-14T22:13:20Z", "--until", "2023-11-14T22:13:21+00:00"), "1"),
        (("--since", "2023-11-14T22:13:21"), "5432"),
        (("--user", "ada"), "5321"),
        (("--user", "nobody"), ""),
        (("--client", "robot"), "4"),
        (("--gateway", "other-0123456789"), "5"),
        (("--target", "clock"), "3"),
        (("--tool", "add"), "421"),
        (("--outcome", "denied"), "2"),
        (("--tool", "add", "--outcome", "ok"), "1"),
        (("--limit", "2"), "54"),
    ],
)
def test_every_filter_narrows_the_list_and_all_of_them_hold(recorded, options, found):
    assert listed(recorded, *options) == list(found)


def test_a_subject_finds_what_its_name_finds(recorded):
    [ada] = recorded.json("users", "list")
    assert listed(recorded, "--user", ada["subject"]) == listed(recorded, "--user", "ada")


@pytest.mark.parametrize(
    "options",
    [
        ("--since", "yesterday"),
        ("--since", "5w"),
        ("--until", "2026-13-01"),
        ("--outcome", "okay"),
        ("--limit", "0"),
        ("--limit", "many"),
    ],
)
def test_a_filter_that_could_match_nothing_is_wrong_usage(recorded, options):
    done = recorded.run("audit", "list", *options)
    assert (done.code, done.out) == (2, "")
    assert options[0] in done.err


def test_a_record_says_who_called_what_and_what_became_of_it(recorded):
    second = recorded.json("audit", "list", "--outcome", "denied")[0]
    assert second["user_name"] == "ada"
    assert (second["outcome"], second["code"]) == ("denied", "insufficient_scope")
    assert second["sequence"] == 2
    assert second["writer"].startswith("replica")
    expected = {"writer", "sequence", "event", "user_name", *CallRecord.__struct_fields__}
    assert second.keys() == expected


def test_the_table_names_people_and_cannot_steer_the_terminal(recorded):
    table = recorded.succeed("audit", "list")
    header, *rows = table.splitlines()
    assert header.split() == ["WHEN", "OUTCOME", "WHO", "CLIENT", "GATEWAY", "TARGET", "TOOL", "MS", "REQUEST", "ID"]
    assert "\x1b" not in table
    assert "denied (insufficient_scope)" in rows[3]
    assert " ada " in rows[3]
    assert " machine " in rows[1]


def test_nothing_recorded_is_said_in_words_and_as_an_empty_list(place):
    assert place.succeed("audit", "list") == "No calls.\n"
    assert place.json("audit", "list") == []
    assert place.succeed("audit", "verify") == "Nothing was recorded yet.\n"
    assert place.json("audit", "verify") == {"intact": True, "writers": []}


def test_an_untouched_chain_is_intact(recorded):
    report = recorded.json("audit", "verify")
    [writer] = report["writers"]
    assert report["intact"] is True
    assert (writer["lines"], writer["last"], writer["signed"], writer["faults"]) == (5, 5, 0, [])
    assert recorded.succeed("audit", "verify").endswith(": 5 lines, signed up to 0 of 5: intact\n")


def test_an_edited_record_is_named_and_the_exit_code_is_1(recorded):
    [segment] = [file for file in (recorded.directory / "data" / "journal").iterdir() if b"r-2" in file.read_bytes()]
    segment.write_bytes(segment.read_bytes().replace(b'"denied"', b'"ok"'))
    done = recorded.run("audit", "verify", "--json")
    report = json.loads(done.out)
    assert (done.code, report["intact"]) == (1, False)
    assert report["writers"][0]["faults"][0]["sequence"] in (2, 3)
    told = recorded.run("audit", "verify")
    assert told.code == 1
    assert "1 faults" in told.out
    assert "edit at" in told.err


def test_a_removed_record_is_noticed(recorded):
    [segment] = [file for file in (recorded.directory / "data" / "journal").iterdir() if b"r-3" in file.read_bytes()]
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert recorded.run("audit", "verify").code == 1


def test_changes_are_listed_with_what_was_before_and_after(place):
    before = place.json("audit", "changes")
    assert {change["caller"] for change in before} <= {"portico.yaml"}
    asyncio.run(_change_something(place))
    [newest, *_] = place.json("audit", "changes", "--caller", "ops")
    assert (newest["operation"], newest["kind"], newest["gateway"]) == ("UpdateGateway", "api", "tools-0123456789")
    assert (newest["before"], newest["after"]) == ({"a": 1}, {"a": 2, "apiKey": "********"})
    assert place.json("audit", "changes", "--operation", "Nothing") == []
    assert place.json("audit", "changes", "--access-key", "PORTICO0000000000001", "--since", "1h") == [newest]
    table = place.succeed("audit", "changes", "--gateway", "tools-0123456789", "--until", "2099-01-01")
    assert "a apiKey" in table
    assert place.succeed("audit", "changes", "--caller", "nobody") == "No changes.\n"


async def _change_something(place):
    database = await Database.open(f"sqlite:///{place.directory / 'data' / 'portico.db'}")
    log = ChangeLog(kind="api", caller="ops", access_key_id="PORTICO0000000000001", request_id="r")
    arn = gateway_arn("tools-0123456789", region="us-east-1", account="000000000000")
    async with database.write() as conn:
        await log.record(conn, "UpdateGateway", arn, {"a": 1}, {"a": 2, "apiKey": "k"})
    await database.aclose()
