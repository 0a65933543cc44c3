"""The official conformance suite against our issuers, whoever knows the people.

With users of its own: one under a path, one that is the origin itself. With an identity provider: one under a path, and
the façade, which is the origin itself, has no database and answers from two replicas in turn.
"""

import pytest

from conformance import report

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("conformance")]

WITH_PROVIDER = ["provider", "facade"]
FORMS = ["path", "root", *WITH_PROVIDER]
SCENARIOS = ["authorization-server-metadata-endpoint", "authorization-code-grant"]


@pytest.mark.case("E02")
@pytest.mark.connector("local", "oidc")
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("form", FORMS)
def test_the_scenario_passes(authorization_run, form, scenario):
    run = authorization_run(form)
    assert run.code == 0, run.output
    assert run.problems(scenario) == []
    assert run.passed(scenario)


@pytest.mark.parametrize("form", WITH_PROVIDER)
def test_the_person_logged_in_at_the_provider_after_consent_here(authorization_run, subject, form):
    authorization_run(form)
    asked = subject(form)
    assert asked.person.pages[0].count("<title>Allow access") == 1
    assert "<title>Provider: log in" in asked.person.pages[1]
    assert [seen.form["grant_type"] for seen in asked.idp.requests("token")] == ["authorization_code"]


@pytest.mark.parametrize("form", FORMS)
def test_the_table_in_the_docs_is_that_of_this_run(authorization_run, form):
    table = report.authorization_table(authorization_run(form))
    assert table in report.DOCUMENT.read_text(), f"docs/conformance.md needs this table:\n\n{table}"
