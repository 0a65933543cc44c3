"""Codes and refresh tokens: one use, one client, one redirect, and what happens at a second use."""

import asyncio

import pytest
from issuer_world import MACHINE_SECRET, PASSWORD_HASH, REDIRECT, START, World
from sqlalchemy import select

from portico.storage import clients, counters, grants, refresh_tokens, revocations, users
from portico.storage.schema import metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


async def revoked_grants(world: World) -> list[str]:
    async with world.database.read() as conn:
        return [row.key for row in await revocations.list_live(conn, int(world.clock()))]


async def revocation_count(world: World) -> int:
    async with world.database.read() as conn:
        return (await counters.read_all(conn)).get("revocations", 0)


@pytest.mark.case("C01")
async def test_a_code_used_twice_ends_everything_that_came_of_it(world: World, client_id: str):
    code = await world.code(client_id)
    issued = (await world.redeem(client_id, code)).json()
    again = await world.redeem(client_id, code)
    assert again.status_code == 400
    assert again.json()["error"] == "invalid_grant"
    assert len(await revoked_grants(world)) == 1
    assert await revocation_count(world) == 1
    assert (await world.refresh(client_id, issued["refresh_token"])).json()["error"] == "invalid_grant"
    await world.redeem(client_id, code)
    assert await revocation_count(world) == 1


@pytest.mark.case("C01")
async def test_of_many_that_redeem_at_once_at_most_one_gets_tokens(world: World, client_id: str):
    code = await world.code(client_id)
    answers = await asyncio.gather(*(world.redeem(client_id, code) for _ in range(8)))
    assert sorted(one.status_code for one in answers) == [200] + [400] * 7


@pytest.mark.case("C03")
async def test_a_code_at_another_client_is_refused_and_harms_nobody(world: World, client_id: str):
    other = await world.register(client_name="Other")
    code = await world.code(client_id)
    assert (await world.redeem(other, code)).json()["error"] == "invalid_grant"
    assert (await world.redeem(client_id, code)).status_code == 200
    assert (await world.redeem(other, code)).json()["error"] == "invalid_grant"
    assert await revoked_grants(world) == []


@pytest.mark.case("C04", "T4")
@pytest.mark.parametrize("uri", ["http://127.0.0.1:53683/callback", "http://127.0.0.1:53682/callback/", ""])
async def test_the_redirect_uri_must_be_the_same_port_included(world: World, client_id: str, uri: str):
    response = await world.redeem(client_id, await world.code(client_id), redirect_uri=uri)
    assert response.status_code == 400
    assert response.json()["error"] == ("invalid_grant" if uri else "invalid_request")


@pytest.mark.case("C05")
async def test_a_code_lives_sixty_seconds(world: World, client_id: str):
    code, late = await world.code(client_id), await world.code(client_id)
    world.clock.forward(59)
    assert (await world.redeem(client_id, code)).status_code == 200
    world.clock.forward(1)
    assert (await world.redeem(client_id, late)).json()["error"] == "invalid_grant"


@pytest.mark.case("B03", "B04", "T4")
@pytest.mark.parametrize("verifier", ["w" * 43, "", "v" * 42, "v" * 129, "v" * 42 + "é"])
async def test_the_verifier_must_fit(world: World, client_id: str, verifier: str):
    response = await world.redeem(client_id, await world.code(client_id), code_verifier=verifier)
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_grant"


@pytest.mark.case("C06")
async def test_the_resource_may_be_repeated_but_not_changed(world: World, client_id: str):
    world.resources.append("http://127.0.0.1:8080/g/other/mcp")
    code = await world.code(client_id)
    refused = await world.redeem(client_id, code, resource=world.resources[1])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")
    issued = await world.redeem(client_id, code, resource=world.resources[0])
    assert issued.status_code == 200
    refused = await world.refresh(client_id, issued.json()["refresh_token"], resource=world.resources[1])
    assert refused.json()["error"] == "invalid_target"


@pytest.mark.case("C07")
async def test_a_rotated_refresh_token_used_late_ends_its_family(world: World, client_id: str):
    first = (await world.tokens(client_id))["refresh_token"]
    second = (await world.refresh(client_id, first)).json()["refresh_token"]
    world.clock.forward(31)
    assert (await world.refresh(client_id, first)).json()["error"] == "invalid_grant"
    assert (await world.refresh(client_id, second)).json()["error"] == "invalid_grant"
    assert len(await revoked_grants(world)) == 1


@pytest.mark.case("C07", "T20")
async def test_within_the_grace_the_same_successor_is_given_again(world: World, client_id: str):
    first = (await world.tokens(client_id))["refresh_token"]
    second = (await world.refresh(client_id, first)).json()["refresh_token"]
    world.clock.forward(30)
    again = await world.refresh(client_id, first)
    assert again.status_code == 200
    assert again.json()["refresh_token"] == second != first
    assert (await world.refresh(client_id, second)).status_code == 200


@pytest.mark.case("C07")
async def test_the_grace_ends_when_somebody_went_on_with_the_successor(world: World, client_id: str):
    first = (await world.tokens(client_id))["refresh_token"]
    second = (await world.refresh(client_id, first)).json()["refresh_token"]
    third = (await world.refresh(client_id, second)).json()["refresh_token"]
    assert (await world.refresh(client_id, first)).json()["error"] == "invalid_grant"
    assert (await world.refresh(client_id, third)).json()["error"] == "invalid_grant"


@pytest.mark.case("T20")
async def test_fifty_refreshes_at_once_all_get_the_one_successor(world: World, client_id: str):
    first = (await world.tokens(client_id))["refresh_token"]
    answers = await asyncio.gather(*(world.refresh(client_id, first) for _ in range(50)))
    assert {one.status_code for one in answers} == {200}
    assert len({one.json()["refresh_token"] for one in answers}) == 1


@pytest.mark.case("H10", "T27")
async def test_no_code_and_no_token_lies_in_the_database(world: World, client_id: str, tmp_path):
    code = await world.code(client_id)
    issued = (await world.redeem(client_id, code)).json()
    second = (await world.refresh(client_id, issued["refresh_token"])).json()
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    async with world.database.read() as conn:
        for table in metadata.sorted_tables:
            raw += repr((await conn.execute(select(table))).all()).encode()
    assert client_id.encode() in raw
    for secret in (code, issued["access_token"], issued["refresh_token"], second["refresh_token"]):
        assert secret.encode() not in raw


@pytest.mark.case("C09")
async def test_a_refresh_token_at_another_client_is_refused_and_harms_nobody(world: World, client_id: str):
    other = await world.register(client_name="Other")
    token = (await world.tokens(client_id))["refresh_token"]
    assert (await world.refresh(other, token)).json()["error"] == "invalid_grant"
    assert (await world.refresh(client_id, token)).status_code == 200


@pytest.mark.case("C10")
async def test_scopes_are_narrowed_and_regained_but_never_widened(world: World, client_id: str):
    token = (await world.tokens(client_id, scope="mcp/invoke mcp/read"))["refresh_token"]
    narrowed = (await world.refresh(client_id, token, scope="mcp/read")).json()
    assert narrowed["scope"] == "mcp/read"
    whole = (await world.refresh(client_id, narrowed["refresh_token"])).json()
    assert whole["scope"] == "mcp/invoke mcp/read"
    few = (await world.tokens(client_id, scope="mcp/read"))["refresh_token"]
    refused = await world.refresh(client_id, few, scope="mcp/invoke")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")
    assert (await world.refresh(client_id, few)).status_code == 200


@pytest.mark.case("C11")
@pytest.mark.parametrize("event", ["grant revoked", "user disabled", "user deleted", "password changed"])
async def test_refresh_ends_with_what_it_rests_on(world: World, client_id: str, event: str):
    token = (await world.tokens(client_id))["refresh_token"]
    world.clock.forward(5)
    now = int(world.clock())
    async with world.database.write() as conn:
        user = await users.by_name(conn, "main", "ada")
        assert user is not None
        match event:
            case "grant revoked":
                [grant] = await grants.list_all(conn, issuer="main")
                await grants.revoke(conn, grant.id, now)
            case "user disabled":
                await users.set_disabled(conn, user.subject, now)
            case "user deleted":
                await users.delete(conn, user.subject)
            case _:
                await users.set_password(conn, user.subject, PASSWORD_HASH, now)
    refused = await world.refresh(client_id, token)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


@pytest.mark.case("C11")
@pytest.mark.parametrize("event", ["disabled", "deleted"])
async def test_a_client_that_was_taken_away_is_told_to_register_again(world: World, client_id: str, event: str):
    token, code = (await world.tokens(client_id))["refresh_token"], await world.code(client_id)
    async with world.database.write() as conn:
        if event == "disabled":
            await clients.set_disabled(conn, "main", client_id, START)
        else:
            await clients.delete(conn, "main", client_id, START)
    for response in (await world.refresh(client_id, token), await world.redeem(client_id, code)):
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.case("C12")
async def test_refresh_tokens_end_when_idle_and_with_their_grant(world: World, client_id: str):
    await world.settle(scopes=["mcp/invoke"], refreshIdleSeconds=1000, refreshAbsoluteSeconds=1500)
    idle, used = [(await world.tokens(client_id))["refresh_token"] for _ in range(2)]
    world.clock.forward(999)
    used = (await world.refresh(client_id, used)).json()["refresh_token"]
    world.clock.forward(1)
    assert (await world.refresh(client_id, idle)).json()["error"] == "invalid_grant"
    world.clock.forward(500)
    assert (await world.refresh(client_id, used)).json()["error"] == "invalid_grant"
    assert await revoked_grants(world) == []


@pytest.mark.case("C16")
@pytest.mark.parametrize("grant", ["password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", "x"])
async def test_other_grants_are_unsupported(world: World, client_id: str, grant: str):
    response = await world.token(grant_type=grant, client_id=client_id, username="ada", password="x")
    assert (response.status_code, response.json()["error"]) == (400, "unsupported_grant_type")


@pytest.mark.case("C17")
async def test_token_requests_come_by_post_in_the_body_and_once(world: World, client_id: str):
    async with world.http() as http:
        got = await http.get("/i/main/token", params={"grant_type": "refresh_token"})
        assert got.status_code == 405
        assert got.headers["allow"] == "POST"
        form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": "x"}
        query = await http.post("/i/main/token?client_id=x", data=form)
        assert (query.status_code, query.json()["error"]) == (400, "invalid_request")
        headers = {"content-type": "application/x-www-form-urlencoded"}
        twice = await http.post(
            "/i/main/token",
            content="grant_type=refresh_token&grant_type=refresh_token&refresh_token=x",
            headers=headers,
        )
        assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")
        json = await http.post("/i/main/token", json=form)
        assert (json.status_code, json.json()["error"]) == (415, "invalid_request")
        large = await http.post("/i/main/token", content=b"a=" + b"x" * 100_000, headers=headers)
        assert (large.status_code, large.json()["error"]) == (413, "invalid_request")


@pytest.mark.case("C20")
async def test_a_wrong_secret_and_an_unknown_client_look_alike(world: World):
    await world.add_machine()
    answers = [
        await world.token(auth=("robot", "wrong"), grant_type="client_credentials"),
        await world.token(auth=("nobody", "wrong"), grant_type="client_credentials"),
        await world.token(auth=("robot", ""), grant_type="client_credentials"),
        await world.token(grant_type="client_credentials", client_id="robot", client_secret="wrong"),
        await world.token(grant_type="client_credentials", client_id="nobody"),
        await world.token(grant_type="client_credentials", client_id="v1.k1.AAAA"),
    ]
    assert {one.status_code for one in answers} == {401}
    assert {one.headers["www-authenticate"].split()[0] for one in answers} == {"Basic"}
    assert len({one.text for one in answers}) == 1


@pytest.mark.case("C20")
@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Basic Og==", "Basic cm9ib3Q=", "Bearer x", "Basic /w==", "basic cm9ib3Q6eA=="]
)
async def test_a_malformed_authorization_header_is_an_invalid_client(world: World, header: str):
    await world.add_machine()
    async with world.http() as http:
        response = await http.post(
            "/i/main/token", data={"grant_type": "client_credentials"}, headers={"authorization": header}
        )
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


async def test_a_client_authenticates_in_one_way_only(world: World):
    await world.add_machine()
    both = await world.token(auth=("robot", MACHINE_SECRET), grant_type="client_credentials", client_secret="x")
    assert both.json()["error"] == "invalid_request"
    two = await world.token(auth=("robot", MACHINE_SECRET), grant_type="client_credentials", client_id="other")
    assert two.json()["error"] == "invalid_request"


@pytest.mark.case("F01")
async def test_a_public_client_has_no_secret_that_could_be_right(world: World, client_id: str):
    response = await world.redeem(client_id, await world.code(client_id), client_secret="anything")
    assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.case("C21")
async def test_answers_of_the_token_endpoint_are_not_stored(world: World, client_id: str):
    good = await world.redeem(client_id, await world.code(client_id))
    bad = await world.token(grant_type="x")
    unknown = await world.token(grant_type="client_credentials", client_id="nobody")
    for response in (good, bad, unknown):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-type"] == "application/json"


async def test_a_refused_refresh_for_another_reason_uses_nothing_up(world: World, client_id: str):
    token = (await world.tokens(client_id))["refresh_token"]
    await world.refresh(client_id, token, scope="admin")
    async with world.database.read() as conn:
        from portico.oauth.token import token_digest

        row = await refresh_tokens.find(conn, token_digest(token))
    assert row is not None
    assert row.used_at is None


async def test_tokens_cannot_be_had_for_the_redirect_of_the_request_at_another_issuer(world: World, client_id: str):
    code = await world.code(client_id)
    second = World(database=world.database, keyring=world.keyring, clock=world.clock, name="second")
    await second.settle()
    await second.add_key()
    assert (await second.redeem(client_id, code, redirect_uri=REDIRECT)).status_code == 401
