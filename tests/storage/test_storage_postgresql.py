"""What only a server has: locks between processes, outages, logins, TLS."""

import asyncio
import signal
import time
from dataclasses import replace

import pytest

from net.authority import Authority
from portico.model.errors import ConfigError, Conflict, InputError, StorageUnavailable
from portico.storage import authorization_codes, counters, grants, jobs, postgresql, users
from portico.storage.authorization_codes import AuthorizationCodeRow
from portico.storage.engine import Database
from portico.storage.grants import GrantRow
from portico.storage.migrate import migrate
from portico.storage.users import UserRow
from support import unhurried
from support.outage import writes_locked
from support.postgres import PASSWORD, QUOTED_PASSWORD, TEMPLATE, USER, running_server, sorts_by_language

BOUND = 30.0
USER_ROW = UserRow(issuer="main", subject="s", name="n", password_hash="h", password_changed_at=1, created_at=1)
GRANT = GrantRow(
    id="g", issuer="main", subject="s", client_id="c", scopes=(), resource="r", created_at=1, expires_at=2**40
)


@pytest.fixture
def database_kind():
    return "postgresql"


@pytest.fixture
async def other(url):
    """The same database, as another process has it open."""
    opened = await Database.open(url)
    yield opened
    await opened.aclose()


@pytest.fixture(scope="module")
def own_server():
    """A server that a test may stop, freeze and configure."""
    with running_server() as server:
        yield server


@pytest.fixture
async def own(own_server):
    """A database of the server that may be stopped."""
    opened = await Database.open(own_server.url(TEMPLATE))
    yield opened
    await opened.aclose()


async def bump(database, *, shared=False):
    async with database.write(shared=shared) as conn:
        return await counters.bump(conn, "gateway/a")


async def works(database):
    async with database.read() as conn:
        return await counters.read_all(conn)


async def at_last(attempt):
    """Try until the database is there, bounded."""
    async with asyncio.timeout(BOUND):
        while True:
            try:
                return await attempt()
            except StorageUnavailable:
                await asyncio.sleep(0.05)


# Writers


async def test_writers_of_several_processes_take_turns_and_none_is_refused(database, other):
    await asyncio.gather(*(bump(one) for one in (database, other) for _ in range(50)))
    assert await works(database) == {"gateway/a": 100}


async def test_what_a_writer_reads_stays_so_until_it_has_written(database, other):
    async def increment(one):
        async with one.write() as conn:
            before = (await counters.read_all(conn)).get("gateway/a", 0)
            await asyncio.sleep(0)
            assert await counters.bump(conn, "gateway/a") == before + 1

    await asyncio.gather(*(increment(one) for one in (database, other) for _ in range(20)))


async def test_shared_writers_run_beside_each_other_and_never_beside_another_one(database, other):
    inside, events = asyncio.Barrier(3), []

    async def shared(one):
        async with one.write(shared=True) as conn:
            await inside.wait()
            await asyncio.sleep(0.1)
            await counters.bump(conn, "revocations")
            events.append("shared")

    async def alone():
        await inside.wait()
        async with database.write() as conn:
            assert await counters.read_all(conn) == {"revocations": 2}
            events.append("alone")

    async with asyncio.timeout(BOUND):
        await asyncio.gather(shared(database), shared(other), alone())
    assert events == ["shared", "shared", "alone"]


@pytest.mark.usefixtures("gives_up_on_locks")
async def test_a_lock_of_another_process_stops_writes_only_and_they_recover(database, url):
    async with writes_locked(url), asyncio.timeout(BOUND):
        for shared in (False, True):
            started = time.monotonic()
            with pytest.raises(StorageUnavailable):
                await bump(database, shared=shared)
            assert time.monotonic() - started > postgresql.LOCK_TIMEOUT - 0.1
            assert await works(database) == {}
    assert await bump(database) == 1


async def test_many_writers_against_a_lock_leave_connections_for_readers(database, url):
    async with writes_locked(url), asyncio.timeout(BOUND):
        database._patience = 2.0  # of the writers only
        writing = [asyncio.create_task(bump(database)) for _ in range(30)]
        await asyncio.sleep(0)
        database._patience = unhurried.LONG
        for _ in range(10):
            assert await works(database) == {}
            await asyncio.sleep(0.05)
        outcomes = await asyncio.gather(*writing, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
    assert await bump(database) == 1


async def test_a_process_that_falls_silent_within_a_write_loses_its_lock(url, database, monkeypatch):
    monkeypatch.setattr(postgresql, "IDLE_TIMEOUT", 0.5)
    silent = await Database.open(url)

    async def writes():
        async with silent.write() as conn:
            held.set()
            await counters.bump(conn, "gateway/silent")
            await taken.wait()
            await counters.bump(conn, "gateway/silent")

    held, taken = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(writes())
    await held.wait()
    monkeypatch.setattr(postgresql, "IDLE_TIMEOUT", unhurried.LONG)  # of the others
    async with asyncio.timeout(BOUND):
        assert await bump(database) == 1
    taken.set()
    with pytest.raises(StorageUnavailable):
        await task
    assert await works(database) == {"gateway/a": 1}
    assert await bump(silent) == 2
    await silent.aclose()


async def test_a_deadlock_is_an_outage_of_one_of_the_two_and_no_fault(database):
    async with database.write() as conn:
        await users.add(conn, USER_ROW)
        await users.add(conn, replace(USER_ROW, subject="t", name="m"))

    async def both(first, second):
        async with database.write(shared=True) as conn:
            await users.set_disabled(conn, first, 1)
            await inside.wait()
            await users.set_disabled(conn, second, 1)

    inside = asyncio.Barrier(2)
    outcomes = await asyncio.gather(both("s", "t"), both("t", "s"), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "StorageUnavailable"]


# What is contended for by shared writers


@pytest.mark.case("C01")
async def test_of_fifty_shared_takers_of_a_code_in_two_processes_exactly_one_wins(database, other):
    row = AuthorizationCodeRow(
        code_hash="c" * 64,
        issuer="main",
        grant_id="g",
        client_id="c",
        redirect_uri="r",
        code_challenge="x",
        scopes=(),
        resource="r",
        expires_at=100,
    )
    async with database.write() as conn:
        await grants.add(conn, GRANT)
        await authorization_codes.add(conn, row)

    async def taker(one):
        async with one.write(shared=True) as conn:
            assert await authorization_codes.find(conn, row.code_hash) is not None
            return await authorization_codes.take(conn, row.code_hash, 1)

    outcomes = await asyncio.gather(*(taker(one) for one in (database, other) for _ in range(25)))
    assert [outcome for outcome in outcomes if outcome is not None] == [replace(row, used_at=1)]


async def test_of_two_that_insert_the_same_at_once_one_is_told(database, other):
    async def insert(one):
        async with one.write(shared=True) as conn:
            await inside.wait()
            await grants.add(conn, GRANT)

    inside = asyncio.Barrier(2)
    outcomes = await asyncio.gather(insert(database), insert(other), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "NoneType"]


async def test_workers_that_look_at_once_pass_over_what_others_take(database, other):
    async with database.write() as conn:
        for number in range(20):
            await jobs.put(conn, "sync", str(number), 1.0)

    async def worker(one, name):
        async with one.write(shared=True) as conn:
            taken = await jobs.lease(conn, name, 2.0, 30.0, 3)
            await inside.wait()  # all transactions are open at this moment
            return [job.key for job in taken]

    inside = asyncio.Barrier(6)
    batches = await asyncio.gather(*(worker(one, str(n)) for n, one in enumerate([database, other] * 3)))
    assert [len(batch) for batch in batches] == [3] * 6
    assert len({key for batch in batches for key in batch}) == 18


async def test_processes_that_start_at_once_migrate_once(empty_postgres_url, monkeypatch):
    from portico.storage import migrate as module

    def counted(connection):
        upgrades.append(1)
        original(connection)

    original, upgrades = module._upgrade, []
    monkeypatch.setattr(module, "_upgrade", counted)
    await asyncio.gather(*(migrate(empty_postgres_url) for _ in range(6)))
    await migrate(empty_postgres_url)
    assert 1 <= len(upgrades) <= 6  # none at the second start


async def test_a_role_that_may_not_change_tables_can_use_a_current_database(postgres, postgres_url):
    database = postgres_url.rsplit("/", 1)[1]
    admin = await postgres.connect(database)
    role = f"daily_{database}"
    await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    await admin.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    try:
        url = postgres_url.replace(f"{USER}:{QUOTED_PASSWORD}", f"{role}:x")
        await migrate(url)
        daily = await Database.open(url)
        assert await bump(daily) == 1
        await daily.aclose()
    finally:
        await admin.execute(f"DROP OWNED BY {role}")
        await admin.execute(f"DROP ROLE {role}")
        await admin.close()


# Values


@pytest.mark.parametrize("name", ["x" * 321, "a\0b"])
@pytest.mark.case("H10")
async def test_a_value_that_does_not_fit_is_the_callers_fault_and_is_not_quoted(database, name):
    with pytest.raises(InputError) as caught:
        async with database.write() as conn:
            await users.add(conn, replace(USER_ROW, name=name, password_hash="canary"))
    assert not {"canary", name} & set(everything(caught.value).split("'"))
    assert await works(database) == {}


@pytest.mark.case("H10")
async def test_a_broken_constraint_does_not_quote_the_key(database):
    async def add():
        async with database.write() as conn:
            await grants.add(conn, replace(GRANT, id="canary"))

    await add()
    with pytest.raises(Conflict) as caught:
        await add()
    assert "canary" not in everything(caught.value)


def everything(error):
    """The texts of an error and of all that caused it."""
    seen = ""
    while error is not None:
        seen += f"{error!r} {error} {getattr(error, 'detail', '')} {getattr(error, 'orig', '')}\n"
        error = error.__cause__ or error.__context__
    return seen


# Logins


@pytest.mark.case("H10")
async def test_a_server_that_refuses_the_login_is_a_configuration_fault_without_the_password(postgres, postgres_url):
    wrong = postgres_url.replace(QUOTED_PASSWORD, "canary-wrong")
    for url in (wrong, postgres_url.rsplit("/", 1)[0] + "/nothing", postgres_url.replace(USER, "nobody", 1)):
        with pytest.raises(ConfigError) as caught:
            await Database.open(url)
        assert "was refused by the server" in caught.value.faults[0].message
        assert "canary" not in everything(caught.value)
        assert PASSWORD not in everything(caught.value)


async def test_a_password_may_come_from_the_environment(postgres_url, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    opened = await Database.open(postgres_url.replace(f":{QUOTED_PASSWORD}", ""))
    assert await bump(opened) == 1
    await opened.aclose()


async def test_a_database_of_another_encoding_is_refused(postgres):
    provider = "LOCALE_PROVIDER libc" if sorts_by_language() else ""
    await postgres.run(f"CREATE DATABASE odd TEMPLATE template0 ENCODING LATIN1 LOCALE 'C' {provider}")
    with pytest.raises(ConfigError) as caught:
        await Database.open(postgres.url("odd"))
    assert "--encoding=UTF8" in str(caught.value)
    await postgres.drop("odd")


@pytest.mark.parametrize("host", ["127.0.0.1:1", "portico.invalid"])
async def test_a_server_that_cannot_be_reached_is_unavailable_in_time(host, monkeypatch):
    monkeypatch.setattr(postgresql, "CONNECT_TIMEOUT", 3.0)
    async with asyncio.timeout(BOUND):
        with pytest.raises(StorageUnavailable) as caught:
            await Database.open(f"postgresql://u:canary@{host}/d?sslmode=disable")
    assert "canary" not in everything(caught.value)


async def test_a_unix_socket_is_named_by_its_directory(postgres):
    path = f"postgresql://{USER}:{QUOTED_PASSWORD}@:{postgres.port}/{TEMPLATE}?host={postgres.directory}"
    opened = await Database.open(path)
    assert await works(opened) == {}
    await opened.aclose()


# Outages


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT])
async def test_a_restarted_server_costs_no_transaction_afterwards(own_server, own, how):
    await asyncio.gather(*(works(own) for _ in range(postgresql.POOL_SIZE)))
    before = await bump(own)
    own_server.stop(how)
    try:
        for attempt in (works, bump, works):
            async with asyncio.timeout(BOUND):
                with pytest.raises(StorageUnavailable):
                    await attempt(own)
    finally:
        own_server.start()
    await asyncio.gather(*(works(own) for _ in range(postgresql.POOL_SIZE * 2)))
    assert await bump(own) > before


async def test_a_transaction_that_the_outage_interrupts_fails_as_one(own_server, own):
    before = await bump(own)

    async def interrupted():
        async with own.write() as conn:
            await counters.bump(conn, "gateway/a")
            own_server.stop()
            await counters.bump(conn, "gateway/a")

    with pytest.raises(StorageUnavailable):
        await interrupted()
    own_server.start()
    assert await bump(own) == before + 1


async def test_a_transaction_whose_commit_cannot_be_sent_fails(own_server, own):
    before = await bump(own)

    async def interrupted():
        async with own.write() as conn:
            await counters.bump(conn, "gateway/a")
            own_server.stop()

    with pytest.raises(StorageUnavailable):
        await interrupted()
    own_server.start()
    assert await bump(own) == before + 1


async def test_a_server_that_does_not_answer_is_given_up_in_time(own_server, own, monkeypatch):
    before = await bump(own)
    monkeypatch.setattr(postgresql, "CONNECT_TIMEOUT", 3.0)
    monkeypatch.setattr(postgresql, "ANSWER_TIMEOUT", 1.0)
    unhurried.start_within(monkeypatch, 4.0)
    quick = await at_last(lambda: Database.open(own_server.url(TEMPLATE)))
    with own_server.frozen():
        async with asyncio.timeout(BOUND):
            outcomes = await asyncio.gather(*(attempt(quick) for attempt in [works, bump] * 15), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
    assert await at_last(lambda: bump(quick)) > before
    await quick.aclose()


async def test_closing_does_not_wait_for_a_server_that_does_not_answer(own_server):
    silent = await Database.open(own_server.url(TEMPLATE))
    await asyncio.gather(*(works(silent) for _ in range(4)))
    with own_server.frozen():
        async with asyncio.timeout(BOUND):
            await silent.aclose()


async def test_a_server_that_became_a_standby_is_left_for_the_next_primary(own_server, own):
    await bump(own)
    await own_server.run("ALTER SYSTEM SET default_transaction_read_only = on")
    await own_server.run("SELECT pg_reload_conf()")
    try:
        async with asyncio.timeout(BOUND):
            while True:
                try:
                    await bump(own)
                except StorageUnavailable:
                    break
        with pytest.raises(StorageUnavailable):  # no connection of before is left to read old data from
            await works(own)
    finally:
        conn = await own_server.connect(server_settings={"default_transaction_read_only": "off"})
        await conn.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await conn.execute("SELECT pg_reload_conf()")
        await conn.close()
    assert await at_last(lambda: bump(own))


# TLS


async def test_tls_proves_the_server_by_its_name(own_server, tmp_path):
    authority, stranger = Authority(tmp_path, "ca"), Authority(tmp_path, "other")
    authority.server_context("localhost")
    await own_server.speak_tls(tmp_path / "localhost-False.pem")
    assert stranger.ca_file == tmp_path / "other.pem"

    def url(host, options):
        return own_server.url(TEMPLATE).replace("127.0.0.1", host) + f"?{options}"

    for good in (
        url("localhost", f"sslmode=verify-full&sslrootcert={tmp_path}/ca.pem"),
        url("127.0.0.1", f"sslmode=verify-ca&sslrootcert={tmp_path}/ca.pem"),
        url("127.0.0.1", "sslmode=require"),
    ):
        opened = await Database.open(good)
        async with opened.read() as conn:
            query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            assert (await conn.exec_driver_sql(query)).scalar_one() is True
        await opened.aclose()
    for bad in (
        url("127.0.0.1", f"sslmode=verify-full&sslrootcert={tmp_path}/ca.pem"),
        url("localhost", f"sslmode=verify-full&sslrootcert={tmp_path}/other.pem"),
        url("localhost", "sslmode=verify-full"),
    ):
        with pytest.raises(StorageUnavailable) as caught:
            await Database.open(bad)
        assert "certificate" in caught.value.detail.lower()
