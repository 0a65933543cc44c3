"""What vendors do differently: whom a URL belongs to, and what each is asked."""

from typing import get_args
from urllib.parse import parse_qs, urlsplit

import pytest

from portico.oauth.connector_settings import ConnectorSettings, ConnectorType
from portico.oauth.discovery import DiscoveryFault
from portico.oauth.provider_adapters import adapter_of, many_tenants, recognise, why_anyone
from portico.oauth.provider_metadata import ProviderMetadata, read_provider
from portico.oauth.upstream import ProviderRequest
from portico.oauth.upstream_authorize import authorization_url, logout_url

WELL_KNOWN = "/.well-known/openid-configuration"
METADATA = ProviderMetadata(
    issuer="https://login.example.com",
    authorization_endpoint="https://login.example.com/authorize?p=1",
    token_endpoint="https://login.example.com/token",
    end_session_endpoint="https://login.example.com/logout-here",
)
ASKED = ProviderRequest(
    state="s", nonce="n", code_challenge="c" * 43, scopes=("mcp/invoke", "mcp/read"), resource="https://us.example/mcp"
)
AFTER = "https://us.example/i/main/logout"


def settings(type_="oidc", **more):
    return ConnectorSettings(name="them", type=type_, client_id="portico", **more)


def asked(made, *, metadata=METADATA, **changes):
    """Return the parameters that a provider of this connector is asked with."""
    request = ProviderRequest(**{name: getattr(ASKED, name) for name in ASKED.__slots__} | changes)
    url = authorization_url(adapter_of(made), made, metadata, request, redirect_uri="https://us.example/callback")
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


def scopes(made, **changes):
    return set(asked(made, **changes)["scope"].split())


@pytest.mark.parametrize(
    ("url", "type_"),
    [
        ("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf" + WELL_KNOWN, "cognito"),
        ("https://cognito-idp.cn-north-1.amazonaws.com.cn/x" + WELL_KNOWN, "cognito"),
        ("https://login.microsoftonline.com/common/v2.0" + WELL_KNOWN, "entra"),
        ("https://login.microsoftonline.us/0d9c/v2.0" + WELL_KNOWN, "entra"),
        ("https://contoso.ciamlogin.com/0d9c/v2.0" + WELL_KNOWN, "entra"),
        ("https://dev-1.okta.com" + WELL_KNOWN, "okta"),
        ("https://dev-1.oktapreview.com/oauth2/default" + WELL_KNOWN, "okta"),
        ("https://corp.eu.auth0.com" + WELL_KNOWN, "auth0"),
        ("https://accounts.google.com" + WELL_KNOWN, "google"),
        ("https://sso.example.com/realms/corp" + WELL_KNOWN, "keycloak"),
        ("https://login.example.com" + WELL_KNOWN, "oidc"),
        ("https://cognito-idp.example.com/x" + WELL_KNOWN, "oidc"),
        ("https://okta.com.evil.example" + WELL_KNOWN, "oidc"),
        ("https://[", "oidc"),
    ],
)
def test_a_vendor_is_recognised_by_its_url(url, type_):
    assert recognise(url) == type_
    assert adapter_of(settings(discovery_url=url)).type == type_
    assert adapter_of(settings("keycloak", discovery_url=url)).type == "keycloak"


def test_everybody_has_an_account_at_some_of_them():
    assert why_anyone(settings("google"))
    assert why_anyone(settings("github"))
    assert not why_anyone(settings("cognito"))
    assert many_tenants("https://login.microsoftonline.com/organizations/v2.0" + WELL_KNOWN)
    assert not many_tenants("https://login.microsoftonline.com/0d9c/v2.0" + WELL_KNOWN)
    assert not many_tenants("https://login.example.com/common" + WELL_KNOWN)


def test_a_request_holds_ours_and_nothing_of_the_client():
    assert asked(settings()) == {
        "p": "1",
        "response_type": "code",
        "client_id": "portico",
        "redirect_uri": "https://us.example/callback",
        "scope": "openid profile email",
        "state": "s",
        "nonce": "n",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize("type_", ["cognito", "entra", "okta", "auth0", "keycloak", "google", "github", "oidc"])
def test_s256_is_sent_to_everybody_unless_it_is_switched_off(type_):
    assert asked(settings(type_))["code_challenge_method"] == "S256"
    assert "code_challenge" not in asked(settings(type_, pkce=False))


@pytest.mark.parametrize("type_", ["cognito", "entra", "okta", "keycloak", "google", "github", "oidc"])
def test_the_resource_stays_here_unless_the_connector_says_so(type_):
    assert "resource" not in asked(settings(type_))
    assert asked(settings(type_, forward_resource=True))["resource"] == "https://us.example/mcp"


def test_auth0_is_told_an_audience():
    assert asked(settings("auth0"))["audience"] == "https://us.example/mcp"
    assert asked(settings("auth0", audience="https://api.example"))["audience"] == "https://api.example"
    assert "audience" not in asked(settings("auth0", forward_resource=False))
    assert asked(settings(audience="urn:api", resource_parameter="aud"))["aud"] == "urn:api"


def test_scopes_are_mapped_and_what_the_map_does_not_name_stays_here():
    entra = settings("entra", scope_map={"mcp/invoke": ("api://gateway/mcp.invoke",)})
    assert scopes(entra) == {"openid", "profile", "email", "api://gateway/mcp.invoke"}
    assert scopes(entra, scopes=("mcp/read",)) == {"openid", "profile", "email"}
    assert scopes(settings(scopes=("custom",))) == {"openid", "custom"}
    assert scopes(settings("github")) == {"read:user", "user:email"}
    assert "nonce" not in asked(settings("github"))


@pytest.mark.case("B24")
@pytest.mark.parametrize("type_", ["oidc", "okta", "auth0", "keycloak"])
def test_offline_access_is_asked_with_consent(type_):
    parameters = asked(settings(type_), offline=True)
    assert "offline_access" in parameters["scope"].split()
    assert parameters["prompt"] == "consent"
    assert "prompt" not in asked(settings(type_))


def test_vendors_have_other_words_for_a_refresh_token():
    google = asked(settings("google"), offline=True)
    assert (google["access_type"], google["prompt"]) == ("offline", "consent")
    assert "offline_access" not in google["scope"]
    assert "offline_access" in scopes(settings("entra"), offline=True)
    assert "prompt" not in asked(settings("entra"), offline=True)
    for type_ in ("cognito", "github"):
        assert "offline_access" not in scopes(settings(type_), offline=True)
        assert "prompt" not in asked(settings(type_), offline=True)


def test_a_provider_that_lists_its_scopes_without_offline_access_is_not_asked_for_it():
    for listed, there in ((frozenset({"openid"}), False), (frozenset({"openid", "offline_access"}), True)):
        metadata = ProviderMetadata(issuer="i", authorization_endpoint="a", token_endpoint="t", scopes=listed)
        assert ("offline_access" in scopes(settings(), metadata=metadata, offline=True)) is there


def test_a_new_login_and_a_prompt_of_the_settings_are_asked_for():
    assert asked(settings(), login=True, offline=True)["prompt"] == "login consent"
    assert asked(settings("entra"), login=True, offline=True)["prompt"] == "login"
    assert asked(settings("entra", prompt="select_account"))["prompt"] == "select_account"
    assert "prompt" not in asked(settings("github", prompt="login"), login=True)


def test_logging_out_has_each_vendor_s_own_form():
    def out(made, metadata=METADATA):
        return logout_url(adapter_of(made), made, metadata, after=AFTER)

    quoted = "https%3A%2F%2Fus.example%2Fi%2Fmain%2Flogout"
    generic = f"https://login.example.com/logout-here?client_id=portico&post_logout_redirect_uri={quoted}"
    assert out(settings()) == generic
    assert out(settings("cognito")) == f"https://login.example.com/logout?client_id=portico&logout_uri={quoted}"
    for type_ in ("okta", "google", "github"):
        assert out(settings(type_)) == ""
    assert out(settings(), ProviderMetadata(issuer="i", authorization_endpoint="a", token_endpoint="t")) == ""


def test_which_providers_end_everything_with_one_token_is_known():
    ending = {type_ for type_ in get_args(ConnectorType) if type_ != "local" and adapter_of(settings(type_)).ends_all}
    assert ending == {"google", "keycloak"}


# Metadata

ISSUER = "https://login.example.com/t1"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": ISSUER + "/authorize",
    "token_endpoint": ISSUER + "/token",
    "jwks_uri": ISSUER + "/keys",
}


def test_metadata_are_read_for_what_they_say():
    more = {"scopes_supported": ["openid", 7], "authorization_response_iss_parameter_supported": True}
    read = read_provider(DOCUMENT | more, ISSUER + WELL_KNOWN, plain=False)
    assert (read.issuer, read.scopes, read.sends_iss) == (ISSUER, {"openid"}, True)
    assert (read.userinfo_endpoint, read.token_auth_methods) == ("", frozenset())
    odd = {"scopes_supported": "openid", "authorization_response_iss_parameter_supported": "true"}
    assert read_provider(DOCUMENT | odd, ISSUER + WELL_KNOWN, plain=False).sends_iss is False


@pytest.mark.case("E04", "T22")
@pytest.mark.parametrize("issuer", ["https://login.example.com", ISSUER.upper(), ISSUER + "//", None, 7])
def test_metadata_of_another_issuer_are_refused(issuer):
    with pytest.raises(DiscoveryFault, match="issuer"):
        read_provider(DOCUMENT | {"issuer": issuer}, ISSUER + WELL_KNOWN, plain=False)


@pytest.mark.case("T16")
@pytest.mark.parametrize(
    "member",
    [
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
        "revocation_endpoint",
        "end_session_endpoint",
    ],
)
@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/x",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://a:b@login.example.com/x",
        "https://login.example.com/x#y",
        "https://login.example.com/x y",
        "https://login.example.com/x\r\nSet-Cookie: a=b",
        "https://login.example.com:port/x",
        "https:///x",
        "//login.example.com/x",
        "https://login.example.com/$(calc.exe)\\..",
        ["https://login.example.com"],
        "https://login.example.com/" + "x" * 3000,
    ],
)
def test_an_endpoint_that_is_not_safe_to_use_refuses_the_metadata(member, url):
    with pytest.raises(DiscoveryFault, match=member):
        read_provider(DOCUMENT | {member: url}, ISSUER + WELL_KNOWN, plain=False)


def test_plain_http_is_for_providers_that_may_be_private():
    plain = {name: value.replace("https", "http") for name, value in DOCUMENT.items()}
    url = ISSUER.replace("https", "http") + WELL_KNOWN
    assert read_provider(plain, url, plain=True).token_endpoint.startswith("http://")


@pytest.mark.parametrize("member", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
def test_metadata_without_what_is_needed_are_refused(member):
    document = {name: value for name, value in DOCUMENT.items() if name != member}
    with pytest.raises(DiscoveryFault, match=member):
        read_provider(document, ISSUER + WELL_KNOWN, plain=False)


@pytest.mark.case("D11")
def test_a_template_stands_for_the_tenant_and_for_nothing_else():
    host = "https://login.microsoftonline.com"
    url = f"{host}/common/v2.0{WELL_KNOWN}"
    document = DOCUMENT | {"issuer": host + "/{tenantid}/v2.0"}
    assert read_provider(document, url, plain=False, template="{tenantid}").issuer == document["issuer"]
    for wrong in ("https://evil.example/{tenantid}/v2.0", "/{tenantid}/v1.0", "/{tenantid}{tenantid}/v2.0"):
        issuer = wrong if wrong.startswith("https") else host + wrong
        with pytest.raises(DiscoveryFault):
            read_provider(document | {"issuer": issuer}, url, plain=False, template="{tenantid}")
    with pytest.raises(DiscoveryFault):
        read_provider(document, url, plain=False)
