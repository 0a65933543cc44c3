"""One login through a real Chromium, with pictures of what the person sees (.artifacts/screenshots)."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from playwright.async_api import async_playwright
from python_sdk import Memory, list_and_call, provider_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]

PICTURES = Path(__file__).parents[2] / ".artifacts" / "screenshots"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 800}


@pytest.mark.case("G03", "G04", "T3")
@pytest.mark.parametrize(("scheme", "viewport"), [("light", DESK), ("dark", PHONE)])
async def test_a_person_logs_in_with_chromium_by_keyboard_alone(demo, scheme, viewport):
    PICTURES.mkdir(parents=True, exist_ok=True)
    complaints: list[str] = []

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        context = await browser.new_context(
            viewport=viewport, color_scheme=scheme, java_script_enabled=False, locale="en-GB"
        )
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        callbacks: list[str] = []

        async def callback(route):
            callbacks.append(route.request.url)
            await route.fulfill(status=200, body="done", content_type="text/plain")

        await page.route("http://127.0.0.1:53682/**", callback)
        storage = Memory()
        provider = provider_for(demo.mcp_url, demo.person(), storage)

        async def open_browser(url: str) -> None:
            await page.goto(url)
            await page.screenshot(path=PICTURES / f"login-{scheme}.png", full_page=True)
            await page.get_by_label("name", exact=False).first.fill(demo.facts["user"]["name"])
            await page.get_by_label("password", exact=False).first.fill(demo.facts["user"]["password"])
            await page.keyboard.press("Enter")
            await page.wait_for_load_state()
            await page.screenshot(path=PICTURES / f"consent-{scheme}.png", full_page=True)
            await page.get_by_role("button", name="Allow").press("Enter")
            await page.wait_for_url("http://127.0.0.1:53682/**")

        from mcp.client.auth import AuthorizationCodeResult

        async def answer() -> AuthorizationCodeResult:
            query = {key: values[0] for key, values in parse_qs(urlsplit(callbacks[-1]).query).items()}
            return AuthorizationCodeResult(code=query["code"], state=query["state"], iss=query["iss"])

        provider.context.redirect_handler = open_browser
        provider.context.callback_handler = answer
        names, result = await list_and_call(demo.mcp_url, provider, "auto")
        cookies = await context.cookies()
        await browser.close()

    assert "calculator___add_numbers" in names
    assert "42" in result.content[0].text
    assert complaints == [], "neither the content security policy nor a missing file shows up in the console"
    assert cookies
    assert all(cookie["httpOnly"] and cookie["sameSite"] in ("Strict", "Lax") for cookie in cookies)


async def test_the_pages_show_themselves_to_no_frame_and_name_no_third_party(demo):
    answer = httpx2.get(f"{demo.facts['issuer']}/authorize", trust_env=False, timeout=30)
    assert answer.status_code == 400
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "script" not in answer.text.lower()
