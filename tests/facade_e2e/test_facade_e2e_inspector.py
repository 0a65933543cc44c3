"""The Inspector's command line, unmodified, through the façade: log in, call, refresh, call again."""

import json
import time

import pytest
from flows import BOUND, SHORT, both_modes, check_alternation, check_manners, check_pages, grants

from e2e.inspector import Inspector

pytestmark = pytest.mark.e2e

ADD = ("--method", "tools/call", "--tool-name", "add", "--tool-arg", "a=2", "--tool-arg", "b=40")


@both_modes()
@pytest.mark.parametrize("era", [[], ["--protocol-era", "modern"]], ids=["legacy", "modern"])
def test_it_logs_in_calls_refreshes_and_calls_again(rig, tmp_path, era):
    rig.idp.change(access_seconds=SHORT)
    person = rig.person()
    inspector = Inspector(tmp_path, rig.mcp_url, *era)
    assert "whoami" in json.dumps(inspector.run("--method", "tools/list", person=person))
    deadline = time.monotonic() + BOUND
    while "refresh_token" not in grants(rig):  # each run is a process of its own, with the login that was stored
        assert "42" in json.dumps(inspector.run(*ADD))
        assert time.monotonic() < deadline
    assert "42" in json.dumps(inspector.run(*ADD))
    check_pages(rig, person.pages)
    check_manners(rig)
    check_alternation(rig)
