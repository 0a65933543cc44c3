"""`portico facade`: its check, and the entries of clients."""

import hashlib
import json

import pytest
import yaml

from portico.cli.main import run
from portico.crypto.keyring import generate_line
from portico.service.facade_settings import load_facade_settings

WHOLE = {
    "public_url": "https://facade.example",
    "upstream": {"url": "https://gateway.example/mcp"},
    "issuer": {
        "connectors": [
            {
                "name": "company",
                "type": "oidc",
                "discoveryUrl": "https://idp.example/.well-known/openid-configuration",
                "clientId": "portico",
                "clientSecret": "of the provider",
            }
        ]
    },
}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A directory of its own, and no variable that would be read."""
    monkeypatch.chdir(tmp_path)
    for name in ("PORTICO_FACADE_CONFIG", "PORTICO_KEYRING_KEYS", "PORTICO_FACADE_TOKENS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "keyring").write_text(generate_line("k1"))
    (tmp_path / "keyring").chmod(0o600)
    return tmp_path


@pytest.fixture
def file(place):
    (place / "facade.yaml").write_text(yaml.safe_dump(WHOLE))
    return place / "facade.yaml"


def test_a_file_in_order_is_said_to_be(file, capsys):
    assert run(["facade", "--check"]) == 0
    assert "facade.yaml is in order" in capsys.readouterr().out
    assert run(["facade", "--config", str(file), "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "faults": []}


def test_every_fault_is_a_line_and_the_keyring_is_judged_too(place, capsys):
    (place / "keyring").unlink()
    (place / "facade.yaml").write_text(yaml.safe_dump({"tokens": "any", "workers": 2}))
    assert run(["facade", "--check"]) == 1
    lines = capsys.readouterr().err.splitlines()
    for path in ("workers", "issuer.connectors", "upstream.url", "tokens", "keyring"):
        assert any(line.startswith(f"portico: {path}: ") for line in lines), path
    assert run(["facade", "--check", "--json"]) == 1
    assert {fault["path"] for fault in json.loads(capsys.readouterr().out)["faults"]} >= {"tokens", "keyring"}


def test_a_file_that_is_named_must_be_there(capsys):
    assert run(["facade", "--config", "nowhere.yaml", "--check"]) == 1
    assert "nowhere.yaml" in capsys.readouterr().err


def test_options_alone_are_enough_and_win(place, capsys, monkeypatch):
    monkeypatch.setenv("PORTICO_FACADE_TOKENS", "none of them")
    options = {
        "--public-url": "https://facade.example",
        "--upstream": "https://gateway.example/mcp",
        "--provider": "https://idp.example/.well-known/openid-configuration",
        "--client-id": "portico",
        "--listen": "127.0.0.1:9000",
        "--tokens": "own",
        "--keyring": str(place / "keyring"),
    }
    monkeypatch.setenv("PORTICO_FACADE_PROVIDER_CLIENT_SECRET", "of the provider")
    assert run(["facade", *(word for pair in options.items() for word in pair), "--check"]) == 0
    assert "in order" in capsys.readouterr().out
    assert run(["facade", "--check"]) == 1


def test_a_fault_stops_the_start(capsys):
    assert run(["facade"]) == 1
    assert "upstream.url: is required" in capsys.readouterr().err


def test_the_entry_of_a_client_can_be_written_into_the_file(file, capsys):
    assert run(["facade", "client", "copilot", "--for", "copilot-studio", "--without-pkce", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    entry = made["entry"]
    assert entry["secretHash"] == hashlib.sha256(made["client_secret"].encode()).hexdigest()
    assert made["token_url"] == "https://facade.example/token"
    assert made["server_urls"] == ["https://facade.example/mcp"]
    entry["redirectUris"] = ["https://token.botframework.com/.auth/web/redirect"]
    document = {**WHOLE, "issuer": {**WHOLE["issuer"], "clients": [entry]}}
    file.write_text(yaml.safe_dump(document))
    (row,) = load_facade_settings(file, environ={}).clients
    assert (row.kind, row.pkce_required, row.name) == ("confidential", False, "Microsoft Copilot Studio")


def test_the_entry_and_the_values_are_shown_to_people(file, capsys):
    assert run(["facade", "client", "team", "--redirect-uri", "https://app.example/cb", "--name", "Team"]) == 0
    shown = capsys.readouterr().out
    (entry,) = yaml.safe_load(shown.partition("\n\n")[2].partition("\n\n")[0])
    assert (entry["clientId"], entry["name"], entry["redirectUris"]) == ("team", "Team", ["https://app.example/cb"])
    assert "Client secret" in shown
    assert "portico_" in shown


def test_a_public_client_has_no_secret(file, capsys):
    assert run(["facade", "client", "claude", "--for", "claude", "--public", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert "client_secret" not in made
    assert "secretHash" not in made["entry"]
    assert "https://claude.ai/api/mcp/auth_callback" in made["redirect_uris"]


@pytest.mark.parametrize("options", [["--for", "copilot-studio", "--public"], ["--without-pkce", "--public"]])
def test_a_client_that_needs_a_secret_cannot_be_public(file, capsys, options):
    assert run(["facade", "client", "x", *options]) == 2


def test_what_is_yet_to_do_is_said(file, capsys):
    assert run(["facade", "client", "x", "--for", "copilot-studio"]) == 0
    shown = capsys.readouterr().out
    assert "--without-pkce" in shown
    assert "redirectUris" in shown
