"""The official TypeScript SDK, both majors, unmodified: one login, then listing, calling, failing, refreshing, closing.

v1 speaks the legacy era only. v2 speaks it unless told to negotiate, and the modern one with ``mode: 'auto'``.
"""

from urllib.parse import urlsplit

import pytest
from demo_process import Demo
from typescript_client import SDKS, Course, course_of

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]


def path_of(url: str) -> str:
    return urlsplit(url).path


@pytest.fixture(scope="module", params=SDKS)
def course(request: pytest.FixtureRequest, demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Course:
    return course_of(request.param, demo.person(), demo.mcp_url, tmp_path_factory.mktemp("typescript") / "stderr")


def test_it_negotiates_its_newest_revision(course: Course):
    assert course.report["revision"] == course.revision
    assert course.report["had_session"] == (course.revision == "2025-11-25"), "the modern era has no sessions"


def test_it_finds_the_issuer_from_the_challenge_and_registers(course: Course, demo: Demo):
    gateway, issuer = path_of(demo.mcp_url), path_of(demo.facts["issuer"])
    assert course.report["login_requests"] == [
        ["POST", gateway, 401, ""],
        ["GET", f"/.well-known/oauth-protected-resource{gateway}", 200, ""],
        ["GET", f"/.well-known/oauth-authorization-server{issuer}", 200, ""],
        ["POST", f"{issuer}/register", 201, ""],
        ["POST", f"{issuer}/token", 200, "authorization_code"],
    ]
    registered = course.report["registered"]
    assert registered["token_endpoint_auth_method"] == "none"
    assert "client_secret" not in registered
    assert registered["issuer"] == demo.facts["issuer"]


def test_it_proves_possession_of_the_code_and_names_the_gateway(course: Course, demo: Demo):
    assert course.asked["client_id"] == [course.report["registered"]["client_id"]]
    assert course.asked["code_challenge_method"] == ["S256"]
    assert course.asked["resource"] == [demo.mcp_url]
    assert course.report["scope"] == demo.facts["machine"]["scope"]


def test_its_person_sees_a_login_and_a_consent_page_once(course: Course):
    assert len(course.person.pages) == 2
    assert course.name in course.person.pages[1]


def test_it_lists_the_tools_of_both_targets(course: Course):
    assert {tool.partition("___")[0] for tool in course.report["tools"]} == {"calculator", "everything"}


def test_it_gets_a_structured_result_that_its_own_validation_accepts(course: Course):
    assert course.report["structured"]["structuredContent"] == {"result": 42}
    assert not course.report["structured"]["isError"]


def test_it_hears_progress_before_the_result(course: Course):
    assert course.report["progress"] == [[1, 4], [2, 4], [3, 4], [4, 4]]
    assert "completed" in course.report["long"]["content"][0]["text"]


def test_it_gets_a_tools_error_as_a_result(course: Course):
    failed = course.report["failed"]
    assert failed["isError"] is True
    assert "valid number" in failed["content"][0]["text"]


def test_it_refreshes_a_refused_token_without_its_person_and_goes_on(course: Course, demo: Demo):
    gateway, issuer = path_of(demo.mcp_url), path_of(demo.facts["issuer"])
    assert course.report["refresh_requests"] == [
        ["POST", gateway, 401, ""],
        ["POST", f"{issuer}/token", 200, "refresh_token"],
        ["POST", gateway, 200, ""],
    ]
    assert course.report["tokens_renewed"] == [True, True], "access token and refresh token"
    assert course.report["again"]["structuredContent"] == {"result": 42}


def test_it_closes_what_it_opened_and_met_no_error_on_the_way(course: Course, demo: Demo):
    if course.report["had_session"]:
        assert course.report["last_request"] == ["DELETE", path_of(demo.mcp_url), 204, ""]
    assert course.report["session_ended"]
    assert course.report["errors"] == []
