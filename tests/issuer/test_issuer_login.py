"""Logging in: sessions are new at each login, guessing is slow, and unknown people look like known ones."""

import asyncio
import os
import re

import pytest
from issuer_world import PASSWORD, PASSWORD_HASH, Browser, World

from portico.issuer.passwords import PasswordCheck
from portico.issuer.throttle import ACCOUNT_AT_ADDRESS, ADDRESS, LoginThrottle, RateLimit, network_of
from portico.model.errors import LimitExceeded
from portico.storage import users
from portico.web.sessions import Sessions


def cookie(browser: Browser, kind: str) -> str:
    return next((one.value or "" for one in browser.http.cookies.jar if one.name.endswith(kind)), "")


def without_flow(text: str) -> str:
    return re.sub(r'name="flow" value="[^"]*"', "", text)


@pytest.mark.case("G06")
async def test_each_login_begins_a_new_session(world: World, client_id: str):
    browser = Browser(world)
    await browser.log_in(await browser.open(world.request(client_id)))
    first = cookie(browser, "session")
    await browser.log_in(await browser.open(world.request(client_id, prompt="login")))
    assert first
    assert cookie(browser, "session") not in {"", first}


@pytest.mark.case("G06")
async def test_a_session_that_was_planted_before_login_is_replaced(world: World, client_id: str):
    attacker, victim = Browser(world), Browser(world)
    await world.add_user("eve")
    await attacker.log_in(await attacker.open(world.request(client_id)), name="eve")
    planted = cookie(attacker, "session")
    victim.http.cookies.set("portico-t1-main-session", planted, domain="127.0.0.1", path="/")
    await victim.log_in(await victim.open(world.request(client_id, prompt="login")))
    assert [one.value for one in victim.http.cookies.jar if one.name.endswith("session")] != [planted]


@pytest.mark.case("B06")
async def test_a_session_of_another_issuer_is_none_here(world: World, client_id: str):
    others = (world.url.replace("main", "second"), f"https://elsewhere.example{world.path}", "main")
    async with world.database.read() as conn:
        ada = await users.by_name(conn, "main", "ada")
    assert ada is not None
    for issuer, asks in (*((one, True) for one in others), (world.url, False)):
        value = Sessions(world.keyring, random=os.urandom).begin(issuer, ada.subject, world.clock())
        browser = Browser(world)
        browser.http.cookies.set("portico-t1-main-session", value)
        assert ("Password" in (await browser.open(world.request(client_id))).text) is asks


async def test_a_login_lasts_eight_hours(world: World, client_id: str):
    browser = Browser(world)
    await browser.log_in(await browser.open(world.request(client_id)))
    world.clock.forward(8 * 3600 - 1)
    assert "Password" not in (await browser.open(world.request(client_id))).text
    world.clock.forward(1)
    assert "Password" in (await browser.open(world.request(client_id))).text


async def test_a_changed_password_ends_the_login(world: World, client_id: str):
    browser = Browser(world)
    await browser.log_in(await browser.open(world.request(client_id)))
    world.clock.forward(10)
    async with world.database.write() as conn:
        user = await users.by_name(conn, "main", "ada")
        assert user is not None
        await users.set_password(conn, user.subject, PASSWORD_HASH, int(world.clock()))
    assert "Password" in (await browser.open(world.request(client_id))).text


@pytest.mark.case("G07")
async def test_unknown_disabled_and_known_people_are_refused_alike(world: World, client_id: str):
    await world.add_user("gone", disabled_at=1)
    browser = Browser(world)
    page = await browser.open(world.request(client_id))
    answers = [
        await browser.submit(page, name="ada", password="wrong"),
        await browser.submit(page, name="who", password="wrong"),
        await browser.submit(page, name="gone", password=PASSWORD),
        await browser.submit(page, name="ada", password=""),
        await browser.submit(page, name="ada", password=PASSWORD + "x" * 2000),
    ]
    assert {one.status_code for one in answers} == {403}
    names = ["ada", "who", "gone", "ada", "ada"]
    texts = {without_flow(one.text).replace(f'value="{name}"', "") for one, name in zip(answers, names, strict=True)}
    assert len(texts) == 1


@pytest.mark.case("G07")
@pytest.mark.parametrize("name", ["ada", "nobody"])
async def test_guessing_locks_an_account_for_an_address_whether_it_exists_or_not(
    world: World, client_id: str, name: str
):
    browser = Browser(world)
    page = await browser.open(world.request(client_id))
    for _ in range(ACCOUNT_AT_ADDRESS.free):
        assert (await browser.submit(page, name=name, password="guess")).status_code == 403
    locked = await browser.submit(page, name=name.upper(), password=PASSWORD)
    assert locked.status_code == 429
    assert int(locked.headers["retry-after"]) == 15
    assert "Wait a little" in locked.text
    world.clock.forward(16)
    assert (await browser.submit(page, name=name, password=PASSWORD)).status_code == (303 if name == "ada" else 403)


@pytest.mark.case("G07")
async def test_another_address_is_not_locked_out(world: World, client_id: str):
    browser, elsewhere = Browser(world), Browser(world)
    elsewhere.http = world.http("198.51.100.7")
    page = await browser.open(world.request(client_id))
    for _ in range(6):
        await browser.submit(page, name="ada", password="guess")
    page = await elsewhere.open(world.request(client_id))
    assert (await elsewhere.submit(page, name="ada", password=PASSWORD)).status_code == 303


@pytest.mark.case("G07")
def test_locks_double_up_to_a_bound_and_a_success_forgets():
    throttle, now = LoginThrottle(), 0.0
    waits = []
    for _ in range(14):
        assert throttle.attempt("main", "ada", "192.0.2.1", now) == 0
        wait = throttle.attempt("main", "ada", "192.0.2.1", now)
        waits.append(wait)
        now += max(wait, 0)
    assert waits[:5] == [0, 0, 15, 30, 60]  # each look that was let in counts too
    assert max(waits) == ACCOUNT_AT_ADDRESS.longest
    throttle.succeeded("main", "ada", "192.0.2.1")
    assert throttle.attempt("main", "ada", "192.0.2.1", now) == 0


@pytest.mark.case("G07")
def test_spraying_over_accounts_locks_the_address():
    throttle = LoginThrottle()
    waits = [throttle.attempt("main", f"user{n}", f"2001:db8::{n:x}", 0.0) for n in range(ADDRESS.free + 1)]
    assert waits[-1] > 0
    assert throttle.attempt("main", "user", "2001:db8:1::1", 0.0) == 0


@pytest.mark.case("T28")
def test_the_throttle_forgets_rather_than_grows():
    from portico.issuer import throttle as module

    throttle, limit = LoginThrottle(), RateLimit(burst=1, per_second=1)
    for n in range(module.MAX_TRACKED + 10):
        throttle.attempt("main", f"user{n}", f"10.{n >> 16}.{(n >> 8) & 255}.{n & 255}", float(n))
        limit.take(f"10.{n >> 16}.{(n >> 8) & 255}.{n & 255}", float(n))
    assert throttle.tracked <= 3 * module.MAX_TRACKED
    assert max(map(len, throttle._tracks)) <= module.MAX_TRACKED
    assert len(limit._buckets) <= module.MAX_TRACKED


@pytest.mark.case("G07", "T28")
async def test_only_so_many_passwords_are_checked_and_waited_for_at_once():
    check = PasswordCheck(concurrent=1, waiting=2)
    answers = await asyncio.gather(*(check.verify(PASSWORD_HASH, PASSWORD) for _ in range(5)), return_exceptions=True)
    assert answers[:3] == [True] * 3
    assert [type(one) for one in answers[3:]] == [LimitExceeded] * 2
    assert await check.verify(None, "no such user") is False


def test_a_rate_limit_says_when_the_next_one_is_there():
    limit = RateLimit(burst=2, per_second=0.5)
    assert [limit.take("a", 0.0), limit.take("a", 0.0)] == [0, 0]
    assert limit.take("a", 0.0) == 2
    assert limit.take("b", 0.0) == 0
    assert limit.take("a", 2.0) == 0


def test_an_address_is_a_host_whatever_its_family():
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1")
    assert network_of("2001:db8::1") == network_of("2001:db8::2")
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
    assert network_of("") == ""
