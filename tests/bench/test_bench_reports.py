"""What the benchmark and the soak test write, and what they hold against a process."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import plot
import pytest
import report
from rounds import Outcome, read_outcomes
from soak_load import Tally
from soak_report import Soak, faults, picture, unexplained_lines, write
from soak_samples import ProcessSample, Sample, flatness

OUTCOME = Outcome(
    section="core",
    subject="portico",
    case="modern",
    connections=16,
    rate=0.0,
    requests=1000,
    seconds=2.0,
    p50_ms=1.0,
    p99_ms=2.0,
    max_ms=3.0,
    errors=0,
    cpu_per_1000=0.1,
    rss_mb=100.0,
    command="wrk",
)
WORKER = ProcessSample(
    name="worker 1",
    pid=7,
    rss_mb=100.0,
    fds=20,
    sockets=10,
    threads=2,
    cpu_seconds=1.0,
    tasks=11,
    upstream_sessions=4,
    upstream_connections=3,
    upstream_idle=3,
    upstream_in_flight=0,
)


def samples(memory):
    return [
        Sample(minute=float(minute), calls=minute * 10, logins=minute, processes=[replace(WORKER, rss_mb=value)])
        for minute, value in enumerate(memory)
    ]


@pytest.fixture
def soak():
    return Soak(
        minutes=30.0,
        heading=["run"],
        samples=samples([60.0] * 8 + [100.0] * 24),
        before=[WORKER],
        after=[WORKER],
        tally=Tally(),
    )


def test_a_section_is_replaced_and_the_others_stay(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n<!-- begin: core -->\nold\n<!-- end: core -->\n<!-- begin: cells -->\nkept\n<!-- end: cells -->"
    )
    report.write_into(page, "core", "new")
    assert "new" in page.read_text()
    assert "old" not in page.read_text()
    assert "kept" in page.read_text()
    with pytest.raises(SystemExit, match="no markers"):
        report.write_into(page, "lists", "new")


def test_raw_lines_are_read_back_and_those_of_another_version_are_dropped(tmp_path):
    raw = tmp_path / "raw.jsonl"
    raw.write_text(f'{OUTCOME.line()}\n{{"subject": "portico", "era": "modern"}}\n')
    assert read_outcomes(raw) == [OUTCOME]


def test_the_table_tells_shares_of_nginx_and_the_best_variant_of_a_peer():
    outcomes = [
        OUTCOME,
        replace(OUTCOME, subject="nginx", requests=4000),
        replace(OUTCOME, subject="Peer", case="slow", requests=10),
        replace(OUTCOME, subject="Peer", case="fast", requests=50),
    ]
    text = report.tables(outcomes, command="run", rounds=1, seconds=2.0, notes=["Peer 1.0\nmore"])
    assert "| portico | modern | 16 | 500 (500-500) | 0.25 |" in text
    assert "Portico (modern) answers 20 times the calls of Peer at its best (fast)." in text
    assert "- Peer 1.0\n" in text


def test_plots_are_well_formed_and_follow_the_readers_colours(soak):
    for drawn in (plot.speeds([OUTCOME, replace(OUTCOME, subject="nginx <&>", requests=0)]), picture(soak.samples)):
        assert ET.fromstring(drawn).tag.endswith("svg")
        assert "prefers-color-scheme: dark" in drawn


def test_the_first_quarter_is_warm_up():
    assert flatness([0, 0, 10, 10, 11, 11, 12, 12]) == (10, 12)


def test_a_soak_with_flat_memory_and_nothing_left_is_passed(soak):
    assert faults(soak) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"samples": samples([100.0] * 16 + [130.0] * 16)}, "memory of worker 1 grew"),
        ({"after": [replace(WORKER, tasks=40)]}, "40 tasks at rest"),
        ({"after": [replace(WORKER, upstream_in_flight=1)]}, "1 calls in flight at rest"),
        ({"after": [replace(WORKER, sockets=60)]}, "sockets more at rest"),
        ({"log": ["Traceback"]}, "1 lines in the log"),
    ],
)
def test_growth_leaks_and_log_lines_are_held_against_it(soak, changed, said):
    assert any(said in fault for fault in faults(replace(soak, **changed)))


def test_an_unexplained_answer_is_one_too_many(soak):
    soak.tally.blame("echo", "500")
    assert faults(soak) == ["1 unexplained answers"]


def test_a_worker_that_was_replaced_is_noticed(soak):
    later = Sample(minute=33.0, calls=1, logins=1, processes=[replace(WORKER, pid=8)])
    assert "a process ended or was replaced" in faults(replace(soak, samples=[*soak.samples, later]))


def test_only_errors_and_tracebacks_of_the_log_count(tmp_path):
    log = tmp_path / "portico.log"
    log.write_text('{"level": "warning"}\n{"level": "error", "event": "request_failed"}\nTraceback:\n')
    assert unexplained_lines(log) == ['{"level": "error", "event": "request_failed"}', "Traceback:"]


def test_the_page_gets_verdict_plot_and_raw_series(soak, tmp_path):
    template = tmp_path / "soak.md"
    template.write_text("# Soak\n<!-- begin: soak -->\nold\n<!-- end: soak -->\n")
    out = tmp_path / "out"
    out.mkdir()
    write(out, soak, template=template)
    assert "**Passed.**" in (out / "soak.md").read_text()
    assert (out / "soak.svg").read_text().startswith("<svg")
    assert len((out / "soak.jsonl").read_text().splitlines()) == len(soak.samples)
