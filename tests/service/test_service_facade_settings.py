"""``facade.yaml``, its variables, and every way to get them wrong."""

from ipaddress import ip_network

import pytest
import yaml

from portico.crypto.keyring import generate_line
from portico.model.errors import ConfigError
from portico.service.facade_settings import (
    FACADE_KEYS,
    ISSUER_KEYS,
    PROVIDER_KEYS,
    check_facade,
    load_facade_settings,
)

PROVIDER = {
    "name": "company",
    "type": "oidc",
    "discoveryUrl": "https://idp.example/.well-known/openid-configuration",
    "clientId": "portico",
    "clientSecret": "of the provider",
}
WHOLE = {
    "public_url": "https://facade.example",
    "upstream": {"url": "https://gateway.example/mcp"},
    "issuer": {"connectors": [PROVIDER]},
}
VARIABLES = {
    "PORTICO_FACADE_PUBLIC_URL": "https://facade.example",
    "PORTICO_FACADE_UPSTREAM_URL": "https://gateway.example/mcp",
    "PORTICO_FACADE_PROVIDER_DISCOVERY_URL": PROVIDER["discoveryUrl"],
    "PORTICO_FACADE_PROVIDER_CLIENT_ID": "portico",
    "PORTICO_FACADE_PROVIDER_CLIENT_SECRET": "of the provider",
}


@pytest.fixture
def write(tmp_path):
    def write(document):
        file = tmp_path / "facade.yaml"
        file.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
        return file

    return write


@pytest.fixture
def load(write):
    return lambda document, **environ: load_facade_settings(write(document), environ=environ)


@pytest.fixture
def faults(load):
    def faults(document, **environ):
        with pytest.raises(ConfigError) as raised:
            load(document, **environ)
        return {fault.path: fault.message for fault in raised.value.faults}

    return faults


def test_three_things_are_enough(load, tmp_path):
    settings = load(WHOLE)
    assert (settings.public_url, settings.resource) == ("https://facade.example", "https://facade.example/mcp")
    assert settings.upstream.url == "https://gateway.example/mcp"
    assert settings.tokens == "wrap"
    assert settings.keyring_file == tmp_path / "keyring"
    assert settings.allowed_hosts >= {"facade.example"}
    assert not settings.keyring_keys
    (connector,) = settings.issuer.connectors
    assert (connector.name, connector.client_id, settings.issuer.name) == ("company", "portico", "root")


def test_the_environment_alone_is_enough():
    settings = load_facade_settings(None, environ=VARIABLES)
    (connector,) = settings.issuer.connectors
    assert (connector.name, connector.type, connector.client_secret) == ("provider", "oidc", "of the provider")


def test_every_simple_key_is_a_variable_that_wins(load):
    given = {
        "listen": "127.0.0.1:9999",
        "public_url": "https://other.example",
        "keyring": "/keys",
        "trusted_proxies": "10.0.0.0/8 192.0.2.1",
        "allowed_hosts": "a.example,b.example",
        "allowed_origins": "https://app.example",
        "log.format": "json",
        "log.level": "debug",
        "drain_seconds": "3",
        "upstream.url": "http://10.0.0.9/mcp",
        "upstream.allowPrivate": "true",
        "upstream.allowedRequestHeaders": "X-Tenant",
        "upstream.allowedResponseHeaders": "X-Cost",
        "tokens": "passthrough",
        "store": "sqlite:////tmp/x.db",
    }
    assert given.keys() == FACADE_KEYS.keys()
    settings = load(WHOLE, **{FACADE_KEYS[key]: value for key, value in given.items()})
    assert (settings.listen.port, settings.public_url, str(settings.keyring_file)) == (
        9999,
        "https://other.example",
        "/keys",
    )
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("192.0.2.1/32"))
    assert settings.allowed_hosts >= {"a.example", "b.example", "other.example"}
    assert settings.allowed_origins == {"https://app.example"}
    assert (settings.log_format, settings.log_level, settings.drain_seconds) == ("json", "debug", 3.0)
    assert (settings.upstream.url, settings.upstream.allow_private) == ("http://10.0.0.9/mcp", True)
    assert settings.upstream.allowed_request_headers == {"x-tenant"}
    assert settings.upstream.allowed_response_headers == {"x-cost"}
    assert (settings.tokens, settings.store) == ("passthrough", "sqlite:////tmp/x.db")


def test_the_issuers_simple_members_are_variables_too(load):
    values = {"title": "Tools", "scopes": "a/b c/d", "allowedRedirectUris": "https://app.example/cb"}
    assert values.keys() == ISSUER_KEYS.keys()
    settings = load(WHOLE, **{ISSUER_KEYS[member]: value for member, value in values.items()})
    assert settings.issuer.title == "Tools"
    assert settings.issuer.scopes == ("a/b", "c/d")
    assert settings.issuer.allowed_redirect_uris == ("https://app.example/cb",)


def test_the_providers_variables_change_the_only_provider(load):
    values = {
        "type": "okta",
        "discoveryUrl": "https://okta.example/.well-known/openid-configuration",
        "clientId": "x",
        "clientSecret": "y",
    }
    assert values.keys() == PROVIDER_KEYS.keys()
    (connector,) = load(WHOLE, **{PROVIDER_KEYS[member]: value for member, value in values.items()}).issuer.connectors
    assert (connector.name, connector.type, connector.client_id) == ("company", "okta", "x")


def test_the_whole_issuer_may_stand_in_a_variable(load):
    document = {"title": "Said", "connectors": [{**PROVIDER, "clientSecret": "${env:SECRET}"}]}
    settings = load(WHOLE, PORTICO_FACADE_ISSUER=yaml.safe_dump(document), SECRET="from elsewhere")
    assert settings.issuer.title == "Said"
    assert settings.issuer.connectors[0].client_secret == "from elsewhere"


def test_held_clients_stand_in_the_issuers_document(load):
    client = {
        "clientId": "copilot",
        "name": "Copilot",
        "secretHash": "ab" * 32,
        "redirectUris": ["https://app.example/cb"],
    }
    settings = load({**WHOLE, "issuer": {"connectors": [PROVIDER], "clients": [client]}})
    (row,) = settings.clients
    assert (row.client_id, row.kind, row.secret_hash) == ("copilot", "confidential", "ab" * 32)


def test_every_fault_is_told_at_once(faults):
    found = faults(
        {
            "listen": "nowhere",
            "public_url": "http://facade.example",
            "upstream": {"url": "ftp://x", "allowPrivate": "perhaps", "headers": []},
            "tokens": "any",
            "workers": 4,
            "issuer": {"name": "main", "users": [], "connectors": []},
        }
    )
    assert found.keys() >= {
        *("listen", "public_url", "upstream.url", "upstream.allowPrivate", "upstream.headers", "tokens"),
        *("workers", "issuer.name", "issuer.users", "issuer.connectors"),
    }


@pytest.mark.parametrize(
    "url",
    [
        "https://facade.example/other",
        "https://facade.example:443/mcp",
        "http://127.0.0.1:8080/mcp",
        "http://127.0.0.9:8080/mcp",
        "http://localhost:8080/mcp",
        "http://[::1]:8080/mcp",
    ],
)
def test_a_facade_in_front_of_itself_is_refused(faults, url):
    found = faults({**WHOLE, "upstream": {"url": url, "allowPrivate": True}})
    assert "itself" in found["upstream.url"]


@pytest.mark.parametrize("url", ["http://10.0.0.9/mcp", "http://gateway.example/mcp", "http://169.254.169.254/mcp"])
def test_a_private_or_plain_upstream_needs_its_permission(faults, url):
    assert "allowPrivate" in faults({**WHOLE, "upstream": {"url": url}})["upstream.url"]


def test_a_local_connector_is_refused(faults):
    found = faults({**WHOLE, "issuer": {"connectors": [{"name": "local", "type": "local"}]}})
    assert "no users" in found["issuer.connectors[0].type"]


def test_a_provider_without_the_rules_that_its_kind_needs_is_refused(faults):
    google = {"name": "google", "type": "google", "clientId": "x", "clientSecret": "y"}
    assert any(
        path.startswith("issuer.connectors[0]") for path in faults({**WHOLE, "issuer": {"connectors": [google]}})
    )


def test_variables_of_one_provider_cannot_mean_two(faults):
    two = {"connectors": [PROVIDER, {**PROVIDER, "name": "other"}]}
    assert "issuer.connectors" in faults({**WHOLE, "issuer": two}, PORTICO_FACADE_PROVIDER_CLIENT_ID="x")


def test_headers_that_say_who_calls_cannot_be_let_through(faults):
    upstream = {**WHOLE["upstream"], "allowedRequestHeaders": ["Cookie"], "allowedResponseHeaders": ["Set-Cookie"]}
    found = faults({**WHOLE, "upstream": upstream})
    assert found.keys() == {"upstream.allowedRequestHeaders", "upstream.allowedResponseHeaders"}


@pytest.mark.parametrize("origin", ["https://app.example/", "https://APP.example", "app.example", "https://*.example"])
def test_an_origin_that_no_browser_sends_is_refused(faults, origin):
    assert "allowed_origins[0]" in faults({**WHOLE, "allowed_origins": [origin]})


def test_keys_in_the_environment_and_in_a_file_are_one_too_many(faults):
    assert "keyring" in faults({**WHOLE, "keyring": "keys"}, PORTICO_KEYRING_KEYS=generate_line("k1"))


def test_a_missing_keyring_stops_no_start_but_is_told_by_the_check(write, load):
    assert load(WHOLE)
    (fault,) = check_facade(write(WHOLE), environ={})
    assert fault.path == "keyring"
    assert check_facade(write(WHOLE), environ={"PORTICO_KEYRING_KEYS": generate_line("k1")}) == []
    (fault,) = check_facade(write(WHOLE), environ={"PORTICO_KEYRING_KEYS": "k1:abc"})
    assert fault.path == "keyring line 1"


def test_no_secret_is_printed(load):
    settings = load(
        WHOLE, PORTICO_KEYRING_KEYS=generate_line("k1"), PORTICO_FACADE_STORE="postgresql://u:hidden@127.0.0.1/d"
    )
    assert "of the provider" not in repr(settings)
    assert "hidden" not in repr(settings)
    assert "k1:" not in repr(settings)


def test_a_missing_secret_of_the_only_provider_names_the_variable_that_it_may_come_in():
    environ = {
        "PORTICO_FACADE_PUBLIC_URL": "https://mcp.example.com",
        "PORTICO_FACADE_UPSTREAM_URL": "https://tools.example/mcp",
        "PORTICO_FACADE_PROVIDER_DISCOVERY_URL": "https://idp.example/.well-known/openid-configuration",
        "PORTICO_FACADE_PROVIDER_CLIENT_ID": "portico",
    }
    told = [str(fault) for fault in check_facade(None, environ=environ)]
    assert any("clientSecret" in text and "PORTICO_FACADE_PROVIDER_CLIENT_SECRET" in text for text in told)
