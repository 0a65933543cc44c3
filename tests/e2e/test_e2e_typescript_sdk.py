"""The official TypeScript SDK, both majors, unmodified: one login, then listing, calling, failing, refreshing, closing.

v1 speaks the legacy era only. v2 speaks it unless told to negotiate, and the modern one with ``mode: 'auto'``.
"""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from demo_process import Demo
from node import node22
from person import Person

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]

COURSE_SECONDS = 90.0  #: bound for a whole course on a busy machine
HERE = Path(__file__).parent


@dataclass
class Course:
    """What one client did, as it tells it itself, and what its person saw."""

    name: str
    revision: str  #: that it has to negotiate
    person: Person
    asked: dict[str, list[str]] = field(default_factory=dict[str, list[str]])  #: the parameters of its authorize URL
    report: dict[str, Any] = field(default_factory=dict[str, Any])

    async def take(self, *command: str, stderr: IO[bytes]) -> int:
        """Run the client to its end, logging in when it asks, and return how it ended."""
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=stderr, stdin=asyncio.subprocess.DEVNULL, env={}
        )
        try:
            async with asyncio.timeout(COURSE_SECONDS):
                await self._converse(process)
                return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _converse(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            said: dict[str, Any] = json.loads(line)
            if "authorize_url" in said:
                url: str = said["authorize_url"]
                self.asked = parse_qs(urlsplit(url).query)
                await asyncio.to_thread(self.person.log_in, url)
            else:
                self.report = said["report"]


def path_of(url: str) -> str:
    return urlsplit(url).path


@pytest.fixture(
    scope="module",
    params=[
        ("TypeScript SDK v1", "2025-11-25", "typescript_sdk_v1.mjs"),
        ("TypeScript SDK v2 legacy", "2025-11-25", "typescript_sdk_v2.mjs", "legacy"),
        ("TypeScript SDK v2 auto", "2026-07-28", "typescript_sdk_v2.mjs", "auto"),
    ],
    ids=["v1", "v2-legacy", "v2-auto"],
)
def course(request: pytest.FixtureRequest, demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Course:
    name, revision, driver, *options = request.param
    taken = Course(name=name, revision=revision, person=demo.person())
    stderr = tmp_path_factory.mktemp("typescript") / "stderr"
    with stderr.open("wb") as told:
        ended = asyncio.run(taken.take(node22(), str(HERE / driver), demo.mcp_url, *options, stderr=told))
    assert (ended, stderr.read_text()) == (0, ""), "neither an error nor a warning of the SDK"
    return taken


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
