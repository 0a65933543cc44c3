"""The official Python SDK's client, unmodified: discovery, registration, login, consent, list and call."""

import httpx2
import pytest
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from python_sdk import Memory, list_and_call, provider_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28", "auto"])
async def test_a_person_logs_in_through_the_sdk_and_calls_a_tool(demo, mode):
    person, storage = demo.person(), Memory()
    names, result = await list_and_call(demo.mcp_url, provider_for(demo.mcp_url, person, storage), mode)
    assert "calculator___add_numbers" in names
    assert "everything___echo" in names
    assert "42" in result.content[0].text
    assert len(person.pages) == 2, "one login page and one consent page"
    assert "Python SDK test" in person.pages[1]
    assert storage.tokens is not None
    assert storage.tokens.refresh_token


async def test_a_second_run_uses_the_stored_token_and_a_lost_one_is_refreshed(demo):
    person, storage = demo.person(), Memory()
    await list_and_call(demo.mcp_url, provider_for(demo.mcp_url, person, storage), "legacy")
    await list_and_call(demo.mcp_url, provider_for(demo.mcp_url, person, storage), "legacy")
    assert len(person.pages) == 2
    assert storage.tokens is not None
    first = storage.tokens.refresh_token
    storage.tokens = storage.tokens.model_copy(update={"access_token": "lost", "expires_in": -1})
    await list_and_call(demo.mcp_url, provider_for(demo.mcp_url, person, storage), "legacy")
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

    provider = provider_for(demo.mcp_url, person, Memory())
    provider.context.redirect_handler = open_browser
    with pytest.raises(BaseException):  # noqa: B017 - the SDK wraps it in groups of its own
        await list_and_call(demo.mcp_url, provider, "legacy")
    answered = httpx2.URL(target).params
    assert answered["error"] == "access_denied"
    assert answered["iss"] == demo.facts["issuer"]
    assert "code" not in answered
