"""Where the setting `api` puts the AgentCore API: one address, the other, or none; and nothing without a signature."""

import asyncio
import contextlib

import httpx2
import pytest

from portico.service.serve import serve

PATH = "/gateways/"
MISSING = "MissingAuthenticationTokenException"


@contextlib.asynccontextmanager
async def serving(settings):
    ready = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, ready=ready.set_result))
    running = await asyncio.wait_for(ready, 30)
    try:
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
            yield http, f"http://127.0.0.1:{running.port}"
    finally:
        running.stop()
        await asyncio.wait_for(task, 30)


@pytest.mark.parametrize("place", ["public", "admin", "off"])
async def test_the_api_is_served_where_the_setting_says_and_nowhere_else(load, free_admin, place):
    settings = load(
        {"listen": "127.0.0.1:0", "public_url": "http://127.0.0.1:1", "admin_listen": free_admin, "api": place}
    )
    async with serving(settings) as (http, public):
        addresses = {"public": public, "admin": f"http://{free_admin}"}
        for name, url in addresses.items():
            answer = await http.get(url + PATH)
            served = answer.headers.get("x-amzn-errortype") == MISSING
            assert (answer.status_code, served) == ((403, True) if name == place else (404, False))
            assert (await http.get(url + "/healthz")).status_code == 200
            assert (await http.get(url + "/nothing-here")).status_code == 404


async def test_an_answer_of_the_api_bears_the_headers_of_every_answer(load):
    async with serving(load({"listen": "127.0.0.1:0", "public_url": "http://127.0.0.1:1"})) as (http, public):
        answer = await http.get(public + PATH)
        assert answer.headers["x-request-id"] == answer.headers["x-amzn-requestid"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await http.get(public + PATH, headers={"host": "rebound.example"})).status_code == 421
        for method in ("OPTIONS", "HEAD", "PATCH"):
            assert (await http.request(method, public + PATH)).status_code == 404
