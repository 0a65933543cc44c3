import pytest

from portico.audit.journal import Journal
from portico.audit.record import CallRecord
from portico.crypto.keyring import Keyring
from portico.storage.engine import Database


class Clock:
    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


def call(number=0, **more):
    values = {
        "time": 1_800_000_000.0 + number,
        "request_id": f"r-{number}",
        "gateway": "tools-abcdefghij",
        "target": "calculator",
        "tool": "add_numbers",
        "method": "tools/call",
        "era": "legacy",
        "version": "2025-11-25",
        "issuer": "http://127.0.0.1:8080/i/main",
        "user": "u-ada",
        "client": "c-1",
        "kind": "user",
        "outcome": "ok",
        "duration_ms": 1.5,
    }
    return CallRecord(**{**values, **more})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "audit"


@pytest.fixture
def journal(directory, clock):
    opened = Journal(directory, writer="replica", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def keyring():
    return Keyring({"k1": bytes(range(32))})


@pytest.fixture
def url(database_url):
    return database_url


@pytest.fixture
async def database(url):
    opened = await Database.open(url)
    yield opened
    await opened.aclose()


@pytest.fixture
def make_call():
    return call
