"""``portico access-keys``: what a person and a program get to see."""

import pytest

GATEWAY = {
    "name": "tools",
    "protocolType": "MCP",
    "authorizerType": "AWS_IAM",
}


def listed(place):
    return {key["access_key_id"]: key for key in place.json("access-keys", "list")}


def test_the_secret_is_shown_once_as_the_variables_that_boto_reads(place):
    told = place.succeed("access-keys", "add", "ada", "--role", "administrator").splitlines()
    assert told[0] == "Added an access key of the role administrator for ada; the secret is shown this once."
    key_id, secret = (line.partition("=")[2] for line in told[1:])
    assert [line.partition("=")[0] for line in told[1:]] == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    everything = place.succeed("access-keys", "list") + place.succeed("access-keys", "list", "--json")
    assert key_id in everything
    assert secret not in everything


def test_a_program_gets_one_document(place):
    added = place.json("access-keys", "add", "ci", "--role", "reader")
    secret = added.pop("secret_access_key")
    assert len(secret) == 40
    assert added == listed(place)[added["access_key_id"]]
    assert {name: added[name] for name in ("name", "role", "gateways", "state", "managed_by", "last_used_at")} == {
        "name": "ci",
        "role": "reader",
        "gateways": [],
        "state": "active",
        "managed_by": "",
        "last_used_at": None,
    }


def test_the_list_says_who_may_what(place):
    assert place.succeed("access-keys", "list") == "No access keys.\n"
    place.succeed("access-keys", "add", "ada", "--role", "operator")
    header, line = place.succeed("access-keys", "list").splitlines()
    assert header.split() == [*["ACCESS", "KEY", "ID", "NAME", "ROLE", "GATEWAYS", "STATE", "CREATED", "LAST", "USED"]]
    assert line.split()[1:5] == ["ada", "operator", "-", "active"]


def test_a_key_is_confined_to_gateways_by_name(place):
    place.write({"gateways": [GATEWAY]})
    place.apply()
    added = place.json("access-keys", "add", "agent", "--role", "invoker", "--gateway", "tools")
    [gateway] = added["gateways"]
    assert gateway.startswith("tools-")
    assert place.json("access-keys", "add", "agent", "--role", "invoker", "--gateway", gateway)["gateways"] == [gateway]
    assert "nowhere" in place.fail("access-keys", "add", "agent", "--role", "invoker", "--gateway", "nowhere")


def test_a_key_is_disabled_enabled_and_deleted(place):
    key_id = place.json("access-keys", "add", "ada", "--role", "administrator")["access_key_id"]
    assert place.succeed("access-keys", "disable", key_id) == f"{key_id} is disabled.\n"
    assert listed(place)[key_id]["state"] == "disabled"
    assert place.succeed("access-keys", "enable", key_id) == f"{key_id} is enabled.\n"
    assert listed(place)[key_id]["state"] == "active"
    assert place.succeed("access-keys", "delete", key_id) == f"{key_id} is deleted.\n"
    assert listed(place) == {}


@pytest.mark.parametrize("command", ["disable", "enable", "delete"])
def test_a_key_that_is_not_there_is_one_line(place, command):
    assert place.fail("access-keys", command, "PORTICO_NOT_THERE_1") == (
        "There is no access key 'PORTICO_NOT_THERE_1'."
    )


def test_a_role_is_chosen_with_open_eyes(place):
    assert place.run("access-keys", "add", "ada").code == 2
    assert place.run("access-keys", "add", "ada", "--role", "root").code == 2
    assert "letters" in place.fail("access-keys", "add", "a b", "--role", "reader")
