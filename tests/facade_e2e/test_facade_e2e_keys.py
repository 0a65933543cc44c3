"""Keys change under logins that are under way: nothing breaks, and a key that is gone means a clean new login."""

import asyncio

import httpx2
import pytest
from flows import BOUND, SHORT, check_alternation, facades, until_refreshed
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from test_facade_e2e_python_sdk import add

from e2e.python_sdk import Memory, provider_for

pytestmark = pytest.mark.e2e


async def course(rig, person, storage, mode="auto"):
    """Connect with what is stored, logging in if need be, and call."""
    async with (
        httpx2.AsyncClient(auth=provider_for(rig.mcp_url, person, storage), timeout=60, trust_env=False) as http,
        Client(streamable_http_client(rig.mcp_url, http_client=http), mode=mode) as client,
    ):
        await add(client)


async def until_refused(rig, storage):
    """Wait until both replicas refuse the token: each looks at its keys within a second."""
    lines = {"authorization": f"Bearer {storage.tokens.access_token}"}
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    refused = 0
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as http, asyncio.timeout(BOUND):
        while refused < 4:
            answer = await http.post(rig.mcp_url, json=message, headers=lines)
            refused = refused + 1 if answer.status_code == 401 else 0
            await asyncio.sleep(0.05)
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@facades(profiles=["cognito"])
async def test_tokens_of_a_retired_key_end_and_the_client_logs_in_anew_under_its_old_id(rig):
    person, storage = rig.person(), Memory()
    await course(rig, person, storage)
    registered, pages = storage.client.client_id, len(person.pages)
    former = rig.kids()
    rig.rotate_key()
    for kid in former:
        rig.retire_key(kid)
    await until_refused(rig, storage)
    await course(rig, person, storage)
    assert storage.client.client_id == registered
    assert len(person.pages) == 2 * pages


@facades(profiles=["cognito"])
async def test_clients_of_a_dropped_key_are_told_so_and_register_anew(rig):
    person, storage = rig.person(), Memory()
    await course(rig, person, storage)
    former = rig.kids()
    rig.rotate_key()
    for kid in former:
        rig.drop_key(kid)
    await until_refused(rig, storage)
    form = {"grant_type": "refresh_token", "refresh_token": storage.tokens.refresh_token}
    form["client_id"] = storage.client.client_id
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
        answer = await http.post(f"{rig.issuer}/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    await course(rig, rig.person(), Memory())


@facades()  # last in this file: it leaves a keyring of a hundred keys to whoever comes next
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_key_rotates_between_any_two_steps_and_nothing_breaks(rig, mode):
    rig.idp.change(access_seconds=SHORT)
    before = len(rig.kids())
    rig.proxy.before = lambda _line: rig.rotate_key()
    person, storage = rig.person(), Memory()
    async with (
        httpx2.AsyncClient(auth=provider_for(rig.mcp_url, person, storage), timeout=60, trust_env=False) as http,
        Client(streamable_http_client(rig.mcp_url, http_client=http), mode=mode) as client,
    ):
        await add(client)
        await until_refreshed(rig, lambda: add(client))
    assert len(rig.kids()) - before == len(rig.proxy.seen)
    assert storage.tokens.refresh_token
    check_alternation(rig)
