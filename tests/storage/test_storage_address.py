"""The setting that says where the database is."""

import pytest

from portico.model.errors import ConfigError
from portico.storage.address import PostgresServer, SqliteFile, address_faults, parse_address

SERVER = "postgresql://portico:s3cr%40t@db.example"


def test_a_file_is_named_by_three_slashes_and_its_path():
    assert str(parse_address("sqlite:///data/portico.db").path) == "data/portico.db"
    assert str(parse_address("sqlite:////var/lib/portico.db").path) == "/var/lib/portico.db"
    assert isinstance(parse_address("sqlite:///x"), SqliteFile)


def test_a_server_is_named_as_libpq_does():
    address = parse_address("postgresql://portico:s3cr%40t%2F@127.0.0.1:6432/gateway")
    assert (address.host, address.port, address.user, address.database) == ("127.0.0.1", 6432, "portico", "gateway")
    assert address.password.reveal() == "s3cr@t/"
    assert address.tls.mode == "disable"
    assert parse_address("postgres://u@localhost/d").port == 5432
    assert parse_address("postgresql://u@[::1]/d").host == "::1"
    assert parse_address("postgresql://u@/d?host=/var/run/postgresql").host == "/var/run/postgresql"


def test_without_a_password_the_driver_looks_where_libpq_does():
    assert parse_address("postgresql://u@localhost/d").password is None


@pytest.mark.parametrize(
    ("mode", "checks_host", "checks_chain"),
    [("verify-full", True, True), ("verify-ca", False, True), ("require", False, False)],
)
def test_tls_checks_what_its_mode_says(mode, checks_host, checks_chain):
    address = parse_address(f"{SERVER}/d?sslmode={mode}")
    assert isinstance(address, PostgresServer)
    context = address.tls.context()
    assert context.check_hostname is checks_host
    assert (context.verify_mode.name == "CERT_REQUIRED") is checks_chain


def test_tls_can_be_switched_off_by_its_name():
    assert parse_address(f"{SERVER}/d?sslmode=disable").tls.context() is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("what is this", "is not a URL"),
        ("postgresql://u:p@h:port/d", "is not a URL"),
        ("mysql://localhost/x", "must be sqlite:///path/to/portico.db or postgresql://"),
        ("sqlite://", "must be sqlite:///"),
        ("sqlite:///:memory:", "must be sqlite:///"),
        ("sqlite:///x?timeout=5", "without anything after the path"),
        ("sqlite+aiosqlite:///x", "must be sqlite:///"),
        ("postgresql+psycopg2://u:p@localhost/d", "must be sqlite:///"),
        ("postgresql://localhost/d", "needs a user and a database"),
        ("postgresql://u@localhost", "needs a user and a database"),
        ("postgresql://u@/d", "needs one host"),
        ("postgresql://u@h/d?host=/run&sslmode=require", "needs one host"),
        ("postgresql://u@/d?host=elsewhere&sslmode=require", "no directory of a Unix socket"),
        ("postgresql://u@localhost:0/d", "a port from 1 to 65535"),
        ("postgresql://u@localhost:99999/d", "a port from 1 to 65535"),
        ("postgresql://u@localhost/d?sslmode=prefer", "unknown sslmode; known are: disable, require"),
        ("postgresql://u@localhost/d?sslmode=require&sslmode=disable", "sslmode more than once"),
        ("postgresql://u@localhost/d?options=-c", "an option that is not known here; known are: host, sslcert"),
        ("postgresql://u@localhost/d?sslmode=verify-full&sslrootcert=/nowhere", "cannot be used (No such file"),
        ("postgresql://u@db.example/d", "needs ?sslmode=verify-full for a server on another machine"),
        ("postgresql://u@10.0.0.5/d", "needs ?sslmode=verify-full for a server on another machine"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_fix(url, words):
    faults = address_faults(url)
    assert any(words in fault.message for fault in faults), faults
    assert {fault.path for fault in faults} == {"database"}


def test_every_fault_comes_at_once():
    assert len(address_faults("postgresql://db.example:99999?x=1")) == 4


@pytest.mark.case("H10")
@pytest.mark.parametrize(
    "url",
    [
        f"{SERVER}:port/d",
        f"{SERVER}:99999/d?x=s3cr%40t",
        SERVER,
        "postgresql//portico:s3cr%40t@db",
        "postgresql://u@localhost/d?sslpassword=s3cr%40t",
        "postgresql://u@localhost/d?s3cr%40t=1",
        "postgresql://u@localhost/d?sslmode=s3cr%40t",
        f"{SERVER}/d?sslmode=require&sslkey=/x&sslcert=/y",
    ],
)
def test_no_fault_quotes_the_password(url):
    with pytest.raises(ConfigError) as caught:
        parse_address(url)
    error, seen = caught.value, ""
    while error is not None:
        seen += repr(error) + str(error)
        error = error.__cause__
    assert "s3cr" not in seen
    assert "s3cr" not in repr(parse_address(f"{SERVER}/d?sslmode=require"))
