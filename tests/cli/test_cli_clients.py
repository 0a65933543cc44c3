import hashlib

import pytest
from sqlalchemy import select

from portico.storage.schema import clients


def stored_hash(place, client_id):
    async def read(conn):
        return (await conn.execute(select(clients.c.secret_hash).where(clients.c.client_id == client_id))).scalar_one()

    return place.write_rows(read)


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def everything_listed(place):
    return place.succeed("clients", "list") + place.succeed("clients", "list", "--json")


def test_a_machine_secret_is_shown_once_and_never_listed(place):
    added = place.json("clients", "add", "agent", "--scope", "mcp/invoke", "--name", "Nightly")
    secret = added["client_secret"]
    assert stored_hash(place, "agent") == sha256(secret)
    listed = everything_listed(place)
    assert "Nightly" in listed
    for hidden in (secret, sha256(secret), place.machine_secret, sha256(place.machine_secret)):
        assert hidden not in listed


def test_a_machine_secret_is_the_last_line_for_a_person(place):
    done = place.run("clients", "add", "agent", "--scope", "mcp/invoke", "--scope", "mcp/read")
    told, once, secret = done.out.splitlines()
    assert told == "Added the machine client agent to the issuer main."
    assert "shown this once" in once
    assert stored_hash(place, "agent") == sha256(secret)
    [agent] = [client for client in place.json("clients", "list") if client["client_id"] == "agent"]
    assert agent["scopes"] == ["mcp/invoke", "mcp/read"]
    assert done.err == ""


def test_the_list_says_what_each_client_is(place):
    place.succeed("clients", "add", "web", "--redirect-uri", "https://app.example/callback")
    kinds = {client["client_id"]: (client["kind"], client["managed_by"]) for client in place.json("clients", "list")}
    assert kinds == {"robot": ("machine", "portico.yaml"), "web": ("public", "")}
    header = place.succeed("clients", "list").splitlines()[0]
    assert header.split() == ["ISSUER", "NAME", "KIND", "SCOPES", "STATE", "CREATED", "CLIENT", "ID"]


def test_a_client_that_people_log_in_with_has_no_secret(place):
    added = place.json(
        *("clients", "add", "web", "--redirect-uri", "https://app.example/callback"),
        *("--redirect-uri", "com.example.app:/callback"),
    )
    assert "client_secret" not in added
    assert added["redirect_uris"] == ["https://app.example/callback", "com.example.app:/callback"]
    assert stored_hash(place, "web") == ""


def test_a_new_secret_ends_the_old_one(place):
    first = place.json("clients", "add", "agent", "--scope", "mcp/invoke")["client_secret"]
    second = place.json("clients", "secret", "agent")
    assert second.keys() == {"client_id", "client_secret"}
    assert second["client_secret"] != first
    assert stored_hash(place, "agent") == sha256(second["client_secret"])
    third = place.succeed("clients", "secret", "agent").splitlines()[-1]
    assert stored_hash(place, "agent") == sha256(third)


def test_a_client_is_disabled_enabled_and_deleted(place):
    place.succeed("clients", "add", "agent", "--scope", "mcp/invoke")
    place.succeed("clients", "disable", "agent")
    states = {client["client_id"]: client["state"] for client in place.json("clients", "list")}
    assert states == {"robot": "active", "agent": "disabled"}
    place.succeed("clients", "enable", "agent")
    place.succeed("clients", "delete", "agent")
    assert [client["client_id"] for client in place.json("clients", "list")] == ["robot"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("add", "agent"), "at least one scope"),
        (("add", "agent", "--scope", "a b"), "scope"),
        (("add", "-agent", "--scope", "mcp/invoke"), "client id"),
        (("add", "web", "--redirect-uri", "http://app.example/callback"), "redirect URI"),
        (("add", "web", "--redirect-uri", "javascript:alert(1)"), "redirect URI"),
        (("add", "web", "--redirect-uri", "https://app.example/callback", "--resource", "not a URL"), "resource"),
        (("add", "agent", "--scope", "mcp/write"), "does not grant the scope mcp/write; it has: mcp/invoke, mcp/read"),
        (("add", "robot", "--scope", "mcp/invoke"), "robot"),
        (("secret", "robot"), "declared in portico.yaml"),
        (("delete", "robot"), "declared in portico.yaml"),
        (("secret", "nobody"), "no client 'nobody'"),
        (("disable", "nobody"), "no client 'nobody'"),
        (("enable", "nobody"), "no client 'nobody'"),
        (("delete", "nobody"), "no client 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_one_line(place, args, told):
    end = ("--",) if args[1].startswith("-") else ()
    assert told in place.fail("clients", args[0], *args[2:], *end, args[1])
    assert [client["client_id"] for client in place.json("clients", "list")] == ["robot"]


def test_a_public_client_has_no_secret_to_renew(place):
    place.succeed("clients", "add", "web", "--redirect-uri", "https://app.example/callback")
    assert "is public and has no secret" in place.fail("clients", "secret", "web")
