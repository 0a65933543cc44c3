"""The hop between replicas: only they can make it, for one request, once."""

import json

import pytest

from portico.crypto.keyring import Keyring, generate_line
from portico.gateway import hop
from portico.gateway.cancellation import CANCEL_PATH, COUNT_PATH, Cancellations
from portico.gateway.hop import HEADER, HOP_SECONDS, HopRefused, HopSeal
from portico.gateway.inflight import Cancellable
from portico.gateway.internal import InternalEndpoint
from portico.model.errors import InputError, NotFound

BODY = b'["p","r","s",1]'


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def keyring():
    return Keyring.parse(generate_line("k1"))


@pytest.fixture
def here(keyring, now):
    return HopSeal(keyring=keyring, replica="here", clock=lambda: now[0])


@pytest.fixture
def there(keyring, now):
    return HopSeal(keyring=keyring, replica="there", clock=lambda: now[0])


def sealed(there, **changes):
    return there.seal(**{"to": "here", "method": "POST", "path": COUNT_PATH, "body": BODY} | changes)


def check(here, header, **changes):
    here.check(header, **{"method": "POST", "path": COUNT_PATH, "body": BODY} | changes)


@pytest.mark.case("T9")
def test_a_seal_counts_once(here, there):
    header = sealed(there)
    check(here, header)
    with pytest.raises(HopRefused):
        check(here, header)
    check(here, sealed(there))


@pytest.mark.case("T9")
@pytest.mark.parametrize("other", [{"method": "GET"}, {"path": CANCEL_PATH}, {"body": b'["p","r","s",2]'}])
def test_a_seal_counts_for_its_method_path_and_body_alone(here, there, other):
    with pytest.raises(HopRefused):
        check(here, sealed(there), **other)
    with pytest.raises(HopRefused):
        check(here, sealed(there, **other))


@pytest.mark.case("T9")
def test_a_seal_counts_at_the_replica_that_it_is_for(here, there):
    with pytest.raises(HopRefused):
        check(here, sealed(there, to="elsewhere"))


@pytest.mark.case("T9")
@pytest.mark.parametrize("drift", [HOP_SECONDS + 1, -HOP_SECONDS - 1])
def test_a_seal_is_good_for_half_a_minute(here, there, now, drift):
    header = sealed(there)
    now[0] += drift
    with pytest.raises(HopRefused):
        check(here, header)


@pytest.mark.case("T9")
def test_a_used_seal_is_remembered_for_as_long_as_it_could_count(here, there, now):
    header = sealed(there)
    now[0] -= HOP_SECONDS  # the sender's clock is ahead
    check(here, header)
    now[0] += 2 * HOP_SECONDS
    with pytest.raises(HopRefused):
        check(here, header)


@pytest.mark.case("T9", "T13")
def test_no_key_but_the_keyrings_makes_a_seal(here, keyring):
    stranger = HopSeal(keyring=Keyring.parse(generate_line("k1")), replica="there", clock=lambda: 1000.0)
    for header in (None, b"", b"v1.k1.AAAA", b"\xff", sealed(stranger)):
        with pytest.raises(HopRefused):
            check(here, header)
    for purpose in ("mcp-session", "client-id"):
        with pytest.raises(HopRefused):
            check(here, keyring.seal(purpose, b'["here","POST","/","",1000,"n"]').encode())


def test_a_flood_of_seals_is_refused_instead_of_forgetting_any(here, there, now, monkeypatch):
    monkeypatch.setattr(hop, "MAX_REMEMBERED", 3)
    headers = [sealed(there) for _ in range(4)]
    for header in headers[:3]:
        check(here, header)
    with pytest.raises(HopRefused):
        check(here, headers[3])
    now[0] += 2 * HOP_SECONDS + 1
    check(here, sealed(there))


class Asked:
    """One request to the internal endpoint."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.sent = []

    async def __call__(self, path, body, header):
        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            self.sent.append(message)

        headers = [] if header is None else [(HEADER, header)]
        await self.endpoint({"type": "http", "method": "POST", "path": path, "headers": headers}, receive, send)
        return json.loads(self.sent[-1]["body"])


@pytest.fixture
def cancellations():
    return Cancellations()


@pytest.fixture
def ask(here, cancellations):
    return Asked(InternalEndpoint(seal=here, cancellations=cancellations))


async def test_it_counts_and_cancels_calls_for_other_replicas(ask, there, cancellations):
    held = cancellations.in_flight.hold(("p", "r", "s", 1), Cancellable())
    assert await ask(COUNT_PATH, BODY, sealed(there)) == 1
    assert await ask(CANCEL_PATH, BODY, sealed(there, path=CANCEL_PATH)) is True
    held.release()
    assert await ask(COUNT_PATH, BODY, sealed(there)) == 0
    assert await ask(CANCEL_PATH, BODY, sealed(there, path=CANCEL_PATH)) is False


@pytest.mark.case("T9")
async def test_nobody_else_is_told_anything(ask, there):
    for path, body, header in [
        (COUNT_PATH, BODY, None),
        ("/internal/unknown", BODY, None),
        (COUNT_PATH, b"no json", None),
        (COUNT_PATH, BODY, sealed(there, path=CANCEL_PATH)),
    ]:
        with pytest.raises(HopRefused):
            await ask(path, body, header)
    assert ask.sent == []


async def test_what_another_version_says_is_refused_in_order(ask, there):
    with pytest.raises(NotFound):
        await ask("/internal/new", BODY, sealed(there, path="/internal/new"))
    with pytest.raises(InputError):
        await ask(COUNT_PATH, b'{"a":1}', sealed(there, body=b'{"a":1}'))
