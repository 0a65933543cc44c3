"""No limit of Portico's own ends a test's work because the machine is slow.

Portico gives up waiting after seconds: for a lock, a connection, a document. A test process may stand still for as
long, because it shares two cores with servers, clients and browsers. So within test processes these limits are raised
far beyond any stall; what is shown about a limit sets it itself, low.
"""

import importlib

import pytest

from portico.net.patience import Timeouts
from portico.storage.engine import Database

LONG = 60.0  #: seconds; more than any stall, less than what the run bears once
GIVEN_UP_AFTER = 1.0  #: seconds; see :func:`gives_up_on_locks`

#: Module and names of the limits that what a test expects to succeed must not meet.
LIMITS = {
    "portico.audit.shipper": ["CLOSE_TIMEOUT"],
    "portico.authorizer.foreign_keys": ["FETCH_TIMEOUT", "PATIENCE"],
    "portico.identity.exchange": ["FETCH_SECONDS"],
    "portico.issuer.client_documents": ["FETCH_SECONDS"],
    "portico.issuer.logout": ["PROVIDER_SECONDS"],
    "portico.issuer.provider": ["DOCUMENT_TIMEOUT", "TOKEN_TIMEOUT", "REVOKE_TIMEOUT"],
    "portico.issuer.provider_documents": ["PATIENCE"],
    "portico.issuer.remembered": ["PATIENCE_SECONDS"],
    "portico.issuer.sealed": ["FAREWELL_SECONDS"],
    "portico.process.child": ["OUTPUT_SECONDS"],
    "portico.storage.engine": ["START_TIMEOUT"],
    "portico.storage.postgresql": [
        "ANSWER_TIMEOUT",
        "CONNECT_TIMEOUT",
        "IDLE_TIMEOUT",
        "LOCK_TIMEOUT",
        "START_TIMEOUT",
        "STATEMENT_TIMEOUT",
    ],
    "portico.storage.sqlite": ["BUSY_TIMEOUT", "START_TIMEOUT"],
    "portico.targets.handshake": ["ASIDE_SECONDS"],
    "portico.targets.mcp_server": ["ASIDE_SECONDS"],
    "portico.targets.sessions": ["ASIDE_SECONDS"],
}


@pytest.fixture(scope="session", autouse=True)
def unhurried():
    """Raise the limits of this process."""
    with pytest.MonkeyPatch.context() as patch:
        for module, names in LIMITS.items():
            for name in names:
                patch.setattr(importlib.import_module(module), name, LONG)
        start_within(patch, LONG)
        asked = Timeouts(connect=LONG, first_byte=LONG, idle=LONG, total=LONG)
        patch.setattr(importlib.import_module("portico.gateway.peers"), "_TIMEOUTS", asked)
        yield


def start_within(patch, seconds):
    """Have transactions of databases that are opened from now on begin within ``seconds``."""
    for function in (Database.__init__, Database._open.__func__):
        patch.setitem(function.__kwdefaults__, "patience", seconds)


@pytest.fixture
def gives_up_on_locks(monkeypatch):
    """Have databases that are opened from now on give up soon on a lock that others hold."""
    monkeypatch.setattr("portico.storage.sqlite.BUSY_TIMEOUT", GIVEN_UP_AFTER)
    monkeypatch.setattr("portico.storage.postgresql.LOCK_TIMEOUT", GIVEN_UP_AFTER)
