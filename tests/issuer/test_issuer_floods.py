"""Floods of logins and registrations: who floods is limited, whoever else comes by is served."""

import asyncio
import os
import sys
import threading
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from issuer_world import PASSWORD, PASSWORD_HASH, REDIRECT, Browser, World
from starlette.applications import Starlette

from portico.crypto.passwords import verify_password
from portico.issuer import register
from portico.issuer.client_documents import ClientDocuments
from portico.issuer.outreach import (
    CALLBACK_BURST,
    CALLBACKS_PER_SECOND,
    DOCUMENT_BURST,
    DOCUMENTS_PER_SECOND,
    EXCHANGE_BURST,
    EXCHANGES_PER_SECOND,
    Outreach,
)
from portico.issuer.passwords import CHECKS_OF_ONE_ADDRESS, CONCURRENT_CHECKS, NICENESS, WAITING_CHECKS, PasswordCheck
from portico.issuer.throttle import ACCOUNT_AT_ADDRESS, ADDRESS, LADDERS, Ladder, LoginThrottle
from portico.model.errors import LimitExceeded
from portico.service.app import App

FLOODER, OTHER, PROXY = "192.0.2.66", "198.51.100.7", "10.0.0.5"
WAIT_SECONDS = 30.0


async def until(condition):
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


def held(check: PasswordCheck, threads: int) -> threading.Event:
    """Let no check begin until the event is set, however long the machine takes over what comes before."""
    go_on = threading.Event()
    for _ in range(threads):
        check._threads.submit(go_on.wait, WAIT_SECONDS)
    return go_on


def browser_at(world: World, address: str, **headers: str) -> Browser:
    browser = Browser(world)
    browser.http = world.http(address)
    browser.http.headers.update(headers)
    return browser


def behind_proxies(world: World, address: str, *trusted: str) -> httpx2.AsyncClient:
    """Return a client that connects from `address` to the whole application, which trusts some proxies."""

    async def no_data_plane(*_scope):
        raise AssertionError

    app = App(
        data_plane=no_data_plane,
        pages=Starlette(routes=world.app.routes()),
        allowed_hosts=frozenset({"127.0.0.1"}),
        trusted_proxies=[ip_network(network) for network in trusted],
    )
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app, client=(address, 40000)), base_url=world.public_url
    )


async def register_at(http: httpx2.AsyncClient, **headers: str) -> int:
    answer = await http.post("/i/main/register", json={"redirect_uris": [REDIRECT]}, headers=headers)
    assert (answer.status_code == 429) == ("retry-after" in answer.headers)
    return answer.status_code


# Registrations


@pytest.mark.case("F03", "T28")
async def test_a_flood_of_registrations_from_one_address_leaves_others_alone(world: World):
    async with world.http(FLOODER) as flooder, world.http(OTHER) as other:
        answers = await asyncio.gather(*(register_at(flooder) for _ in range(register.BURST + 20)))
        assert (answers.count(201), answers.count(429)) == (register.BURST, 20)
        assert await register_at(other) == 201
        world.clock.forward(1 / register.PER_SECOND)
        assert [await register_at(flooder), await register_at(flooder)] == [201, 429]


@pytest.mark.case("F03")
async def test_addresses_of_one_host_are_one_and_of_another_network_are_not(world: World):
    async with world.http("2001:db8:0:1::1") as first:
        for _ in range(register.BURST):
            assert await register_at(first) == 201
    async with world.http("2001:db8:0:1:ffff::2") as same, world.http("2001:db8:0:2::1") as other:
        assert await register_at(same) == 429
        assert await register_at(other) == 201


@pytest.mark.case("F03")
async def test_what_a_trusted_proxy_says_of_its_clients_counts(world: World):
    async with behind_proxies(world, PROXY, "10.0.0.0/8") as http:
        for _ in range(register.BURST):
            assert await register_at(http, **{"x-forwarded-for": FLOODER}) == 201
        assert await register_at(http, **{"x-forwarded-for": FLOODER}) == 429
        assert await register_at(http, **{"x-forwarded-for": OTHER}) == 201
        forged = f"{OTHER}, 203.0.113.1, {FLOODER}"  # whatever stands before what the proxy added
        assert await register_at(http, **{"x-forwarded-for": forged}) == 429


@pytest.mark.case("F03")
async def test_what_a_stranger_says_about_itself_does_not_count(world: World):
    async with behind_proxies(world, FLOODER, "10.0.0.0/8") as http:
        answers = [
            await register_at(
                http, **{"x-forwarded-for": f"203.0.113.{number}", "forwarded": f"for=203.0.113.{number}"}
            )
            for number in range(register.BURST + 5)
        ]
    assert (answers.count(201), answers.count(429)) == (register.BURST, 5)


@pytest.mark.case("F03")
async def test_without_trusted_proxies_nobody_is_believed(world: World):
    async with behind_proxies(world, PROXY) as http:
        answers = [
            await register_at(http, **{"x-forwarded-for": f"203.0.113.{number}"})
            for number in range(register.BURST + 1)
        ]
    assert answers[-1] == 429


# Logins


@pytest.mark.case("G07", "T28")
async def test_who_floods_the_login_page_is_refused_while_another_logs_in(world: World, client_id: str):
    flooder, other = browser_at(world, FLOODER), browser_at(world, OTHER)
    page, calm = await flooder.open(world.request(client_id)), await other.open(world.request(client_id))
    flood = [
        asyncio.create_task(flooder.submit(page, name=f"nobody{number}", password="guess")) for number in range(40)
    ]
    await until(lambda: any(task.done() for task in flood))
    async with asyncio.timeout(WAIT_SECONDS):
        came_in = await other.submit(calm, name="ada", password=PASSWORD)
    answers = [answer.status_code for answer in await asyncio.gather(*flood)]
    assert came_in.status_code == 303
    assert set(answers) == {403, 429}
    assert answers.count(429) >= 40 - 2 * CHECKS_OF_ONE_ADDRESS


@pytest.mark.case("G07")
async def test_spraying_from_one_address_locks_that_address_only(world: World, client_id: str):
    flooder, other = browser_at(world, FLOODER), browser_at(world, OTHER)
    throttle = world.app._powers.local.throttle
    for number in range(ADDRESS.free):
        throttle.attempt("main", f"nobody{number}", FLOODER, world.clock())
    page = await flooder.open(world.request(client_id))
    locked = await flooder.submit(page, name="ada", password=PASSWORD)
    assert (locked.status_code, "retry-after" in locked.headers) == (429, True)
    page = await other.open(world.request(client_id))
    assert (await other.submit(page, name="ada", password=PASSWORD)).status_code == 303


@pytest.mark.case("G07")
async def test_logins_through_one_trusted_proxy_are_told_apart(world: World, client_id: str):
    pages = {}
    for address in (FLOODER, OTHER):
        browser = Browser(world)
        browser.http = behind_proxies(world, PROXY, PROXY)
        browser.http.headers["x-forwarded-for"] = address
        pages[address] = browser, await browser.open(world.request(client_id))
    browser, page = pages[FLOODER]
    answers = [await browser.submit(page, name="ada", password="guess") for _ in range(ACCOUNT_AT_ADDRESS.free + 1)]
    assert answers[-1].status_code == 429
    browser, page = pages[OTHER]
    assert (await browser.submit(page, name="ada", password=PASSWORD)).status_code == 303


@pytest.mark.case("G07")
async def test_a_login_that_found_no_place_is_no_wrong_guess(world: World, client_id: str):
    browser = browser_at(world, OTHER)
    page = await browser.open(world.request(client_id))
    local = world.app._powers.local
    go_on = held(local.passwords, CONCURRENT_CHECKS)
    crowd = [
        asyncio.create_task(local.passwords.verify(None, "x", address=f"203.0.113.{number}"))
        for number in range(CONCURRENT_CHECKS + WAITING_CHECKS)
    ]
    await until(lambda: local.passwords.under_way == len(crowd))
    refused = [await browser.submit(page, name="ada", password=PASSWORD) for _ in range(ACCOUNT_AT_ADDRESS.free + 3)]
    assert {answer.status_code for answer in refused} == {429}
    go_on.set()
    for task in crowd:
        task.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    await until(lambda: local.passwords.under_way == 0)
    assert (await browser.submit(page, name="ada", password=PASSWORD)).status_code == 303


@pytest.mark.case("T28")
def test_made_up_names_from_everywhere_do_not_free_an_address_that_is_locked():
    from portico.issuer import throttle as module

    throttle = LoginThrottle()
    for number in range(ADDRESS.free):
        throttle.attempt("main", f"nobody{number}", FLOODER, 0.0)
    for number in range(module.MAX_TRACKED - 1):  # as many addresses as are remembered, but for one
        throttle.attempt("main", f"name{number}", f"10.{number >> 16}.{(number >> 8) & 255}.{number & 255}", 1.0)
        if number % 1000 == 0:
            assert throttle.attempt("main", "ada", FLOODER, 1.0) > 0


def test_taking_an_attempt_back_leaves_the_wrong_ones():
    throttle = LoginThrottle()
    for _ in range(ACCOUNT_AT_ADDRESS.free - 1):
        assert throttle.attempt("main", "ada", OTHER, 0.0) == 0
    for _ in range(10):
        assert throttle.attempt("main", "ada", OTHER, 0.0) == 0
        throttle.untried("main", "ada", OTHER)
    assert throttle.attempt("main", "ada", OTHER, 0.0) == 0
    assert throttle.attempt("main", "ada", OTHER, 0.0) > 0


# Hashing


async def test_one_address_has_a_part_of_the_queue_and_no_more():
    check = PasswordCheck(concurrent=1, waiting=3, of_one=2)
    go_on = held(check, 1)
    first = [asyncio.create_task(check.verify(PASSWORD_HASH, PASSWORD, address=FLOODER)) for _ in range(2)]
    await until(lambda: check.under_way == 2)
    with pytest.raises(LimitExceeded) as refused:
        await check.verify(PASSWORD_HASH, PASSWORD, address=FLOODER)
    assert refused.value.retry_after > 0
    go_on.set()
    assert await check.verify(PASSWORD_HASH, PASSWORD, address=OTHER)
    assert await asyncio.gather(*first) == [True, True]
    await until(lambda: check.under_way == 0)
    check.close()


async def test_who_stops_waiting_keeps_the_place_until_the_thread_is_done(monkeypatch: pytest.MonkeyPatch):
    go_on = threading.Event()
    slowly = lambda *given: go_on.wait(WAIT_SECONDS) and verify_password(*given)  # noqa: E731 - said in one line
    monkeypatch.setattr("portico.issuer.passwords.verify_password", slowly)
    check = PasswordCheck(concurrent=1, waiting=0)
    task = asyncio.create_task(check.verify(PASSWORD_HASH, PASSWORD))
    await until(lambda: check._threads._work_queue.empty() and check.under_way == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(LimitExceeded):
        await check.verify(PASSWORD_HASH, PASSWORD)
    go_on.set()
    await until(lambda: check.under_way == 0)
    assert await check.verify(PASSWORD_HASH, PASSWORD)
    check.close()


async def test_who_stops_waiting_before_it_is_their_turn_is_not_hashed_for():
    check = PasswordCheck(concurrent=1, waiting=4, of_one=5)
    go_on = held(check, 1)
    tasks = [asyncio.create_task(check.verify(PASSWORD_HASH, PASSWORD)) for _ in range(5)]
    await until(lambda: check.under_way == 5)
    for task in tasks[1:]:
        task.cancel()
    go_on.set()
    assert await tasks[0]
    await until(lambda: check.under_way == 0)
    check.close()


async def test_the_loop_goes_on_while_passwords_are_hashed():
    check = PasswordCheck()
    tasks = [asyncio.create_task(check.verify(PASSWORD_HASH, PASSWORD, address=f"10.0.0.{n}")) for n in range(12)]
    turns = 0
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0.002)
        turns += 1
    assert turns >= 20
    check.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness per thread")
async def test_the_threads_that_hash_step_back_and_the_one_that_serves_does_not():
    check = PasswordCheck()
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert await check.verify(PASSWORD_HASH, PASSWORD)
    job = check._threads.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert job.result(WAIT_SECONDS) == max(before, NICENESS)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
    check.close()


# What one address makes us ask others


@pytest.fixture
async def documented(world: World):
    await world.settle(scopes=["mcp/invoke", "mcp/read"], clientDocuments={"enabled": True, "allowedHosts": ["*"]})
    yield world
    await world.app.aclose()
    await world.fetcher.aclose()


async def authorize_at(world: World, address: str, client_id: str) -> httpx2.Response:
    async with world.http(address) as http:
        return await http.get("/i/main/authorize", params=world.request(client_id))


def unknown_documents(count: int) -> list[str]:
    """Return client ids of as many sites, none of which can be reached."""
    return [f"https://app.site{number}.invalid/client.json" for number in range(count)]


@pytest.mark.case("F03", "F10")
async def test_one_address_has_few_unknown_documents_fetched(documented: World):
    client_id = await documented.register()
    answers = [(await authorize_at(documented, FLOODER, url)).status_code for url in unknown_documents(DOCUMENT_BURST)]
    assert 429 not in answers
    refused = await authorize_at(documented, FLOODER, "https://one.more.invalid/client.json")
    assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
    assert (await authorize_at(documented, FLOODER, client_id)).status_code == 200, "clients at hand cost nothing"
    assert (await authorize_at(documented, OTHER, "https://one.more.invalid/client.json")).status_code == 400


@pytest.mark.case("F03", "F10")
@pytest.mark.parametrize("endpoint", ["token", "revoke", "introspect"])
async def test_the_endpoints_of_clients_count_unknown_documents_too(documented: World, endpoint: str):
    for url in unknown_documents(DOCUMENT_BURST):
        await authorize_at(documented, FLOODER, url)
    form = {"client_id": "https://one.more.invalid/client.json", "token": "x", "grant_type": "refresh_token"}
    for address, limited in ((FLOODER, True), (OTHER, False)):
        async with documented.http(address) as http:
            answer = await http.post(f"/i/main/{endpoint}", data=form | {"refresh_token": "x"})
            assert (answer.status_code == 429) == limited, answer.text


@pytest.mark.case("T28")
@pytest.mark.xdist_group("issuer-provider-worlds")
async def test_a_flood_of_answers_to_one_login_leaves_the_provider_and_others_alone(make_provided):
    """A browser may put its own cookie back, and every answer to a flow asks the provider what the code is worth."""
    world = await make_provided("strict")
    client_id = await world.register()
    browser = Browser(world)
    browser.http = world.http(FLOODER)
    state = parse_qs(urlsplit(await world.leave(browser, client_id)).query)["state"][0]
    cookies = dict(browser.http.cookies)
    answers = []
    with world.clock.standing():
        for number in range(CALLBACK_BURST + 3):
            async with world.http(FLOODER) as http:
                query = {"state": state, "code": f"made-up-{number}", "iss": world.idp.issuer}
                http.cookies.update(cookies)
                answered = await http.get(f"{world.path}/callback", params=query)
                answers.append(answered.status_code)
    assert answers[-3:] == [429] * 3
    assert answers.count(429) == 3
    assert len(await world.asked("token")) == CALLBACK_BURST
    assert "code" in await world.come_back(client_id)


@pytest.mark.case("T28")
def test_tokens_are_counted_where_a_provider_is_asked_and_nowhere_else(world: World):
    now = 0.0
    documents = ClientDocuments(world.fetcher, clock=lambda: now)
    outreach = Outreach(documents, clock=lambda: now)
    local, facade = SimpleNamespace(providers={}), SimpleNamespace(providers={"company": object()})
    for _ in range(EXCHANGE_BURST):
        outreach.for_exchange(facade, FLOODER)
    with pytest.raises(LimitExceeded) as refused:
        outreach.for_exchange(facade, FLOODER)
    assert refused.value.retry_after == pytest.approx(1 / EXCHANGES_PER_SECOND)
    outreach.for_exchange(facade, OTHER)
    outreach.for_exchange(local, FLOODER)


# What is said about it


def test_the_table_of_limits_is_what_is_enforced():
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    table = page.partition("### What one address may do\n")[2].partition("\n## ")[0]
    rows = [
        tuple(cell.strip() for cell in line.split("|")[2:4]) for line in table.splitlines() if line.startswith("| ")
    ]

    def locked(ladder: Ladder) -> tuple[str, str]:
        return str(ladder.free), f"then locked for {ladder.first:.0f} s, doubling up to {ladder.longest / 60:.0f} min"

    assert rows[1:] == [
        (str(register.BURST), f"{register.PER_SECOND} a second"),
        *map(locked, LADDERS),
        (str(CHECKS_OF_ONE_ADDRESS), f"of all: {CONCURRENT_CHECKS} at a time, {WAITING_CHECKS} waiting"),
        (str(DOCUMENT_BURST), f"{DOCUMENTS_PER_SECOND} a second"),
        (str(CALLBACK_BURST), f"{CALLBACKS_PER_SECOND:.0f} a second"),
        (str(EXCHANGE_BURST), f"{EXCHANGES_PER_SECOND:.0f} a second"),
    ]
