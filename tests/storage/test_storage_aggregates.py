import asyncio
from dataclasses import replace

import pytest

from portico.model.errors import Conflict
from portico.storage import (
    audit,
    authorization_codes,
    clients,
    gateways,
    grants,
    issuers,
    jobs,
    refresh_tokens,
    revocations,
    signing_keys,
    targets,
    users,
)
from portico.storage.authorization_codes import AuthorizationCodeRow
from portico.storage.clients import ClientRow
from portico.storage.gateways import GatewayRow
from portico.storage.grants import GrantRow
from portico.storage.issuers import IssuerRow
from portico.storage.refresh_tokens import RefreshTokenRow
from portico.storage.revocations import RevocationRow
from portico.storage.signing_keys import SigningKeyRow
from portico.storage.targets import TargetRow
from portico.storage.users import UserRow

NOW = 1_800_000_000

GATEWAY = GatewayRow(
    id="tools-abcdefghij",
    name="tools",
    document={"name": "tools", "protocolConfiguration": {"mcp": {"instructions": "é"}}},
    extension={},
    status="READY",
    status_reasons=("a", "b"),
    created_at=NOW,
    updated_at=NOW,
)
TARGET = TargetRow(
    id="ABCDEFGHIJ",
    gateway_id=GATEWAY.id,
    name="calculator",
    document={"name": "calculator"},
    extension={"era": "auto"},
    status="CREATING",
    created_at=NOW,
    updated_at=NOW,
)
USER = UserRow(issuer="main", subject="u-1", name="ada", password_hash="h", password_changed_at=NOW, created_at=NOW)
CLIENT = ClientRow(
    issuer="main", client_id="robot", kind="machine", name="Robot", secret_hash="x", scopes=("a/b",), created_at=NOW
)
GRANT = GrantRow(
    id="g1",
    issuer="main",
    subject="u-1",
    client_id="c",
    scopes=("mcp/invoke",),
    resource="http://x/g/a/mcp",
    created_at=NOW,
    expires_at=NOW + 100,
)
CODE = AuthorizationCodeRow(
    code_hash="c" * 64,
    issuer="main",
    grant_id="g1",
    client_id="c",
    redirect_uri="http://127.0.0.1/cb",
    code_challenge="x",
    scopes=("mcp/invoke",),
    resource="r",
    expires_at=NOW + 60,
)
TOKEN = RefreshTokenRow(
    token_hash="t" * 64, issuer="main", grant_id="g1", client_id="c", issued_at=NOW, expires_at=NOW + 60
)


async def test_gateways_come_back_as_they_were_put(database):
    async with database.write() as conn:
        await gateways.add(conn, GATEWAY)
        assert await gateways.get(conn, GATEWAY.id) == GATEWAY
        assert await gateways.by_name(conn, "tools") == GATEWAY
        assert await gateways.list_all(conn) == [GATEWAY]
        assert await gateways.get(conn, "nothing") is None
        with pytest.raises(Conflict) as caught:
            await gateways.add(conn, replace(GATEWAY, id="other"))
        assert "'tools' exists" in caught.value.public


async def test_a_gateway_is_replaced_only_at_the_revision_that_was_read(database):
    async with database.write() as conn:
        await gateways.add(conn, GATEWAY)
        new = await gateways.replace(conn, replace(GATEWAY, status="FAILED"), expected_revision=1)
        assert new.revision == 2
        assert await gateways.get(conn, GATEWAY.id) == new
        with pytest.raises(Conflict):
            await gateways.replace(conn, GATEWAY, expected_revision=1)


async def test_a_targets_stamp_is_another_one_after_every_write_that_others_must_read(database):
    async def stamp_after(write, *arguments, **named):
        async with database.write() as conn:
            await write(conn, *arguments, **named)
            found = await targets.stamps(conn, GATEWAY.id)
            assert found.keys() == {TARGET.id}
            return found[TARGET.id]

    async with database.write() as conn:
        await gateways.add(conn, GATEWAY)
    stamps = [
        await stamp_after(targets.add, TARGET),
        await stamp_after(targets.replace, TARGET, expected_revision=1),
        await stamp_after(targets.set_status, TARGET.id, "READY", [], eras=b"[]"),
        await stamp_after(targets.set_status, TARGET.id, "FAILED", ["no connection"]),
    ]
    assert len(set(stamps)) == len(stamps)
    assert await stamp_after(targets.set_status, TARGET.id, "FAILED", ["again"], synchronized_at=NOW) == stamps[-1]
    async with database.read() as conn:
        assert await targets.stamps(conn, "other") == {}
        assert [row.id for row in await targets.by_ids(conn, [TARGET.id, "none"])] == [TARGET.id]


async def test_targets_go_with_their_gateway(database):
    async with database.write() as conn:
        with pytest.raises(Conflict):
            await targets.add(conn, TARGET)
        await gateways.add(conn, GATEWAY)
        await targets.add(conn, TARGET)
        assert await targets.by_name(conn, GATEWAY.id, "calculator") == TARGET
        assert await targets.list_all(conn, gateway_id=GATEWAY.id) == [TARGET]
        assert await targets.list_all(conn, gateway_id="other") == []
        assert await gateways.delete(conn, GATEWAY.id)
        assert await targets.get(conn, TARGET.id) is None
        assert not await gateways.delete(conn, GATEWAY.id)


async def test_a_failed_synchronization_keeps_the_last_good_tools(database):
    async with database.write() as conn:
        await gateways.add(conn, GATEWAY)
        await targets.add(conn, TARGET)
        assert await targets.set_status(conn, TARGET.id, "READY", [], eras=b"[]", synchronized_at=NOW)
        assert await targets.set_status(conn, TARGET.id, "FAILED", ["no connection"])
        found = await targets.get(conn, TARGET.id)
        assert found == replace(
            TARGET, status="FAILED", status_reasons=("no connection",), eras=b"[]", synchronized_at=NOW
        )


async def test_a_synchronization_of_an_older_document_is_not_written(database):
    async with database.write() as conn:
        await gateways.add(conn, GATEWAY)
        await targets.add(conn, TARGET)
        await targets.replace(conn, TARGET, expected_revision=1)
        assert not await targets.set_status(conn, TARGET.id, "READY", [], revision=1)
        assert await targets.set_status(conn, TARGET.id, "READY", [], revision=2)
        assert await targets.delete(conn, TARGET.id)


async def test_issuers_are_put_over_each_other_and_keep_their_birthday(database):
    row = IssuerRow(name="main", document={"scopes": []}, created_at=NOW, updated_at=NOW)
    async with database.write() as conn:
        await issuers.put(conn, row)
        await issuers.put(conn, replace(row, document={"scopes": ["a"]}, created_at=NOW + 5, updated_at=NOW + 5))
        expected = replace(row, document={"scopes": ["a"]}, updated_at=NOW + 5)
        assert await issuers.get(conn, "main") == expected
        assert await issuers.list_all(conn) == [expected]
        assert await issuers.delete(conn, "main")


async def test_users_are_found_by_name_and_subject_and_can_be_disabled(database):
    async with database.write() as conn:
        await users.add(conn, USER)
        with pytest.raises(Conflict):
            await users.add(conn, replace(USER, subject="u-2"))
        await users.add(conn, replace(USER, subject="u-2", issuer="other"))
        assert await users.by_name(conn, "main", "ada") == USER
        assert await users.by_name(conn, "main", "ADA") is None
        assert await users.set_disabled(conn, "u-1", NOW + 1)
        assert await users.set_password(conn, "u-1", "h2", NOW + 2)
        assert await users.set_profile(conn, "u-1", display_name="Ada", email="a@example.com")
        found = await users.by_subject(conn, "u-1")
        assert found == replace(
            USER,
            disabled_at=NOW + 1,
            password_hash="h2",
            password_changed_at=NOW + 2,
            display_name="Ada",
            email="a@example.com",
        )
        assert await users.list_all(conn, issuer="main") == [found]
        assert await users.delete(conn, "u-1")
        assert not await users.set_disabled(conn, "u-1", None)


async def test_clients_are_added_replaced_disabled_and_deleted(database):
    async with database.write() as conn:
        await clients.add(conn, CLIENT)
        with pytest.raises(Conflict):
            await clients.add(conn, CLIENT)
        assert await clients.replace(conn, replace(CLIENT, name="New"))
        assert await clients.set_disabled(conn, "main", "robot", NOW)
        assert await clients.get(conn, "main", "robot") == replace(CLIENT, name="New", disabled_at=NOW)
        assert await clients.delete(conn, "main", "robot", NOW + 1)
        assert not await clients.delete(conn, "main", "robot", NOW + 2)
        assert not await clients.set_disabled(conn, "main", "robot", None)
        assert await clients.list_all(conn) == []
        [gone] = await clients.list_all(conn, issuer="main", with_deleted=True)
        assert (gone.deleted_at, gone.secret_hash) == (NOW + 1, "")


async def test_a_declared_client_can_be_added_again_after_its_deletion_and_a_registered_one_not(database):
    sealed = replace(CLIENT, client_id="v1.k.sealed", kind="registered", secret_hash="")
    async with database.write() as conn:
        for row in (CLIENT, sealed):
            await clients.add(conn, row)
            await clients.delete(conn, "main", row.client_id, NOW)
        await clients.add(conn, replace(CLIENT, name="Again"))
        assert await clients.get(conn, "main", "robot") == replace(CLIENT, name="Again")
        with pytest.raises(Conflict):
            await clients.add(conn, sealed)


async def test_remembering_a_registered_client_never_brings_it_back(database):
    row = replace(CLIENT, client_id="v1.k.sealed", kind="registered")
    async with database.write() as conn:
        assert await clients.remember_registered(conn, row) == row
        await clients.set_disabled(conn, "main", row.client_id, NOW)
        await clients.delete(conn, "main", row.client_id, NOW)
        again = await clients.remember_registered(conn, replace(row, name="Other"))
        assert (again.name, again.disabled_at, again.deleted_at) == ("Robot", NOW, NOW)


async def test_grants_are_listed_by_what_they_tie_together_and_revoked_once(database):
    async with database.write() as conn:
        await grants.add(conn, GRANT)
        await grants.add(conn, replace(GRANT, id="g2", subject="u-2", created_at=NOW + 1))
        assert [g.id for g in await grants.list_all(conn)] == ["g2", "g1"]
        assert await grants.list_all(conn, issuer="main", subject="u-1", client_id="c") == [GRANT]
        assert await grants.revoke(conn, "g1", NOW + 5)
        assert not await grants.revoke(conn, "g1", NOW + 6)
        assert (await grants.get(conn, "g1")).revoked_at == NOW + 5
        assert [g.id for g in await grants.list_all(conn, live_at=NOW + 10)] == ["g2"]
        assert await grants.list_all(conn, live_at=NOW + 100) == []


async def test_deleted_grants_take_their_codes_and_tokens_along(database):
    async with database.write() as conn:
        await grants.add(conn, GRANT)
        await authorization_codes.add(conn, CODE)
        await refresh_tokens.add(conn, TOKEN)
        await grants.prune(conn, GRANT.expires_at + 1)
        assert await authorization_codes.find(conn, CODE.code_hash) is None
        assert await refresh_tokens.find(conn, TOKEN.token_hash) is None
        with pytest.raises(Conflict):
            await refresh_tokens.add(conn, TOKEN)


@pytest.mark.case("C01")
async def test_of_fifty_takers_of_a_code_exactly_one_wins(database):
    async with database.write() as conn:
        await grants.add(conn, GRANT)
        await authorization_codes.add(conn, CODE)

    async def taker():
        async with database.write() as conn:
            return await authorization_codes.take(conn, CODE.code_hash, NOW + 1)

    won = [row for row in await asyncio.gather(*(taker() for _ in range(50))) if row is not None]
    assert won == [replace(CODE, used_at=NOW + 1)]
    async with database.read() as conn:
        assert await authorization_codes.find(conn, CODE.code_hash) == won[0]


@pytest.mark.case("C07")
async def test_of_fifty_rotations_of_a_refresh_token_exactly_one_wins(database):
    async with database.write() as conn:
        await grants.add(conn, GRANT)
        await refresh_tokens.add(conn, TOKEN)

    async def taker(number):
        async with database.write() as conn:
            return await refresh_tokens.take(conn, TOKEN.token_hash, NOW + 1, f"sealed-{number}")

    won = [row for row in await asyncio.gather(*(taker(n) for n in range(50))) if row is not None]
    assert len(won) == 1
    async with database.read() as conn:
        assert await refresh_tokens.find(conn, TOKEN.token_hash) == won[0]


@pytest.mark.case("C05", "C12")
async def test_what_is_over_cannot_be_taken(database):
    async with database.write() as conn:
        await grants.add(conn, GRANT)
        await authorization_codes.add(conn, CODE)
        await refresh_tokens.add(conn, TOKEN)
        assert await authorization_codes.take(conn, CODE.code_hash, CODE.expires_at) is None
        assert await refresh_tokens.take(conn, TOKEN.token_hash, TOKEN.expires_at, "s") is None
        assert (await authorization_codes.find(conn, CODE.code_hash)).used_at is None
        await authorization_codes.prune(conn, CODE.expires_at + 1)
        await refresh_tokens.prune(conn, TOKEN.expires_at + 1)
        assert await authorization_codes.find(conn, CODE.code_hash) is None
        assert await refresh_tokens.find(conn, TOKEN.token_hash) is None


async def test_signing_keys_move_through_their_states(database):
    row = SigningKeyRow(
        issuer="main", kid="k1", sealed="v1.x.y", public_jwk={"kty": "EC"}, state="next", created_at=NOW, changed_at=NOW
    )
    async with database.write() as conn:
        await signing_keys.add(conn, row)
        with pytest.raises(Conflict):
            await signing_keys.add(conn, row)
        assert await signing_keys.set_state(conn, "k1", "current", NOW + 1)
        assert await signing_keys.list_all(conn, issuer="main") == [replace(row, state="current", changed_at=NOW + 1)]
        assert await signing_keys.list_all(conn, issuer="other") == []
        assert await signing_keys.drop(conn, "k1")
        assert not await signing_keys.drop(conn, "k1")


async def test_revocations_live_as_long_as_the_tokens_that_they_concern(database):
    row = RevocationRow(kind="grant", issuer="http://x/i/main", key="g1", not_before=NOW, expires_at=NOW + 900)
    async with database.write() as conn:
        await revocations.add(conn, row)
        await revocations.add(conn, row)
        live = await revocations.list_live(conn, NOW + 900)
        assert [replace(r, id=0) for r in live] == [row, row]
        assert await revocations.list_live(conn, NOW + 901) == []
        await revocations.prune(conn, NOW + 901)
        assert await revocations.list_live(conn, NOW) == []


async def test_a_job_is_leased_by_one_worker_and_again_when_its_lease_is_over(database):
    async with database.write() as conn:
        await jobs.put(conn, "sync", "t1", 100.0)
        await jobs.put(conn, "sync", "t2", 50.0)
        assert await jobs.next_due(conn) == 50.0
        assert await jobs.lease(conn, "a", 49.0, 30.0, 10) == []
        first = await jobs.lease(conn, "a", 100.0, 30.0, 10)
        assert [(j.key, j.attempts, j.lease_owner) for j in first] == [("t2", 1, "a"), ("t1", 1, "a")]
        assert await jobs.next_due(conn) == 130.0
        assert await jobs.lease(conn, "b", 129.0, 30.0, 10) == []
        second = await jobs.lease(conn, "b", 130.0, 30.0, 1)
        assert [(j.key, j.attempts) for j in second] == [("t2", 2)]
        assert not await jobs.finish(conn, first[0])
        assert await jobs.finish(conn, second[0])
        assert await jobs.finish(conn, first[1])
        assert await jobs.next_due(conn) is None


async def test_concurrent_workers_share_the_jobs_without_overlap(database):
    async with database.write() as conn:
        for number in range(20):
            await jobs.put(conn, "sync", str(number), 1.0)

    async def worker(name):
        async with database.write() as conn:
            return await jobs.lease(conn, name, 2.0, 30.0, 3)

    taken = [job.key for batch in await asyncio.gather(*(worker(str(n)) for n in range(8))) for job in batch]
    assert sorted(taken, key=int) == [str(n) for n in range(20)]


async def test_a_failed_job_comes_back_later_with_its_error(database):
    async with database.write() as conn:
        await jobs.put(conn, "sync", "t1", 1.0)
        [job] = await jobs.lease(conn, "a", 2.0, 30.0, 1)
        assert await jobs.retry_later(conn, job, 10.0, "refused " + "x" * 5000)
        assert await jobs.lease(conn, "a", 9.0, 30.0, 1) == []
        [again] = await jobs.lease(conn, "a", 10.0, 30.0, 1)
        assert again.attempts == 2
        assert again.last_error.startswith("refused ")
        assert len(again.last_error) == jobs.MAX_ERROR_CHARS


async def test_work_that_is_asked_for_while_it_is_under_way_is_done_again(database):
    async with database.write() as conn:
        await jobs.put(conn, "sync", "t1", 1.0)
        [job] = await jobs.lease(conn, "a", 2.0, 30.0, 1)
        await jobs.put(conn, "sync", "t1", 3.0)
        assert not await jobs.finish(conn, job)
        [again] = await jobs.lease(conn, "a", 3.0, 30.0, 1)
        assert (again.run_at, again.attempts) == (3.0, 1)


async def test_audit_records_are_found_by_what_they_hold(database):
    def record(sequence, **more):
        texts = {"gateway": "", "target": "", "tool": "", "user": "", "client": "", "outcome": "denied", **more}
        return audit.NewRecord("000000000000", "w", sequence, 100.0 + sequence, "h", "{}", **texts)

    rows = [record(1, user="ada", tool="add"), record(2, user="bob", tool="add"), record(3, user="ada", outcome="ok")]
    async with database.write() as conn:
        await audit.append_records(conn, rows)

        async def found(limit=10, **filters):
            records = await audit.list_records(conn, audit.Filters(**filters), limit=limit)
            return [r.sequence for r in records]

        assert await found() == [3, 2, 1]
        assert await found(limit=2) == [3, 2]
        assert await found(user="ada") == [3, 1]
        assert await found(user="ada", tool="add") == [1]
        assert await found(outcome="ok") == [3]
        assert await found(since=102.0, until=103.0) == [2]
        assert [r.sequence for r in await audit.chain_after(conn, "w", 1, limit=10)] == [2, 3]
        assert await audit.last_record(conn, "w") == audit.AuditRecordRow(**rows[2]._asdict())
        assert await audit.count_records(conn) == 3
        assert await audit.last_record(conn, "v") is None


@pytest.mark.parametrize("count", [1, audit.ROWS_PER_STATEMENT, 2 * audit.ROWS_PER_STATEMENT + 7])
async def test_every_row_of_a_batch_arrives_whatever_its_size(database, count):
    rows = [
        audit.NewRecord("a", "w", number, number / 2, f"h{number}", "{}", "ok", "g", "t", f"tool{number}", "u", "c")
        for number in range(1, count + 1)
    ]
    async with database.write() as conn:
        await audit.append_records(conn, [])
        await audit.append_records(conn, rows)
        found = await audit.chain_after(conn, "w", 0, limit=count + 1)
    assert found == [audit.AuditRecordRow(**row._asdict()) for row in rows]


async def test_audit_heads_are_kept_in_order_per_writer(database):
    def head(writer, sequence, **more):
        return audit.AuditHeadRow(writer=writer, sequence=sequence, hash="h", signed_at=1, signature="s", **more)

    async with database.write() as conn:
        await audit.put_head(conn, head("w", 2))
        await audit.put_head(conn, head("w", 1))
        await audit.put_head(conn, head("v", 5))
        await audit.put_head(conn, head("w", 2, closed=True))
        assert await audit.heads(conn, "w") == [head("w", 1), head("w", 2, closed=True)]
        assert await audit.last_head(conn, "w") == head("w", 2, closed=True)
        assert await audit.last_head(conn, "x") is None
        assert await audit.writers(conn) == ["v", "w"]
