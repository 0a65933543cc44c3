"""The whole way works in each world: what the attacks fail at is the attack."""

import pytest

from attacks.attack_world import AttackedWorld, FacadeWorld, claims_of


@pytest.mark.connector("local", "oidc")
async def test_a_person_lets_an_application_in(world: AttackedWorld, client_id: str):
    issued = await world.tokens(client_id)
    assert issued["token_type"] == "Bearer"
    assert claims_of(issued["access_token"])["aud"] == world.resources[0]
    again = await world.refresh(client_id, issued["refresh_token"])
    assert again.status_code == 200, again.text
    if isinstance(world, FacadeWorld):
        assert (await world.call(issued["access_token"])).status_code == 200
