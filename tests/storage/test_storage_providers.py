"""People of providers, what a provider gave, clients without PKCE, and a façade's store, on both databases."""

import asyncio
from dataclasses import replace

import pytest

from portico.model.errors import Conflict
from portico.storage import clients, ended_grants, grants, spent, users
from portico.storage.clients import ClientRow
from portico.storage.grants import GrantRow
from portico.storage.users import UserRow

NOW = 1_800_000_000

LOCAL = UserRow(issuer="main", subject="u-1", name="ada", password_hash="h", password_changed_at=NOW, created_at=NOW)
PERSON = UserRow(
    issuer="main",
    subject="u-2",
    name="entra:0a1b",
    connector="entra",
    provider_subject="0a1b",
    password_changed_at=0,
    created_at=NOW,
)
GRANT = GrantRow(
    id="g1",
    issuer="main",
    subject="u-2",
    client_id="c",
    scopes=("mcp/invoke",),
    resource="http://x/g/a/mcp",
    created_at=NOW,
    expires_at=NOW + 100,
)


async def test_a_person_of_a_provider_is_found_by_what_the_provider_calls_them(database):
    async with database.write() as conn:
        await users.add(conn, LOCAL)
        assert await users.remember(conn, PERSON) == PERSON
        assert await users.by_provider(conn, "main", "entra", "0a1b") == PERSON
        for key in (("other", "entra", "0a1b"), ("main", "okta", "0a1b"), ("main", "entra", "0A1B"), ("main", "", "")):
            assert await users.by_provider(conn, *key) is None


async def test_a_person_of_a_provider_is_no_local_user_whatever_they_are_called(database):
    async with database.write() as conn:
        await users.remember(conn, PERSON)
        assert await users.by_name(conn, "main", PERSON.name) is None
        assert await users.by_any_name(conn, "main", PERSON.name) == PERSON
        await users.add(conn, LOCAL)
        assert await users.by_name(conn, "main", "ada") == LOCAL
        with pytest.raises(Conflict):
            await users.remember(conn, replace(PERSON, subject="u-3", name="ada", provider_subject="evil"))


async def test_any_number_of_local_users_have_no_provider(database):
    async with database.write() as conn:
        await users.add(conn, LOCAL)
        await users.add(conn, replace(LOCAL, subject="u-9", name="bob"))
        assert len(await users.list_all(conn, issuer="main")) == 2


async def test_of_twenty_first_logins_of_a_person_one_makes_the_user(database):
    async def login(number):
        async with database.write() as conn:
            return await users.remember(conn, replace(PERSON, subject=f"s-{number}"))

    rows = await asyncio.gather(*(login(number) for number in range(20)))
    assert len({row.subject for row in rows}) == 1


async def test_a_disabled_person_stays_disabled_at_the_next_login(database):
    async with database.write() as conn:
        await users.remember(conn, PERSON)
        await users.set_disabled(conn, "u-2", NOW)
        assert (await users.remember(conn, replace(PERSON, subject="u-5"))).disabled_at == NOW


async def test_of_fifty_who_want_to_ask_the_provider_one_may(database):
    async with database.write() as conn:
        await grants.add(conn, GRANT)

    async def asker():
        async with database.write() as conn:
            return await grants.take_lease(conn, "g1", NOW, NOW + 30)

    assert sum(await asyncio.gather(*(asker() for _ in range(50)))) == 1


async def test_a_lease_ends_by_itself_and_its_late_holder_writes_nothing(database):
    async with database.write() as conn:
        await grants.add(conn, GRANT)
        assert await grants.take_lease(conn, "g1", NOW, NOW + 30)
        assert not await grants.take_lease(conn, "g1", NOW + 29, NOW + 59)
        assert await grants.take_lease(conn, "g1", NOW + 30, NOW + 60)
        assert not await grants.set_upstream(conn, "g1", "late", NOW + 31, lease=NOW + 30)
        assert not await grants.release_lease(conn, "g1", NOW + 30)
        assert await grants.set_upstream(conn, "g1", "sealed", NOW + 31, lease=NOW + 60)
        stored = await grants.get(conn, "g1")
        assert stored == replace(GRANT, upstream="sealed", upstream_checked_at=NOW + 31)
        assert await grants.take_lease(conn, "g1", NOW + 31, NOW + 61)
        assert await grants.release_lease(conn, "g1", NOW + 61)
        assert await grants.take_lease(conn, "g1", NOW + 31, NOW + 61)


async def test_nobody_asks_the_provider_about_a_revoked_grant(database):
    async with database.write() as conn:
        await grants.add(conn, GRANT)
        await grants.revoke(conn, "g1", NOW)
        assert not await grants.take_lease(conn, "g1", NOW, NOW + 30)
        assert not await grants.take_lease(conn, "nothing", NOW, NOW + 30)


async def test_clients_need_pkce_unless_they_were_made_without(database):
    row = ClientRow(issuer="main", client_id="studio", kind="confidential", name="Studio", created_at=NOW)
    async with database.write() as conn:
        await clients.add(conn, row)
        await clients.add(conn, replace(row, client_id="old", pkce_required=False))
        assert (await clients.get(conn, "main", "studio")).pkce_required is True
        assert (await clients.get(conn, "main", "old")).pkce_required is False


async def test_a_deleted_client_of_a_document_stays_refused(database):
    row = ClientRow(
        issuer="main", client_id="https://app.example/client.json", kind="document", name="App", created_at=NOW
    )
    async with database.write() as conn:
        await clients.remember_registered(conn, row)
        await clients.delete(conn, "main", row.client_id, NOW)
        assert (await clients.remember_registered(conn, row)).deleted_at == NOW
        with pytest.raises(Conflict):
            await clients.add(conn, replace(row, kind="public"))


@pytest.mark.case("C01", "C07")
async def test_of_fifty_uses_of_a_one_time_thing_one_is_the_first(database):
    async def user():
        async with database.write() as conn:
            return await spent.spend(conn, "d" * 64, "code", NOW + 60, NOW)

    assert sum(await asyncio.gather(*(user() for _ in range(50)))) == 1


async def test_what_was_spent_is_forgotten_when_its_age_refuses_it(database):
    async with database.write() as conn:
        assert await spent.spend(conn, "d" * 64, "code", NOW, NOW)
        await spent.prune(conn, NOW)
        assert not await spent.spend(conn, "d" * 64, "refresh", NOW, NOW)
        await spent.prune(conn, NOW + 1)
        assert await spent.spend(conn, "d" * 64, "code", NOW, NOW)


async def test_replicas_hear_of_each_ended_grant_once_and_in_order(database):
    async with database.write() as conn:
        assert await ended_grants.news(conn) == []
        assert await ended_grants.end(conn, "a", now=NOW + 5, expires_at=NOW + 100)
        assert await ended_grants.end(conn, "b", now=NOW, expires_at=NOW + 200)
        assert not await ended_grants.end(conn, "a", now=NOW + 6, expires_at=NOW + 999)
        first = await ended_grants.news(conn)
        assert [(row.grant_id, row.ended_at) for row in first] == [("a", NOW + 5), ("b", NOW)]
        assert [row.grant_id for row in await ended_grants.news(conn, first[0].sequence)] == ["b"]
        assert await ended_grants.news(conn, first[1].sequence) == []
        assert await ended_grants.has_ended(conn, "a")
        await ended_grants.prune(conn, NOW + 101)
        assert not await ended_grants.has_ended(conn, "a")
        assert await ended_grants.has_ended(conn, "b")


async def test_what_came_of_a_use_is_kept_and_what_nothing_came_of_can_be_given_back(database):
    async with database.write() as conn:
        for digest in ("a" * 64, "b" * 64):
            assert await spent.spend(conn, digest, "refresh", NOW + 60, NOW)
        await spent.keep_outcome(conn, "a" * 64, "sealed")
        for digest in ("a" * 64, "b" * 64):
            await spent.give_back(conn, digest)
        kept = await spent.find(conn, "a" * 64)
        assert kept is not None
        assert (kept.outcome, kept.spent_at) == ("sealed", NOW)
        assert await spent.find(conn, "b" * 64) is None
