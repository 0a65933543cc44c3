"""A façade's keyring: a file that is followed, a text in its place, and what is said while there is none."""

import os

import pytest

from portico.crypto.keyring import Keyring, generate_line
from portico.model.errors import SealError
from portico.model.secret import Secret
from portico.service.keyring_source import BAD_KEYRING, NO_KEYRING, KeyringSource

K1, K2 = generate_line("k1"), generate_line("k2")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keyring"


@pytest.fixture
def write(file):
    def write(*lines, mode=0o600):
        """In one step, as a careful editor does."""
        temporary = file.with_name(f".{os.getpid()}")
        temporary.write_text("\n".join(lines))
        temporary.chmod(mode)
        temporary.replace(file)

    return write


@pytest.fixture
def source(file, clock):
    return lambda: KeyringSource(file=file, text=Secret(""), clock=clock)


@pytest.mark.case("E14")
def test_without_a_file_there_is_a_reason_and_no_keyring(source):
    made = source()
    assert (made.keyring, made.reason) == (None, NO_KEYRING)


@pytest.mark.case("E14")
@pytest.mark.parametrize("line", ["k1:" + "00" * 32, "k1:" + "ab" * 32, "k1:abcd", "", "k1", "~" + K1], ids=range(6))
def test_weak_and_broken_keys_are_no_keys(source, write, line):
    write(line)
    made = source()
    assert (made.keyring, made.reason) == (None, BAD_KEYRING)
    assert not line or line not in made.reason


@pytest.mark.case("E14")
def test_keys_that_others_can_read_are_no_keys(source, write):
    write(K1, mode=0o644)
    assert source().reason == BAD_KEYRING


def test_a_keyring_that_comes_later_is_found(source, write, clock):
    made = source()
    assert made.keyring is None
    write(K1)
    assert made.keyring is None, "not looked at on every request"
    clock.now += 1.0
    assert made.keyring is not None
    assert made.reason == ""


def test_a_rotated_keyring_is_taken_over_by_everybody_who_holds_it(source, write, clock):
    write(K1)
    made = source()
    held = made.keyring
    sealed = held.seal("p", b"x")
    write(K2, K1)
    clock.now += 1.0
    assert made.keyring is held
    assert held.kids == ("k2", "k1")
    assert held.open("p", sealed) == b"x"


@pytest.mark.parametrize("broken", ["", "k1:abcd"])
def test_a_broken_file_changes_nothing(source, write, clock, broken):
    write(K1)
    made = source()
    write(broken)
    clock.now += 1.0
    assert made.keyring.kids == ("k1",)
    write(K2)
    clock.now += 1.0
    assert made.keyring.kids == ("k2",)


def test_a_key_that_another_replica_has_already_is_looked_for_at_once(source, write):
    write(K1)
    held = source().keyring
    write(K2, K1)
    sealed = Keyring.parse(f"{K2}\n{K1}").seal("p", b"x")
    assert held.open("p", sealed) == b"x"
    assert held.kids == ("k2", "k1")


def test_a_key_that_nobody_has_opens_nothing(source, write):
    write(K1)
    held = source().keyring
    with pytest.raises(SealError):
        held.open("p", Keyring.parse(generate_line("k9")).seal("p", b"x"))


@pytest.mark.parametrize("between", ["\n", " ", ",", ", ", "\r\n"])
def test_keys_may_come_as_a_text(file, between):
    made = KeyringSource(file=file, text=Secret(f"# ours\n{K1}{between}{K2}"))
    assert made.keyring.kids == ("k1", "k2")
    assert made.look() is False
