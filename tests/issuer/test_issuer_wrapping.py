"""The provider's access token behind one of ours: inside it, or in the store where it is too long."""

import os
from typing import Any

import pytest
from issuer_world import START, Clock
from provider_world import SealedWorld, claims_of

from portico.crypto.keyring import Keyring
from portico.crypto.signing import SigningKey
from portico.issuer import wrapping as wrapping_module
from portico.issuer.remembered import Remembered
from portico.issuer.wrapping import KEPT, MAX_WRAPPED_CHARS, UPSTREAM, Wrapping
from portico.model.errors import InvalidToken
from portico.model.oauth_errors import ServerError
from portico.model.secret import Secret
from portico.oauth.token import sign_access_token, token_digest
from portico.storage.engine import Database

pytestmark = [pytest.mark.connector("oidc"), pytest.mark.xdist_group("issuer-wrapping")]

LONG = {"access_token": {"groups": [f"group-{number:04}" for number in range(700)]}}
KEY = SigningKey.generate()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


# In one process


def claims(token_id: str = "t-1", **more: Any) -> dict[str, Any]:
    return {"iss": "https://facade.example", "jti": token_id, "exp": START + 900, **more}


def sign(made: dict[str, Any]) -> str:
    return sign_access_token(made, KEY)


@pytest.fixture
def keyring() -> Keyring:
    return Keyring({"k1": os.urandom(32)})


@pytest.fixture
async def store(database_url: str) -> Any:
    opened = await Database.open(database_url)
    yield opened
    await opened.aclose()


async def test_a_token_comes_out_as_it_went_in(keyring: Keyring):
    made = Wrapping(keyring, Remembered(), random=os.urandom)
    inside = claims_of(await made.wrap(claims(), Secret("the provider's"), sign))
    assert "provider" not in str(inside[UPSTREAM])
    assert (await made.unwrap("https://facade.example", inside)).reveal() == "the provider's"


@pytest.mark.parametrize(
    "changed",
    [{"jti": "t-2"}, {UPSTREAM: None}, {UPSTREAM: 7}, {UPSTREAM: "v1.k1.AAAA"}, {UPSTREAM: None, KEPT: True}],
    ids=["of another token", "none", "no text", "forged", "kept where there is no store"],
)
async def test_what_does_not_belong_to_a_token_does_not_come_out(keyring: Keyring, changed: dict[str, Any]):
    made = Wrapping(keyring, Remembered(), random=os.urandom)
    inside = claims_of(await made.wrap(claims(), Secret("x"), sign))
    with pytest.raises(InvalidToken):
        await made.unwrap("https://facade.example", {**inside, **changed})
    with pytest.raises(InvalidToken):
        await made.unwrap("https://elsewhere.example", inside)


@pytest.mark.case("H05")
@pytest.mark.parametrize("text", ["k2:{new}", "k2:{new}\n~k1:{old}"], ids=["dropped", "retired"])
async def test_a_token_sealed_by_a_key_that_is_gone_means_a_new_login(keyring: Keyring, text: str):
    made = Wrapping(keyring, Remembered(), random=os.urandom)
    inside = claims_of(await made.wrap(claims(), Secret("x"), sign))
    old = keyring._masters["k1"].hex()
    keyring.adopt(Keyring.parse(text.format(new=os.urandom(32).hex(), old=old)))
    with pytest.raises(InvalidToken) as caught:
        await made.unwrap("https://facade.example", inside)
    assert "log in again" in caught.value.debug_hint + caught.value.public


async def test_the_limit_is_on_the_whole_token(keyring: Keyring):
    made = Wrapping(keyring, Remembered(), random=os.urandom)
    longest, refusal = 0, ""
    for chars in range(4400, 4700, 4):
        try:
            longest = max(longest, len(await made.wrap(claims(), Secret("x" * chars), sign)))
        except ServerError as error:
            refusal = error.public
            break
    assert str(MAX_WRAPPED_CHARS) in refusal
    assert MAX_WRAPPED_CHARS - 16 < longest <= MAX_WRAPPED_CHARS


async def test_what_is_kept_is_read_once_and_forgotten_in_turn(
    keyring: Keyring, store: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(wrapping_module, "MAX_IN_MEMORY", 3)
    here = Wrapping(keyring, Remembered(store, clock=Clock()), random=os.urandom)
    there = Wrapping(keyring, Remembered(store, clock=Clock()), random=os.urandom)
    for number in range(5):
        inside = claims_of(await here.wrap(claims(f"t-{number}"), Secret(f"{number}" * 9_000), sign))
        assert inside[KEPT] is True
        assert UPSTREAM not in inside
        for _ in range(2):
            assert (await there.unwrap("https://facade.example", inside)).reveal() == f"{number}" * 9_000
    assert len(there._read) == 3
    with pytest.raises(InvalidToken):
        await there.unwrap("https://facade.example", {**inside, "jti": "t-unknown"})


async def test_a_kept_token_is_sealed_in_the_store(keyring: Keyring, store: Database):
    remembered = Remembered(store, clock=Clock())
    await Wrapping(keyring, remembered, random=os.urandom).wrap(claims(), Secret("secret" * 2_000), sign)
    row = await remembered.look_up(token_digest("t-1"))
    assert row is not None
    assert row.outcome.startswith("v1.k1.")
    assert (row.kind, row.expires_at) == ("wrapped", START + 900)


# In a façade


@pytest.fixture
def store_url(database_url: str) -> str:
    return database_url


@pytest.mark.parametrize("at", ["code", "refresh"])
async def test_without_a_store_a_token_that_is_too_long_names_the_setting(make_sealed: Any, at: str):
    world: SealedWorld = await make_sealed("strict")
    client_id = await world.register()
    if at == "code":
        world.idp.change(patch=LONG)
        response = await world.redeem(client_id, await world.code(client_id))
    else:
        token = (await world.tokens(client_id))["refresh_token"]
        world.idp.change(patch=LONG)
        response = await world.refresh(client_id, token)
    assert (response.status_code, response.json()["error"]) == (502, "server_error")
    told = response.json()["error_description"]
    assert "`store`" in told
    assert "tokens: passthrough" in told
    assert "access_token" not in response.json()


@pytest.mark.parametrize("mode", ["own", "passthrough"])
async def test_other_kinds_of_tokens_have_no_such_limit(make_sealed: Any, mode: str):
    world: SealedWorld = await make_sealed("strict", mode=mode)
    world.idp.change(patch=LONG)
    issued = await world.tokens(await world.register())
    assert await world.call(issued["access_token"]) == issued["access_token"]


async def test_with_a_store_a_long_token_works_on_the_other_replica(make_sealed: Any):
    world: SealedWorld = await make_sealed("strict", store=True)
    other = await world.twin()
    world.idp.change(patch=LONG)
    client_id = await world.register()
    issued = await world.tokens(client_id)
    for _ in range(2):
        assert len(issued["access_token"]) < 2_000
        behind = await other.call(issued["access_token"])
        assert claims_of(behind)["groups"] == LONG["access_token"]["groups"]
        assert behind == await world.call(issued["access_token"])
        issued = (await other.refresh(client_id, issued["refresh_token"])).json()


async def test_a_short_token_needs_no_store(make_sealed: Any):
    world: SealedWorld = await make_sealed("strict", store=True)
    issued = await world.tokens(await world.register())
    inside = claims_of(issued["access_token"])
    assert UPSTREAM in inside
    assert KEPT not in inside
