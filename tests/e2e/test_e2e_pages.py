"""Every page of an issuer in Chromium: axe, the width of a phone, text twice as large, pictures in .artifacts/pages."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from axe import violations
from page_states import STATES, State
from page_world import DESK, PHONE, PICTURES, chromium
from playwright.async_api import Browser, Page, Route, expect

pytestmark = pytest.mark.e2e

ADDRESS = "http://127.0.0.1:9/i/main/authorize"  #: nobody listens there; the test answers
NARROW = {"width": 320, "height": 640}  #: CSS pixels; WCAG 1.4.10 Reflow

VIEWS = [("light", DESK, "desk"), ("dark", PHONE, "phone"), ("dark", DESK, "desk"), ("light", PHONE, "phone")]
each_state = pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
#: Errors share one shape; the longest stands for the others.
SHAPES = [state for state in STATES if state.error is None or state.name == "error-long"]
each_shape = pytest.mark.parametrize("state", SHAPES, ids=lambda state: state.name)


@asynccontextmanager
async def shown(browser: Browser, state: State, **options: Any) -> AsyncIterator[Page]:
    """Show a state of a page as it is served, with its headers; fails when Chromium complains about anything."""
    answer = state.answer()

    async def give(route: Route) -> None:
        await route.fulfill(status=200, headers=dict(answer.headers), body=bytes(answer.body))

    complaints: list[str] = []
    context = await browser.new_context(**options)
    page = await context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    await page.route("**/*", give)
    await page.goto(ADDRESS)
    yield page
    await context.close()
    assert complaints == []


async def overflow(page: Page) -> float:
    """Return by how many CSS pixels the page is wider than the window."""
    session = await page.context.new_cdp_session(page)
    metrics = await session.send("Page.getLayoutMetrics")
    await session.detach()
    return metrics["cssContentSize"]["width"] - metrics["cssLayoutViewport"]["clientWidth"]


@each_state
async def test_axe_finds_nothing_and_no_text_is_cut_off(state: State):
    PICTURES.mkdir(parents=True, exist_ok=True)
    async with chromium() as browser:
        for scheme, viewport, name in VIEWS if state in SHAPES else VIEWS[:2]:
            async with shown(browser, state, color_scheme=scheme, viewport=viewport) as page:
                assert await page.title() == f"{state.title} \N{EN DASH} {state.context['brand']}"
                assert await violations(page) == []
                assert await overflow(page) <= 0
                await page.screenshot(path=PICTURES / f"{state.name}-{scheme}-{name}.png", full_page=True)


@each_shape
async def test_text_twice_as_large_stays_within_a_narrow_window(state: State):
    PICTURES.mkdir(parents=True, exist_ok=True)
    async with chromium() as browser:
        # The policy would keep the larger text out, as it keeps out every style but ours.
        async with shown(browser, state, bypass_csp=True, viewport=PHONE) as page:
            await page.add_style_tag(content="html { font-size: 200% }")
            assert await overflow(page) <= 0
            await page.screenshot(path=PICTURES / f"{state.name}-200.png", full_page=True)
        async with shown(browser, state, viewport=NARROW) as page:
            assert await overflow(page) <= 0


STATE = {state.name: state for state in STATES}

#: What the keyboard meets from the top of the page on, each by its accessible name.
ORDER = {
    "login-providers": ["User name", "Password", "Log in", "Continue with Google", "Continue with Microsoft Entra ID"],
    "login-wrong": ["User name", "Password", "Log in"],
    "picker": ["Continue with Google", "Continue with Microsoft Entra ID"],
    "consent-registered": ["Allow", "Deny", "Use another account"],
    "consent-provider": ["Continue with Microsoft Entra ID", "Deny"],
    "logout": ["Log out"],
    "logged-out": ["Log out of Google"],
}


@pytest.mark.parametrize("name", ORDER)
async def test_the_keyboard_meets_everything_in_order_and_shows_where_it_is(name: str):
    async with chromium() as browser, shown(browser, STATE[name], viewport=DESK) as page:
        await page.locator("header").click()  # nothing is focused, and the next Tab begins at the top
        met: list[str] = []
        for _ in ORDER[name]:
            await page.keyboard.press("Tab")
            focused = page.locator(":focus-visible")
            assert await focused.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
            met.append(await focused.evaluate("one => (one.labels?.[0] ?? one).textContent"))
        assert met == ORDER[name]


async def test_the_page_begins_where_the_person_types_and_enter_logs_in_by_password():
    async with chromium() as browser, shown(browser, STATE["login-providers"]) as page:
        await page.keyboard.type("ada")
        await page.keyboard.press("Tab")
        await page.keyboard.type("secret")
        async with page.expect_request(lambda request: request.method == "POST") as posted:
            await page.keyboard.press("Enter")
        sent = parse_qs((await posted.value).post_data or "")
        assert (sent["name"], sent["password"]) == (["ada"], ["secret"])
        assert "connector" not in sent


async def test_a_providers_button_sends_its_name_and_nothing_that_was_typed():
    async with chromium() as browser, shown(browser, STATE["login-providers"]) as page:
        await page.get_by_label("Password").fill("not for anybody else")
        async with page.expect_request(lambda request: request.method == "POST") as posted:
            await page.get_by_role("button", name="Continue with Google").press("Enter")
        assert set(parse_qs((await posted.value).post_data or "")) == {"flow", "connector"}


async def test_consent_waits_for_a_choice_an_enter_too_many_allows_nothing():
    async with chromium() as browser, shown(browser, STATE["consent-registered"]) as page:
        posted: list[str] = []
        page.on("request", lambda request: posted.append(request.method))
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Allow")).to_be_visible()
        assert posted == []


async def test_a_screen_reader_hears_what_is_wrong_and_what_to_beware_of():
    async with chromium() as browser:
        async with shown(browser, STATE["login-wrong"]) as page:
            await expect(page.get_by_role("alert")).to_have_text("User name or password is wrong.")
            for label in ("User name", "Password"):
                field = page.get_by_label(label)
                await expect(field).to_have_accessible_description("User name or password is wrong.")
                await expect(field).to_have_attribute("aria-invalid", "true")
        async with shown(browser, STATE["consent-document-loopback"]) as page:
            await expect(page.get_by_role("heading", level=1)).to_have_text("Allow claude.ai to act for you?")
            allow = page.get_by_role("button", name="Allow")
            await expect(allow).to_have_accessible_description(re.compile("any program can pretend to be it"))
        async with shown(browser, STATE["error-expired"]) as page:
            await expect(page.get_by_role("alert")).to_contain_text("Go back to the application")


async def test_pages_hold_still_and_keep_their_edges_where_the_system_asks_for_it():
    async with chromium() as browser:
        async with shown(browser, STATE["login-providers"], reduced_motion="reduce") as page:
            button = page.get_by_role("button", name="Log in")
            assert await button.evaluate("one => getComputedStyle(one).transitionDuration") == "0s"
        for name in ("login-providers", "consent-document-loopback", "logged-out"):
            async with shown(browser, STATE[name], forced_colors="active", viewport=PHONE) as page:
                assert await violations(page) == []
                for edge in await page.locator("button:not(.link), .button, input:not([type=hidden]), .note").all():
                    assert await edge.evaluate("one => parseFloat(getComputedStyle(one).borderTopWidth)") >= 1
                await page.screenshot(path=PICTURES / f"{name}-forced.png", full_page=True)
