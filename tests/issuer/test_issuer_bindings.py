"""What a façade seals is sealed for its URL: two that share a keyring are strangers to each other.

The attacks themselves are in ``tests/attacks``; here no kind of sealed value can be forgotten.
"""

import os
from typing import Any

import pytest
from issuer_world import Browser, answer
from provider_world import SealedWorld

from portico.crypto.keyring import Keyring
from portico.issuer.remembered import Remembered
from portico.oauth.token import GRACE_SECONDS, token_digest

pytestmark = [pytest.mark.connector("oidc"), pytest.mark.xdist_group("issuer-bindings")]

KINDS = {
    "client-id",
    "login-form",
    "consent-form",
    "provider-transaction",
    "sealed-code",
    "sealed-refresh",
    "refresh-outcome",
    "upstream-token",
}


class Noting(Keyring):
    """A keyring that notes what it seals, and for what."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        super().__init__(keys)
        self.sealed: list[tuple[str, str]] = []
        self.derived: list[str] = []

    def seal(self, purpose: str, plaintext: bytes, *, aad: bytes = b"", **more: Any) -> str:
        self.sealed.append((purpose, aad.decode()))
        return super().seal(purpose, plaintext, aad=aad, **more)

    def derive(self, purpose: str, length: int) -> dict[str, bytes]:
        self.derived.append(purpose)
        return super().derive(purpose, length)


@pytest.fixture
def store_url(database_url: str) -> str:
    return database_url


@pytest.mark.case("F02", "B06", "C03", "C09")
async def test_everything_that_a_facade_seals_or_derives_names_its_url(provided: dict[str, Any], make_sealed: Any):
    keyring = provided["keyring"] = Noting({"k1": os.urandom(32)})
    world = await make_sealed("strict", "cognito", store=True)
    client_id, browser = await world.register(), Browser(world)
    code = answer(await browser.http.get(await world.captured(browser, client_id, connector="strict")))["code"]
    issued = (await world.redeem(client_id, code)).json()
    assert (await world.refresh(client_id, issued["refresh_token"])).status_code == 200
    assert {purpose for purpose, _ in keyring.sealed} == KINDS
    for purpose, aad in keyring.sealed:
        assert aad == world.url or aad.startswith(f"{world.url}|"), purpose
    assert set(keyring.derived) == {f"signing-key|{world.url}"}


@pytest.mark.case("C07")
async def test_what_came_of_one_refresh_token_is_not_given_for_another(make_sealed: Any):
    """Whoever can write into the store moves sealed rows about, and reads none."""
    world: SealedWorld = await make_sealed("strict", store=True)
    victim, thief = await world.register(), await world.register(client_name="Other")
    theirs, mine = [(await world.tokens(one))["refresh_token"] for one in (victim, thief)]
    assert (await world.refresh(victim, theirs)).status_code == 200
    assert (await world.refresh(thief, mine)).status_code == 200
    assert world.store is not None
    remembered = Remembered(world.store)
    there = await remembered.look_up(token_digest(theirs))
    assert there is not None
    await remembered.keep_outcome(token_digest(mine), there.outcome)
    other = await world.twin()
    world.clock.forward(GRACE_SECONDS / 2)
    assert await other.refused(thief, mine)
    assert (await other.refresh(victim, theirs)).status_code == 200
