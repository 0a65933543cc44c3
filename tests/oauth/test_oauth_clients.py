"""Kinds of clients: who proves itself by what, and where its codes may go."""

import hashlib
from typing import get_args

import pytest

from portico.model.oauth_errors import InvalidClient, InvalidRedirectUri, UnauthorizedClient
from portico.model.secret import Secret
from portico.oauth.authorize import AuthorizationRequest, check_redirect
from portico.oauth.client import Client, ClientKind
from portico.oauth.hosted_clients import HOSTED_CLIENTS, hosted_client
from portico.oauth.issuer_settings import IssuerSettings
from portico.oauth.redirect_uri import kind_of
from portico.oauth.token import (
    ClaimedClient,
    ClientCredentials,
    CodeExchange,
    RefreshExchange,
    judge_client,
    judge_grant_type,
)

SECRET = "portico_" + "s" * 43
HASH = hashlib.sha256(SECRET.encode()).hexdigest()
URI = "https://app.example/callback"
CODE = CodeExchange(code="c", redirect_uri=URI, verifier="", resource=())
REFRESH = RefreshExchange(token="t", scope="", resource=())
MACHINE = ClientCredentials(scope="", resource=())


def client(kind: ClientKind, **more) -> Client:
    return Client(id="c", kind=kind, name="C", **more)


def claimed(secret: str) -> ClaimedClient:
    return ClaimedClient(client_id="c", secret=Secret(secret))


@pytest.mark.case("C20")
@pytest.mark.parametrize("kind", get_args(ClientKind))
def test_whoever_has_a_secret_proves_itself_by_it_and_the_others_send_none(kind: ClientKind):
    secretive = kind in {"confidential", "machine"}
    known = client(kind, secret_hash=HASH if secretive else "")
    good, bad = (SECRET, "") if secretive else ("", SECRET)
    assert judge_client(claimed(good), known) is known
    for secret in (bad, SECRET + "x"):
        with pytest.raises(InvalidClient):
            judge_client(claimed(secret), known)


@pytest.mark.case("C20")
@pytest.mark.parametrize("kind", ["confidential", "machine"])
@pytest.mark.parametrize("secret", ["", "0" * 64, HASH])
def test_a_client_whose_secret_was_taken_away_proves_nothing(kind: ClientKind, secret: str):
    with pytest.raises(InvalidClient):
        judge_client(claimed(secret), client(kind, secret_hash=""))
    with pytest.raises(InvalidClient):
        judge_client(claimed(secret), client(kind, secret_hash=HASH))


@pytest.mark.case("C13")
@pytest.mark.parametrize("kind", get_args(ClientKind))
def test_machines_get_tokens_for_themselves_and_the_others_for_people(kind: ClientKind):
    allowed = {MACHINE} if kind == "machine" else {CODE, REFRESH}
    for request in (CODE, REFRESH, MACHINE):
        if request in allowed:
            judge_grant_type(request, client(kind))
        else:
            with pytest.raises(UnauthorizedClient):
                judge_grant_type(request, client(kind))


@pytest.mark.case("A13", "A16")
@pytest.mark.parametrize("kind", ["public", "confidential"])
def test_a_held_client_may_use_what_is_written_down_for_it_whatever_the_issuer_lists(kind: ClientKind):
    listed = IssuerSettings(name="main", allowed_redirect_uris=("https://listed.example/cb",))
    held = client(kind, redirect_uris=(URI, "http://127.0.0.1:33418/"))
    check_redirect(URI, held, listed)
    check_redirect("http://127.0.0.1:1234/", held, listed)
    for uri in ("https://listed.example/cb", f"{URI}/", "http://127.0.0.1/other", "http://localhost:33418/"):
        with pytest.raises(InvalidRedirectUri):
            check_redirect(uri, held, listed)


@pytest.mark.case("A12", "T5")
@pytest.mark.parametrize("uri", ["javascript:alert(1)", "http://app.example/cb", "data:text/html,x"])
def test_what_is_no_redirect_uri_is_none_even_when_it_is_written_down(uri: str):
    with pytest.raises(InvalidRedirectUri):
        check_redirect(uri, client("confidential", redirect_uris=(uri,)), IssuerSettings(name="main"))


@pytest.mark.case("A19")
def test_what_names_its_redirect_uris_itself_needs_the_issuers_list():
    registered = client("registered", redirect_uris=(URI,))
    check_redirect(URI, registered, IssuerSettings(name="main", allowed_redirect_uris=(URI,)))
    with pytest.raises(InvalidRedirectUri):
        check_redirect(URI, registered, IssuerSettings(name="main"))


@pytest.mark.parametrize("kind", get_args(ClientKind))
def test_only_a_confidential_client_can_be_excused_from_pkce(kind: ClientKind):
    assert client(kind).needs_pkce
    assert client(kind, pkce_required=False).needs_pkce is (kind != "confidential")


def test_a_request_without_a_challenge_comes_back_from_the_login_page_without_one():
    asked = AuthorizationRequest(
        client_id="c", redirect_uri=URI, state="s", code_challenge="", scopes=("a",), resource="https://h/mcp"
    )
    assert not {"code_challenge", "code_challenge_method"} & asked.parameters().keys()


@pytest.mark.parametrize("hosted", HOSTED_CLIENTS, ids=lambda hosted: hosted.name)
def test_every_known_application_returns_to_addresses_that_can_be_used(hosted):
    assert hosted_client(hosted.name) is hosted
    assert [uri for uri in hosted.redirect_uris if kind_of(uri) == "refused"] == []
    assert hosted.redirect_uris or hosted.redirects_later
