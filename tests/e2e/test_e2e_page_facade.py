"""People at the pages of a façade in Chromium: two replicas without a database, a provider on another site."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx2
import pytest
from page_world import Client, chromium, visit_at, waiting_client

from issuer.issuer_world import CHALLENGE, VERIFIER
from support.provider.facade_rig import FacadeRig, facade_rig

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("pages")]

CONSENT = "Allow “Claude Code” to act for you?"
CONTINUE = "Continue with Example Identity"


@pytest.fixture(scope="module")
def running_facade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FacadeRig]:
    directory = tmp_path_factory.mktemp("facade")
    with facade_rig("cognito", directory=directory, host="localhost", connector={"title": "Example Identity"}) as rig:
        yield rig


@pytest.fixture
def facade(running_facade: FacadeRig) -> FacadeRig:
    running_facade.idp.heal()
    running_facade.idp.forget_sessions()
    return running_facade


@pytest.fixture
async def browser():
    async with chromium() as made:
        yield made


@dataclass
class Connecting:
    """An application that registered itself."""

    facade: FacadeRig
    client: Client
    client_id: str

    @property
    def start(self) -> str:
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.client.redirect_uri,
            "state": "st4te",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "scope": "mcp/invoke",
            "resource": self.facade.mcp_url,
        }
        return f"{self.facade.issuer}/authorize?{urlencode(asked)}"

    async def redeem(self, code: str) -> int:
        form = {"client_id": self.client_id, "code": code, "code_verifier": VERIFIER}
        form |= {"grant_type": "authorization_code", "redirect_uri": self.client.redirect_uri}
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
            return (await http.post(f"{self.facade.issuer}/token", data=form)).status_code


@pytest.fixture
async def connecting(facade: FacadeRig) -> AsyncIterator[Connecting]:
    async with waiting_client() as client, httpx2.AsyncClient(trust_env=False, timeout=30) as http:
        asked = {"redirect_uris": [client.redirect_uri], "client_name": "Claude Code"}
        answer = await http.post(f"{facade.issuer}/register", json=asked)
        assert answer.status_code == 201, answer.text
        yield Connecting(facade=facade, client=client, client_id=answer.json()["client_id"])


@pytest.mark.case("G01", "T1")
async def test_a_person_allows_logs_in_at_the_provider_and_the_application_gets_tokens(connecting, browser):
    visit = await visit_at(browser, connecting.start, connecting.client)
    assert await visit.look("facade-consent") == CONSENT
    await visit.press(CONTINUE)
    await visit.provider_log_in()
    [answer] = visit.answers
    assert (answer["state"], answer["iss"]) == ("st4te", connecting.facade.issuer)
    assert await connecting.redeem(answer["code"]) == 200
    assert visit.complaints == []


async def test_no_here_and_no_at_the_provider_are_answers_that_the_application_gets(connecting, browser):
    visit = await visit_at(browser, connecting.start, connecting.client)
    await visit.press("Deny")
    await visit.begin()
    await visit.press(CONTINUE)
    await visit.press("Cancel")
    assert [answer["error"] for answer in visit.answers] == ["access_denied", "access_denied"]
    assert {answer["iss"] for answer in visit.answers} == {connecting.facade.issuer}


@pytest.mark.case("B08", "T2")
async def test_a_login_that_was_begun_in_another_browser_ends_on_a_page(connecting, browser):
    theirs = await visit_at(browser, connecting.start, connecting.client)
    sent: list[str] = []
    theirs.page.on("request", lambda request: sent.append(request.url))
    await theirs.press(CONTINUE)
    provider = next(url for url in sent if url.startswith(connecting.facade.idp.origin))
    ours = await visit_at(browser, provider, connecting.client)
    await ours.provider_log_in()
    assert await ours.look("facade-elsewhere") == "This was begun in another browser"
    assert ours.answers == []


async def test_back_from_the_provider_asks_again_and_a_used_answer_says_so(connecting, browser):
    visit = await visit_at(browser, connecting.start, connecting.client)
    opened: list[str] = []
    visit.page.on("request", lambda request: opened.append(request.url))
    await visit.press(CONTINUE)
    await visit.page.go_back()
    assert await visit.heading() == CONSENT
    await visit.press(CONTINUE)
    await visit.provider_log_in()
    assert await connecting.redeem(visit.answers[0]["code"]) == 200
    [callback] = [url for url in opened if url.startswith(f"{connecting.facade.issuer}/callback?")]
    await visit.page.goto(callback)
    assert await visit.look("facade-twice") == "This was answered already"


async def test_logging_out_of_a_facade_offers_the_providers_own_logout(connecting, browser):
    visit = await visit_at(browser, f"{connecting.facade.issuer}/logout", connecting.client)
    assert await visit.look("facade-logged-out") == "You are logged out"
    async with visit.page.expect_navigation():
        await visit.page.get_by_role("link", name="Log out of Example Identity").press("Enter")
    [asked] = connecting.facade.idp.requests("end_session")
    assert asked.query["logout_uri"] == f"{connecting.facade.issuer}/logout"
