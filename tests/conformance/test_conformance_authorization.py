"""The official conformance suite against our issuers: one under a path, one that is the origin itself."""

import pytest

from conformance import report

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("conformance")]

FORMS = ["path", "root"]
SCENARIOS = ["authorization-server-metadata-endpoint", "authorization-code-grant"]
#: Client id metadata documents are not supported yet; the suite only warns.
NOT_YET = "authorization-server-metadata-cimd"


@pytest.mark.case("E02")
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("form", FORMS)
def test_the_scenario_passes(authorization_run, form, scenario):
    run = authorization_run(form)
    assert run.code == 0, run.output
    assert [problem for problem in run.problems(scenario) if not problem.startswith(NOT_YET)] == []
    assert run.passed(scenario)


@pytest.mark.parametrize("form", FORMS)
def test_the_table_in_the_docs_is_that_of_this_run(authorization_run, form):
    table = report.authorization_table(authorization_run(form))
    assert table in report.DOCUMENT.read_text(), f"docs/conformance.md needs this table:\n\n{table}"
