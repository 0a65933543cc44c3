import pytest
from sqlalchemy import select

from portico.crypto.passwords import verify_password
from portico.storage.schema import users

MEMBERS = {
    *("issuer", "name", "subject", "display_name", "email", "connector"),
    *("disabled_at", "managed_by", "created_at"),
}


def stored_hash(place, name):
    async def read(conn):
        return (await conn.execute(select(users.c.password_hash).where(users.c.name == name))).scalar_one()

    return place.write_rows(read)


def test_the_list_shows_who_is_there_and_nothing_of_passwords(place):
    [ada] = place.json("users", "list")
    assert ada.keys() == MEMBERS | {"state", "created"}
    assert (ada["name"], ada["state"], ada["managed_by"]) == ("ada", "active", "portico.yaml")
    assert "argon2" not in place.succeed("users", "list", "--json")
    header, row = place.succeed("users", "list").splitlines()
    assert header.split() == ["ISSUER", "NAME", "DISPLAY", "NAME", "EMAIL", "STATE", "CREATED", "MANAGED", "BY"]
    assert row.split()[:3] == ["main", "ada", "Ada"]


def test_a_user_is_added_with_a_password_from_standard_input(place):
    added = place.json(
        *("users", "add", "bob", "--display-name", "Bob", "--email", "bob@example.com", "--password-stdin"),
        stdin="spaces are kept \n",
    )
    assert (added["name"], added["display_name"], added["email"]) == ("bob", "Bob", "bob@example.com")
    assert added["managed_by"] == ""
    assert verify_password(stored_hash(place, "bob"), "spaces are kept ")


def test_a_password_is_asked_for_twice_and_never_echoed(place):
    done = place.run("users", "add", "bob", stdin="first guess\nsecond guess\nbetter horse\nbetter horse\n")
    assert done.code == 0
    assert done.out == "Added bob to the issuer main.\n"
    assert "do not match" in done.err
    assert "horse" not in done.err
    assert verify_password(stored_hash(place, "bob"), "better horse")


def test_a_password_that_was_made_up_is_printed_once_beside_the_output(place):
    done = place.run("users", "add", "bob", "--generate", "--json")
    password = done.err.removeprefix("Password: ").rstrip("\n")
    assert password not in done.out
    assert len(password) >= 20
    assert verify_password(stored_hash(place, "bob"), password)


def test_a_password_is_not_made_up_for_nobody(place):
    assert "Password" not in place.fail("users", "add", "ada", "--generate")
    assert "Password" not in place.fail("users", "passwd", "nobody", "--generate")


def test_two_ways_to_give_a_password_are_wrong_usage(place):
    done = place.run("users", "add", "bob", "--generate", "--password-stdin", stdin="correct horse\n")
    assert done.code == 2
    assert "not both" in done.err


@pytest.mark.parametrize(
    ("args", "stdin", "told"),
    [
        (("add", "bob", "--password-stdin"), "short\n", "password"),
        (("add", "bob", "--password-stdin"), "", "password"),
        (("add", " bob", "--generate"), "", "user name"),
        (("add", "ada", "--generate"), "", "ada"),
        (("passwd", "nobody", "--password-stdin"), "correct horse\n", "no user 'nobody'"),
        (("disable", "nobody"), "", "no user 'nobody'"),
        (("enable", "nobody"), "", "no user 'nobody'"),
        (("delete", "nobody"), "", "no user 'nobody'"),
        (("add", "bob", "--generate", "--issuer", "other"), "", "no issuer 'other'; there are: main"),
    ],
)
def test_what_cannot_be_done_is_one_line(place, args, stdin, told):
    assert told in place.fail("users", *args, stdin=stdin)
    assert [user["name"] for user in place.json("users", "list")] == ["ada"]


@pytest.mark.parametrize("args", [("passwd", "ada", "--generate"), ("delete", "ada")])
def test_what_the_file_declares_is_changed_there(place, args):
    assert "declared in portico.yaml; change it there" in place.fail("users", *args)


def test_a_user_is_disabled_enabled_given_a_new_password_and_deleted(place):
    place.succeed("users", "add", "bob", "--generate")
    before = stored_hash(place, "bob")
    assert place.succeed("users", "disable", "bob") == "bob is disabled.\n"
    states = {user["name"]: user["state"] for user in place.json("users", "list")}
    assert states == {"ada": "active", "bob": "disabled"}
    place.succeed("users", "enable", "bob")
    place.succeed("users", "passwd", "bob", "--password-stdin", stdin="another horse\n")
    assert stored_hash(place, "bob") != before
    assert verify_password(stored_hash(place, "bob"), "another horse")
    place.succeed("users", "delete", "bob")
    assert [user["name"] for user in place.json("users", "list")] == ["ada"]


def test_whoever_was_added_here_outlives_the_file_that_is_applied_again(place):
    place.succeed("users", "add", "bob", "--generate")
    place.apply()
    assert [user["name"] for user in place.json("users", "list")] == ["ada", "bob"]


def test_of_several_issuers_one_has_to_be_named(place):
    place.write({"issuers": [{"name": "main"}, {"name": "root"}]})
    place.apply()
    assert place.fail("users", "add", "bob", "--generate") == "Say which issuer is meant: --issuer main | root"
    place.succeed("users", "add", "bob", "--generate", "--issuer", "root")
    assert [user["issuer"] for user in place.json("users", "list")] == ["root"]
    assert place.json("users", "list", "--issuer", "main") == []


def test_an_empty_list_says_how_to_add_someone(place):
    assert "portico users add" in place.succeed("users", "list", "--issuer", "other")


def test_names_cannot_steer_the_terminal(place):
    place.succeed("users", "add", "bob", "--display-name", "\x1b[2Jgone", "--generate")
    assert "\x1b" not in place.succeed("users", "list")


def test_an_issuer_that_was_never_served_is_explained(bare):
    bare.succeed("keyring", "init", bare.keyring)
    bare.succeed("migrate")
    assert "made when portico serve starts" in bare.fail("users", "add", "bob", "--generate")
