"""Held clients and their redirect URIs as use cases, on both databases."""

import json
from dataclasses import replace

import pytest

from control.house import FOREIGN, SECRET, gateway, issuer, jwt
from portico.control import clients as client_cases
from portico.control import held_clients
from portico.control.secrets import secret_hash
from portico.model.errors import Conflict, InputError, NotFound
from portico.model.secret import Secret
from portico.storage import changes, clients, grants, revocations
from portico.storage.grants import GrantRow

NOW = 1_800_000_000
HOSTED = "https://app.example/callback"
ISSUER_URL = "https://portico.example/i/main"


@pytest.fixture
async def house(applied, database):
    await applied(issuers=[issuer(users=[], clients=[])])
    return database


async def add(database, **more):
    given = {"issuer": "main", "client_id": "studio", "name": "Studio", "redirect_uris": (HOSTED,), "now": NOW}
    return await held_clients.add_confidential(database, **(given | more))


async def stored(database, client_id="studio"):
    async with database.read() as conn:
        return await clients.get(conn, "main", client_id)


async def test_a_confidential_client_is_stored_by_the_hash_of_its_secret(house, ground):
    added = await add(house, pkce_required=False)
    row = await stored(house)
    assert (row.kind, row.pkce_required, row.redirect_uris) == ("confidential", False, (HOSTED,))
    assert row.secret_hash == secret_hash(added.secret)
    renewed = await client_cases.new_secret(house, ground=ground, issuer="main", client_id="studio", now=NOW)
    assert (await stored(house)).secret_hash == secret_hash(renewed)


async def test_its_redirect_uris_need_not_stand_in_the_issuers_list_and_may_come_later(house):
    await add(house, redirect_uris=())
    await held_clients.add_redirect(house, issuer="main", client_id="studio", uri=HOSTED)
    again = await held_clients.add_redirect(house, issuer="main", client_id="studio", uri=HOSTED)
    assert again.redirect_uris == (HOSTED,)
    assert (await stored(house)).redirect_uris == (HOSTED,)


@pytest.mark.case("A12", "T5")
@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "http://app.example/callback",
        "https://app.example/callback#",
        "https://user@app.example/",
        "https://*.app.example/callback",
        "https://app.example/../callback",
        "",
    ],
)
async def test_no_code_may_ever_go_to_what_is_no_redirect_uri(house, uri):
    await add(house)
    with pytest.raises(InputError):
        await held_clients.add_redirect(house, issuer="main", client_id="studio", uri=uri)
    with pytest.raises(InputError):
        await add(house, client_id="other", redirect_uris=(uri,))


async def test_redirect_uris_are_bounded(house):
    many = tuple(f"https://app.example/{number}" for number in range(client_cases.MAX_REDIRECT_URIS))
    await add(house, redirect_uris=many)
    with pytest.raises(InputError, match="at most"):
        await held_clients.add_redirect(house, issuer="main", client_id="studio", uri=HOSTED)


async def test_taking_a_redirect_uri_away_ends_what_was_issued(house, ground):
    await add(house)
    grant = GrantRow(
        id="g1",
        issuer="main",
        subject="s",
        client_id="studio",
        scopes=("mcp/invoke",),
        resource="r",
        created_at=NOW,
        expires_at=NOW + 1000,
    )
    async with house.write() as conn:
        await grants.add(conn, grant)
    named = {"issuer": "main", "client_id": "studio", "uri": HOSTED}
    left = await held_clients.remove_redirect(house, ground=ground, now=NOW + 1, **named)
    assert left.redirect_uris == ()
    async with house.read() as conn:
        assert (await grants.get(conn, "g1")).revoked_at == NOW + 1
        assert ("client", ISSUER_URL, "studio") in [
            (row.kind, row.issuer, row.key) for row in await revocations.list_live(conn, NOW)
        ]
    with pytest.raises(NotFound):
        await held_clients.remove_redirect(house, ground=ground, now=NOW + 2, **named)


async def test_a_public_client_keeps_at_least_one(house, ground):
    await client_cases.add_public(house, issuer="main", client_id="web", name="Web", redirect_uris=(HOSTED,), now=NOW)
    with pytest.raises(InputError, match="at least one"):
        await held_clients.remove_redirect(house, ground=ground, issuer="main", client_id="web", uri=HOSTED, now=NOW)


async def test_only_clients_that_people_log_in_with_and_no_file_declares_are_changed_here(applied, house):
    await client_cases.add_machine(house, issuer="main", name="robot", scopes=("mcp/invoke",), now=NOW)
    declared = {"clientId": "declared", "secret": SECRET, "redirectUris": []}
    await applied(issuers=[issuer(users=[], clients=[declared])])
    for client_id, refusal in (("robot", NotFound), ("nobody", NotFound), ("declared", Conflict)):
        with pytest.raises(refusal):
            await held_clients.add_redirect(house, issuer="main", client_id=client_id, uri=HOSTED)


async def test_nobody_else_than_a_confidential_client_is_excused_from_pkce(house):
    await add(house)
    row = await stored(house)
    for kind in ("public", "machine"):
        with pytest.raises(InputError, match="PKCE"):
            client_cases.check_client(replace(row, kind=kind, scopes=("mcp/invoke",), pkce_required=False))


async def test_demanding_pkce_again_takes_something_away(house):
    await add(house)
    row = await stored(house)
    excused = replace(row, pkce_required=False)
    assert client_cases.loses_something(excused, row)
    assert not client_cases.loses_something(row, excused)


async def test_declared_confidential_clients_become_rows_and_change_with_the_file(applied, house):
    client = {"clientId": "studio", "secret": SECRET, "redirectUris": [HOSTED], "pkceRequired": False}
    await applied(issuers=[issuer(users=[], clients=[client])])
    row = await stored(house)
    assert (row.kind, row.pkce_required, row.secret_hash) == ("confidential", False, secret_hash(Secret(SECRET)))
    await applied(issuers=[issuer(users=[], clients=[client | {"pkceRequired": True, "redirectUris": []}])])
    row = await stored(house)
    assert (row.pkce_required, row.redirect_uris) == (True, ())


async def test_what_to_paste_is_told_with_the_gateways_that_trust_the_issuer(applied, database, ground):
    elsewhere = jwt(discoveryUrl=FOREIGN, allowedAudience=["us"])
    trusting, foreign = gateway(), gateway(name="Other", authorizerConfiguration=elsewhere)
    await applied(
        issuers=[issuer(users=[], clients=[], scopes=["mcp/invoke", "mcp/read"])], gateways=[trusting, foreign]
    )
    await add(database)
    values = await held_clients.values_of(database, ground=ground, issuer="main", client_id="studio")
    assert (values.issuer_url, values.scopes) == (ISSUER_URL, ("mcp/invoke", "mcp/read"))
    [url] = values.server_urls
    assert url.startswith("https://portico.example/g/tools-")
    await add(database, client_id="own", scopes=("mcp/read",), default_resource=url)
    values = await held_clients.values_of(database, ground=ground, issuer="main", client_id="own")
    assert (values.scopes, values.server_urls) == (("mcp/read",), (url,))


async def test_every_change_is_recorded_without_the_secret(house, ground):
    added = await add(house)
    named = {"issuer": "main", "client_id": "studio", "uri": "https://app.example/two"}
    await held_clients.add_redirect(house, **named)
    await held_clients.remove_redirect(house, ground=ground, now=NOW, **named)
    async with house.read() as conn:
        records = [row.record for row in await changes.list_all(conn)]
    about = [record for record in records if record["arn"].endswith("issuer/main/client/studio")]
    assert sorted(record["operation"] for record in about) == ["CreateClient", "UpdateClient", "UpdateClient"]
    text = json.dumps(records)
    assert added.secret.reveal() not in text
    assert secret_hash(added.secret) not in text
