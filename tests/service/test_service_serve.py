"""The life of a process, within this one."""

import asyncio
import logging

import httpx2
import pytest
import structlog
from portico_process import free_port

from portico.model.errors import ConfigError, PorticoError
from portico.service.serve import serve

BOUND = 30.0  #: seconds


@pytest.fixture(autouse=True)
def own_logging():
    """A process sets up logging for itself; give the tests theirs back."""
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, level = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def settings(load):
    port, admin = free_port(), free_port()
    return load({"listen": f"127.0.0.1:{port}", "admin_listen": f"127.0.0.1:{admin}", "drain_seconds": 2})


async def test_it_announces_itself_serves_both_addresses_and_stops_when_told(settings):
    announced = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, ready=announced.set_result))
    async with asyncio.timeout(BOUND), httpx2.AsyncClient(trust_env=False, timeout=30) as http:
        running = await announced
        assert running.port == settings.process.listen.port
        admin = f"http://{settings.process.admin_listen}"
        for origin in (running.public_url, admin):
            assert (await http.get(f"{origin}/healthz")).json() == {"status": "ok"}
            assert (await http.get(f"{origin}/readyz")).json()["status"] == "ready"
            assert (await http.post(f"{origin}/readyz")).status_code == 405
            assert (await http.get(f"{origin}/healthz", headers={"host": "evil.example"})).status_code == 421
        assert (await http.get(f"{admin}/g/x/mcp")).status_code == 404
        assert (await http.get(f"{admin}/i/main/jwks")).status_code == 404
        running.reload()
        running.stop()
        await task


async def test_a_coroutine_runs_beside_the_serving_and_ends_with_it(settings):
    went = []

    async def ready(running):
        went.append("began")
        running.stop()
        try:
            await asyncio.Event().wait()
        finally:
            went.append("ended")

    async with asyncio.timeout(BOUND):
        await serve(settings, ready=ready)
    assert went == ["began", "ended"]


async def test_what_ready_raises_ends_the_process_and_reaches_the_caller(settings):
    async def late(_running):
        raise PorticoError("a child died")

    def early(_running):
        raise PorticoError("cannot write")

    for ready in (late, early):
        with pytest.raises(PorticoError):
            async with asyncio.timeout(BOUND):
                await serve(settings, ready=ready)


async def test_it_can_start_again_where_it_stopped(settings):
    for _ in range(2):
        async with asyncio.timeout(BOUND):
            await serve(settings, ready=lambda running: running.stop())


async def test_no_task_is_left_behind(settings):
    before = asyncio.all_tasks()
    async with asyncio.timeout(BOUND):
        await serve(settings, ready=lambda running: running.stop())
    assert asyncio.all_tasks() == before


async def test_an_address_in_use_is_said_before_anything_is_touched(settings, tmp_path):
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", settings.process.listen.port)
    with pytest.raises(ConfigError, match=r"listen: .* stop what uses it"):
        await serve(settings)
    taken.close()
    assert not (tmp_path / "data" / "portico.db").exists()


async def test_a_data_directory_that_cannot_be_made_is_named(load, tmp_path, write_keyring):
    (tmp_path / "file").write_text("")
    write_keyring("keys")
    settings = load({"listen": f"127.0.0.1:{free_port()}", "data_dir": "file/data", "keyring": "keys"})
    with pytest.raises(ConfigError, match=r"data_dir: "):
        await serve(settings)
