"""A client on the official Python SDK, unmodified, with a person in place of its browser."""

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

CALLBACK = "http://127.0.0.1:53682/callback"


class Memory:
    """The SDK's token storage, in memory."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def provider_for(url, person, storage):
    """The SDK's OAuth client with `person` in place of the browser."""
    seen: list[str] = []

    async def open_browser(url: str) -> None:
        seen.append(person.walk(url))

    async def callback() -> AuthorizationCodeResult:
        answered = httpx2.URL(seen[-1]).params
        return AuthorizationCodeResult(code=answered["code"], state=answered["state"], iss=answered["iss"])

    metadata = OAuthClientMetadata(
        client_name="Python SDK test",
        redirect_uris=[AnyUrl(CALLBACK)],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    return OAuthClientProvider(url, metadata, storage, open_browser, callback)


async def list_and_call(url, auth, mode, tool="calculator___add_numbers"):
    """Connect, list all pages, call a tool that adds; return what was seen."""
    async with (
        httpx2.AsyncClient(auth=auth, timeout=30, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        names, cursor = [], None
        while True:
            page = await client.list_tools(cursor=cursor)
            names += [tool.name for tool in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                break
        result = await client.call_tool(tool, {"a": 2, "b": 40})
        return names, result
