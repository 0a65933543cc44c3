import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.oauth.discovery import DiscoveryFault, issuers_of, read_metadata


@pytest.mark.case("E04")
@pytest.mark.parametrize(
    ("url", "issuer"),
    [
        ("https://i.example/.well-known/openid-configuration", "https://i.example"),
        ("https://i.example/t/1/.well-known/openid-configuration", "https://i.example/t/1"),
        ("https://i.example/.well-known/openid-configuration/t/1", "https://i.example/t/1"),
        ("https://i.example/.well-known/oauth-authorization-server", "https://i.example"),
        ("https://i.example/.well-known/oauth-authorization-server/t/1", "https://i.example/t/1"),
        ("https://i.example:8443/t/.well-known/oauth-authorization-server", "https://i.example:8443/t"),
    ],
)
def test_a_discovery_url_belongs_to_one_issuer_with_or_without_a_slash(url, issuer):
    assert issuers_of(url) == (issuer, issuer + "/")
    for name in (issuer, issuer + "/"):
        assert read_metadata({"issuer": name, "jwks_uri": "https://keys.example/k"}, url)[0] == name


@pytest.mark.parametrize(
    "url",
    [
        "https://i.example/",
        "https://i.example/.well-known/openid-configuration2",
        "https://i.example/a/.well-known/openid-configuration/b",
        "https://i.example/.well-known/jwks.json",
        "",
    ],
)
def test_other_urls_are_the_location_of_no_issuer(url):
    with pytest.raises(DiscoveryFault):
        issuers_of(url)


@pytest.mark.case("E04", "T22")
@pytest.mark.parametrize(
    "issuer",
    [
        "https://evil.example/t1",
        "https://i.example",
        "https://i.example/t2",
        "https://i.example/T1",
        "https://I.example/t1",
        "http://i.example/t1",
        "https://i.example/t1//",
        "https://i.example:443/t1",
        "https://i.example/{tenantid}",
        "",
        None,
        ["https://i.example/t1"],
    ],
)
def test_a_document_that_names_another_issuer_is_refused(issuer):
    with pytest.raises(DiscoveryFault, match=r"https://i\.example/t1"):
        read_metadata(
            {"issuer": issuer, "jwks_uri": "https://i.example/k"},
            "https://i.example/t1/.well-known/openid-configuration",
        )


@pytest.mark.parametrize(
    "jwks_uri", ["http://i.example/k", "file:///etc/passwd", "/k", "", None, 5, "https://" + "a" * 3000]
)
def test_keys_are_fetched_over_https(jwks_uri):
    with pytest.raises(DiscoveryFault, match="jwks_uri"):
        read_metadata(
            {"issuer": "https://i.example", "jwks_uri": jwks_uri}, "https://i.example/.well-known/openid-configuration"
        )


def test_an_issuer_on_plain_http_may_have_its_keys_there():
    document = {"issuer": "http://localhost:1", "jwks_uri": "http://localhost:1/k"}
    assert read_metadata(document, "http://localhost:1/.well-known/openid-configuration")[1] == "http://localhost:1/k"


@settings(deadline=None)
@given(st.text())
def test_any_text_is_judged_without_another_error(text):
    for url in (text, f"https://{text}/.well-known/openid-configuration", f"https://i/.well-known/{text}"):
        try:
            assert len(issuers_of(url)) == 2
        except DiscoveryFault:
            continue
