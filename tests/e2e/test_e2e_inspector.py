"""The Inspector's command line, unmodified, headless: login in the browser's place, list, call."""

import json

import pytest
from inspector import Inspector

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]


@pytest.mark.parametrize("era", [[], ["--protocol-era", "auto"], ["--protocol-era", "modern"]])
def test_the_inspector_logs_in_lists_and_calls(demo, tmp_path, era):
    person = demo.person()
    inspector = Inspector(tmp_path, demo.mcp_url, *era)
    listed = json.dumps(inspector.run("--method", "tools/list", person=person))
    assert "calculator___add_numbers" in listed
    called = inspector.run(
        *("--method", "tools/call", "--tool-name", "calculator___add_numbers"),
        *("--tool-arg", "a=2", "--tool-arg", "b=40"),
    )
    assert "42" in json.dumps(called)
    assert len(person.pages) == 2, "the second command used the stored login"
