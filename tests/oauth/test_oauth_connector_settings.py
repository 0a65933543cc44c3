"""Connectors of an issuer: what is refused, where, and with which words."""

import pytest

from portico.model.errors import ConfigError
from portico.oauth.issuer_settings import parse_issuer_settings

OIDC = {
    "name": "corp",
    "type": "oidc",
    "discoveryUrl": "https://login.example.com/.well-known/openid-configuration",
    "clientId": "portico",
    "clientSecret": "the secret at the provider",
}
GOOGLE = {
    "name": "google",
    "type": "google",
    "clientId": "portico",
    "clientSecret": "shh",
    "allowedDomains": ["a.example"],
}
ENTRA_URL = "https://login.microsoftonline.com/{}/v2.0/.well-known/openid-configuration"
ENTRA = OIDC | {"type": "entra"}


def parsed(*connectors, scopes=("mcp/invoke",)):
    return parse_issuer_settings("main", {"scopes": list(scopes), "connectors": list(connectors)}).connectors


def faults(*connectors):
    with pytest.raises(ConfigError) as refused:
        parsed(*connectors)
    return {fault.path.removeprefix("issuers.main."): fault.message for fault in refused.value.faults}


def fault_of(**changes):
    """The only fault of a connector with these changes: its member and the words."""
    [(path, message)] = faults(OIDC | changes).items()
    return path.removeprefix("connectors[0]."), message


def test_users_of_our_own_and_providers_stand_side_by_side():
    connectors = parsed({"name": "local", "type": "local", "title": "Example Corp"}, OIDC, GOOGLE)
    assert [connector.type for connector in connectors] == ["local", "oidc", "google"]


def test_without_connectors_there_are_users_of_our_own():
    assert parsed() == ()


def test_a_secret_is_never_printed():
    assert "secret" not in repr(parsed(OIDC)) + str(parsed(OIDC)[0])


def test_every_fault_of_every_connector_is_told_at_once():
    told = faults(
        {"name": "Corp!", "type": "oidc"},
        OIDC | {"name": "twice"},
        OIDC | {"name": "twice", "clientId": ""},
        {"name": "people", "type": "local", "clientId": "x"},
        OIDC | {"name": "local"},
    )
    assert set(told) == {
        "connectors[0].name",
        "connectors[0].discoveryUrl",
        "connectors[0].clientId",
        "connectors[0].clientSecret",
        "connectors[1].name",
        "connectors[2].name",
        "connectors[2].clientId",
        "connectors[3].name",
        "connectors[3].clientId",
        "connectors[4].name",
    }


def test_local_users_stand_there_once():
    local = {"name": "local", "type": "local"}
    assert set(faults(local, local)) == {"connectors[0].name", "connectors[1].name"}


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"discoveryUrl": "http://login.example.com/.well-known/openid-configuration"}, "discoveryUrl"),
        ({"discoveryUrl": "https://login.example.com/"}, "discoveryUrl"),
        ({"discoveryUrl": "https://a@login.example.com/.well-known/openid-configuration"}, "discoveryUrl"),
        ({"tokenAuthMethod": "none"}, "clientSecret"),
        ({"tokenAuthMethod": "none", "clientSecret": "", "pkce": False}, "pkce"),
        ({"scopes": ["a b"]}, "scopes"),
        ({"scopeMap": {"mcp/invoke": ['"']}}, "scopeMap"),
        ({"scopeMap": {"mcp/else": ["x"]}}, "scopeMap"),
        ({"prompt": "none"}, "prompt"),
        ({"audience": "https://api.example.com", "forwardResource": False}, "forwardResource"),
        ({"subjectClaim": "email"}, "subjectClaim"),
        ({"subjectClaim": "tid+preferred_username"}, "subjectClaim"),
        ({"allowedDomains": ["@Example.com"]}, "allowedDomains"),
        ({"allowedEmails": ["Ada@example.com"]}, "allowedEmails"),
        ({"requiredClaims": {"groups": []}}, "requiredClaims"),
        ({"type": "okta", "discoveryUrl": "https://x.auth0.com/.well-known/openid-configuration"}, "type"),
    ],
)
def test_a_setting_that_cannot_work_or_is_dangerous_is_refused_by_name(changes, member):
    assert fault_of(**changes)[0] == member


@pytest.mark.parametrize("type_", ["google", "github"])
@pytest.mark.parametrize(
    "rule", [{"allowedDomains": ["a.example"]}, {"allowedEmails": ["a@a.example"]}, {"requiredClaims": {"hd": ["a"]}}]
)
def test_where_everybody_can_have_an_account_a_rule_or_the_loud_switch_is_needed(type_, rule):
    bare = {"name": "them", "type": type_, "clientId": "portico", "clientSecret": "shh"}
    assert "anyAccount" in faults(bare)["connectors[0].anyAccount"]
    assert parsed(bare | rule)
    assert parsed(bare | {"anyAccount": True})


def test_google_is_recognised_behind_another_type_too():
    url = "https://accounts.google.com/.well-known/openid-configuration"
    assert set(faults(OIDC | {"discoveryUrl": url})) == {"connectors[0].anyAccount"}
    assert set(faults(OIDC | {"type": "keycloak", "discoveryUrl": url})) == {
        "connectors[0].anyAccount",
        "connectors[0].type",
    }


@pytest.mark.parametrize("tenant", ["common", "organizations", "consumers", "Common"])
def test_entra_for_many_tenants_needs_its_tenants_named(tenant):
    many = ENTRA | {"discoveryUrl": ENTRA_URL.format(tenant)}
    assert "requiredClaims.tid" in faults(many)["connectors[0].anyAccount"]
    assert set(faults(many | {"requiredClaims": {"roles": ["admin"]}})) == {"connectors[0].anyAccount"}
    assert parsed(many | {"requiredClaims": {"tid": ["0d9c1f0e-4b7a-4f58-8f3c-5a6b7c8d9e0f"]}})
    assert parsed(many | {"anyAccount": True})


def test_entra_for_one_tenant_needs_nothing_more_but_its_newer_endpoints():
    one = ENTRA | {"discoveryUrl": ENTRA_URL.format("0d9c1f0e-4b7a-4f58-8f3c-5a6b7c8d9e0f")}
    assert parsed(one)
    older = one | {"discoveryUrl": one["discoveryUrl"].replace("/v2.0", "")}
    assert set(faults(older)) == {"connectors[0].discoveryUrl"}


def test_github_and_google_need_no_discovery_url_but_a_secret():
    assert parsed(GOOGLE)
    github = GOOGLE | {"type": "github", "name": "github"}
    assert parsed(github)
    url = {"discoveryUrl": "https://github.com/.well-known/openid-configuration"}
    assert set(faults(github | url)) == {"connectors[0].discoveryUrl"}
    assert set(faults(GOOGLE | {"clientSecret": "", "tokenAuthMethod": "none"})) == {"connectors[0].tokenAuthMethod"}


def test_a_client_without_a_secret_says_so():
    assert "tokenAuthMethod" in fault_of(clientSecret="")[1]
    assert parsed(OIDC | {"clientSecret": "", "tokenAuthMethod": "none"})


def test_plain_http_and_private_addresses_need_their_permission():
    private = OIDC | {"discoveryUrl": "http://127.0.0.1:9000/.well-known/openid-configuration"}
    assert set(faults(private)) == {"connectors[0].discoveryUrl"}
    assert parsed(private | {"allowPrivate": True})


def test_unknown_members_and_types_are_refused():
    assert "clientSecrte" in next(iter(faults(OIDC | {"clientSecrte": "x"}).values()))
    assert "ldap" in next(iter(faults(OIDC | {"type": "ldap"}).values()))


def test_too_many_connectors_are_refused():
    assert "connectors" in faults(*(OIDC | {"name": f"c{number}"} for number in range(21)))
