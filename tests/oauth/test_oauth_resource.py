import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.model.errors import InputError
from portico.oauth.resource import (
    canonical_resource,
    gateway_resource,
    metadata_url,
    protected_resource_metadata,
    target_resource,
)


def test_a_gateways_resource_is_the_url_of_its_endpoint():
    assert gateway_resource("https://gw.example/", "a-1") == "https://gw.example/g/a-1/mcp"
    assert target_resource("https://gw.example", "a-1", "calc") == "https://gw.example/g/a-1/mcp/calc"


@pytest.mark.case("E01")
def test_the_metadata_stands_before_the_path():
    assert metadata_url("https://gw.example/g/a/mcp") == (
        "https://gw.example/.well-known/oauth-protected-resource/g/a/mcp"
    )
    assert metadata_url("https://gw.example/") == "https://gw.example/.well-known/oauth-protected-resource"


@pytest.mark.case("E01", "E13")
def test_the_metadata_names_the_resource_its_issuers_and_the_least_scopes():
    resource = "https://gw.example/g/a/mcp"
    document = protected_resource_metadata(
        resource=resource, authorization_servers=["https://i.example/"], scopes=["a", "offline_access"], name="Tools"
    )
    assert document == {
        "resource": resource,
        "authorization_servers": ["https://i.example/"],
        "scopes_supported": ["a"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Tools",
    }


def test_no_scopes_are_better_than_an_empty_list():
    assert "scopes_supported" not in protected_resource_metadata(resource="https://a/", authorization_servers=["x"])


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("https://gw.example/g/a/mcp", "https://gw.example/g/a/mcp"),
        ("HTTPS://GW.Example:443/g/a/mcp/", "https://gw.example/g/a/mcp"),
        ("http://127.0.0.1:8080/g/A/mcp", "http://127.0.0.1:8080/g/A/mcp"),
        ("http://[::1]:80/x", "http://[::1]/x"),
        ("https://gw.example", "https://gw.example"),
    ],
)
def test_a_resource_has_one_canonical_form(text, canonical):
    assert canonical_resource(text) == canonical


@pytest.mark.case("B19")
@pytest.mark.parametrize(
    "text",
    [
        "https://gw.example/mcp#x",
        "https://gw.example/mcp#",
        "/g/a/mcp",
        "gw.example/mcp",
        "https:///mcp",
        "urn:example:a",
        "ftp://gw.example",
        "https://user@gw.example/",
        "https://gw.example/?a=b",
        "https://gw.example:99999/",
        "https://gw.example:x/",
        "https://[::1/",
        "https://gw.example/\r\n",
        "https://gw.example/a b",
        "",
        "https://gw.example/" + "a" * 3000,
    ],
)
def test_what_is_no_absolute_url_without_fragment_is_refused(text):
    with pytest.raises(InputError):
        canonical_resource(text)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_resource_or_refused(text):
    for candidate in (text, f"https://{text}"):
        try:
            once = canonical_resource(candidate)
        except InputError:
            continue
        assert canonical_resource(once) == once
