"""People at the pages of an issuer, in Chromium, with a password of ours and with a provider of another site."""

import re
from collections.abc import Iterator

import pytest
from page_world import Visit, chromium, page_world
from playwright.async_api import expect

from issuer.issuer_world import PASSWORD
from support.ports import free_port
from support.provider.identity_provider import IdentityProvider, identity_provider, server_error

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("pages")]

CONSENT = "Allow “Claude Code” to act for you?"
CONTINUE = "Continue with Example Identity"
ALLOW = {"local": "Allow", "idp": CONTINUE}
TEN_MINUTES = 601  #: seconds, and one
MANY_GUESSES = 15
MANY_PAGES = 6


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def running_provider(port: int) -> Iterator[IdentityProvider]:
    issuer = f"http://127.0.0.1:{port}/i/main"
    with identity_provider(
        "strict",
        redirect_uris=[f"{issuer}/callback"],
        logout_uris=[f"{issuer}/logout"],
        resources=[f"http://127.0.0.1:{port}/g/tools/mcp"],
        host="localhost",
    ) as running:
        yield running


@pytest.fixture
def idp(running_provider: IdentityProvider) -> IdentityProvider:
    running_provider.heal()
    running_provider.forget_sessions()
    return running_provider


@pytest.fixture(params=["local", "idp"])
def connector(request: pytest.FixtureRequest) -> str:
    return request.param


async def at_consent(visit, connector):
    """Go as far as the consent page."""
    if connector == "local":
        await visit.log_in()
    assert await visit.heading() == CONSENT


async def allow(visit, connector):
    """Go from the consent page back to the client."""
    await visit.press(ALLOW[connector])
    if connector == "idp" and "Provider" in await visit.heading():
        await visit.provider_log_in()


async def back_to_consent(visit):
    """Press "back" past the pages of a provider, which are as they are."""
    for _ in range(MANY_PAGES):
        await visit.page.go_back()
        if await visit.page.get_by_role("heading", name=CONSENT).count():
            return
    raise AssertionError(visit.page.url)


@pytest.fixture
async def house(database_url, port, idp, connector):
    async with page_world(database_url, port, idp=idp, connectors=[connector]) as made:
        yield made


@pytest.fixture
async def browser():
    async with chromium() as made:
        yield made


@pytest.mark.case("G01", "B17", "T1")
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_person_logs_in_allows_and_the_application_gets_tokens(house, browser, connector, scheme):
    visit = await house.visit(browser, scheme=scheme)
    if connector == "local":
        assert await visit.look(f"login-{scheme}") == "Log in"
    await at_consent(visit, connector)
    await visit.look(f"consent-{connector}-{scheme}")
    await allow(visit, connector)
    [answer] = visit.answers
    assert (answer["state"], answer["iss"]) == ("st4te", house.world.url)
    assert await house.redeem(answer["code"]) == 200
    assert visit.complaints == []


async def test_it_goes_without_a_script_engine_too(house, browser, connector):
    visit = await house.visit(browser, scripts=False)
    await at_consent(visit, connector)
    await allow(visit, connector)
    assert await house.redeem(visit.answers[0]["code"]) == 200


async def test_no_is_an_answer_that_the_application_gets(house, browser, connector):
    visit = await house.visit(browser)
    await at_consent(visit, connector)
    await visit.press("Deny")
    [answer] = visit.answers
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "st4te", house.world.url)
    assert "code" not in answer


@pytest.mark.case("B09")
async def test_a_decision_that_comes_late_says_so_and_what_to_do(house, browser, connector):
    visit = await house.visit(browser)
    await at_consent(visit, connector)
    house.world.clock.forward(TEN_MINUTES)
    await visit.press(ALLOW[connector])
    assert await visit.look(f"late-{connector}") == "This took too long"
    assert "flow_expired" in await visit.page.content()
    assert visit.answers == []
    await visit.begin()
    assert await visit.heading() in {"Log in", CONSENT}, "the application's link begins anew"


@pytest.mark.case("B08", "G02", "T2")
async def test_a_form_of_another_browser_is_refused_with_words(house, browser, connector):
    theirs, ours = await house.visit(browser), await house.visit(browser)
    await at_consent(theirs, connector)
    await at_consent(ours, connector)
    stolen = await theirs.page.locator("input[name=flow]").get_attribute("value")
    await ours.page.locator("input[name=flow]").evaluate("(field, flow) => { field.value = flow }", stolen)
    await ours.press(ALLOW[connector])
    assert await ours.look(f"elsewhere-{connector}") == "This was begun in another browser"
    assert ours.answers == []


async def test_back_from_the_application_asks_again_and_allowing_again_works(house, browser, connector):
    visit = await house.visit(browser)
    await at_consent(visit, connector)
    await allow(visit, connector)
    await back_to_consent(visit)
    await allow(visit, connector)
    first, second = visit.answers
    assert first["code"] != second["code"]
    assert await house.redeem(second["code"]) == 200


async def test_a_decision_that_is_sent_twice_grants_once(house, browser, connector):
    visit = await house.visit(browser)
    await at_consent(visit, connector)
    page = visit.page
    form = {
        "flow": await page.locator("input[name=flow]").get_attribute("value"),
        "decision": "allow",
    }
    once = await page.context.request.post(f"{house.world.url}/consent", form=form, max_redirects=0)
    assert once.status == 303
    await page.get_by_role("button", name=ALLOW[connector]).press("Enter")
    if connector == "local":
        await page.wait_for_url("**/consent")
        assert await visit.look("twice-local") == "This was answered already"
        assert visit.answers == []
        return
    await visit.provider_log_in()  # each sending is a login of its own at the provider; one of them is finished
    assert await house.redeem(visit.answers[0]["code"]) == 200


async def test_a_double_click_leads_to_the_application_or_says_what_to_do(house, browser, connector):
    visit = await house.visit(browser)
    await at_consent(visit, connector)
    await visit.page.get_by_role("button", name=ALLOW[connector]).dblclick(no_wait_after=True)
    heading = visit.page.get_by_role("heading", level=1)
    await expect(heading).to_have_text(re.compile("Client|answered already|Provider: log in"))
    if "answered" in await visit.heading():
        await visit.begin()
        await allow(visit, connector)
    elif "Provider" in await visit.heading():
        await visit.provider_log_in()
    assert await visit.heading() == "Client"
    assert await house.redeem(visit.answers[-1]["code"]) == 200


@pytest.mark.connector("oidc")
class TestPassword:
    """What only a password of ours brings along."""

    @pytest.fixture
    def connector(self):
        return "local"

    async def test_a_wrong_password_is_said_where_it_was_typed(self, house, browser):
        visit = await house.visit(browser)
        await visit.log_in(password="wrong")
        assert (await visit.page.title()).startswith("Problem: User name or password is wrong.")
        await visit.look("login-wrong")
        await expect(visit.page.get_by_label("Password")).to_be_focused()
        await visit.page.keyboard.type(PASSWORD)
        async with visit.page.expect_navigation():
            await visit.page.keyboard.press("Enter")
        assert await visit.heading() == CONSENT

    async def test_who_guesses_too_often_is_told_to_wait_on_the_same_page(self, house, browser):
        visit = await house.visit(browser)
        for _ in range(MANY_GUESSES):
            await visit.log_in(password="wrong")
            if "Too many attempts" in await visit.page.title():
                break
        assert await visit.page.get_by_role("alert").inner_text() == "Too many attempts. Wait a little, then try again."
        await visit.look("login-throttled")


class TestProvider:
    """What only a provider brings along."""

    @pytest.fixture
    def connector(self):
        return "idp"

    @pytest.mark.case("B14")
    async def test_no_at_the_provider_is_told_to_the_application(self, house, browser):
        visit = await house.visit(browser)
        await visit.press(CONTINUE)
        await visit.press("Cancel")
        [answer] = visit.answers
        assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "st4te", house.world.url)

    @pytest.mark.case("B12")
    async def test_nothing_is_kept_for_the_provider_before_the_person_allowed_it(self, house, browser):
        visit = await house.visit(browser)
        before = {cookie["name"] for cookie in await visit.page.context.cookies()}
        await visit.press(CONTINUE)
        after = {cookie["name"] for cookie in await visit.page.context.cookies(house.world.url)}
        assert len(before) == 1
        assert len(after - before) == 1

    @pytest.mark.case("B09")
    async def test_a_login_at_the_provider_that_took_too_long_says_so(self, house, browser):
        visit = await house.visit(browser)
        await visit.press(CONTINUE)
        house.world.clock.forward(TEN_MINUTES)
        await visit.provider_log_in()
        assert await visit.look("callback-late") == "This took too long"
        assert visit.answers == []

    @pytest.mark.case("B08", "T2")
    async def test_a_login_that_was_begun_in_another_browser_is_not_finished_in_this_one(self, house, browser, idp):
        theirs, ours = await house.visit(browser), await browser.new_page()
        sent: list[str] = []
        theirs.page.on("request", lambda request: sent.append(request.url))
        await theirs.press(CONTINUE)
        [provider] = [url for url in sent if url.startswith(f"{idp.origin}/") and "code_challenge=" in url]
        visit = Visit(page=ours, start=provider, answers=house.client.answers)
        await visit.begin()
        await visit.provider_log_in()
        assert await visit.look("callback-elsewhere") == "This was begun in another browser"
        assert visit.answers == []

    @pytest.mark.case("B07")
    async def test_the_providers_answer_opened_again_says_that_it_was_used(self, house, browser):
        visit = await house.visit(browser)
        opened: list[str] = []
        visit.page.on("request", lambda request: opened.append(request.url))
        await visit.press(CONTINUE)
        await visit.provider_log_in()
        [callback] = [url for url in opened if url.startswith(f"{house.world.url}/callback?")]
        await visit.page.goto(callback)
        assert await visit.look("callback-twice") == "This was answered already"
        assert len(visit.answers) == 1

    async def test_back_from_the_provider_asks_again_and_going_on_works(self, house, browser):
        visit = await house.visit(browser)
        await visit.press(CONTINUE)
        await visit.page.go_back()
        assert await visit.heading() == CONSENT
        await allow(visit, "idp")
        assert await house.redeem(visit.answers[0]["code"]) == 200

    @pytest.mark.case("C30")
    async def test_a_provider_that_fails_is_told_to_the_application(self, house, browser, idp):
        idp.fail("token", server_error())
        visit = await house.visit(browser)
        await visit.press(CONTINUE)
        await visit.provider_log_in()
        [answer] = visit.answers
        assert answer["error"] in {"server_error", "temporarily_unavailable"}
        assert (answer["state"], answer["iss"]) == ("st4te", house.world.url)


class TestPicker:
    """Both side by side."""

    @pytest.fixture
    async def house(self, database_url, port, idp):
        async with page_world(database_url, port, idp=idp, connectors=["local", "idp"]) as made:
            yield made

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    async def test_the_page_offers_both_and_the_provider_leads_to_consent_first(self, house, browser, scheme):
        visit = await house.visit(browser, scheme=scheme)
        assert await visit.look(f"picker-{scheme}") == "Log in"
        await visit.press(CONTINUE)
        assert await visit.look(f"picker-consent-{scheme}") == CONSENT
        await allow(visit, "idp")
        assert await house.redeem(visit.answers[0]["code"]) == 200

    async def test_a_password_goes_on_beside_the_provider(self, house, browser):
        visit = await house.visit(browser)
        await visit.log_in()
        await allow(visit, "local")
        assert await house.redeem(visit.answers[0]["code"]) == 200

    async def test_back_from_a_provider_that_was_not_meant_leads_to_the_choice(self, house, browser):
        visit = await house.visit(browser)
        await visit.press(CONTINUE)
        await visit.press(CONTINUE)
        await visit.page.go_back()
        assert await visit.look() == CONSENT
        await visit.page.go_back()
        assert await visit.heading() == "Log in"
        await visit.log_in()
        await allow(visit, "local")
        assert await house.redeem(visit.answers[0]["code"]) == 200

    async def test_logging_out_ends_our_login_and_offers_to_end_the_providers(self, house, browser, idp):
        visit = await house.visit(browser)
        await visit.log_in()
        await visit.page.goto(f"{house.world.url}/logout")
        assert await visit.look("logout") == "Log out?"
        await visit.press("Log out")
        assert await visit.look("logged-out") == "You are logged out"
        async with visit.page.expect_navigation():
            await visit.page.get_by_role("link", name="Log out of Example Identity").press("Enter")
        assert any("/session/end" in request.path for request in idp.requests())
        assert await visit.heading() == "You are logged out", "the provider had no login to end and sends back at once"
        await visit.begin()
        assert await visit.heading() == "Log in"
