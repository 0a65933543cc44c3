"""Every page of an issuer in Chromium: axe, the width of a phone, text twice as large, pictures in .artifacts/pages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from axe import violations
from page_states import STATES, State
from playwright.async_api import Browser, Page, Route, async_playwright

from portico.web.pages import Pages

pytestmark = pytest.mark.e2e

PICTURES = Path(__file__).parents[2] / ".artifacts" / "pages"
ADDRESS = "http://127.0.0.1:9/i/main/authorize"  #: nobody listens there; the test answers
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 700}
NARROW = {"width": 320, "height": 640}  #: CSS pixels; WCAG 1.4.10 Reflow

VIEWS = [("light", DESK, "desk"), ("dark", PHONE, "phone"), ("dark", DESK, "desk"), ("light", PHONE, "phone")]
each_state = pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        await browser.close()


@asynccontextmanager
async def shown(browser: Browser, state: State, **options: Any) -> AsyncIterator[Page]:
    """Show a state of a page as it is served, with its headers; fails when Chromium complains about anything."""
    answer = Pages(["portico.issuer"]).render(state.template, state.context, form_action="'self'")

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
        for scheme, viewport, name in VIEWS:
            async with shown(browser, state, color_scheme=scheme, viewport=viewport) as page:
                assert (await page.title()).startswith(state.title)
                assert await violations(page) == []
                assert await overflow(page) <= 0
                await page.screenshot(path=PICTURES / f"{state.name}-{scheme}-{name}.png", full_page=True)


@each_state
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
