"""The client credentials grant as a client: what is asked, and which answers are worth a token."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.model.secret import Secret
from portico.oauth.client_credentials import (
    MAX_ERROR_CHARS,
    MAX_TOKEN_CHARS,
    OWN_PARAMETERS,
    TokenRefused,
    judge_answer,
    token_request,
)
from portico.oauth.vendors import VENDORS

JSON = "application/json;charset=UTF-8"


def judged(body, *, status=200, content_type=JSON):
    return judge_answer(status, content_type, body if isinstance(body, bytes) else json.dumps(body).encode())


def refused(body, **how):
    with pytest.raises(TokenRefused) as found:
        judged(body, **how)
    return found.value


@pytest.mark.case("H08")
@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ({"access_token": "t", "token_type": "Bearer", "expires_in": 60}, 60),
        ({"access_token": "t", "token_type": "bearer", "expires_in": 60.5}, 60.5),
        ({"access_token": "t", "token_type": "BEARER", "expires_in": "60"}, 60),
        ({"access_token": "t", "expires_in": 0}, None),
        ({"access_token": "t", "expires_in": -1}, None),
        ({"access_token": "t", "expires_in": True}, None),
        ({"access_token": "t", "expires_in": "soon"}, None),
        ({"access_token": "t", "expires_in": 10**15}, 24 * 3600),
        ({"access_token": "t", "scope": "other", "refresh_token": "r", "unknown": [1]}, None),
        ({"ok": True, "access_token": "t"}, None),
    ],
)
def test_answers_of_real_servers_are_worth_their_token(answer, seconds):
    token = judged(answer)
    assert (token.access_token.reveal(), token.expires_in) == ("t", seconds)
    assert "t'" not in repr(token.access_token)


@pytest.mark.case("H08")
def test_a_form_is_read_where_a_server_sends_one_whatever_was_asked_for():
    form = b"access_token=t&scope=&token_type=bearer"
    assert judged(form, content_type="application/x-www-form-urlencoded; charset=utf-8").access_token.reveal() == "t"
    error = b"error=incorrect_client_credentials&error_description=The+client_id+is+wrong"
    assert refused(error, content_type="application/x-www-form-urlencoded").blame == "client"


@pytest.mark.parametrize(
    ("answer", "status", "blame", "words"),
    [
        ({"error": "invalid_client"}, 401, "client", "invalid_client"),
        ({"error": "invalid_client", "error_description": "no"}, 400, "client", "invalid_client: no"),
        ({"error": "invalid_scope"}, 400, "scopes", "invalid_scope"),
        ({"error": "unauthorized_client"}, 400, "grant", "unauthorized_client"),
        ({"error": "unsupported_grant_type"}, 400, "grant", "unsupported_grant_type"),
        ({"error": "invalid_target"}, 400, "parameters", "invalid_target"),
        ({"error": "invalid_request"}, 400, "parameters", "invalid_request"),
        ({"error": "server_error"}, 500, "provider", "server_error"),
        ({"error": "odd"}, 401, "client", "odd"),
        ({"error": "odd"}, 500, "provider", "odd"),
        ({"error": "bad_verification_code"}, 200, "parameters", "bad_verification_code"),  # GitHub
        ({"ok": False, "error": "bad_client_secret"}, 200, "parameters", "bad_client_secret"),  # Slack
        ({}, 401, "client", "HTTP 401"),
        ({}, 503, "provider", "HTTP 503"),
        ({}, 404, "endpoint", "HTTP 404"),
        ({}, 302, "endpoint", "HTTP 302"),
        ({}, 200, "endpoint", "no access_token"),
        ({"access_token": ""}, 200, "endpoint", "no access_token"),
        ({"access_token": 7}, 200, "endpoint", "no access_token"),
        ({"access_token": "t", "token_type": "DPoP"}, 200, "provider", "DPoP"),
        ({"access_token": "a\r\nX: 1"}, 200, "provider", "characters"),
        ({"access_token": "a b"}, 200, "provider", "characters"),
        ({"access_token": "é"}, 200, "provider", "characters"),
        ({"access_token": "t" * (MAX_TOKEN_CHARS + 1)}, 200, "provider", "too long"),
    ],
)
def test_a_refusal_says_what_has_to_be_looked_at(answer, status, blame, words):
    refusal = refused(answer, status=status)
    assert refusal.blame == blame
    assert words in str(refusal)


@pytest.mark.parametrize(
    "body",
    [b"<html>login</html>", b"", b"[]", b'"t"', b'{"access_token":"a","access_token":"b"}', b"[" * 5000, b"\xff"],
)
def test_whatever_is_no_answer_of_a_token_endpoint_blames_the_endpoint(body):
    assert refused(body).blame == "endpoint"


@pytest.mark.case("H10")
def test_a_strangers_words_cannot_break_a_line_and_are_cut():
    words = str(refused({"error": "x\r\ny", "error_description": 'a"\\\u202eb' * 1000}, status=400))
    assert all(" " <= character <= "~" for character in words)
    assert len(words) <= 2 * MAX_ERROR_CHARS + 2


@given(st.binary(max_size=300), st.sampled_from([200, 400, 401, 500]), st.sampled_from([JSON, "", "text/html"]))
def test_nothing_but_a_token_or_a_refusal_comes_out(body, status, content_type):
    with contextlib.suppress(TokenRefused):
        judge_answer(status, content_type, body)


@given(st.dictionaries(st.sampled_from(sorted(OWN_PARAMETERS)), st.text(max_size=5)))
def test_a_targets_parameters_replace_none_of_the_grants_own(parameters):
    plain = token_request(
        client_id="c",
        client_secret=Secret("s"),
        authentication="client_secret_post",
        scopes=("a", "b"),
        parameters=parameters,
    )
    assert plain.form == {
        "grant_type": "client_credentials",
        "scope": "a b",
        "client_id": "c",
        "client_secret": "s",
    }


def test_every_vendor_has_all_its_endpoints_over_https_or_none():
    for vendor in VENDORS.values():
        assert all(url.startswith("https://") for url in vendor.endpoints or ())
    without = {name for name, vendor in VENDORS.items() if vendor.endpoints is None}
    assert without == {
        *("Auth0Oauth2", "CognitoOauth2", "CustomOauth2", "CyberArkOauth2", "FusionAuthOauth2"),
        *("OktaOauth2", "OneLoginOauth2", "PingOneOauth2"),
    }
