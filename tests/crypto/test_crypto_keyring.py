"""Sealing: what one key, purpose and row sealed opens for them alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.audit import heads
from portico.authorizer import access_keys
from portico.crypto.keyring import LASTING_PURPOSES, MAX_SEALED_CHARS, Keyring, generate_line
from portico.identity import sealing
from portico.issuer import store
from portico.model.errors import ConfigError, SealError
from portico.oauth import connector_settings, registration

OLD = generate_line("old")
NEW = generate_line("new")


def test_a_sealed_value_opens_with_the_same_purpose_and_associated_data():
    ring = Keyring.parse(OLD)
    assert ring.open("state", ring.seal("state", b"hello", aad=b"row 1"), aad=b"row 1") == b"hello"


@pytest.mark.case("B06", "F02")
@pytest.mark.parametrize(("purpose", "aad"), [("code", b"row 1"), ("state", b"row 2"), ("state", b"")])
def test_another_purpose_or_row_does_not_open_it(purpose, aad):
    ring = Keyring.parse(OLD)
    sealed = ring.seal("state", b"hello", aad=b"row 1")
    with pytest.raises(SealError):
        ring.open(purpose, sealed, aad=aad)


def test_the_first_key_seals_and_all_keys_open():
    before = Keyring.parse(OLD)
    rotated = Keyring.parse(f"# newest first\n{NEW}\n\n{OLD}\n")
    assert rotated.kids == ("new", "old")
    assert rotated.seal("p", b"x").startswith("v1.new.")
    assert rotated.open("p", before.seal("p", b"x")) == b"x"


@pytest.mark.case("H05")
def test_a_dropped_key_opens_nothing_any_more():
    sealed = Keyring.parse(OLD).seal("p", b"x")
    with pytest.raises(SealError):
        Keyring.parse(NEW).open("p", sealed)


@given(st.data())
def test_any_changed_character_is_noticed(data):
    ring = Keyring.parse(OLD)
    sealed = ring.seal("p", b"some secret")
    body = sealed.rindex(".") + 1
    at = data.draw(st.integers(body, len(sealed) - 2))  # the last character holds unused bits
    changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
    with pytest.raises(SealError):
        ring.open("p", changed)


@given(st.text(max_size=300))
def test_garbage_is_a_seal_error_and_nothing_else(text):
    with pytest.raises(SealError):
        Keyring.parse(OLD).open("p", text)


def test_a_sealed_value_over_the_limit_is_not_even_decoded():
    with pytest.raises(SealError):
        Keyring.parse(OLD).open("p", "v1.old." + "A" * MAX_SEALED_CHARS)


@pytest.mark.case("E14", "T13")
@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "portico keyring init"),
        ("a:00", "64 hex digits"),
        ("a:" + "00" * 32, "not generated at random"),
        (f"{OLD}\n{OLD}", "repeats"),
        ("not a key", "64 hex digits"),
    ],
    ids=["empty", "short", "zeros", "twice", "no key"],  # the same in every process that collects tests
)
def test_a_missing_short_or_guessable_key_is_refused_with_the_fix(text, hint):
    with pytest.raises(ConfigError) as caught:
        Keyring.parse(text)
    assert hint in caught.value.public


def test_no_fault_repeats_the_key_itself():
    with pytest.raises(ConfigError) as caught:
        Keyring.parse("kid:" + "ab" * 31)
    assert "abab" not in caught.value.public


# Retired keys


@pytest.mark.case("H05")
@pytest.mark.parametrize("purpose", sorted(LASTING_PURPOSES))
def test_a_retired_key_opens_what_lasts(purpose):
    sealed = Keyring.parse(OLD).seal(purpose, b"kept", aad=b"row")
    assert Keyring.parse(f"{NEW}\n~{OLD}").open(purpose, sealed, aad=b"row") == b"kept"


@pytest.mark.case("H05")
@pytest.mark.parametrize("purpose", ["sealed-refresh", "sealed-code", "browser-session", "upstream-token", "p"])
def test_a_retired_key_opens_nothing_else(purpose):
    sealed = Keyring.parse(OLD).seal(purpose, b"over")
    with pytest.raises(SealError):
        Keyring.parse(f"{NEW}\n~{OLD}").open(purpose, sealed)


def test_what_lasts_are_purposes_that_there_are():
    held = {heads.PURPOSE, access_keys.SEALING_PURPOSE, sealing.PROVIDER_PURPOSE, store.PURPOSE}
    assert held | {connector_settings.CONNECTOR_SECRET, registration.PURPOSE} == LASTING_PURPOSES


@pytest.mark.parametrize("text", [f"~{OLD}", f"~{OLD}\n{NEW}"], ids=["alone", "in front"])
def test_a_retired_key_never_seals(text):
    with pytest.raises(ConfigError) as caught:
        Keyring.parse(text)
    assert "retired" in caught.value.public


def test_keys_that_a_file_retires_are_retired_for_whoever_holds_the_keyring():
    ring = Keyring.parse(OLD)
    sealed = ring.seal("p", b"x")
    ring.adopt(Keyring.parse(f"{NEW}\n~{OLD}"))
    assert (ring.kids, ring.retired) == (("new", "old"), {"old"})
    with pytest.raises(SealError):
        ring.open("p", sealed)
    ring.adopt(Keyring.parse(f"{NEW}\n{OLD}"))
    assert ring.open("p", sealed) == b"x"


# Keys that are not known yet


def test_an_unknown_key_is_looked_for_before_it_is_refused():
    sealed = Keyring.parse(NEW).seal("p", b"x")
    ring, looked = Keyring.parse(OLD), []

    def look():
        looked.append(ring.kids)
        ring.adopt(Keyring.parse(f"{NEW}\n{OLD}"))
        return True

    ring.when_unknown(look)
    assert ring.open("p", sealed) == b"x"
    assert ring.open("p", sealed) == b"x"
    assert looked == [("old",)]
    with pytest.raises(SealError):
        ring.open("p", sealed.replace("v1.new.", "v1.none."))
    assert len(looked) == 2


# Derived secrets


def test_derived_secrets_are_the_same_wherever_the_keys_are():
    one, two = Keyring.parse(f"{NEW}\n{OLD}"), Keyring.parse(f"{OLD}\n{NEW}")
    assert one.derive("p", 48) == two.derive("p", 48)
    assert list(one.derive("p", 48)) == ["new", "old"]
    assert {len(secret) for secret in one.derive("p", 48).values()} == {48}


def test_derived_secrets_differ_by_purpose_and_key_and_retired_keys_give_none():
    ring = Keyring.parse(f"{NEW}\n{OLD}")
    made = [secret for purpose in ("p", "q") for secret in ring.derive(purpose, 32).values()]
    assert len(set(made)) == 4
    assert list(Keyring.parse(f"{NEW}\n~{OLD}").derive("p", 32)) == ["new"]
