"""The Python SDK's client, unmodified, through the façade: log in, call, refresh, call again, in both eras."""

import httpx2
import pytest
from flows import SHORT, both_modes, check_alternation, check_manners, check_pages, facades, grants, until_refreshed
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from e2e.python_sdk import Memory, provider_for
from support.provider.facade_rig import facade_rig

pytestmark = pytest.mark.e2e


async def add(client):
    """Call a tool that adds, and fail unless it added."""
    result = await client.call_tool("add", {"a": 2, "b": 40})
    assert result.structured_content == {"result": 42}


@both_modes()
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_it_logs_in_calls_refreshes_and_calls_again(rig, mode):
    rig.idp.change(access_seconds=SHORT)
    person, storage, heard = rig.person(), Memory(), []

    async def hear(done, total, _message):
        heard.append((done, total))

    auth = provider_for(rig.mcp_url, person, storage)
    async with (
        httpx2.AsyncClient(auth=auth, timeout=30, trust_env=False) as http,
        Client(streamable_http_client(rig.mcp_url, http_client=http), mode=mode) as client,
    ):
        tools = await client.list_tools()
        await add(client)
        counted = await client.call_tool("count", {"steps": 3, "seconds": 0.05}, progress_callback=hear)
        first = storage.tokens
        await until_refreshed(rig, lambda: add(client))
        told = (await client.call_tool("whoami", {})).structured_content
    assert {tool.name for tool in tools.tools} == {"add", "count", "whoami", "fail"}
    assert (counted.structured_content, heard) == ({"result": 3}, [(1, 3), (2, 3), (3, 3)])
    assert storage.tokens.access_token != first.access_token
    assert storage.tokens.refresh_token
    check_pages(rig, person.pages, "Python SDK test", "127.0.0.1")
    check_manners(rig)
    check_alternation(rig)
    check_token(rig, told, storage.tokens.access_token)


def check_token(rig, told, borne):
    """Fail unless the other gateway got the provider's token, and the client bears what its mode says."""
    if rig.idp.profile != "google":
        assert told["claims"]["iss"] == rig.idp.issuer
    assert (told["token"] == borne) == (rig.tokens == "passthrough")
    assert not {"cookie", "x-forwarded-for"} & told["headers"].keys()


@facades(profiles=["cognito"])
async def test_a_second_person_is_another_one_at_the_other_gateway(rig):
    subjects = []
    for name in ("ada", "grace"):
        auth = provider_for(rig.mcp_url, rig.person(name), Memory())
        async with (
            httpx2.AsyncClient(auth=auth, timeout=30, trust_env=False) as http,
            Client(streamable_http_client(rig.mcp_url, http_client=http), mode="auto") as client,
        ):
            subjects.append((await client.call_tool("whoami", {})).structured_content["claims"]["username"])
    assert subjects == ["ada", "grace"]


@facades(profiles=["cognito", "okta"])
async def test_an_account_that_ended_is_not_refreshed_and_the_person_is_asked_again(rig):
    rig.idp.change(access_seconds=SHORT)
    person, storage = rig.person(), Memory()
    async with (
        httpx2.AsyncClient(auth=provider_for(rig.mcp_url, person, storage), timeout=30, trust_env=False) as http,
        Client(streamable_http_client(rig.mcp_url, http_client=http), mode="auto") as client,
    ):
        await add(client)
        seen = len(person.pages)
        rig.idp.revoke("ada")
        await until_refreshed(rig, lambda: add(client))
    assert grants(rig)[:3] == ["authorization_code", "refresh_token", "authorization_code"]
    assert len(person.pages) == 2 * seen


@pytest.mark.xdist_group("facade-cognito")
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_with_passthrough_it_calls_the_other_gateway_itself(tmp_path, mode):
    with facade_rig("cognito", tokens="passthrough", directory=tmp_path, named_by_gateway=True) as rig:
        rig.idp.change(access_seconds=SHORT)
        person, storage = rig.person(), Memory()
        auth = provider_for(rig.gateway.mcp_url, person, storage)
        async with (
            httpx2.AsyncClient(auth=auth, timeout=30, trust_env=False) as http,
            Client(streamable_http_client(rig.gateway.mcp_url, http_client=http), mode=mode) as client,
        ):
            await add(client)
            await until_refreshed(rig, lambda: add(client))
        assert not [line for _port, line in rig.proxy.seen if "/mcp " in line]
        check_pages(rig, person.pages, "Python SDK test", rig.gateway.mcp_url)
        check_manners(rig)
