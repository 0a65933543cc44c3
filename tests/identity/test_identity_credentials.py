"""Credentials for targets: API keys and client credentials, shared by processes, renewed, forgotten."""

import asyncio
import json
import logging
import os

import pytest

from identity.house import SECRET, USE, bearer, key_use, target, token_server
from portico.crypto.keyring import Keyring
from portico.identity.tokens import LEASE_SECONDS, RETRY_SECONDS, YOUNG_SECONDS
from portico.model.credential import ClientCredentialsUse, Credential
from portico.model.errors import CredentialUnavailable
from portico.model.secret import Secret
from portico.storage import outbound_tokens
from portico.storage.engine import Database
from targets.http_server import until


async def reason_of(call):
    with pytest.raises(CredentialUnavailable) as failed:
        await call
    assert failed.value.public == "The gateway has no credential for this target."
    assert failed.value.debug_hint == failed.value.reason
    assert SECRET not in failed.value.reason
    return failed.value.reason


async def test_a_target_without_a_credential_is_called_with_nothing(house):
    process = await house.process()
    assert await process.credential_for(target(None)) is None
    assert await process.renewed(target(None), Credential()) is None


@pytest.mark.parametrize(
    ("use", "headers", "query"),
    [
        (key_use(), [(b"authorization", b"Bearer k3y")], []),
        (key_use(parameter="X-Api-Key", prefix=""), [(b"x-api-key", b"k3y")], []),
        (key_use(parameter="Authorization", prefix="Token token="), [(b"authorization", b"Token token=k3y")], []),
        (key_use(prefix="Bearer "), [(b"authorization", b"Bearer k3y")], []),
        (key_use(location="query", parameter="api_key", prefix=""), [], [("api_key", "k3y")]),
    ],
)
async def test_an_api_key_stands_where_the_target_wants_it(house, use, headers, query):
    await house.provide_key("k3y")
    credential = await (await house.process()).credential_for(target(use))
    assert (list(credential.headers), list(credential.query)) == (headers, query)
    assert "k3y" not in repr(credential)


async def test_a_changed_key_is_used_from_the_next_poll_on(house):
    await house.provide_key("old")
    process = await house.process()
    old = await process.credential_for(target(key_use()))
    await house.provide_key("new")
    assert bearer(await process.credential_for(target(key_use()))) == "old"
    assert bearer(await process.credential_for(target(key_use()), fresh=True)) == "new"
    await process.reload(frozenset({"providers"}))
    assert bearer(await process.credential_for(target(key_use()))) == "new"
    assert bearer(await process.renewed(target(key_use()), old)) == "new"


async def test_a_refused_key_is_worth_another_try_only_when_it_was_changed(house):
    await house.provide_key("old")
    process = await house.process()
    refused = await process.credential_for(target(key_use()))
    assert await process.renewed(target(key_use()), refused) is None
    await house.provide_key("new")
    assert bearer(await process.renewed(target(key_use()), refused)) == "new"


async def test_a_missing_provider_is_named_with_the_fix(house):
    process = await house.process()
    assert "no API key credential provider named 'key'" in await reason_of(process.credential_for(target(key_use())))
    assert "no OAuth credential provider named 'idp'" in await reason_of(process.credential_for(target()))


@pytest.mark.case("H05")
async def test_a_secret_whose_key_was_dropped_is_a_clean_error(house):
    await house.provide_key("k3y")
    process = await house.process(keyring=Keyring({"k2": os.urandom(32)}))
    assert "left the keyring" in await reason_of(process.credential_for(target(key_use())))


async def test_a_token_is_fetched_once_and_then_comes_from_memory(house):
    async with token_server() as server:
        await house.provide(server)
        process = await house.process()
        tokens = [bearer(await process.credential_for(target())) for _ in range(5)]
        assert tokens == ["token-1"] * 5
        form = {"grant_type": "client_credentials", "scope": "tools more", "basic": ("portico", SECRET)}
        assert server.asked == [form]


async def test_client_and_parameters_travel_as_the_provider_wants(house):
    use = ClientCredentialsUse(
        provider="idp", parameters=(("audience", Secret("https://calc.example")), ("scope", Secret("admin")))
    )
    async with token_server() as server:
        await house.provide(server, clientAuthenticationMethod="CLIENT_SECRET_POST")
        await (await house.process()).credential_for(target(use))
        assert server.asked == [
            {
                "grant_type": "client_credentials",
                "audience": "https://calc.example",
                "client_id": "portico",
                "client_secret": SECRET,
            }
        ]


@pytest.mark.parametrize(
    ("supported", "basic"),
    [(None, True), (["client_secret_post", "client_secret_basic"], True), (["client_secret_post"], False)],
)
async def test_metadata_says_where_and_how_to_ask_and_is_kept(house, supported, basic):
    async with token_server() as server:
        if supported is not None:
            server.metadata = {"token_endpoint_auth_methods_supported": supported}
        await house.provide(oauthDiscovery={"discoveryUrl": f"{server.origin}/.well-known/openid-configuration"})
        process = await house.process()
        await process.credential_for(target())
        await process.credential_for(target(ClientCredentialsUse(provider="idp", scopes=("other",))))
        assert ["basic" in form for form in server.asked] == [basic, basic]
        assert server.metadata_asked == 1


@pytest.mark.case("E04", "T22")
async def test_metadata_of_another_issuer_is_not_believed(house):
    async with token_server() as server:
        server.metadata = {"issuer": "https://evil.example"}
        await house.provide(oauthDiscovery={"discoveryUrl": f"{server.origin}/.well-known/openid-configuration"})
        reason = await reason_of((await house.process()).credential_for(target()))
    assert "names the issuer 'https://evil.example'" in reason
    assert server.asked == []


@pytest.mark.case("T20")
async def test_fifty_calls_in_two_processes_fetch_one_token(house):
    async with token_server() as server:
        await house.provide(server)
        processes = [await house.process("one"), await house.process("two")]
        server.gate.clear()
        calls = [asyncio.ensure_future(processes[n % 2].credential_for(target())) for n in range(50)]
        await until(lambda: server.asked)
        server.gate.set()
        assert {bearer(credential) for credential in await asyncio.gather(*calls)} == {"token-1"}
        assert len(server.asked) == 1


async def test_a_new_process_takes_the_token_that_is_there(house):
    async with token_server() as server:
        await house.provide(server)
        await (await house.process("one")).credential_for(target())
        assert bearer(await (await house.process("two")).credential_for(target())) == "token-1"
        assert len(server.asked) == 1


async def test_a_token_at_rest_is_sealed_for_its_row(house, database):
    async with token_server() as server:
        await house.provide(server)
        process = await house.process()
        await process.credential_for(target())
        other = ClientCredentialsUse(provider="idp", scopes=("other",))
        await process.credential_for(target(other))
        async with database.write() as conn:
            rows = (await conn.exec_driver_sql("SELECT key, sealed FROM outbound_tokens ORDER BY expires_at")).all()
            assert len(rows) == 2
            assert "token-" not in repr(rows)
            # Whoever can write to the database cannot give one target the token of another.
            (first, _), (second, sealed) = rows
            table = outbound_tokens.outbound_tokens
            await conn.execute(table.update().where(table.c.key == first).values(sealed=sealed))
            await conn.execute(table.update().where(table.c.key == second).values(sealed="v1.k1.AAAA"))
        fresh = await house.process("two")
        assert {bearer(await fresh.credential_for(target(use))) for use in (USE, other)} == {"token-3", "token-4"}


async def test_a_token_is_refreshed_ahead_behind_the_calls(house, clock):
    async with token_server() as server:
        await house.provide(server)
        process = await house.process()
        await process.credential_for(target())
        clock.now += 2870
        await process.credential_for(target())
        assert len(server.asked) == 1
        clock.now += 20
        server.gate.clear()
        assert bearer(await process.credential_for(target())) == "token-1"  # and nobody waits
        await until(lambda: len(server.asked) == 2)
        assert bearer(await process.credential_for(target())) == "token-1"
        server.gate.set()

        async def renewed():
            while bearer(await process.credential_for(target())) != "token-2":
                await asyncio.sleep(0.01)

        await asyncio.wait_for(renewed(), 30)
        assert len(server.asked) == 2


async def test_a_token_that_is_over_is_not_sent(house, clock):
    async with token_server() as server:
        await house.provide(server)
        process = await house.process()
        await process.credential_for(target())
        clock.now += 3596  # four seconds before its end
        assert bearer(await process.credential_for(target())) == "token-2"


@pytest.mark.parametrize(
    ("expires_in", "seconds"), [(None, 2880), ("3600", 2880), (0, 2880), (100, 50), (10**9, 69120)]
)
async def test_whatever_the_lifetime_a_token_is_kept_for_most_of_it(house, clock, expires_in, seconds):
    async with token_server() as server:
        server.expires_in = expires_in
        await house.provide(server)
        process = await house.process()
        await process.credential_for(target())
        clock.now += seconds - 1
        await process.credential_for(target())
        assert len(server.asked) == 1
        clock.now += 2
        await process.credential_for(target())
        await until(lambda: len(server.asked) == 2)


async def test_a_provider_that_is_down_stops_nobody_who_has_a_token(house, clock):
    async with token_server() as server:
        await house.provide(server)
        process = await house.process()
        await process.credential_for(target())
        server.answers = [(503, b"")] * 9
        clock.now += 3000
        assert bearer(await process.credential_for(target())) == "token-1"
        await until(lambda: len(server.asked) == 2)
        clock.now += 597  # over
        reason = await reason_of(process.credential_for(target()))
        assert reason.startswith("Failed to fetch outbound oauth token: the provider answers with HTTP 503.")


@pytest.mark.case("H07")
async def test_a_refusal_is_remembered_for_a_while_and_asked_anew_after_it(house, clock):
    async with token_server() as server:
        server.answers = [(401, {"error": "invalid_client", "error_description": "bad secret"})]
        await house.provide(server)
        process = await house.process()
        expected = (
            "Failed to fetch outbound oauth token: invalid_client: bad secret. "
            "Check clientId and clientSecret of credential provider 'idp', and how it authenticates."
        )
        assert await reason_of(process.credential_for(target())) == expected
        assert await reason_of(process.credential_for(target())) == expected
        assert len(server.asked) == 1
        clock.now += RETRY_SECONDS
        assert bearer(await process.credential_for(target())) == "token-2"


async def test_a_synchronization_asks_at_once_whatever_failed_before(house):
    async with token_server() as server:
        server.answers = [(400, {"error": "invalid_scope"})]
        await house.provide(server)
        process = await house.process()
        assert "target's scopes (tools more)" in await reason_of(process.credential_for(target()))
        assert bearer(await process.credential_for(target(), fresh=True)) == "token-2"


async def test_a_changed_provider_is_asked_with_its_new_secret_and_its_old_tokens_are_gone(house):
    async with token_server() as server:
        server.answers = [(401, {"error": "invalid_client"})]
        await house.provide(server, secret="wrong")
        process, other = await house.process("one"), await house.process("two")
        await reason_of(process.credential_for(target()))
        await house.provide(server)
        for each in (process, other):
            await each.reload(frozenset({"providers"}))
            assert bearer(await each.credential_for(target())) == "token-2"
        await house.provide(server, secret="a third")
        await process.reload(frozenset({"providers"}))
        assert bearer(await process.credential_for(target())) == "token-3"
        assert [form["basic"][1] for form in server.asked] == ["wrong", SECRET, "a third"]


async def test_a_deleted_provider_gives_no_credential_any_more(house):
    async with token_server() as server:
        await house.provide(server)
        process = await house.process()
        await process.credential_for(target())
        await house.delete("oauth2", "idp")
        await process.reload(frozenset({"providers"}))
        assert "There is no OAuth credential provider" in await reason_of(process.credential_for(target()))


async def test_a_token_that_the_target_refused_is_forgotten_everywhere_and_fetched_anew(house, clock):
    async with token_server() as server:
        await house.provide(server)
        one, two = await house.process("one"), await house.process("two")
        refused = await one.credential_for(target())
        assert await two.credential_for(target()) == refused
        clock.now += YOUNG_SECONDS
        renewed = await asyncio.gather(*(one.renewed(target(), refused) for _ in range(20)))
        assert {bearer(credential) for credential in renewed} == {"token-2"}
        assert bearer(await two.renewed(target(), refused)) == "token-2"
        assert bearer(await two.credential_for(target())) == "token-2"
        assert len(server.asked) == 2


async def test_a_young_token_that_the_target_refuses_is_not_replaced_by_another_of_its_kind(house):
    async with token_server() as server:
        await house.provide(server)
        process = await house.process()
        refused = await process.credential_for(target())
        assert await process.renewed(target(), refused) is None
        assert len(server.asked) == 1


async def test_a_grant_that_the_provider_takes_back_takes_its_token_along(house, clock):
    async with token_server() as server:
        await house.provide(server)
        process = await house.process()
        await process.credential_for(target())
        server.answers = [(400, {"error": "invalid_grant"})] * 9
        clock.now += 3000
        await process.credential_for(target())  # refreshes behind
        await until(lambda: len(server.asked) == 2)

        async def forgotten():
            while True:
                try:
                    await process.credential_for(target())
                except CredentialUnavailable:
                    return
                await asyncio.sleep(0.01)

        await asyncio.wait_for(forgotten(), 30)
        other = await house.process("two")
        assert "invalid_grant" in await reason_of(other.credential_for(target()))


async def test_a_caller_that_goes_away_costs_the_others_nothing(house):
    async with token_server() as server:
        await house.provide(server)
        process = await house.process()
        server.gate.clear()
        first = asyncio.ensure_future(process.credential_for(target()))
        second = asyncio.ensure_future(process.credential_for(target()))
        await until(lambda: server.asked)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        server.gate.set()
        assert bearer(await second) == "token-1"


async def test_a_process_that_died_while_fetching_holds_the_others_up_for_its_lease_alone(house, clock):
    async with token_server() as server:
        await house.provide(server)
        dying, other = await house.process("dying"), await house.process("other")
        server.gate.clear()
        lost = asyncio.ensure_future(dying.credential_for(target()))
        await until(lambda: server.asked)
        waiting = asyncio.ensure_future(other.credential_for(target()))
        await asyncio.sleep(0.3)  # it looks again and again, and does not ask
        assert len(server.asked) == 1
        clock.now += LEASE_SECONDS + 1
        await until(lambda: len(server.asked) == 2)
        server.gate.set()
        tokens = {bearer(await waiting), bearer(await lost)}
        assert tokens <= {"token-1", "token-2"}


async def test_a_database_that_is_away_costs_only_the_sharing(house, database, tmp_path, clock):
    async with token_server() as server:
        await house.provide(server)
        process = await house.process()
        process._tokens._database = await _closed(tmp_path)
        assert bearer(await process.credential_for(target())) == "token-1"
        clock.now += YOUNG_SECONDS
        refused = await process.credential_for(target())
        assert bearer(await process.renewed(target(), refused)) == "token-2"


async def _closed(tmp_path):
    """A database that has no tables, so that nothing can be read from it."""
    (tmp_path / "gone").mkdir()
    database = await Database.open(f"sqlite:///{tmp_path}/gone/portico.db")
    await database.aclose()
    return database


async def test_shutting_down_ends_what_is_being_fetched(house):
    async with token_server() as server:
        await house.provide(server)
        process = await house.process()
        server.gate.clear()
        call = asyncio.ensure_future(process.credential_for(target()))
        await until(lambda: server.asked)
        await process.aclose()
        assert "shutting down" in await reason_of(call)
        other = await house.process("two")  # the lease was given back
        server.gate.set()
        assert bearer(await other.credential_for(target())) == "token-2"


async def test_an_unreachable_provider_and_a_forbidden_address_say_what_to_look_at(house, fetcher):
    async with token_server() as server:
        gone = server.url
    config = {"issuer": gone, "authorizationEndpoint": gone, "tokenEndpoint": gone}
    await house.provide(oauthDiscovery={"authorizationServerMetadata": config})
    process = await house.process()
    reason = await reason_of(process.credential_for(target()))
    assert reason == (
        "Failed to fetch outbound oauth token: The server cannot be reached. "
        "Check the endpoints of credential provider 'idp', and that their server is up."
    )
    private = dict.fromkeys(config, "http://169.254.169.254/token")
    await house.provide(oauthDiscovery={"authorizationServerMetadata": private})
    reason = await reason_of(process.credential_for(target(), fresh=True))
    assert "may never be called" in reason


@pytest.mark.case("H10")
async def test_secrets_and_tokens_stay_out_of_logs_and_errors(house, caplog, capsys, clock):
    caplog.set_level(logging.DEBUG)
    async with token_server() as server:
        await house.provide(server)
        server.answers = [(400, {"error": "invalid_request", "error_description": f"no such secret: {SECRET}"})]
        process = await house.process()
        assert "********" in await reason_of(process.credential_for(target()))
        clock.now += RETRY_SECONDS
        credential = await process.credential_for(target())
        clock.now += YOUNG_SECONDS
        await process.renewed(target(), credential)
    printed = capsys.readouterr()
    said = "\n".join([caplog.text, printed.out, printed.err, repr(credential), repr(process), repr(target())])
    for secret in (SECRET, "token-2", "token-3"):
        assert secret not in said
    assert json.dumps(SECRET) not in said
