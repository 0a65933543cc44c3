"""The official conformance suite against one target's endpoint, through the gateway, with a bearer token."""

import httpx2
import pytest

from conformance import report, suite
from conformance.suite import REVISIONS

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("conformance")]

CALLS = [
    "tools-call-simple-text",
    "tools-call-image",
    "tools-call-audio",
    "tools-call-embedded-resource",
    "tools-call-mixed-content",
    "tools-call-with-progress",
    "tools-call-error",
]
#: What must pass, and may never stand among the expected failures.
REQUIRED = {
    "2025-11-25": [
        "server-initialize",
        "ping",
        "tools-list",
        *CALLS,
        "server-sse-multiple-streams",
        "server-session-lifecycle",
        "dns-rebinding-protection",
        "json-schema-2020-12",
    ],
    "2026-07-28": [
        "tools-list",
        *CALLS,
        "server-stateless",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
        "http-header-validation",
        "http-custom-header-server-validation",
        "json-schema-2020-12",
    ],
}
#: The part of the scenario `caching` that concerns what is served.
CACHING = {"sep-2549-tools-list-caching-hints", "sep-2549-ttl-non-negative", "sep-2549-cache-scope-valid"}


@pytest.mark.parametrize(
    ("revision", "scenario"), [(revision, scenario) for revision in REVISIONS for scenario in REQUIRED[revision]]
)
def test_the_scenario_passes(server_run, revision, scenario):
    run = server_run(revision)
    assert run.problems(scenario) == []
    assert run.passed(scenario)


def test_what_may_be_cached_says_so(server_run):
    run = server_run("2026-07-28")
    assert set(run.passed("caching")) >= CACHING


@pytest.mark.parametrize("revision", REVISIONS)
def test_nothing_else_fails_than_what_is_expected_and_no_expectation_is_stale(server_run, revision):
    run = server_run(revision)
    assert run.code == 0, run.output
    assert "Baseline check passed" in run.output


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_expected_failure_has_a_reason_and_none_is_required(revision):
    expected = suite.expected(revision)
    assert all(expected.values())
    assert {entry.partition(":")[0] for entry in expected}.isdisjoint(REQUIRED[revision])
    assert {entry.partition(":")[2] for entry in expected}.isdisjoint(CACHING)


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_table_in_the_docs_is_that_of_this_run(server_run, revision):
    table = report.server_table(server_run(revision), revision)
    assert table in report.DOCUMENT.read_text(), f"docs/conformance.md needs this table:\n\n{table}"


def test_the_gateway_itself_sees_and_refuses_what_a_rebound_page_would_send(portico):
    def ask(**headers):
        return httpx2.post(portico.target, json={}, headers=headers, trust_env=False, timeout=30)

    for refused, status in ((ask(host="evil.example.com"), 421), (ask(origin="http://evil.example.com"), 403)):
        assert refused.status_code == status
        assert refused.headers["x-request-id"]


def test_without_the_token_that_the_forwarder_adds_nothing_is_served(portico):
    answer = httpx2.post(portico.unforwarded, json={}, trust_env=False, timeout=30)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")
