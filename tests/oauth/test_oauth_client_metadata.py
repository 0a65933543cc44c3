"""Documents by which clients describe themselves: which URLs are fetched, which documents count, where codes may go."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.model.errors import ConfigError
from portico.model.oauth_errors import InvalidClientMetadata, InvalidRedirectUri
from portico.oauth.authorize import check_redirect
from portico.oauth.client import Client
from portico.oauth.client_document_settings import ClientDocumentSettings
from portico.oauth.client_metadata import (
    MAX_DOCUMENT_BYTES,
    DocumentUrl,
    document_host,
    is_document_id,
    is_unproven,
    judge_document,
    judge_document_url,
    may_return_to,
    parse_document,
)
from portico.oauth.freshness import DEFAULT_SECONDS, MAX_SECONDS, MIN_SECONDS, freshness
from portico.oauth.issuer_settings import IssuerSettings, parse_issuer_settings
from portico.oauth.metadata import authorization_server_metadata

URL = "https://app.example/oauth/client.json"
LOOPBACK = "http://localhost/callback"
OWN = "https://app.example/callback"
NOW = 1_800_000_000.0
EVERYBODY = ClientDocumentSettings()

#: As their vendors published them in 2026: members that matter, and those that must not stand in the way.
CLAUDE_CODE = {
    "client_id": "https://claude.ai/oauth/claude-code-client-metadata",
    "client_name": "Claude Code",
    "client_uri": "https://claude.ai",
    "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}
CLAUDE = {
    "client_id": "https://claude.ai/oauth/mcp-oauth-client-metadata",
    "client_name": "Claude",
    "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
    "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
    "token_endpoint_auth_method": "none",
}
VS_CODE = {
    "client_id": "https://vscode.dev/oauth/client-metadata.json",
    "client_name": "Visual Studio Code",
    "client_uri": "https://vscode.dev/product",
    "logo_uri": "https://code.visualstudio.com/assets/branding/code-stable.png",
    "application_type": "native",
    "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    "response_types": ["code"],
    "redirect_uris": ["http://127.0.0.1:33418/", "https://vscode.dev/redirect"],
    "token_endpoint_auth_method": "none",
}
CHATGPT = {
    "client_id": "https://chatgpt.com/oauth/client.json",
    "client_name": "ChatGPT",
    "redirect_uris": ["https://chatgpt.com/connector_platform_oauth_redirect"],
    "grant_types": ["authorization_code", "refresh_token"],
    "token_endpoint_auth_method": "private_key_jwt",
    "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
    "token_endpoint_auth_signing_alg": "RS256",
    "jwks_uri": "https://chatgpt.com/oauth/jwks.json",
}


def document(**more: Any) -> bytes:
    """A document of ``URL``; a member that is None is left out."""
    members = {"client_id": URL, "client_name": "App", "redirect_uris": [LOOPBACK], **more}
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def settings(**policy: Any) -> IssuerSettings:
    return IssuerSettings(name="main", client_documents=ClientDocumentSettings(**policy))


def described(published: dict[str, Any], of: IssuerSettings) -> Client:
    """Judge a published document as an issuer does that fetched it."""
    url = judge_document_url(published["client_id"], of.client_documents)
    return judge_document(parse_document(json.dumps(published).encode(), url.text), url, of)


# The URL


@pytest.mark.case("F08", "T16")
@pytest.mark.parametrize(
    "url",
    [
        "http://app.example/client.json",
        "HTTPS://app.example/client.json",
        "https://app.example",
        "https://app.example/",
        "https://app.example?x=/client.json",
        "https://app.example/client.json#",
        "https://app.example/client.json#x",
        "https://app.example/client.json?x=1",
        "https://app.example/client.json?",
        "https://user@app.example/client.json",
        "https://user:pw@app.example/client.json",
        "https://app.example@evil.example/client.json",
        "https://app.example/./client.json",
        "https://app.example/a/../client.json",
        "https://app.example/a/..",
        "https://app.example/a/%2e%2e/client.json",
        "https://app.example/%2E/client.json",
        "https://app.example/a%2fb",
        "https://app.example/%41",
        "https://app.example/a\\b",
        "https://app.example\\@evil.example/x",
        "https:\\\\app.example\\x",
        "https://app.example/a\r\nb",
        "https://app.example/a\n",
        "https://app.example/a\x00b",
        "https://app.example/a b",
        " https://app.example/a",
        "https://app.example/\u00e4",
        "https://App.example/client.json",
        "https://app.example./client.json",
        "https://\u0430pp.example/client.json",
        "https://app.example:0/client.json",
        "https://app.example:99999/client.json",
        "https://app.example:/client.json",
        "https://app.example:0443/client.json",
        "https://:443/client.json",
        "https:///client.json",
        "https:/app.example/client.json",
        "https:app.example/client.json",
        "https://app_1.example/client.json",
        "https://-app.example/client.json",
        "https://app..example/client.json",
        "https://app.example/" + "a" * 2048,
    ],
)
def test_a_url_of_another_form_is_refused_before_anything_is_fetched(url: str):
    with pytest.raises(InvalidClientMetadata):
        judge_document_url(url, ClientDocumentSettings(allowed_hosts=("*", "app.example", "app.example:8443")))


@pytest.mark.case("F08", "F11", "T16")
@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "8.8.8.8", "127.1", "0x7f.1", "2130706433"),
        *("[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "[::]"),
        *("localhost", "intranet", "metadata", "0177.0.0.1", "1.2.3.0x4"),
    ],
)
def test_a_host_that_is_no_public_name_is_refused_by_its_looks(host: str):
    with pytest.raises(InvalidClientMetadata):
        judge_document_url(f"https://{host}/client.json", EVERYBODY)


@given(st.binary(max_size=200))
def test_no_bytes_are_an_error_of_ours(body: bytes):
    with pytest.raises(InvalidClientMetadata):
        parse_document(body, URL)


@given(st.text(max_size=60))
def test_what_passes_is_plain_text_with_one_reading(tail: str):
    for url in (f"https://app.example/{tail}", f"https://{tail}/x", f"https://app.example{tail}", tail):
        try:
            judged = judge_document_url(url, EVERYBODY)
        except InvalidClientMetadata:
            continue
        assert url.isascii()
        assert url.isprintable()
        assert not set(' ?#%\\"<>') & set(url)
        assert url.startswith(f"https://{judged.host}/")


def test_long_urls_cost_nothing():
    for url in ("https://" + "a." * 50_000, "https://a.b/" + "../" * 50_000, "https://a.b/" + "a/" * 50_000):
        with pytest.raises(InvalidClientMetadata):
            judge_document_url(url, EVERYBODY)


def test_only_urls_mean_documents():
    assert is_document_id(URL)
    assert is_document_id("HTTP://x")  # so that it is refused by name
    assert not is_document_id("v1.k1.c2VhbGVk")
    assert not is_document_id("nightly-agent")


# Whom the administrator trusts


@pytest.mark.parametrize(
    ("allowed", "denied", "host", "port", "standing"),
    [
        (("*",), (), "app.example", None, "anyone"),
        (("*",), (), "app.example", 8443, "refused"),
        (("*", "app.example"), (), "app.example", None, "named"),
        (("app.example",), (), "app.example", None, "named"),
        (("app.example",), (), "app.example", 8443, "refused"),
        (("app.example:8443",), (), "app.example", 8443, "named"),
        (("app.example:8443",), (), "app.example", None, "refused"),
        (("app.example",), (), "evil.example", None, "refused"),
        (("app.example",), (), "a.app.example", None, "refused"),
        (("*.app.example",), (), "a.b.app.example", None, "named"),
        (("*.app.example",), (), "app.example", None, "refused"),
        (("*.app.example",), (), "evilapp.example", None, "refused"),
        (("*",), ("app.example",), "app.example", None, "refused"),
        (("app.example:8443",), ("app.example",), "app.example", 8443, "refused"),
        (("*", "a.app.example"), ("*.app.example",), "a.app.example", None, "refused"),
    ],
)
def test_a_host_stands_as_the_settings_say(allowed: Any, denied: Any, host: str, port: int | None, standing: str):
    policy = ClientDocumentSettings(allowed_hosts=allowed, denied_hosts=denied)
    assert policy.standing_of(host, port) == standing


def test_settings_of_documents_are_judged_all_at_once():
    with pytest.raises(ConfigError) as refused:
        parse_issuer_settings(
            "main",
            {
                "clientDocuments": {
                    "allowedHosts": ["https://app.example", "App.example", "*.*.example", "a*.example"],
                    "deniedHosts": ["*", "app.example:443"],
                }
            },
        )
    paths = [fault.path.removeprefix("issuers.main.clientDocuments.") for fault in refused.value.faults]
    assert paths == ["allowedHosts"] * 4 + ["deniedHosts"] * 2
    with pytest.raises(ConfigError):
        parse_issuer_settings("main", {"clientDocuments": {"allowedHosts": []}})
    with pytest.raises(ConfigError):
        parse_issuer_settings("main", {"clientDocuments": {"allowed": []}})
    parse_issuer_settings("main", {"clientDocuments": {"enabled": False, "allowedHosts": []}})


@pytest.mark.case("E03")
def test_metadata_tells_of_documents_only_while_they_are_used():
    flag = "client_id_metadata_document_supported"
    assert authorization_server_metadata("https://a", settings())[flag] is True
    assert flag not in authorization_server_metadata("https://a", settings(enabled=False))


# The document


def test_a_document_is_read():
    read = parse_document(document(unknown={"a": [1]}), URL)
    assert (read.url, read.name, read.redirect_uris) == (URL, "App", (LOOPBACK,))


@pytest.mark.case("F10")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"<html></html>",
        b"\xff\xfe{}",
        document()[:-1],
        document() + b"{}",
        document().replace(b'"client_name"', b'"client_id": "https://evil.example/x", "client_name"'),
        document(deep=json.loads("[" * 20 + "]" * 20)),
        document(number=float("nan")),
        document(padding="x" * MAX_DOCUMENT_BYTES),
        *(document(**{member: None}) for member in ("client_id", "client_name", "redirect_uris")),
        document(client_id=7),
        document(client_name=["App"]),
        document(client_name="  "),
        document(redirect_uris=LOOPBACK),
        document(redirect_uris=[]),
        document(redirect_uris=[7]),
        document(redirect_uris=[f"http://localhost/{n}" for n in range(51)]),
    ],
)
def test_a_malformed_document_is_refused(body: bytes):
    with pytest.raises(InvalidClientMetadata):
        parse_document(body, URL)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = st.sampled_from(
    [
        *("client_id", "client_name", "redirect_uris", "grant_types", "response_types", "jwks", "application_type"),
        *("token_endpoint_auth_method", "token_endpoint_auth_methods_supported", "client_secret"),
    ]
)


@pytest.mark.case("F10")
@given(st.dictionaries(MEMBERS, JSON_VALUES, max_size=4))
def test_no_document_makes_anything_but_a_client_or_a_refusal(members: dict[str, Any]):
    try:
        read = parse_document(document(**members), URL)
    except InvalidClientMetadata:
        return
    assert read.url == URL
    assert read.redirect_uris


@pytest.mark.case("F10")
@pytest.mark.parametrize(
    "claimed",
    [
        "https://app.example/oauth/client.json/",
        "https://app.example:443/oauth/client.json",
        "https://APP.example/oauth/client.json",
        "https://app.example/oauth/client.json?",
        "https://app.example/oauth/%63lient.json",
        "http://app.example/oauth/client.json",
        "https://other.example/oauth/client.json",
        "",
    ],
)
def test_a_document_speaks_for_its_own_url_only_byte_for_byte(claimed: str):
    with pytest.raises(InvalidClientMetadata, match="another client_id"):
        parse_document(document(client_id=claimed), URL)


@pytest.mark.case("F10")
@pytest.mark.parametrize(
    "secret",
    [
        {"client_secret": "hunter2"},
        {"client_secret": ""},
        {"client_secret_expires_at": 0},
        {"jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "d": "private"}]}},
        {"jwks": {"keys": [{"kty": "RSA", "n": "n", "e": "AQAB"}, {"kty": "RSA", "n": "n", "e": "AQAB", "p": "p"}]}},
        {"jwks": {"keys": [{"kty": "oct", "k": "shared"}]}},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"token_endpoint_auth_method": "client_secret_jwt", "token_endpoint_auth_methods_supported": ["none"]},
    ],
)
def test_a_document_with_a_secret_is_refused_and_the_secret_is_not_repeated(secret: dict[str, Any]):
    with pytest.raises(InvalidClientMetadata) as refused:
        parse_document(document(**secret), URL)
    assert not any(word in str(refused.value) for word in ("hunter2", "shared,", '"private"'))


@pytest.mark.parametrize("jwks", ["x", [], {}, {"keys": "x"}, {"keys": ["x", 7, None]}])
def test_keys_are_not_used_so_their_form_is_nobodys_business(jwks: Any):
    assert parse_document(document(jwks=jwks), URL)


def test_public_keys_may_be_published():
    assert parse_document(document(jwks={"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}]}), URL)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"token_endpoint_auth_method": "private_key_jwt"}, "only none"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "only none"),
        ({"grant_types": ["client_credentials"]}, "authorization_code"),
        ({"grant_types": ["implicit", "refresh_token"]}, "authorization_code"),
        ({"response_types": ["token"]}, "code"),
    ],
)
def test_a_client_that_cannot_log_in_here_learns_why(more: dict[str, Any], reason: str):
    with pytest.raises(InvalidClientMetadata, match=reason):
        parse_document(document(**more), URL)


@pytest.mark.case("A12", "A20", "T5")
@pytest.mark.parametrize(
    "more",
    [
        *({"redirect_uris": [LOOPBACK, uri]} for uri in ("javascript:alert(1)", "data:text/html,x", "file:///x")),
        *({"redirect_uris": [uri]} for uri in ("http://app.example/cb", "https://app.example/#", "http://*/", "")),
        *({"redirect_uris": [uri]} for uri in ("http://localhost@evil.example/", "http://localhost.evil.example/")),
        {"redirect_uris": [LOOPBACK], "application_type": "web"},
    ],
)
def test_a_document_with_a_redirect_uri_that_is_never_used_is_refused(more: dict[str, Any]):
    with pytest.raises(InvalidClientMetadata, match="redirect_uris"):
        parse_document(document(**more), URL)


@pytest.mark.case("F04", "T26")
def test_a_name_is_cleaned_as_of_any_stranger():
    assert parse_document(document(client_name="Bank\u202eexe\n\x00 of <b>"), URL).name == "Bankexe of <b>"
    assert len(parse_document(document(client_name="x" * 4000), URL).name) == 80


# Where codes may go


@pytest.mark.case("A14", "A15")
def test_a_document_without_ports_is_used_at_any_port_of_loopback():
    client = described(CLAUDE_CODE, settings())
    check_redirect("http://localhost:58135/callback", client, settings())
    check_redirect("http://127.0.0.1:1/callback", client, settings())
    for other in ("http://[::1]:1/callback", "http://localhost:58135/callback/", "http://localhost:58135/"):
        with pytest.raises(InvalidRedirectUri):
            check_redirect(other, client, settings())


@pytest.mark.case("A13", "A16")
def test_codes_leave_for_a_website_only_when_the_host_of_the_document_is_named():
    with pytest.raises(InvalidClientMetadata, match=r"claude\.ai in clientDocuments\.allowedHosts"):
        described(CLAUDE, settings())
    trusting = settings(allowed_hosts=("*", "claude.ai", "chatgpt.com"))
    for published in (CLAUDE, CHATGPT):
        client = described(published, trusting)
        check_redirect(published["redirect_uris"][0], client, trusting)
    with pytest.raises(InvalidRedirectUri):
        check_redirect("https://claude.ai/api/mcp/auth_callback/", described(CLAUDE, trusting), trusting)


def test_an_editor_keeps_the_redirect_uris_that_it_may_use():
    assert described(VS_CODE, settings()).redirect_uris == ("http://127.0.0.1:33418/",)
    assert len(described(VS_CODE, settings(allowed_hosts=("vscode.dev",))).redirect_uris) == 2


@pytest.mark.parametrize(
    "uri",
    [
        *("https://other.example/cb", "https://a.app.example/cb", "https://app.example:8443/cb"),
        *("https://app.example:443/cb", "appexample://cb"),
    ],
)
def test_another_origin_than_the_documents_needs_the_list_of_the_issuer(uri: str):
    read = parse_document(document(redirect_uris=[uri]), URL)
    url = DocumentUrl(text=URL, host="app.example", port=None, named=True)
    named = ClientDocumentSettings(allowed_hosts=("app.example",))
    with pytest.raises(InvalidClientMetadata):
        judge_document(read, url, IssuerSettings(name="main", client_documents=named))
    listed = IssuerSettings(name="main", client_documents=named, allowed_redirect_uris=(uri,))
    assert judge_document(read, url, listed).redirect_uris == (uri,)


@pytest.mark.case("A19")
def test_a_host_that_was_taken_off_the_list_gets_no_code_any_more():
    before, client = settings(allowed_hosts=("*", "app.example")), Client(id=URL, kind="document", name="App")
    assert may_return_to(OWN, client, before)
    for after in (
        settings(),
        settings(allowed_hosts=("*", "app.example"), denied_hosts=("app.example",)),
        settings(allowed_hosts=("app.example",), enabled=False),
    ):
        assert not may_return_to(OWN, client, after)


@pytest.mark.parametrize("kind", ["registered", "machine"])
def test_only_a_document_speaks_for_its_host(kind: Any):
    client = Client(id=URL, kind=kind, name="App", redirect_uris=(OWN,))
    assert not may_return_to(OWN, client, settings(allowed_hosts=("app.example",)))


@pytest.mark.case("F13")
def test_people_are_shown_the_host_and_warned_where_it_proves_nothing():
    client = described(VS_CODE, settings(allowed_hosts=("vscode.dev",)))
    assert document_host(client) == "vscode.dev"
    assert is_unproven(client, "http://127.0.0.1:33418/")
    assert not is_unproven(client, "https://vscode.dev/redirect")
    registered = Client(id=URL, kind="registered", name="x", redirect_uris=(LOOPBACK,))
    assert document_host(registered) == ""
    assert not is_unproven(registered, LOOPBACK)


@pytest.mark.parametrize("published", [CLAUDE_CODE, CLAUDE, VS_CODE, CHATGPT], ids=lambda one: one["client_name"])
def test_the_documents_of_real_clients_are_in_order(published: dict[str, Any]):
    hosts = ("claude.ai", "vscode.dev", "chatgpt.com")
    client = described(published, settings(allowed_hosts=hosts))
    assert (client.id, client.kind, client.name) == (published["client_id"], "document", published["client_name"])
    assert client.named_itself
    assert client.redirect_uris == tuple(published["redirect_uris"])
    assert msgspec.structs.asdict(settings(allowed_hosts=hosts).client_documents)["enabled"] is True


# How long it is kept


@pytest.mark.parametrize(
    ("headers", "seconds", "stale"),
    [
        ({}, DEFAULT_SECONDS, True),
        ({"cache-control": "public, max-age=3600"}, 3600, True),
        ({"cache-control": "Max-Age = 3600"}, 3600, True),
        ({"cache-control": 'max-age="3600"'}, 3600, True),
        ({"cache-control": "max-age=3600", "age": "600"}, 3000, True),
        ({"cache-control": "max-age=600, s-maxage=3600"}, 3600, False),
        ({"cache-control": "max-age=600, max-age=9999"}, 600, True),
        ({"cache-control": "max-age=99999999999"}, MAX_SECONDS, True),
        ({"cache-control": "max-age=5"}, MIN_SECONDS, True),
        ({"cache-control": "max-age=-1"}, MIN_SECONDS, True),
        ({"cache-control": "max-age=abc"}, MIN_SECONDS, True),
        ({"cache-control": "max-age=3600", "age": "99999999"}, MIN_SECONDS, True),
        ({"cache-control": "no-store"}, MIN_SECONDS, False),
        ({"cache-control": "no-cache, max-age=3600"}, MIN_SECONDS, False),
        ({"cache-control": "max-age=3600, must-revalidate"}, 3600, False),
        ({"expires": "Fri, 15 Jan 2027 10:00:00 GMT", "date": "Fri, 15 Jan 2027 09:00:00 GMT"}, 3600, True),
        ({"expires": "0"}, MIN_SECONDS, True),
        ({"expires": "Fri, 15 Jan 2027 10:00:00 GMT", "cache-control": "max-age=120"}, 120, True),
        ({"cache-control": "," * 5000}, DEFAULT_SECONDS, True),
    ],
)
def test_headers_say_how_long_within_bounds(headers: dict[str, str], seconds: float, stale: bool):
    found = freshness(headers, NOW)
    assert (found.seconds, found.stale) == (seconds, stale)


@given(st.dictionaries(st.sampled_from(["cache-control", "age", "expires", "date"]), st.text(max_size=40)))
def test_no_header_leads_out_of_the_bounds(headers: dict[str, str]):
    assert MIN_SECONDS <= freshness(headers, NOW).seconds <= MAX_SECONDS
