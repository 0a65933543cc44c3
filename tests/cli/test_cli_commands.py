"""Commands without a running gateway: usage, configuration, keyring, and how failures are told."""

import json
import socket
import stat

import pytest

from portico.cli.main import run
from portico.crypto.keyring import Keyring

CONFIG = """\
listen: 127.0.0.1:8080
data_dir: .
issuers:
  - name: main
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A configuration with a keyring, in a directory of its own, and nothing set in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("PORTICO_CONFIG", "PORTICO_TOKEN", "PORTICO_CLIENT_ID", "PORTICO_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    assert run(["keyring", "init", "keyring"]) == 0
    (tmp_path / "portico.yaml").write_text(CONFIG)
    return tmp_path / "portico.yaml"


def said(capsys, *args, code=0):
    capsys.readouterr()
    assert run([*args]) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


def test_help_and_version_are_no_failures(capsys):
    assert run(["--help"]) == 0
    assert run(["--version"]) == 0
    assert all(name in capsys.readouterr().out for name in ("portico",))


@pytest.mark.parametrize(
    "args",
    [
        ["no-such-command"],
        ["demo", "--port", "99999"],
        ["tools"],
        ["tools", "ftp://example.com"],
        ["call", "http://127.0.0.1:1/mcp", "tool", "[1]"],
        ["call", "http://127.0.0.1:1/mcp", "tool", "{"],
        ["tools", "http://127.0.0.1:1/mcp", "--token", "t", "--client-id", "c"],
        ["tools", "http://127.0.0.1:1/mcp", "--client-id", "c"],
        ["audit", "list", "--since", "yesterday"],
        ["users", "add", "ada", "--password-stdin", "--generate"],
    ],
)
def test_wrong_usage_exits_with_2(config, capsys, args):
    assert run(args) == 2
    assert "Usage:" in capsys.readouterr().err


def test_a_gateway_that_is_not_there_is_one_line(config, capsys):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/mcp"
    err = said(capsys, "tools", url, "--token", "t", code=1)
    assert len(err.splitlines()) == 1
    assert err.startswith(f"portico: Cannot connect to {url}")


def test_check_says_that_all_is_well(config, capsys):
    assert "in order" in said(capsys, "check")
    assert json.loads(said(capsys, "check", "--json")) == {"ok": True, "faults": []}


def test_check_reports_every_fault_at_once(config, capsys):
    config.write_text(CONFIG + "no_such_key: 1\nlog: {level: loud}\ngateways: [{name: x}]\n")
    lines = said(capsys, "check", code=1).splitlines()
    assert all(line.startswith("portico: ") for line in lines)
    for place in ("no_such_key", "log.level", "gateways[0].authorizerType"):
        assert any(place in line for line in lines), place
    capsys.readouterr()
    assert run(["check", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert {"no_such_key", "log.level"} <= {fault["path"] for fault in report["faults"]}


def test_a_missing_configuration_is_named(config, capsys):
    assert "other.yaml" in said(capsys, "check", "--config", "other.yaml", code=1)


def test_a_database_that_was_not_migrated_says_how(config, capsys):
    assert "portico migrate" in said(capsys, "users", "list", code=1)
    assert "up to date" in said(capsys, "migrate")
    assert "No users" in said(capsys, "users", "list")
    assert json.loads(said(capsys, "users", "list", "--json")) == []


@pytest.mark.parametrize("group", ["users", "clients", "grants"])
def test_lists_are_empty_before_the_first_entry(config, capsys, group):
    said(capsys, "migrate")
    assert said(capsys, group, "list").startswith("No ")
    assert json.loads(said(capsys, group, "list", "--json")) == []


def test_an_audit_without_calls_is_intact(config, capsys):
    said(capsys, "migrate")
    assert json.loads(said(capsys, "audit", "list", "--json")) == []
    assert json.loads(said(capsys, "audit", "verify", "--json")) == {"intact": True, "writers": []}


def test_an_issuer_must_be_named_when_there_are_several(config, capsys):
    config.write_text(CONFIG + "  - name: other\n")
    said(capsys, "migrate")
    assert "--issuer main | other" in said(capsys, "users", "disable", "ada", code=1)


def test_a_new_keyring_is_private_and_never_written_over(config, capsys, tmp_path):
    file = tmp_path / "keyring"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_text()
    assert "portico keyring rotate" in said(capsys, "keyring", "init", str(file), code=1)
    assert file.read_text() == before


def test_a_rotated_keyring_seals_anew_and_opens_the_old(config, capsys, tmp_path):
    file = tmp_path / "keyring"
    sealed = Keyring.parse(file.read_text()).seal("test", b"value")
    said(capsys, "keyring", "rotate")
    listed = json.loads(said(capsys, "keyring", "list", "--json"))
    assert [key["state"] for key in listed] == ["seals and opens", "opens"]
    keyring = Keyring.parse(file.read_text())
    assert keyring.open("test", sealed) == b"value"
    assert keyring.seal("test", b"x").split(".")[1] == listed[0]["id"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_sealing_key_is_dropped_only_when_another_seals(config, capsys, tmp_path):
    [only] = Keyring.parse((tmp_path / "keyring").read_text()).kids
    assert "portico keyring rotate" in said(capsys, "keyring", "drop", only, "--yes", code=1)
    said(capsys, "keyring", "rotate")
    said(capsys, "keyring", "drop", only, "--yes")
    assert only not in said(capsys, "keyring", "list")
    assert "has no key" in said(capsys, "keyring", "drop", only, "--yes", code=1)


def test_dropping_a_sealing_key_asks_first(config, capsys, tmp_path, monkeypatch):
    said(capsys, "keyring", "rotate")
    before = (tmp_path / "keyring").read_text()
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123  # closed with the test's process
    assert run(["keyring", "drop", Keyring.parse(before).kids[1]]) == 130
    assert (tmp_path / "keyring").read_text() == before
