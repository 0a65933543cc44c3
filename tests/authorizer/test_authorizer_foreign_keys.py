"""Keys of a provider on a real socket: cached, refreshed, rotated, down, hostile."""

import asyncio

import pytest
from identity_provider import Signer
from joserfc.jwk import OctKey, RSAKey

from portico.authorizer import foreign_keys
from portico.authorizer.foreign_keys import COOL_DOWN, FRESH, REFRESH_AHEAD, RETRY, STALE_LIMIT, ForeignKeys
from portico.model.errors import KeysUnavailable

BOUND = 30.0  #: seconds
DISCOVERY_PATH = "/t1/.well-known/openid-configuration"


@pytest.fixture
def signer(provider):
    return Signer(provider.origin + "/t1")


async def until(condition):
    async with asyncio.timeout(BOUND):
        while not condition():
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    "form",
    [
        "{path}/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server{path}",
        "/.well-known/openid-configuration{path}",
        "{path}/.well-known/oauth-authorization-server",
    ],
)
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.case("E04")
async def test_an_issuer_is_found_at_each_location_with_and_without_a_slash(provider, foreign, signer, form, slash):
    issuer = f"{provider.origin}/t1{slash}"
    keys = await foreign.keys_for(provider.publish(issuer=issuer, keys=[signer], form=form))
    assert (keys.issuer, keys.own, set(keys.keys)) == (issuer, False, {"k1"})


@pytest.mark.case("E04", "D11", "T22")
@pytest.mark.parametrize(
    "issuer", ["{}", "{}/t2", "{}/T1", "{}/t1//", "https://login.example/t1", "{}/t1/{{tenantid}}"]
)
async def test_a_document_of_another_issuer_is_refused(provider, foreign, signer, issuer):
    url = provider.publish(issuer=issuer.format(provider.origin), keys=[signer])
    with pytest.raises(KeysUnavailable) as refused:
        await foreign.keys_for(url)
    assert "discoveryUrl" in refused.value.debug_hint
    assert provider.origin not in refused.value.public
    assert "/t1/jwks" not in provider.hits


async def test_keys_come_from_memory_while_they_are_fresh(provider, foreign, signer, clock):
    url = provider.publish(keys=[signer])
    for _ in range(10):
        await foreign.keys_for(url, kid="k1")
    clock.advance(REFRESH_AHEAD - 1)
    await foreign.keys_for(url)
    assert provider.hits[DISCOVERY_PATH] == 1


async def test_a_hundred_first_callers_cause_one_fetch(provider, foreign, signer):
    url = provider.publish(keys=[signer])
    found = await asyncio.gather(*(foreign.keys_for(url) for _ in range(100)))
    assert len(found) == 100
    assert provider.hits == {DISCOVERY_PATH: 1, "/t1/jwks": 1}


async def test_a_caller_who_gives_up_does_not_stop_the_fetch_for_others(provider, foreign, signer):
    url = provider.publish(keys=[signer])
    provider.fault = "hang"
    first, second = (asyncio.create_task(foreign.keys_for(url)) for _ in range(2))
    await asyncio.wait_for(provider.hanging.wait(), BOUND)
    first.cancel()
    provider.fault = ""
    provider.release.set()
    assert set((await second).keys) == {"k1"}
    assert first.cancelled()
    assert provider.hits[DISCOVERY_PATH] == 1


async def test_an_unknown_kid_refreshes_once_per_cool_down(provider, foreign, signer, clock):
    url = provider.publish(keys=[signer])
    await foreign.keys_for(url)
    for _ in range(50):
        await foreign.keys_for(url, kid="invented")
    assert provider.hits[DISCOVERY_PATH] == 1  # the first fetch was a moment ago
    clock.advance(COOL_DOWN)
    await asyncio.gather(*(foreign.keys_for(url, kid=f"invented-{n}") for n in range(50)))
    for n in range(50):
        await foreign.keys_for(url, kid=f"again-{n}")
    assert provider.hits[DISCOVERY_PATH] == 2


async def test_a_new_key_is_found_by_its_kid(provider, foreign, signer, clock):
    url = provider.publish(keys=[signer])
    await foreign.keys_for(url)
    provider.publish_keys("/t1", [signer, Signer("", kid="k2")])
    clock.advance(COOL_DOWN)
    assert set((await foreign.keys_for(url, kid="k2")).keys) == {"k1", "k2"}


async def test_keys_are_refreshed_ahead_without_making_anyone_wait(provider, foreign, signer, clock):
    url = provider.publish(keys=[signer])
    await foreign.keys_for(url)
    provider.publish_keys("/t1", [Signer("", kid="k2")])
    clock.advance(REFRESH_AHEAD)
    provider.fault = "hang"
    assert set((await asyncio.wait_for(foreign.keys_for(url), BOUND)).keys) == {"k1"}
    await asyncio.wait_for(provider.hanging.wait(), BOUND)
    provider.fault = ""
    provider.release.set()
    await until(lambda: foreign._entries[url].flight is None)
    assert set((await foreign.keys_for(url)).keys) == {"k2"}


@pytest.mark.case("D20")
async def test_a_dropped_key_is_gone_when_the_cache_is_no_longer_fresh(provider, foreign, signer, clock):
    url = provider.publish(keys=[signer])
    await foreign.keys_for(url)
    provider.publish_keys("/t1", [Signer("", kid="k2")])
    clock.advance(FRESH)
    assert set((await foreign.keys_for(url)).keys) == {"k2"}


@pytest.mark.case("D21")
@pytest.mark.parametrize("fault", ["500", "html", "huge", "redirect", "deep", "reset"])
async def test_a_provider_that_is_down_has_its_keys_served_stale_up_to_a_limit(provider, foreign, signer, clock, fault):
    url = provider.publish(keys=[signer])
    fresh = await foreign.keys_for(url)
    provider.fault = fault
    clock.advance(FRESH)
    assert await foreign.keys_for(url) is fresh
    tried = provider.hits[DISCOVERY_PATH]
    assert await foreign.keys_for(url) is fresh
    assert provider.hits[DISCOVERY_PATH] == tried  # not again within the cool-down
    clock.advance(STALE_LIMIT - FRESH - 1)
    assert await foreign.keys_for(url) is fresh
    clock.advance(1)
    with pytest.raises(KeysUnavailable) as refused:
        await foreign.keys_for(url)
    assert refused.value.status == 503
    provider.fault = ""
    clock.advance(RETRY)
    assert set((await foreign.keys_for(url)).keys) == {"k1"}


@pytest.mark.case("D21")
async def test_with_the_provider_down_an_unknown_kid_is_not_called_invalid(provider, foreign, signer, clock):
    url = provider.publish(keys=[signer])
    await foreign.keys_for(url)
    provider.fault = "500"
    clock.advance(COOL_DOWN)
    with pytest.raises(KeysUnavailable):
        await foreign.keys_for(url, kid="k2")
    assert await foreign.keys_for(url, kid="k1")


async def test_a_provider_that_hangs_delays_calls_only_briefly_when_there_are_stale_keys(
    provider, foreign, signer, clock, monkeypatch
):
    monkeypatch.setattr(foreign_keys, "PATIENCE", 1.0)
    url = provider.publish(keys=[signer])
    fresh = await foreign.keys_for(url)
    provider.fault = "hang"
    clock.advance(FRESH)
    assert foreign_keys.FETCH_TIMEOUT > BOUND
    async with asyncio.timeout(BOUND):
        assert await foreign.keys_for(url) is fresh
    monkeypatch.setattr(foreign_keys, "PATIENCE", 2 * BOUND)
    clock.advance(2 * BOUND)
    async with asyncio.timeout(BOUND):  # that wait is over for those who come later
        assert await foreign.keys_for(url) is fresh


async def test_without_any_keys_attempts_are_bounded_and_the_refusal_says_why(provider, foreign, signer, clock):
    url = provider.publish(keys=[signer])
    provider.fault = "500"
    for _ in range(20):
        with pytest.raises(KeysUnavailable) as refused:
            await foreign.keys_for(url)
        assert "500" in refused.value.debug_hint
        assert "500" not in refused.value.public
    assert provider.hits[DISCOVERY_PATH] == 1
    provider.fault = ""
    clock.advance(RETRY)
    assert await foreign.keys_for(url)


async def test_nobody_listening_is_unavailable(foreign):
    with pytest.raises(KeysUnavailable):
        await foreign.keys_for("http://127.0.0.1:9/.well-known/openid-configuration")


@pytest.mark.case("D21", "D22")
@pytest.mark.filterwarnings("ignore:Key size should be")
async def test_private_symmetric_and_short_keys_are_ignored(provider, foreign, signer):
    bad = [
        {**signer.key.as_dict(private=True), "kid": "private"},
        {**OctKey.generate_key(256).as_dict(private=True), "kid": "symmetric"},
        {**RSAKey.generate_key(1024).as_dict(private=False), "kid": "short"},
    ]
    url = provider.publish(keys=[*bad, signer])
    assert set((await foreign.keys_for(url)).keys) == {"k1"}
    provider.publish("/t2", keys=bad)
    with pytest.raises(KeysUnavailable) as refused:
        await foreign.keys_for(f"{provider.origin}/t2/.well-known/openid-configuration")
    assert "private half" in refused.value.debug_hint


@pytest.mark.case("T16")
async def test_a_provider_on_a_private_address_needs_permission(provider, fetcher, signer, clock):
    url = provider.publish(keys=[signer])
    strict = ForeignKeys(fetcher, allows_private=lambda _url: False, clock=clock)
    with pytest.raises(KeysUnavailable):
        await strict.keys_for(url)
    assert not provider.hits
    await strict.aclose()


@pytest.mark.parametrize("document", [{"issuer": 5}, {"keys": 1}, {}, [], "x", None])
async def test_documents_of_odd_shapes_are_unavailable_keys(provider, foreign, document):
    url = provider.publish()
    for path in ("/t1/jwks", DISCOVERY_PATH):
        provider.documents[path] = document
        with pytest.raises(KeysUnavailable):
            await foreign.keys_for(url)


async def test_closing_stops_what_is_on_its_way(provider, fetcher, signer, clock):
    closing = ForeignKeys(fetcher, allows_private=lambda _url: True, clock=clock)
    url = provider.publish(keys=[signer])
    provider.fault = "hang"
    waiting = asyncio.create_task(closing.keys_for(url))
    await asyncio.wait_for(provider.hanging.wait(), BOUND)
    await closing.aclose()
    with pytest.raises(KeysUnavailable):
        await asyncio.wait_for(waiting, BOUND)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("keys of")]
