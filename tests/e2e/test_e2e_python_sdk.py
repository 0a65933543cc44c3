"""The official Python SDK's client, unmodified: discovery, registration, login, consent, list and call."""

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]

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


def provider_for(demo, person, storage):
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
    return OAuthClientProvider(demo.mcp_url, metadata, storage, open_browser, callback)


async def list_and_call(url, auth, mode):
    """Connect, list all pages, call one tool of the calculator; return what was seen."""
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
        result = await client.call_tool("calculator___add_numbers", {"a": 2, "b": 40})
        return names, result


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28", "auto"])
async def test_a_person_logs_in_through_the_sdk_and_calls_a_tool(demo, mode):
    person, storage = demo.person(), Memory()
    names, result = await list_and_call(demo.mcp_url, provider_for(demo, person, storage), mode)
    assert "calculator___add_numbers" in names
    assert "everything___echo" in names
    assert "42" in result.content[0].text
    assert len(person.pages) == 2, "one login page and one consent page"
    assert "Python SDK test" in person.pages[1]
    assert storage.tokens is not None
    assert storage.tokens.refresh_token


async def test_a_second_run_uses_the_stored_token_and_a_lost_one_is_refreshed(demo):
    person, storage = demo.person(), Memory()
    await list_and_call(demo.mcp_url, provider_for(demo, person, storage), "legacy")
    await list_and_call(demo.mcp_url, provider_for(demo, person, storage), "legacy")
    assert len(person.pages) == 2
    assert storage.tokens is not None
    first = storage.tokens.refresh_token
    storage.tokens = storage.tokens.model_copy(update={"access_token": "lost", "expires_in": -1})
    await list_and_call(demo.mcp_url, provider_for(demo, person, storage), "legacy")
    assert storage.tokens.access_token != "lost"
    assert storage.tokens.refresh_token != first or len(person.pages) > 2


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28", "auto"])
async def test_a_machine_logs_in_with_client_credentials(demo, mode):
    machine = demo.facts["machine"]
    auth = ClientCredentialsOAuthProvider(
        demo.mcp_url,
        Memory(),
        client_id=machine["client_id"],
        client_secret=machine["client_secret"],
        scope=machine["scope"],
        issuer=demo.facts["issuer"],
    )
    names, result = await list_and_call(demo.mcp_url, auth, mode)
    assert "calculator___greet_user" in names
    assert "42" in result.content[0].text


async def test_a_person_who_refuses_is_not_logged_in(demo):
    person = demo.person()
    person.refuses = True
    target = None

    async def open_browser(url: str) -> None:
        nonlocal target
        target = person.walk(url)
        raise ConnectionAbortedError

    provider = provider_for(demo, person, Memory())
    provider.context.redirect_handler = open_browser
    with pytest.raises(BaseException):  # noqa: B017 - the SDK wraps it in groups of its own
        await list_and_call(demo.mcp_url, provider, "legacy")
    answered = httpx2.URL(target).params
    assert answered["error"] == "access_denied"
    assert answered["iss"] == demo.facts["issuer"]
    assert "code" not in answered
