"""axe-core in a page of Chromium, in a world of its own: the page's policy, which allows no script, stays as it is."""

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import Any

from playwright.async_api import Page

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
AXE_SECONDS = 60.0
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def violations(page: Page) -> list[str]:
    """Return what axe has against the page as it stands, one line each: the rule and where.

    Its timers stand still in a context that runs no scripts.
    """
    session = await page.context.new_cdp_session(page)
    tree = await session.send("Page.getFrameTree")
    world = await session.send(
        "Page.createIsolatedWorld", {"frameId": tree["frameTree"]["frame"]["id"], "worldName": "axe"}
    )
    context = world["executionContextId"]
    await _evaluate(session, _source(), context)
    options = json.dumps({"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]})
    async with asyncio.timeout(AXE_SECONDS):
        report = await _evaluate(session, f"axe.run(document, {options})", context)
    await session.detach()
    assert len(report["passes"]) > 10, "axe read the page"
    return [
        f"{found['id']}: {node['html']} ({node['failureSummary']})"
        for found in report["violations"]
        for node in found["nodes"]
    ]


async def _evaluate(session: Any, expression: str, context: int) -> Any:
    answer = await session.send(
        "Runtime.evaluate",
        {"expression": expression, "contextId": context, "awaitPromise": True, "returnByValue": True},
    )
    assert "exceptionDetails" not in answer, answer
    return answer["result"].get("value")


@cache
def _source() -> str:
    return f"{AXE.read_text(encoding='utf-8')};0"
