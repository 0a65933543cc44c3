"""What replicas share with a store: a client may refresh at both at once, at a provider that forgives nothing."""

import asyncio

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from test_facade_e2e_python_sdk import add

from e2e.python_sdk import Memory, provider_for
from support.provider.facade_rig import facade_rig

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("facade-strict")]


@pytest.fixture
def refreshed_twice(tmp_path):
    """Log in, then refresh twice at once, each at another replica; returns what was answered and what was asked."""

    async def course(rig):
        storage = Memory()
        async with (
            httpx2.AsyncClient(
                auth=provider_for(rig.mcp_url, rig.person(), storage), timeout=30, trust_env=False
            ) as http,
            Client(streamable_http_client(rig.mcp_url, http_client=http), mode="auto") as client,
        ):
            await add(client)
        rig.proxy.forget()
        rig.idp.forget_requests()
        form = {"grant_type": "refresh_token", "client_id": storage.client.client_id}
        form["refresh_token"] = storage.tokens.refresh_token
        async with httpx2.AsyncClient(timeout=30, trust_env=False) as http:
            answers = await asyncio.gather(*(http.post(f"{rig.issuer}/token", data=form) for _ in range(2)))
            assert len({port for port, _line in rig.proxy.seen}) == 2
            newest = next(answer.json()["refresh_token"] for answer in answers if answer.status_code == 200)
            asked = len(rig.idp.requests("token"))
            after = await http.post(f"{rig.issuer}/token", data=form | {"refresh_token": newest})
        return answers, asked, after

    def run(store):
        facade = {"store": f"sqlite:///{tmp_path}/store.db"} if store else {}
        with facade_rig("strict", directory=tmp_path, facade=facade) as rig:
            return asyncio.run(course(rig))

    return run


def test_with_a_store_both_get_the_same_and_the_provider_is_asked_once(refreshed_twice):
    answers, asked, after = refreshed_twice(store=True)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["refresh_token"] == answers[1].json()["refresh_token"]
    assert asked == 1
    assert after.status_code == 200


def test_without_one_the_provider_takes_it_for_theft_and_the_person_logs_in_anew(refreshed_twice):
    answers, asked, after = refreshed_twice(store=False)
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    assert asked == 2
    assert (after.status_code, after.json()["error"]) == (400, "invalid_grant")
