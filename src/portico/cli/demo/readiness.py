"""When the demo is ready: not when its parts have started, but when a client has seen the tools of both targets."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx2

from portico.model.errors import PorticoError
from portico.storage import targets
from portico.storage.engine import Database

POLL_SECONDS: Final = 0.1
READY_SECONDS: Final = 60.0
REQUEST_TIMEOUT: Final = 10.0  #: seconds
VERSION: Final = "2025-11-25"  #: the newest revision that both example servers speak


async def wait_for_tools(database: Database, facts: Mapping[str, Any]) -> None:
    """Wait until a machine client lists tools of every target.

    Raises:
        PorticoError: it took longer than :data:`READY_SECONDS`; says how each target fares.
    """
    wanted = set(facts["targets"])
    try:
        async with asyncio.timeout(READY_SECONDS), httpx2.AsyncClient(timeout=REQUEST_TIMEOUT, trust_env=False) as http:
            while not wanted <= await _listed(http, facts):  # noqa: ASYNC110  # HTTP has no event to wait on
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        async with database.read() as conn:
            rows = await targets.list_all(conn, gateway_id=facts["gateway_id"])
        told = "; ".join(f"{row.name} is {row.status} {' '.join(row.status_reasons)}".rstrip() for row in rows)
        raise PorticoError(
            f"Not ready within {READY_SECONDS:.0f} seconds: {told}. The log above may say more."
        ) from error


async def _listed(http: httpx2.AsyncClient, facts: Mapping[str, Any]) -> set[str]:
    """Return the targets whose tools a fresh machine client sees; none while something does not answer yet."""
    machine = facts["machine"]
    try:
        granted = await http.post(
            machine["token_url"],
            data={"grant_type": "client_credentials", "scope": machine["scope"]},
            auth=(machine["client_id"], machine["client_secret"]),
        )
        if not granted.is_success:
            return set()
        bearer = {"Authorization": f"Bearer {granted.json()['access_token']}"}
        return await _list_tools(http, facts["mcp_url"], bearer)
    except (httpx2.HTTPError, ValueError, KeyError):
        return set()


async def _list_tools(http: httpx2.AsyncClient, url: str, bearer: dict[str, str]) -> set[str]:
    hello = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "portico-demo", "version": "0"}}
    headers = {"Accept": "application/json, text/event-stream", **bearer}
    opened = await http.post(url, json=_request("initialize", hello), headers=headers)
    session = opened.headers.get("Mcp-Session-Id", "")
    headers |= {"MCP-Protocol-Version": VERSION, "Mcp-Session-Id": session}
    listed = await http.post(url, json=_request("tools/list", {}), headers=headers)
    await http.delete(url, headers=headers)
    return {tool["name"].partition("___")[0] for tool in listed.json()["result"]["tools"]}


def _request(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": method, "method": method, "params": params}
