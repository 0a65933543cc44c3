"""A relay that may dial loopback, upstream sessions, and targets for the test servers."""

import asyncio

import pytest

from portico.net.egress import Egress
from portico.net.relay import Relay
from portico.targets.mcp_server import McpServerTarget
from portico.targets.sessions import UpstreamSessions
from targets.calls import target_at
from targets.http_server import until


@pytest.fixture
async def relay():
    """Fails the test that leaves a connection in use behind."""
    relay = Relay(egress=Egress())
    yield relay
    await until(lambda: relay.stats().in_flight == 0)
    await relay.aclose()
    assert relay.stats().open == 0


@pytest.fixture
async def sessions(relay):
    """Fails the test that leaves a task behind."""
    before = asyncio.all_tasks()
    sessions = UpstreamSessions(relay=relay)
    yield sessions
    await sessions.aclose()
    assert sessions.count() == 0
    await until(lambda: not [task for task in asyncio.all_tasks() - before if "portico" in repr(task.get_coro())])


@pytest.fixture
def make(relay, sessions):
    """Make a target for a URL."""

    def make(url: str, **settings) -> McpServerTarget:
        return McpServerTarget(target_at(url, **settings), relay=relay, sessions=sessions)

    return make


class Told:
    """Writes down notifications."""

    def __init__(self):
        self.said = []

    async def __call__(self, notification):
        self.said.append(notification)


@pytest.fixture
def told():
    return Told()
