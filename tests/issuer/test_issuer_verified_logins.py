"""Logins at a provider without refresh tokens, whose access tokens live on (GitHub): it is asked whose they are."""

from dataclasses import replace
from typing import Any

import pytest
from provider_world import ProvidedWorld, SealedWorld, claims_of

from portico.crypto.keyring import Keyring
from portico.issuer.recheck import RECHECK_SECONDS
from portico.oauth import provider_adapters
from portico.oauth.provider_metadata import ProviderMetadata
from portico.storage import grants
from support.provider.identity_provider import IdentityProvider, server_error

pytestmark = [pytest.mark.connector("oidc"), pytest.mark.xdist_group("issuer-verified-logins")]


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def github(providers: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A provider that is used as GitHub is; returns what its connector differs by."""
    idp: IdentityProvider = providers("strict")
    told = idp.metadata()
    names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
    moved = ProviderMetadata(issuer=idp.issuer, **{name: told[name] for name in names})
    row = provider_adapters._BY_TYPE["github"]
    ours = replace(row, metadata=moved, scopes=("openid", "profile", "email"), subject_claim="sub")
    monkeypatch.setitem(provider_adapters._BY_TYPE, "github", ours)
    return {"type": "github", "discoveryUrl": "", "anyAccount": True, "forwardResource": False, "scopeMap": {}}


@pytest.fixture
async def stored(make_provided: Any, github: dict[str, Any]) -> ProvidedWorld:
    world = await make_provided("strict")
    await world.settle(scopes=["mcp/invoke"], connectors=world.connectors(**github))
    return world


@pytest.fixture
async def sealed(make_sealed: Any, github: dict[str, Any]) -> SealedWorld:
    return await make_sealed("strict", more_settings={"connector": github})


async def test_a_refresh_asks_whose_token_it_is_and_goes_on(stored: ProvidedWorld):
    client_id = await stored.register()
    token = (await stored.tokens(client_id))["refresh_token"]
    asked = len(await stored.asked("userinfo"))
    for done in range(1, 4):
        stored.clock.forward(RECHECK_SECONDS + 1)
        token = (await stored.refresh(client_id, token)).json()["refresh_token"]
        assert len(await stored.asked("userinfo")) == asked + done
    assert await stored.refreshes_at_provider() == 0


async def test_a_refresh_of_a_sealed_token_asks_too(sealed: SealedWorld):
    client_id = await sealed.register()
    issued = await sealed.tokens(client_id)
    behind = await sealed.call(issued["access_token"])
    asked = len(await sealed.asked("userinfo"))
    for done in range(1, 4):
        issued = (await sealed.refresh(client_id, issued["refresh_token"])).json()
        assert len(await sealed.asked("userinfo")) == asked + done
        assert await sealed.call(issued["access_token"]) == behind, "it gives no other"
    assert claims_of(issued["access_token"])["sub"] == "strict|ada"
    assert await sealed.refreshes_at_provider() == 0


@pytest.mark.case("H07", "C30")
@pytest.mark.parametrize("ledger", ["stored", "sealed"])
async def test_only_the_provider_s_no_ends_the_login(stored: Any, sealed: Any, ledger: str):
    world: ProvidedWorld = {"stored": stored, "sealed": sealed}[ledger]
    client_id = await world.register()
    token = (await world.tokens(client_id))["refresh_token"]
    world.clock.forward(RECHECK_SECONDS + 1)
    world.idp.fail("userinfo", server_error())
    response = await world.refresh(client_id, token)
    assert response.status_code in {502, 503}
    token = (await world.refresh(client_id, token)).json()["refresh_token"]
    world.clock.forward(RECHECK_SECONDS + 1)
    world.idp.fail("userinfo", {"status": 401, "headers": {"content-type": "application/json"}, "body": "{}"})
    assert await world.refused(client_id, token)
    assert await world.refused(client_id, token), "and it stays so when the provider changes its mind"


@pytest.mark.case("H05")
async def test_what_the_provider_is_asked_with_is_sealed_anew_each_time(stored: ProvidedWorld):
    client_id = await stored.register()
    token = (await stored.tokens(client_id))["refresh_token"]
    old = stored.keyring._masters["k1"]
    stored.keyring.adopt(Keyring({"k2": bytes(range(32)), "k1": old}))
    stored.clock.forward(RECHECK_SECONDS + 1)
    token = (await stored.refresh(client_id, token)).json()["refresh_token"]
    async with stored.database.read() as conn:
        [grant] = await grants.list_all(conn)
    assert grant.upstream.startswith("v1.k2.")
    stored.keyring.adopt(Keyring({"k2": bytes(range(32)), "k1": old}, retired={"k1"}))
    stored.clock.forward(RECHECK_SECONDS + 1)
    assert not await stored.refused(client_id, token)


@pytest.mark.case("C24")
async def test_a_returned_token_is_none_that_the_provider_could_revoke(sealed: SealedWorld):
    client_id = await sealed.register()
    issued = await sealed.tokens(client_id)
    assert (await sealed.revoke(client_id, issued["refresh_token"])).status_code == 200
    assert await sealed.refused(client_id, issued["refresh_token"])
    assert await sealed.asked("revocation") == []
