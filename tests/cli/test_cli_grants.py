import time

import pytest

from portico.storage import grants
from portico.storage.grants import GrantRow

YEAR = 365 * 24 * 3600


@pytest.fixture
def granted(place):
    """Ada allowed the robot three things: one lives, one is over, one was taken back."""
    [ada] = place.json("users", "list")
    now = int(time.time())

    def row(name, age, **more):
        return GrantRow(
            id=name,
            issuer="main",
            subject=ada["subject"],
            client_id="robot",
            scopes=("mcp/invoke", "offline_access"),
            resource="http://127.0.0.1:8080/g/tools-0123456789/mcp",
            created_at=now - age,
            **({"expires_at": now + YEAR} | more),
        )

    async def write(conn):
        for grant in (row("lives", 1), row("over", 9, expires_at=now - 5), row("back", 5, revoked_at=now - 1)):
            await grants.add(conn, grant)

    place.write_rows(write)
    return place


def states(place, *options):
    return [(grant["id"], grant["state"]) for grant in place.json("grants", "list", *options)]


def test_the_list_says_who_allowed_which_client_what(granted):
    [grant] = granted.json("grants", "list")
    assert (grant["user"], grant["client"], grant["scopes"]) == ("ada", "robot", ["mcp/invoke", "offline_access"])
    header, row = granted.succeed("grants", "list").splitlines()
    assert header.split() == ["ID", "ISSUER", "USER", "CLIENT", "SCOPES", "RESOURCE", "CREATED", "STATE"]
    assert row.split()[:4] == ["lives", "main", "ada", "robot"]
    assert row.endswith("live")


def test_with_all_also_those_that_ended_are_listed_newest_first(granted):
    assert states(granted) == [("lives", "live")]
    assert states(granted, "--all") == [("lives", "live"), ("back", "revoked"), ("over", "over")]
    assert states(granted, "--all", "--issuer", "other") == []


def test_a_revoked_grant_is_gone_and_revoking_it_again_is_no_error(granted):
    assert granted.succeed("grants", "revoke", "lives") == "lives is revoked.\n"
    assert granted.succeed("grants", "list") == "No grants.\n"
    assert ("lives", "revoked") in states(granted, "--all")
    granted.succeed("grants", "revoke", "lives")


def test_disabling_the_user_or_the_client_ends_their_grants(granted):
    granted.succeed("clients", "disable", "robot")
    assert states(granted) == []


def test_an_unknown_grant_is_one_line(granted):
    assert granted.fail("grants", "revoke", "nothing") == "There is no grant 'nothing'."
