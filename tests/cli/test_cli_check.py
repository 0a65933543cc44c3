import json

import pytest

FAULTY = """
listen: nowhere
public_url: http://mcp.example.com/path
surprise: 1
log: {level: loud}
workers: 0
issuers:
  - name: Main!
    accessTokenSeconds: 5
    users: [{name: ada, password: hunter2, passwordHash: x}]
    clients: [{name: robot, secret: "${env:NOT_SET_ANYWHERE}"}]
gateways:
  - name: tools
    protocolType: MCP
    authorizerType: CUSTOM_JWT
    kmsKeyArn: "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    authorizerConfiguration: {customJWTAuthorizer: {discoveryUrl: "https://idp.example/.well-known/openid-configuration"}}
    x-portico: {pageSize: 0, typo: 1}
    targets:
      - name: under_score
        targetConfiguration: {mcp: {mcpServer: {endpoint: "http://10.0.0.7/mcp"}}}
        x-portico: {callTimeout: long}
"""
PLACES = {
    "listen",
    "public_url",
    "surprise",
    "log.level",
    "workers",
    "issuers[0].name",
    "issuers[0].users[0]",
    "issuers[0].clients[0].secret",
    "gateways[0].kmsKeyArn",
    "gateways[0].authorizerConfiguration.customJWTAuthorizer",
    "gateways[0].x-portico.pageSize",
    "gateways[0].x-portico.typo",
    "gateways[0].targets[0].name",
    "gateways[0].targets[0].targetConfiguration.mcp.mcpServer.endpoint",
    "gateways[0].targets[0].x-portico.callTimeout",
    "keyring",
}


def test_a_configuration_in_order_is_one_line_and_nothing_is_started(bare):
    bare.succeed("keyring", "init", bare.keyring)
    assert bare.succeed("check") == f"{bare.config} is in order.\n"
    assert bare.json("check") == {"ok": True, "faults": []}
    assert sorted(file.name for file in bare.keyring.parent.iterdir()) == ["keyring"]


def test_every_fault_stands_in_one_report_with_its_place(bare):
    bare.config.write_text(FAULTY)
    done = bare.run("check")
    assert (done.code, done.out) == (1, "")
    lines = done.err.splitlines()
    assert all(line.startswith("portico: ") for line in lines)
    told = {line.removeprefix("portico: ").partition(": ")[0] for line in lines}
    assert told >= PLACES
    assert "hunter2" not in done.err


def test_the_report_for_a_program_holds_the_same_faults(bare):
    bare.config.write_text(FAULTY)
    done = bare.run("check", "--json")
    report = json.loads(done.out)
    assert (done.code, done.err, report["ok"]) == (1, "", False)
    assert {fault["path"] for fault in report["faults"]} >= PLACES
    lines = [f"portico: {fault['path']}: {fault['message']}" for fault in report["faults"]]
    assert bare.run("check").err.splitlines() == lines


@pytest.mark.parametrize("command", ["serve", "migrate", "check"])
def test_no_command_goes_on_with_a_faulty_configuration(bare, command):
    bare.config.write_text(FAULTY)
    done = bare.run(command)
    assert done.code == 1
    assert "portico: surprise: is not known here" in done.err


def test_a_missing_file_and_one_that_is_no_yaml_are_one_line(bare):
    assert "cannot be read" in bare.fail("check", "--config", bare.directory / "missing.yaml")
    bare.config.write_text("a: [")
    assert "line 1" in bare.fail("check")
    bare.config.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in bare.fail("check")


def test_a_fault_of_the_environment_names_its_variable(bare):
    bare.succeed("keyring", "init", bare.keyring)
    assert "PORTICO_WORKERS must be a whole number" in bare.fail("check", PORTICO_WORKERS="many")


@pytest.mark.parametrize(
    ("client", "told"),
    [
        (
            {"clientId": "web", "redirectUris": ["https://app.example/cb"], "scopes": ["x"]},
            "does not grant the scope x",
        ),
        ({"name": "agent", "secret": "s" * 40, "scopes": ["mcp/tpyo"]}, "does not grant the scope mcp/tpyo"),
    ],
)
def test_a_client_that_its_issuer_would_turn_away_is_a_fault(bare, client, told):
    bare.write({"issuers": [{"name": "main", "clients": [client]}]})
    bare.succeed("keyring", "init", bare.keyring)
    fault = bare.fail("check")
    assert fault.startswith("issuers[0].clients[0]: ")
    assert told in fault


def test_the_option_wins_over_the_environment(bare):
    bare.succeed("keyring", "init", bare.keyring)
    assert "is in order" in bare.succeed("check", "--config", bare.config, PORTICO_CONFIG="/nowhere/portico.yaml")


def test_a_database_of_another_version_names_the_command_that_mends_it(bare):
    bare.succeed("keyring", "init", bare.keyring)
    assert "portico migrate" in bare.fail("users", "list")
    assert bare.succeed("migrate") == "The database is up to date.\n"
    assert bare.succeed("migrate") == "The database is up to date.\n"
    assert "No users" in bare.succeed("users", "list")


def test_a_file_that_is_no_database_is_one_line(place):
    (place.directory / "data" / "portico.db").write_bytes(b"no database at all" * 1000)
    for name in ("portico.db-wal", "portico.db-shm"):
        (place.directory / "data" / name).unlink(missing_ok=True)
    assert "not a database" in place.fail("users", "list")
