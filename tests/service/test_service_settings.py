import contextlib
from ipaddress import ip_network
from pathlib import Path

import pytest

from control.house import gateway, issuer, target
from portico.control.quotas import Quotas
from portico.model.errors import ConfigError
from portico.service.process_settings import KEYS, environment_of
from portico.service.settings import load_settings, load_worker_settings

HTTPS = {"listen": "0.0.0.0:8080", "public_url": "https://mcp.example"}


def faults_of(load, document, **environ):
    with pytest.raises(ConfigError) as raised:
        load(document, **environ)
    return {fault.path: fault.message for fault in raised.value.faults}


def test_an_empty_file_is_a_laptop(load, tmp_path):
    settings = load({})
    process = settings.process
    assert str(process.listen) == "127.0.0.1:8080"
    assert settings.public_url == "http://127.0.0.1:8080"
    assert settings.data_dir == tmp_path / "data"
    assert settings.database == f"sqlite:///{tmp_path}/data/portico.db"
    assert settings.keyring_file == tmp_path / "data" / "keyring"
    assert process.allowed_hosts == {"127.0.0.1", "localhost", "[::1]"}
    assert (process.drain_seconds, process.journal_max, process.admin_listen) == (30.0, 1024**3, None)


def test_every_key_is_read(load, tmp_path, write_keyring):
    write_keyring("keys")
    settings = load(
        HTTPS
        | {
            "admin_listen": "127.0.0.1:9000",
            "data_dir": "state",
            "database": "sqlite:////var/lib/portico/p.db",
            "keyring": "keys",
            "trusted_proxies": ["10.0.0.0/8", "192.168.1.1"],
            "allowed_hosts": ["internal.example"],
            "log": {"format": "json", "level": "debug"},
            "audit": {"journal_max": "512MiB"},
            "default_gateway": "Tools",
            "drain_seconds": 5,
            "issuers": [issuer()],
            "gateways": [
                gateway(
                    authorizerConfiguration={
                        "customJWTAuthorizer": {
                            "discoveryUrl": "https://mcp.example/i/main/.well-known/openid-configuration"
                        }
                    },
                    targets=[target()],
                )
            ],
        }
    )
    process = settings.process
    assert str(process.admin_listen) == "127.0.0.1:9000"
    assert process.data_dir == tmp_path / "state"
    assert process.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("192.168.1.1/32"))
    assert process.allowed_hosts == {"mcp.example", "internal.example"}
    assert (process.log_format, process.log_level) == ("json", "debug")
    assert (process.journal_max, process.drain_seconds) == (512 * 1024**2, 5.0)
    assert settings.issuers == {"main"}


def test_the_environment_wins_over_the_file(load, tmp_path):
    settings = load(
        {"listen": "127.0.0.1:1", "log": {"level": "info"}},
        PORTICO_LISTEN="[::1]:8081",
        PORTICO_LOG_LEVEL="error",
        PORTICO_DRAIN_SECONDS="3.5",
        PORTICO_AUDIT_JOURNAL_MAX="2GiB",
        PORTICO_TRUSTED_PROXIES="10.0.0.1, 10.0.0.2",
        PORTICO_PUBLIC_URL="",
    )
    process = settings.process
    assert settings.public_url == "http://[::1]:8081"
    assert (process.log_level, process.drain_seconds, process.journal_max) == ("error", 3.5, 2 * 1024**3)
    assert len(process.trusted_proxies) == 2


def test_paths_of_the_environment_are_relative_to_where_one_stands(load, tmp_path, monkeypatch, write_keyring):
    (tmp_path / "elsewhere").mkdir()
    write_keyring("elsewhere/keys")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load({}, PORTICO_KEYRING="keys").keyring_file == tmp_path / "elsewhere" / "keys"


def test_all_faults_of_the_whole_file_come_in_one_report(load):
    found = faults_of(
        load,
        {
            "listen": "everywhere",
            "public_url": "http://mcp.example",
            "trusted_proxies": ["0.0.0.0/0", "nonsense"],
            "allowed_hosts": ["*", "a.example:80"],
            "log": {"level": "loud", "colour": True},
            "audit": {"journal_max": "lots"},
            "drain_seconds": -1,
            "default_gateway": "missing",
            "surprise": 1,
            "tls": {"cert": "x"},
            "workers": 65,
            "advertise_url": "http://10.0.0.1:8081/path",
            "issuers": [{"name": "main", "users": [{"name": "ada", "password": "${env:NOT_SET}"}]}],
            "gateways": [gateway(kmsKeyArn="x", targets=[target(name="bad name")])],
        },
    )
    assert set(found) >= {
        "listen",
        "public_url",
        "trusted_proxies[0]",
        "trusted_proxies[1]",
        "allowed_hosts[0]",
        "allowed_hosts[1]",
        "log.level",
        "log.colour",
        "audit.journal_max",
        "drain_seconds",
        "default_gateway",
        "surprise",
        "tls",
        "workers",
        "advertise_url",
        "issuers[0].users[0].password",
        "gateways[0].kmsKeyArn",
        "gateways[0].targets[0].name",
    }


@pytest.mark.case("E15")
@pytest.mark.parametrize(
    ("document", "setting"),
    [
        ({"public_url": "http://mcp.example"}, "public_url"),
        ({"public_url": "http://10.0.0.1:8080"}, "public_url"),
        ({"listen": "0.0.0.0:8080", "public_url": "http://127.0.0.1:8080"}, "listen"),
        ({"listen": "[::]:8080", "public_url": "http://localhost:8080"}, "listen"),
        ({"listen": "0.0.0.0:8080"}, "public_url"),
        ({"listen": "127.0.0.1:0"}, "public_url"),
    ],
)
def test_plain_http_off_loopback_refuses_to_start_and_names_its_setting(load, document, setting):
    assert setting in faults_of(load, document)


def test_https_outside_and_a_wildcard_address_inside_are_in_order(load):
    assert load(HTTPS).process.allowed_hosts == {"mcp.example"}


@pytest.mark.parametrize(
    "url",
    [
        "mcp.example",
        "ftp://mcp.example",
        "https://mcp.example/path",
        "https://mcp.example?x=1",
        "https://u@mcp.example",
        "https://mcp.example:99999",
        "https://",
    ],
)
def test_the_public_url_is_an_origin(load, url):
    assert "public_url" in faults_of(load, {"public_url": url})


def test_a_slash_at_the_end_and_upper_case_do_not_matter(load):
    assert load(HTTPS | {"public_url": "https://MCP.Example/"}).public_url == "https://mcp.example"


@pytest.mark.case("E14", "T13")
def test_the_keyring_must_be_there_private_and_good(write_config, write_keyring, tmp_path):
    file = write_config({}, keyring=False)

    def fault():
        with pytest.raises(ConfigError) as raised:
            load_settings(file, environ={})
        [found] = raised.value.faults
        return str(found)

    assert "portico keyring init" in fault()
    keyring = write_keyring(line="k1:" + "00" * 32)
    assert "random" in fault()
    keyring.write_text("not a key")
    assert "keyring line 1" in fault()
    keyring = write_keyring()
    keyring.chmod(0o644)
    assert "chmod 600" in fault()
    keyring.chmod(0o600)
    load_settings(file, environ={})


def test_a_missing_or_unreadable_file_is_one_fault(tmp_path):
    for content in (None, b"\xff\xfe\x00"):
        file = tmp_path / "portico.yaml"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(ConfigError) as raised:
            load_settings(Path(file), environ={})
        assert str(file) in str(raised.value.faults[0])


def test_values_of_the_wrong_type_are_faults_not_crashes(write_config):
    keys = ("listen", "public_url", "data_dir", "database", "keyring", "trusted_proxies", "allowed_hosts", "log")
    keys += ("audit", "default_gateway", "drain_seconds", "admin_listen", "issuers", "gateways")
    for key in keys:
        for value in (5, True, [1], {"a": 1}, "\x01"):
            with contextlib.suppress(ConfigError):
                load_settings(Path(write_config({key: value})), environ={})


def test_secrets_do_not_show_in_the_settings(load):
    settings = load({"issuers": [issuer(users=[{"name": "ada", "password": "correct horse"}])]})
    assert "correct horse" not in repr(settings)


def test_a_worker_reads_from_its_environment_what_its_supervisor_read_from_the_file(load, tmp_path):
    document = {
        "listen": "[::1]:8080",
        "admin_listen": "0.0.0.0:8081",
        "advertise_url": "http://10.0.0.5:8081",
        "workers": 3,
        "public_url": "https://mcp.example",
        "trusted_proxies": ["10.0.0.0/8", "::1"],
        "allowed_hosts": ["other.example"],
        "log": {"format": "json", "level": "debug"},
        "audit": {"journal_max": "5MiB"},
        "drain_seconds": 2.5,
        "api": "admin",
        "api_private_addresses": True,
        "region": "eu-central-1",
        "quotas": {"gateways": 7, "targets_per_gateway": 3},
    }
    for settings in (load(document), load({})):
        given = environment_of(settings.process)
        assert given.keys() == set(KEYS.values())
        assert load_worker_settings(environ=given).process == settings.process
    with pytest.raises(ConfigError):
        load_worker_settings(environ={"PORTICO_LISTEN": "everywhere"})


def test_advertise_url_says_where_admin_listen_is_reached(load):
    assert "advertise_url" in faults_of(load, {"advertise_url": "http://10.0.0.5:8081"})
    assert "advertise_url" in faults_of(load, {"advertise_url": "10.0.0.5", "admin_listen": "127.0.0.1:1"})
    settings = load({"advertise_url": "http://10.0.0.5:8081/", "admin_listen": "127.0.0.1:1"})
    assert settings.process.advertise_url == "http://10.0.0.5:8081"


@pytest.mark.parametrize("workers", [0, 65, -1, "two", True, 1.5, "1e1"])
def test_workers_are_a_whole_number(load, workers):
    assert "workers" in faults_of(load, {"workers": workers})


def test_the_agentcore_api_is_public_in_a_region_with_the_quotas_of_aws_unless_told_otherwise(load):
    process = load({}).process
    assert (process.api, process.region, process.api_private_addresses) == ("public", "us-east-1", False)
    assert process.quotas == Quotas()
    process = load({"quotas": {"gateways": 3}}, PORTICO_QUOTAS_GATEWAYS="4", PORTICO_REGION="cn-north-1").process
    assert (process.quotas, process.region) == (Quotas(gateways=4), "cn-north-1")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("api", "everywhere"),
        ("api", "admin"),  # without admin_listen
        ("api_private_addresses", "yes"),
        ("api_private_addresses", 1),
        ("region", "here"),
        ("region", "us-east-1\n"),
        ("region", ""),
        ("quotas", 5),
        ("quotas.gateways", 0),
        ("quotas.gateways", 10_000_001),
        ("quotas.gateways", "many"),
        ("quotas.nonsense", 5),
    ],
)
def test_settings_of_the_api_that_cannot_be_are_refused(load, key, value):
    group, _, name = key.partition(".")
    assert key in faults_of(load, {group: {name: value} if name else value})
