"""The TypeScript SDK, both majors, unmodified, through the façade: log in, call, refresh, call again."""

import pytest
from flows import both_modes, check_alternation, check_manners, check_pages, grants

from e2e.typescript_client import SDKS, course_of

pytestmark = pytest.mark.e2e

TOOLS = {"add": "add", "long": {"name": "count", "arguments": {"steps": 4, "seconds": 0.05}}}


@both_modes()
@pytest.mark.parametrize("sdk", SDKS)
def test_it_logs_in_calls_refreshes_and_calls_again(rig, tmp_path, sdk):
    course = course_of(sdk, rig.person(), rig.mcp_url, tmp_path / "stderr", TOOLS)
    report = course.report
    assert report["revision"] == course.revision
    assert report["login_requests"] == [
        ["POST", "/mcp", 401, ""],
        ["GET", "/.well-known/oauth-protected-resource/mcp", 200, ""],
        ["GET", "/.well-known/oauth-authorization-server", 200, ""],
        ["POST", "/register", 201, ""],
        ["POST", "/token", 200, "authorization_code"],
    ]
    assert "client_secret" not in report["registered"]
    assert course.asked["resource"] == [rig.mcp_url]
    assert report["structured"]["structuredContent"] == {"result": 42}
    assert report["progress"] == [[1, 4], [2, 4], [3, 4], [4, 4]]
    assert report["failed"]["isError"]
    assert report["refresh_requests"] == [
        ["POST", "/mcp", 401, ""],
        ["POST", "/token", 200, "refresh_token"],
        ["POST", "/mcp", 200, ""],
    ]
    assert report["tokens_renewed"] == [True, True]
    assert report["again"]["structuredContent"] == {"result": 42}
    assert report["errors"] == []
    assert grants(rig) == ["authorization_code", "refresh_token"]
    check_pages(rig, course.person.pages, course.name)
    check_manners(rig)
    check_alternation(rig)
