"""The aggregates of the AgentCore API, on both databases."""

import asyncio
from dataclasses import replace

import pytest

from portico.model.errors import Conflict
from portico.storage import (
    access_keys,
    changes,
    client_tokens,
    credential_providers,
    outbound_tokens,
    tags,
    workload_identities,
)
from portico.storage.access_keys import AccessKeyRow
from portico.storage.changes import ChangeRow
from portico.storage.client_tokens import ClientTokenRow
from portico.storage.credential_providers import CredentialProviderRow
from portico.storage.outbound_tokens import OutboundTokenRow
from portico.storage.workload_identities import WorkloadIdentityRow

NOW = 1_800_000_000

PROVIDER = CredentialProviderRow(
    kind="oauth2",
    name="github",
    vendor="GithubOauth2",
    document={"name": "github"},
    sealed="v1.a.b",
    callback_id="c" * 32,
    created_at=NOW,
    updated_at=NOW,
)
WORKLOAD = WorkloadIdentityRow(
    name="tools-abcdefghij", document={"name": "w"}, owner="g", created_at=NOW, updated_at=NOW
)
KEY = AccessKeyRow(id="PORTICOKEY", sealed_secret="s", name="ops", role="operator", gateways=("a",), created_at=NOW)


async def test_credential_providers_come_back_as_they_were_put_and_kinds_have_names_of_their_own(database):
    async with database.write() as conn:
        await credential_providers.add(conn, PROVIDER)
        await credential_providers.add(conn, replace(PROVIDER, kind="api_key"))
        assert await credential_providers.get(conn, "oauth2", "github") == PROVIDER
        assert await credential_providers.get(conn, "oauth2", "other") is None
        assert len(await credential_providers.list_all(conn)) == 2
        assert await credential_providers.count(conn, "oauth2") == 1
        with pytest.raises(Conflict):
            await credential_providers.add(conn, PROVIDER)
        assert await credential_providers.delete(conn, "oauth2", "github")
        assert not await credential_providers.delete(conn, "oauth2", "github")
        assert await credential_providers.count(conn, "api_key") == 1


async def test_a_credential_provider_is_replaced_only_at_the_revision_that_was_read(database):
    async with database.write() as conn:
        await credential_providers.add(conn, PROVIDER)
        new = await credential_providers.replace(conn, replace(PROVIDER, sealed="new"), expected_revision=1)
        assert new.revision == 2
        assert await credential_providers.get(conn, "oauth2", "github") == new
        with pytest.raises(Conflict):
            await credential_providers.replace(conn, PROVIDER, expected_revision=1)


async def test_pages_of_providers_and_workload_identities_follow_their_names(database):
    async with database.write() as conn:
        for name in ("a", "B", "b-1", "b_1", "c"):
            await credential_providers.add(conn, replace(PROVIDER, name=name))
            await workload_identities.add(conn, replace(WORKLOAD, name=f"{name}xx"))
        for listing in (
            lambda after: credential_providers.page(conn, "oauth2", after=after, limit=2),
            lambda after: workload_identities.page(conn, after=after, limit=2),
        ):
            seen, after = [], ""
            while rows := await listing(after):
                seen += [row.name for row in rows]
                after = seen[-1]
            assert len(seen) == len(set(seen)) == 5


async def test_workload_identities_come_back_as_they_were_put(database):
    async with database.write() as conn:
        await workload_identities.add(conn, WORKLOAD)
        assert await workload_identities.get(conn, WORKLOAD.name) == WORKLOAD
        assert await workload_identities.list_all(conn) == [WORKLOAD]
        assert await workload_identities.count(conn) == 0  # a gateway's own are not counted
        await workload_identities.add(conn, replace(WORKLOAD, name="of-nobody", owner=""))
        assert await workload_identities.count(conn) == 1
        assert await workload_identities.delete(conn, "of-nobody")
        with pytest.raises(Conflict):
            await workload_identities.add(conn, WORKLOAD)
        new = replace(WORKLOAD, document={"allowedResourceOauth2ReturnUrls": []}, updated_at=NOW + 1)
        assert await workload_identities.replace(conn, new)
        assert await workload_identities.get(conn, WORKLOAD.name) == new
        assert await workload_identities.delete(conn, WORKLOAD.name)
        assert not await workload_identities.replace(conn, new)
        assert not await workload_identities.delete(conn, WORKLOAD.name)


async def test_access_keys_come_back_as_they_were_put(database):
    async with database.write() as conn:
        await access_keys.add(conn, KEY)
        with pytest.raises(Conflict):
            await access_keys.add(conn, KEY)
        assert await access_keys.get(conn, KEY.id) == KEY
        assert await access_keys.set_used(conn, KEY.id, NOW + 5)
        assert await access_keys.replace(conn, replace(KEY, role="reader"))
        assert await access_keys.set_disabled(conn, KEY.id, NOW + 6)
        expected = replace(KEY, role="reader", disabled_at=NOW + 6, last_used_at=NOW + 5)
        assert await access_keys.list_all(conn) == [expected]
        assert await access_keys.delete(conn, KEY.id)
        assert not await access_keys.set_disabled(conn, KEY.id, None)
        assert await access_keys.get(conn, KEY.id) is None


async def test_tags_are_added_changed_and_removed_by_key(database):
    async with database.write() as conn:
        await tags.put(conn, "arn:1", {"b": "2", "a": "1"})
        await tags.put(conn, "arn:1", {"a": "new", "c": ""})
        await tags.put(conn, "arn:2", {"a": "1"})
        assert await tags.get(conn, "arn:1") == {"a": "new", "b": "2", "c": ""}
        await tags.remove(conn, "arn:1", ["b", "not there"])
        await tags.remove(conn, "arn:1", [])
        assert await tags.list_all(conn) == {"arn:1": {"a": "new", "c": ""}, "arn:2": {"a": "1"}}
        await tags.remove_all(conn, "arn:1")
        assert await tags.get(conn, "arn:1") == {}


async def test_a_client_token_answers_until_it_is_over(database):
    row = ClientTokenRow(operation="A", token="t" * 33, request_digest="d", response={"x": [1]}, expires_at=NOW + 10)
    async with database.write() as conn:
        await client_tokens.put(conn, row)
        assert await client_tokens.get(conn, "A", row.token, now=NOW) == row
        assert await client_tokens.get(conn, "B", row.token, now=NOW) is None
        assert await client_tokens.get(conn, "A", row.token, now=NOW + 10) is None
        again = replace(row, request_digest="e", expires_at=NOW + 30)
        await client_tokens.put(conn, again)
        await client_tokens.prune(conn, NOW + 10)
        assert await client_tokens.get(conn, "A", row.token, now=NOW + 10) == again
        await client_tokens.prune(conn, NOW + 30)
        assert await client_tokens.get(conn, "A", row.token, now=NOW) is None


async def test_of_processes_that_fetch_a_token_at_once_one_gets_the_lease(database):
    async def take(owner):
        async with database.write(shared=True) as conn:
            return await outbound_tokens.lease(conn, "k", provider="p", owner=owner, now=NOW, lease_seconds=30)

    taken = [row for row in await asyncio.gather(*(take(f"o{n}") for n in range(5))) if row is not None]
    assert len(taken) == 1
    row = taken[0]
    fetched = replace(row, sealed="v1", expires_at=NOW + 3600.0, refresh_at=NOW + 3000.0)
    async with database.write() as conn:
        assert await outbound_tokens.store(conn, fetched)
        assert not await outbound_tokens.store(conn, fetched)
        stored = await outbound_tokens.get(conn, "k")
    assert stored == replace(fetched, lease_owner="", leased_until=0.0)


async def test_a_lost_lease_writes_nothing_and_a_failure_is_noted(database):
    async with database.write() as conn:
        first = await outbound_tokens.lease(conn, "k", provider="p", owner="a", now=NOW, lease_seconds=30)
        later = await outbound_tokens.lease(conn, "k", provider="p", owner="b", now=NOW + 31, lease_seconds=30)
        assert first
        assert later
        assert not await outbound_tokens.store(conn, replace(first, sealed="stale"))
        assert not await outbound_tokens.release(conn, first, error="stale")
        assert await outbound_tokens.release(conn, later, error="x" * 5000, forget=True)
        stored = await outbound_tokens.get(conn, "k")
        assert stored == OutboundTokenRow(key="k", provider="p", last_error="x" * 2000)


async def test_a_token_is_forgotten_only_while_it_is_the_stored_one(database):
    async with database.write() as conn:
        row = await outbound_tokens.lease(conn, "k", provider="p", owner="a", now=NOW, lease_seconds=30)
        assert row
        await outbound_tokens.store(conn, replace(row, sealed="new", expires_at=NOW + 9.0))
        assert not await outbound_tokens.forget(conn, "k", "old")
        assert await outbound_tokens.forget(conn, "k", "new")
        stored = await outbound_tokens.get(conn, "k")
        assert stored is not None
        assert stored.sealed == ""
        await outbound_tokens.forget_provider(conn, "p")
        assert await outbound_tokens.get(conn, "k") is None


async def test_old_outbound_tokens_are_pruned_unless_they_are_being_fetched(database):
    async with database.write() as conn:
        for key, ends in (("old", NOW - 5.0), ("new", NOW + 5.0)):
            row = await outbound_tokens.lease(conn, key, provider="p", owner="a", now=NOW, lease_seconds=30)
            assert row
            await outbound_tokens.store(conn, replace(row, sealed="s", expires_at=ends))
        await outbound_tokens.lease(conn, "busy", provider="p", owner="a", now=NOW, lease_seconds=30)
        await outbound_tokens.prune(conn, NOW)
        found = [await outbound_tokens.get(conn, key) is not None for key in ("old", "new", "busy")]
    assert found == [False, True, True]


async def test_records_of_changes_wait_in_order_until_they_are_taken(database):
    rows = [ChangeRow(id=str(n) * 32, time=NOW + n, record={"n": n}) for n in range(3)]
    async with database.write() as conn:
        for row in reversed(rows):
            await changes.add(conn, row)
    async with database.write() as conn:
        assert await changes.oldest(conn, limit=2) == rows[:2]
        await changes.remove(conn, [row.id for row in rows[:2]])
    async with database.read() as conn:
        assert await changes.list_all(conn) == rows[2:]
