import asyncio

import pytest
import uvloop
from raw_server import RawServer

from portico.net.egress import Egress
from portico.net.relay import Peer, Relay, RelayStats


def pytest_asyncio_loop_factories(config, item):
    """Everything holds on both loops: uvloop in production, asyncio's own where uvloop is missing."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def idle_connections_are_kept(monkeypatch):
    """However long this process stands still: the servers here close none of their own accord."""
    monkeypatch.setattr("portico.net.connection.KEEP_ALIVE", 60.0)


@pytest.fixture
async def relay():
    relay = Relay(egress=Egress())
    yield relay
    await relay.aclose()
    assert relay.stats() == RelayStats(open=0, idle=0, in_flight=0, waiting=0)


@pytest.fixture
async def server():
    server = RawServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def peer(server):
    return Peer(url=server.url, allow_private=True)
