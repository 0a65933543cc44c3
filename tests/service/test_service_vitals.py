import asyncio

import httpx2

from portico.service.serve import serve


async def test_counts_in_which_a_leak_would_show_stand_on_the_administrators_address_alone(load, free_admin):
    settings = load({"listen": "127.0.0.1:0", "public_url": "http://127.0.0.1:1", "admin_listen": free_admin})
    ready = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings, ready=ready.set_result))
    running = await asyncio.wait_for(ready, 30)
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
        counts = (await http.get(f"http://{free_admin}/vitals")).json()
        public = await http.get(f"http://127.0.0.1:{running.port}/vitals")
    running.stop()
    await asyncio.wait_for(serving, 30)
    assert counts["tasks"] > 0
    assert counts["upstream_sessions"] == counts["upstream_connections"] == counts["upstream_in_flight"] == 0
    assert public.status_code == 404
