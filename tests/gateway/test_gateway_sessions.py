"""Sessions of legacy clients: sealed, bound, absolute, and never a credential."""

import pytest

from gateway.house import LEGACY, initialize_params
from portico.crypto.keyring import Keyring, generate_line
from portico.gateway import sessions as module
from portico.gateway.sessions import Sessions
from portico.model.principal import ANONYMOUS
from portico.protocol.errors import RpcRefused
from targets.servers import legacy_server, modern_server

WITH_SESSIONS = {"protocolConfiguration": {"mcp": {"sessionConfiguration": {"sessionTimeoutInSeconds": 900}}}}


async def listed(house, url, session, **kwargs):
    """List in a session; returns the HTTP status."""
    heard = await house.legacy(url, "tools/list", headers={"mcp-session-id": session}, **kwargs)
    return heard.status


async def test_sessions_are_minted_only_when_the_gateway_wants_them(house):
    url = await house.add_gateway()
    heard = await house.legacy(url, "initialize", initialize_params(), version=None)
    assert "Mcp-Session-Id" not in heard.headers
    assert await listed(house, url, "whatever") == 200  # a stray id is ignored
    await house.change_gateway(**WITH_SESSIONS)
    assert await listed(house, url, await house.open_session(url)) == 200


async def test_two_sessions_of_one_caller_differ(house):
    url = await house.add_gateway(**WITH_SESSIONS)
    assert await house.open_session(url) != await house.open_session(url)


@pytest.mark.case("T11")
async def test_a_session_is_good_only_where_and_for_whom_it_was_made(house):
    url = await house.add_gateway(jwt_rules={}, **WITH_SESSIONS)
    other = await house.add_gateway("second", jwt_rules={}, **WITH_SESSIONS)
    one = await house.add_target("http://127.0.0.1:1/mcp", name="one", eras=())
    await house.add_target("http://127.0.0.1:1/mcp", name="two", eras=())
    alice = house.token([url, other])
    session = await house.open_session(url, token=alice)
    assert await listed(house, url, session, token=alice) == 200
    assert await listed(house, url, session, token=house.token(url, client_id="another app")) == 200
    assert await listed(house, url, session, token=house.token(url, sub="mallory")) == 404
    assert await listed(house, url, session, token=house.token(url, sub="cli")) == 404  # the machine of that name
    assert await listed(house, other, session, token=alice) == 404
    assert await listed(house, one, session, token=alice) == 404
    narrow = await house.open_session(one, token=alice)
    assert await listed(house, url, narrow, token=alice) == 404
    assert await listed(house, f"{url}/two", narrow, token=alice) == 404


@pytest.mark.case("T11")
async def test_a_session_id_is_no_credential(house):
    url = await house.add_gateway(jwt_rules={}, **WITH_SESSIONS)
    session = await house.open_session(url, token=house.token(url))
    assert await listed(house, url, session) == 401
    assert await listed(house, url, session, token="made-up") == 401


@pytest.mark.case("B06")
async def test_forged_session_ids_are_unknown(house):
    url = await house.add_gateway(**WITH_SESSIONS)
    session = await house.open_session(url)
    foreign = house.keyring.seal("client-id", b"[]")
    stranger = Keyring.parse(generate_line("k1")).seal(module.PURPOSE, b"[]")
    shapeless = house.keyring.seal(module.PURPOSE, b'{"owner":1}')
    for forged in (session[:-1], session + "A", session[:-4] + "AAAA", foreign, stranger, shapeless, "x" * 5000, ""):
        assert await listed(house, url, forged) == 404


async def test_a_session_ends_by_its_age_whatever_is_done_in_it(house):
    url = await house.add_gateway(**WITH_SESSIONS)
    session = await house.open_session(url)
    house.clock.ahead = 895.0
    assert await listed(house, url, session) == 200
    house.clock.ahead = 901.0
    assert await listed(house, url, session) == 404


async def test_delete_ends_a_session_here_and_at_the_target(house):
    async with legacy_server() as server:
        url = await house.add_gateway(**WITH_SESSIONS)
        await house.add_target(server.url)
        session = await house.open_session(url)
        inside = {"mcp-session-id": session}
        await house.legacy(url, "tools/call", {"name": "one___echo"}, headers=inside)
        assert house.upstream.count() == 1
        async with house.http.delete(url, headers=inside) as response:
            assert response.status == 204
        assert await listed(house, url, session) == 404
        assert house.upstream.count() == 0
        assert len(server.deleted) >= 1
        async with house.http.delete(url, headers=inside) as response:
            assert response.status == 404
        async with house.http.delete(url) as response:
            assert response.status == 400


async def test_two_sessions_never_meet_at_the_target(house):
    async with legacy_server() as server:
        url = await house.add_gateway(**WITH_SESSIONS)
        await house.add_target(server.url)
        before = server.opened
        for session in (await house.open_session(url), await house.open_session(url)):
            await house.legacy(url, "tools/call", {"name": "one___echo"}, headers={"mcp-session-id": session})
        assert server.opened == before + 2


async def test_the_session_knows_its_revision(house):
    url = await house.add_gateway(**WITH_SESSIONS)
    session = await house.open_session(url, version="2025-06-18")
    assert await listed(house, url, session, version=None) == 200
    assert await listed(house, url, session, version="2025-06-18") == 200
    assert await listed(house, url, session, version=LEGACY) == 400


async def test_a_session_opens_on_every_replica(house):
    url = await house.add_gateway(**WITH_SESSIONS)
    session = await house.open_session(url)
    house.endpoint = house.make_endpoint("r2")
    assert await listed(house, url, session) == 200


async def test_modern_requests_have_no_session(house):
    async with modern_server() as server:
        url = await house.add_gateway(**WITH_SESSIONS)
        await house.add_target(server.url)
        heard = await house.modern(url, "tools/list", headers={"mcp-session-id": "whatever"})
        assert heard.status == 200
        assert "Mcp-Session-Id" not in heard.headers


def test_ended_sessions_are_forgotten_when_they_would_have_expired(monkeypatch):
    now = [1000.0]
    held = Sessions(keyring=Keyring.parse(generate_line("k1")), replica="r", clock=lambda: now[0])

    def session():
        sealed = held.mint(ANONYMOUS, gateway="g", endpoint="", version=LEGACY, capabilities=())
        return sealed, held.open(sealed, ANONYMOUS, gateway="g", endpoint="", timeout=900)

    sealed, first = session()
    held.end(first, timeout=900)
    with pytest.raises(RpcRefused):
        held.open(sealed, ANONYMOUS, gateway="g", endpoint="", timeout=900)
    assert held.ended() == 1
    now[0] += 1000
    held.end(session()[1], timeout=900)
    assert held.ended() == 1
    monkeypatch.setattr(module, "MAX_ENDED", 3)
    for _ in range(10):
        held.end(session()[1], timeout=900)
    assert held.ended() == 3
