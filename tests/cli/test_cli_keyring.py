import os
import stat

import pytest

from portico.crypto.keyring import Keyring
from portico.model.errors import SealError


def kids(place):
    return [key["id"] for key in place.json("keyring", "list")]


def signing(place):
    return {key["kid"]: key["state"] for key in place.json("keyring", "signing", "list")}


def test_a_new_keyring_is_private_and_differs_from_every_other(bare):
    for name in ("one", "two"):
        bare.succeed("keyring", "init", bare.directory / "new" / name)
    one, two = (bare.directory / "new" / name for name in ("one", "two"))
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    assert one.read_text() != two.read_text()
    assert len(Keyring.parse(one.read_text()).kids) == 1


def test_init_leaves_a_keyring_that_is_there_alone(place):
    before = place.keyring.read_bytes()
    assert "is there already" in place.fail("keyring", "init", place.keyring)
    assert place.keyring.read_bytes() == before


def test_init_says_when_the_file_cannot_be_written(bare):
    assert "cannot be written" in bare.fail("keyring", "init", bare.config / "keyring")


def test_a_rotated_keyring_seals_with_the_new_key_and_opens_what_the_former_sealed(place):
    sealed = Keyring.parse(place.keyring.read_text()).seal("test", b"kept")
    [former] = kids(place)
    place.succeed("keyring", "rotate")
    place.succeed("keyring", "rotate")
    first, second, third = place.json("keyring", "list")
    assert third["id"] == former
    assert [key["state"] for key in (first, second, third)] == ["seals and opens", "opens", "opens"]
    assert Keyring.parse(place.keyring.read_text()).open("test", sealed) == b"kept"
    assert stat.S_IMODE(place.keyring.stat().st_mode) == 0o600
    assert place.keyring.read_text().count("#") == 1, "one header"


def test_keys_are_listed_by_id_and_never_shown(place):
    listed = place.succeed("keyring", "list") + place.succeed("keyring", "list", "--json")
    for line in place.keyring.read_text().splitlines():
        if not line.startswith("#"):
            assert line.partition(":")[2] not in listed


def test_a_key_is_dropped_after_a_question(place):
    place.succeed("keyring", "rotate")
    newest, former = kids(place)
    done = place.run("keyring", "drop", former, stdin="y\n")
    assert done.code == 0
    assert "lost for good" in done.err
    assert kids(place) == [newest]


def test_a_key_is_kept_when_the_question_is_answered_with_no_or_not_at_all(place):
    place.succeed("keyring", "rotate")
    before = place.keyring.read_bytes()
    declined = place.run("keyring", "drop", kids(place)[1], stdin="n\n")
    assert declined.code == 1
    assert declined.err.splitlines()[-1] == "Nothing was dropped."
    assert place.run("keyring", "drop", kids(place)[1]).code == 130
    assert place.keyring.read_bytes() == before


def test_a_script_drops_a_key_without_a_question(place):
    place.succeed("keyring", "rotate")
    assert place.succeed("keyring", "drop", kids(place)[1], "--yes").endswith("is dropped.\n")
    assert len(kids(place)) == 1


def test_the_only_key_and_an_unknown_one_are_not_dropped(place):
    [only] = kids(place)
    assert "Put a new one in front first" in place.fail("keyring", "drop", only, "--yes")
    assert f"it has: {only}" in place.fail("keyring", "drop", "k0", "--yes")


def test_comments_in_the_keyring_outlive_its_changes(place):
    [only] = kids(place)
    place.keyring.write_text(f"# made for the shop\n{place.keyring.read_text()}")
    place.keyring.chmod(0o600)
    place.succeed("keyring", "rotate")
    place.succeed("keyring", "drop", only, "--yes")
    assert "# made for the shop" in place.keyring.read_text()


def test_a_keyring_that_cannot_be_replaced_stays_and_says_so(place):
    before = place.keyring.read_bytes()
    place.keyring.with_name(f".keyring.{os.getpid()}").mkdir()  # where the new file would be written first
    assert "cannot be written" in place.fail("keyring", "rotate")
    assert place.keyring.read_bytes() == before


@pytest.mark.parametrize("command", [("list",), ("rotate",), ("signing", "rotate")])
def test_a_keyring_that_others_can_read_is_refused_with_the_way_to_mend_it(place, command):
    place.keyring.chmod(0o644)
    assert "chmod 600" in place.fail("keyring", *command)


def test_rotating_the_signing_keys_moves_each_one_on(place):
    before = signing(place)
    assert sorted(before.values()) == ["current", "next"]
    printed = place.json("keyring", "signing", "rotate")
    after = signing(place)
    assert {key["kid"]: key["state"] for key in printed} == after
    assert sorted(after.values()) == ["current", "next", "previous"]
    moved = {before[kid]: after[kid] for kid in before}
    assert moved == {"current": "previous", "next": "current"}


def test_the_list_of_signing_keys_holds_nothing_secret(place):
    header = place.succeed("keyring", "signing", "list").splitlines()[0]
    assert header.split() == ["ISSUER", "KID", "STATE", "CREATED", "CHANGED"]
    members = {"issuer", "kid", "state", "created_at", "changed_at", "created", "changed"}
    assert all(key.keys() == members for key in place.json("keyring", "signing", "list"))
    assert place.json("keyring", "signing", "list", "--issuer", "other") == []


def test_a_dropped_signing_key_is_replaced_by_the_next(place):
    before = signing(place)
    current = next(kid for kid, state in before.items() if state == "current")
    assert "its tokens are refused" in place.succeed("keyring", "signing", "drop", current)
    after = signing(place)
    assert current not in after
    assert sorted(after.values()) == ["current", "next"]
    assert after[next(kid for kid, state in before.items() if state == "next")] == "current"


def test_an_unknown_signing_key_is_one_line(place):
    assert place.fail("keyring", "signing", "drop", "nothing") == "There is no signing key 'nothing'."


def test_signing_keys_outlive_the_sealing_key_once_they_are_sealed_anew(place):
    [former] = kids(place)
    place.succeed("keyring", "rotate")
    before = signing(place)
    place.apply()
    place.succeed("keyring", "drop", former, "--yes")
    place.apply()
    assert signing(place) == before


def test_the_file_may_be_named_in_place_of_a_configuration(bare):
    file = bare.directory / "alone"
    bare.succeed("keyring", "init", file)
    bare.succeed("keyring", "rotate", "--file", file)
    newest, former = (row["id"] for row in bare.json("keyring", "list", "--file", file))
    bare.succeed("keyring", "retire", former, "--file", file)
    assert [row["state"] for row in bare.json("keyring", "list", "--file", file)][1].startswith("retired")
    bare.succeed("keyring", "drop", former, "--yes", "--file", file)
    assert [row["id"] for row in bare.json("keyring", "list", "--file", file)] == [newest]


@pytest.mark.case("H05")
def test_a_retired_key_stays_in_the_file_and_opens_ids_of_clients_and_no_login(place):
    before = Keyring.parse(place.keyring.read_text())
    client_id, login = before.seal("client-id", b"kept"), before.seal("browser-session", b"over")
    [former] = kids(place)
    place.succeed("keyring", "rotate")
    done = place.succeed("keyring", "retire", former)
    assert f"{former} is retired" in done
    after = Keyring.parse(place.keyring.read_text())
    assert after.retired == {former}
    assert after.open("client-id", client_id) == b"kept"
    with pytest.raises(SealError):
        after.open("browser-session", login)
    assert [key["state"].partition(":")[0] for key in place.json("keyring", "list")] == ["seals and opens", "retired"]
    assert stat.S_IMODE(place.keyring.stat().st_mode) == 0o600


def test_a_key_is_retired_once_and_more_often_is_no_harm(place):
    [former] = kids(place)
    place.succeed("keyring", "rotate")
    for _ in range(2):
        place.succeed("keyring", "retire", former)
    assert place.keyring.read_text().count("~") == 1


def test_the_key_that_seals_and_an_unknown_one_are_not_retired(place):
    before = place.keyring.read_bytes()
    [only] = kids(place)
    assert "Put a new one in front first" in place.fail("keyring", "retire", only)
    assert f"it has: {only}" in place.fail("keyring", "retire", "k0")
    place.succeed("keyring", "rotate")
    assert "Put a new one in front first" in place.fail("keyring", "retire", kids(place)[0])
    assert before.splitlines()[-1] in place.keyring.read_bytes()


def test_a_retired_key_can_be_dropped_and_never_comes_to_stand_in_front(place):
    for _ in range(2):
        place.succeed("keyring", "rotate")
    newest, middle, oldest = kids(place)
    place.succeed("keyring", "retire", middle)
    before = place.keyring.read_bytes()
    assert "Put a new one in front first" in place.fail("keyring", "drop", newest, "--yes")
    assert place.keyring.read_bytes() == before
    place.succeed("keyring", "drop", middle, "--yes")
    assert kids(place) == [newest, oldest]
    place.succeed("keyring", "drop", newest, "--yes")
    assert kids(place) == [oldest]


def test_signing_keys_in_the_database_outlive_the_retirement_of_their_sealing_key(place):
    [former] = kids(place)
    before = signing(place)
    place.succeed("keyring", "rotate")
    place.succeed("keyring", "retire", former)
    place.apply()
    assert signing(place) == before
