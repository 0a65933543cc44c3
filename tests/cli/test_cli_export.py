"""``portico export``, ``apply`` and ``diff``: a configuration leaves one server and arrives whole at another."""

import asyncio
import json

from cli.conftest import declare
from cli.everything import EVERYTHING, SECRETS
from portico.authorizer.access_keys import open_key
from portico.control.connector_secrets import digestible
from portico.identity.sealing import open_secrets
from portico.service.keyring_file import read_keyring
from portico.service.settings import load_settings
from portico.storage import access_keys, credential_providers, gateways, issuers, targets
from portico.storage.engine import Database

EVERY_SECRET = {*SECRETS.values()}


def without_secrets(document):
    """What an export should hold of EVERYTHING, but for where secrets stand."""
    entries = json.loads(json.dumps(document))
    for provider in entries["oauth2CredentialProviders"]:
        next(iter(provider["oauth2ProviderConfigInput"].values())).pop("clientSecret", None)
    for issuer in entries["issuers"]:
        for connector in issuer.get("connectors", []):
            connector.pop("clientSecret", None)
    for listed in (*entries.values(), *(issuer.get(key, []) for issuer in entries["issuers"] for key in issuer)):
        for entry in listed if isinstance(listed, list) else []:
            for member in ("secret", "secretFile", "password", "apiKey", "secretHash", "passwordHash"):
                isinstance(entry, dict) and entry.pop(member, None)
    return entries


def in_order(document):
    """Sort lists whose order means nothing."""
    return {
        name: sorted(
            (
                {**entry, **{k: by_name(entry[k]) for k in ("users", "clients", "targets") if k in entry}}
                for entry in listed
            ),
            key=key_of,
        )
        for name, listed in document.items()
    }


def by_name(listed):
    return sorted(listed, key=key_of)


def key_of(entry):
    return entry.get("accessKeyId") or entry.get("clientId") or entry["name"]


def rows(place, function):
    async def read():
        database = await Database.open(load_settings(place.config, environ={}).database)
        try:
            async with database.read() as conn:
                return await function(conn)
        finally:
            await database.aclose()

    return asyncio.run(read())


def test_an_export_holds_every_kind_of_resource_as_it_was_declared(one):
    exported = json.loads(one.run("export", "--json").out)
    assert in_order(without_secrets(exported)) == in_order(without_secrets(EVERYTHING))
    assert list(exported) == list(EVERYTHING)


def test_an_export_says_nothing_secret_and_names_what_is_missing(one):
    done = one.run("export")
    assert done.code == 0
    for told in (done.out, done.err, one.run("export", "--with-hashes").out, one.run("export", "--json").out):
        assert [secret for secret in EVERY_SECRET if secret in told] == []
    assert [name for name in SECRETS if f"before it is applied set {name}\n" not in done.err] == []
    assert len(done.err.splitlines()) == len(SECRETS)


def test_export_to_an_empty_server_and_export_again_gives_the_same_documents(one, make):
    first = one.run("export").out
    two = make("two")
    file = two.directory / "moved.yaml"
    file.write_text(first)
    applied = two.run("apply", file, **SECRETS)
    assert applied.code == 0, applied
    assert two.run("export").out == first
    assert two.run("diff", file, **SECRETS).out == "Nothing would change.\n"
    keyring = read_keyring(two.keyring)
    opened = {
        secret.reveal()
        for row in rows(two, credential_providers.list_all)
        for secret in open_secrets(keyring, row.sealed, account=row.account, kind=row.kind, name=row.name).values()
    }
    opened |= {open_key(keyring, row).secret.reveal() for row in rows(two, access_keys.list_all)}
    for row in rows(two, issuers.list_all):
        opened |= set(digestible(keyring, row.name, row.document).values())
        assert "a secret of company" not in json.dumps(row.document)
    assert opened == {value for name, value in SECRETS.items() if "PASSWORD" not in name and "CLIENT" not in name}


def test_the_placeholder_of_a_secret_is_refused_by_name_until_it_is_filled(one, make):
    two = make("two")
    file = two.directory / "moved.yaml"
    file.write_text(one.run("export").out)
    done = two.run("apply", file)
    assert (done.code, done.out) == (1, "")
    lines = done.err.splitlines()
    assert (
        "portico: oauth2CredentialProviders[0].secret: "
        "the environment variable PORTICO_SECRET_OAUTH2_CUSTOM is not set" in lines
    )
    assert [name for name in SECRETS if not any(f"{name} is not set" in line for line in lines)] == []
    assert rows(two, gateways.list_all) == []


def test_secrets_can_be_asked_for_in_files(one, make):
    two = make("two")
    file = two.directory / "moved.yaml"
    done = one.run("export", "--secret-files", "secrets", "--out", file)
    assert done.out == ""
    assert "set secrets/oauth2-custom" in done.err
    refused = two.run("apply", file)
    assert "oauth2CredentialProviders[0].secretFile: cannot be read (No such file or directory)" in refused.err
    (two.directory / "secrets").mkdir()
    for line in done.err.splitlines():
        place = line.rpartition(" set ")[2]
        name = "PORTICO_SECRET_" + place.removeprefix("secrets/").upper().replace("-", "_")
        (two.directory / place).write_text(SECRETS[name] + "\n")
    assert two.run("apply", file).code == 0
    assert json.loads(two.run("export", "--json").out) == json.loads(one.run("export", "--json").out)


def test_hashes_of_passwords_and_machines_move_when_asked_for(one, make):
    two = make("two")
    file = two.directory / "moved.yaml"
    file.write_text(one.run("export", "--with-hashes").out)
    rest = {name: value for name, value in SECRETS.items() if "PASSWORD" not in name and "CLIENT" not in name}
    assert two.run("apply", file, **rest).code == 0
    assert two.run("export", "--with-hashes").out == file.read_text()


def test_what_the_api_and_the_command_line_made_is_exported_too(one):
    one.succeed("users", "add", "eve", "--issuer", "other", "--password-stdin", stdin="correct horse\n")
    added = one.json("access-keys", "add", "ops", "--role", "reader", "--gateway", "open")
    exported = json.loads(one.run("export", "--json").out)
    [other] = [issuer for issuer in exported["issuers"] if issuer["name"] == "other"]
    assert [user["name"] for user in other["users"]] == ["eve"]
    assert {"accessKeyId": added["access_key_id"], "name": "ops", "role": "reader", "gateways": ["open"]} in [
        {name: value for name, value in key.items() if name != "secret"} for key in exported["accessKeys"]
    ]


def test_what_a_file_cannot_say_is_named_and_left_out(one):
    one.succeed("users", "disable", "ada", "--issuer", "main")
    one.succeed("access-keys", "disable", "PORTICO0000000000009")
    done = one.run("export", "--json")
    assert "portico: user main/ada: left out: it is disabled, which a file cannot say" in done.err
    assert "portico: access key PORTICO0000000000009: left out: it is disabled" in done.err
    exported = json.loads(done.out)
    assert [user["name"] for user in exported["issuers"][0]["users"]] == ["bob"]
    assert [key["accessKeyId"] for key in exported["accessKeys"]] == ["PORTICO0000000000010"]


def test_the_diff_of_an_applied_file_is_empty(one):
    assert one.run("diff", one.directory / "all.yaml").code == 0
    assert one.json("diff", one.directory / "all.yaml") == {"changes": []}
    assert one.succeed("apply", one.directory / "all.yaml") == (
        "Everything is as the file says; nothing was changed.\n"
    )


def test_a_diff_shows_what_would_change_and_changes_nothing(one):
    changed = json.loads(json.dumps(EVERYTHING))
    tools, other = changed["gateways"]
    tools["description"] = "Another one"
    tools["tags"]["cost"] = "5"
    del tools["targets"][2]
    tools["targets"][1]["x-portico"]["era"] = "legacy"
    other["targets"] = [{**tools["targets"][1], "name": "copy"}]
    changed["oauth2CredentialProviders"][0]["oauth2ProviderConfigInput"]["customOauth2ProviderConfig"][
        "clientSecret"
    ] = "a brand-new value"
    changed["issuers"][0]["users"][1]["password"] = "another password"
    del changed["workloadIdentities"][1]
    file = declare(one, changed)
    before = one.run("export").out
    done = one.run("diff", file)
    assert (done.code, done.err) == (1, "")
    assert done.out.splitlines() == [
        "~ user main/bob",
        "    secret: ********, another one",
        "~ OAuth2 credential provider custom",
        "    secret: ********, another one",
        "~ gateway Tools",
        "    description: 2025-11-25 -> Another one",
        "    tags.cost: 0123 -> 5",
        "~ target Tools/inside",
        "    x-portico.era: (none) -> legacy",
        "+ target open/copy",
        "- workload identity plain",
        "- target Tools/weather",
        "1 created, 4 changed, 2 removed.",
    ]
    assert "brand-new" not in one.run("diff", file, "--json").out
    assert one.run("export").out == before
    applied = one.run("apply", file)
    assert applied.code == 0
    assert applied.out == done.out
    assert one.run("diff", file).code == 0


def test_a_diff_that_cannot_be_made_exits_with_2(one):
    assert one.run("diff", one.directory / "missing.yaml").code == 2
    done = one.run("diff", declare(one, {"gateways": [{"name": "x"}]}, "broken.yaml"))
    assert (done.code, done.out) == (2, "")
    assert "gateways[0].authorizerType: is required" in done.err


def test_two_files_manage_what_each_declares(one):
    other = declare(one, {"gateways": [{"name": "more", "protocolType": "MCP", "authorizerType": "NONE"}]}, "more.yaml")
    assert one.succeed("apply", other) == "+ gateway more\n1 created.\n"
    assert one.run("diff", one.directory / "all.yaml").code == 0
    managed = {row.name: row.managed_by for row in rows(one, gateways.list_all)}
    assert managed == {"Tools": "all.yaml", "open": "all.yaml", "more": "more.yaml"}
    assert {row.managed_by for row in rows(one, targets.list_all)} == {"all.yaml"}
    assert {row.managed_by for row in rows(one, issuers.list_all)} == {"all.yaml"}
    taken = declare(one, {"gateways": [{"name": "open", "protocolType": "MCP", "authorizerType": "NONE"}]}, "x.yaml")
    assert "is managed by all.yaml; change it there" in one.fail("apply", taken)
    assert one.succeed("apply", declare(one, {}, "more.yaml")) == "- gateway more\n1 removed.\n"


def test_a_file_is_known_by_another_name_when_that_is_said(one):
    other = declare(
        one, {"gateways": [{"name": "more", "protocolType": "MCP", "authorizerType": "NONE"}]}, "portico.yml"
    )
    one.succeed("apply", other, "--name", "team-a")
    assert {row.name: row.managed_by for row in rows(one, gateways.list_all)}["more"] == "team-a"
    assert "portico.yaml" in one.fail("apply", other, "--name", "portico.yaml")


def test_the_own_file_of_the_process_can_be_applied_and_others_declare_nothing_of_the_process(one):
    one.write({"public_url": "https://portico.example", "issuers": [{"name": "third"}]})
    assert one.run("diff", one.config).out == "+ issuer third\n1 created.\n"
    one.succeed("apply", one.config)
    assert {row.name: row.managed_by for row in rows(one, issuers.list_all)}["third"] == "portico.yaml"
    done = one.run("apply", declare(one, {"listen": "127.0.0.1:1"}, "process.yaml"))
    assert "listen: belongs into the configuration file of the process" in done.err


def test_a_file_may_trust_an_issuer_that_another_file_declares(one):
    discovery = "https://portico.example/i/main/.well-known/openid-configuration"
    gateway = {
        "name": "own",
        "protocolType": "MCP",
        "authorizerType": "CUSTOM_JWT",
        "authorizerConfiguration": {"customJWTAuthorizer": {"discoveryUrl": discovery}},
    }
    assert one.succeed("apply", declare(one, {"gateways": [gateway]}, "own.yaml")) == "+ gateway own\n1 created.\n"
    gateway["authorizerConfiguration"]["customJWTAuthorizer"]["discoveryUrl"] = discovery.replace("main", "nobody")
    assert "not declared" in one.fail("apply", declare(one, {"gateways": [gateway]}, "own.yaml"))
