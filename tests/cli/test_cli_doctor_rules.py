"""The rules of `portico doctor`: challenges, masking, words of providers, its tables; and answers at random."""

import contextlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.cli.doctor import judge_cors, judge_registration, judge_resource, judge_server
from portico.cli.doctor.faults import FAULTS
from portico.cli.doctor.finding import FaultFound
from portico.cli.doctor.http import Answer, NoAnswer
from portico.cli.doctor.journey import Journey, Order
from portico.cli.doctor.judge_access import Presented, judge_access
from portico.cli.doctor.judge_answer import arrived
from portico.cli.doctor.judge_authorization import judge_probe, page_text
from portico.cli.doctor.judge_challenge import judge_challenge, read_challenges
from portico.cli.doctor.judge_mcp import judge_call, judge_discover, judge_initialize, judge_list
from portico.cli.doctor.judge_refusal import fault_of
from portico.cli.doctor.judge_resource import covers
from portico.cli.doctor.judge_token import Claims, judge_token, read_claims
from portico.cli.doctor.masking import STARS, Masker
from portico.cli.doctor.profiles import PROFILES
from portico.oauth.redirect_uri import kind_of

URL = "https://mcp.example.com/mcp"
PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
CHARACTERS = 100_000  #: of a header; more than linear time would be seen


def answer(status=200, body=b"", **headers):
    lines = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(url=URL, status=status, reason="", headers=lines, body=body)


# Challenges


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bearer", [("bearer", {})]),
        ('Bearer realm="x"', [("bearer", {"realm": "x"})]),
        ('bearer a = "1" , B=2', [("bearer", {"a": "1", "b": "2"})]),
        (r'Bearer error_description="say \"no\", a=b"', [("bearer", {"error_description": 'say "no", a=b'})]),
        ('Basic realm="x", Bearer scope="a b"', [("basic", {"realm": "x"}), ("bearer", {"scope": "a b"})]),
        ("Negotiate abcd==, Bearer", [("negotiate", {}), ("bearer", {})]),
        ("Negotiate, Bearer a=1", [("negotiate", {}), ("bearer", {"a": "1"})]),
        (', Bearer a="", ,b=c,', [("bearer", {"a": "", "b": "c"})]),
        ("", []),
    ],
)
def test_challenges_are_read_as_the_rfc_says(text, expected):
    assert [(each.scheme, each.parameters) for each in read_challenges([text])] == expected


@pytest.mark.parametrize(
    "text",
    [
        'Bearer a="',
        "Bearer a=b c=d",
        'a="1"',
        "Bearer é",
        "Bearer a b=1",
        "Bearer a=https://h/x",
        'Bearer a="1" b="2"',
        "=x",
    ],
)
def test_what_is_no_challenge_is_refused_with_the_place(text):
    with pytest.raises(ValueError, match=r".+"):
        read_challenges([text])


def test_challenges_in_several_headers_are_several():
    assert [each.scheme for each in read_challenges(["Basic", 'Bearer a="1"'])] == ["basic", "bearer"]


@given(st.text(alphabet='Bearer ",=\\ab1.\t', max_size=60))
def test_no_header_makes_the_reader_fail_otherwise(text):
    try:
        read_challenges([text])
    except ValueError:
        return


@pytest.mark.parametrize("piece", ["a", 'a="', ",", 'a="\\', "Bearer ", 'a="1",', "a=", " "])
def test_long_headers_are_read_in_linear_time(piece):
    with contextlib.suppress(ValueError):
        read_challenges(["Bearer " + piece * (CHARACTERS // len(piece))])


# Resources


@pytest.mark.parametrize(
    ("resource", "fits"),
    [
        (URL, True),
        ("https://mcp.example.com", True),
        ("https://mcp.example.com/", True),
        (f"{URL}/", False),
        ("https://mcp.example.com/mc", False),
        ("https://mcp.example.com/mcp/other", False),
        ("http://mcp.example.com/mcp", False),
        ("https://mcp.example.com:8443/mcp", False),
        ("https://other.example.com/mcp", False),
        ("https://[", False),
    ],
)
def test_a_resource_is_the_url_or_a_parent_of_it(resource, fits):
    assert covers(resource, URL) is fits


@pytest.mark.parametrize(
    ("resource", "advice"),
    [(f"{URL}/", "slash only"), (URL.replace("https", "http"), "TLS ends before it"), ("https://[", ""), (None, "")],
)
def test_a_resource_that_differs_a_little_says_in_what(resource, advice):
    with pytest.raises(FaultFound) as found:
        judge_resource.judge_document({"resource": resource}, URL)
    assert advice in found.value.finding.fix


def test_places_are_asked_in_the_order_of_the_specifications():
    assert judge_resource.places(URL, "") == [
        "https://mcp.example.com/.well-known/oauth-protected-resource/mcp",
        "https://mcp.example.com/.well-known/oauth-protected-resource",
    ]
    assert judge_server.places("https://h/t/") == [
        "https://h/.well-known/oauth-authorization-server/t",
        "https://h/.well-known/openid-configuration/t",
        "https://h/t/.well-known/openid-configuration",
    ]
    assert judge_server.places("https://h") == [
        "https://h/.well-known/oauth-authorization-server",
        "https://h/.well-known/openid-configuration",
    ]


# What providers say


@pytest.mark.parametrize(
    ("code", "text", "fault"),
    [
        ("invalid_request", "AADSTS9010010: The resource parameter ... requested scopes.", "resource_refused"),
        ("invalid_request", "AADSTS50011: The redirect URI 'x' specified ...", "redirect_mismatch"),
        ("unauthorized_client", "AADSTS700016: Application with identifier 'x' was not found", "client_unknown"),
        ("invalid_client", "AADSTS7000215: Invalid client secret provided.", "invalid_client"),
        ("invalid_request", "invalid_scope", "invalid_scope"),  # Cognito
        ("invalid_request", "The redirect_uri is not whitelisted.", "redirect_mismatch"),
        ("invalid_request", "Missing code_challenge", "pkce_required"),
        ("", "Unknown client", "client_unknown"),
        ("invalid_target", "", "resource_refused"),
        ("access_denied", "User does not have the scope", "login_declined"),
        ("interaction_required", "", "otherwise"),
    ],
)
def test_errors_of_providers_mean_faults(code, text, fault):
    assert fault_of(code, text, otherwise="otherwise", resource=URL) == fault


def test_an_error_about_a_resource_that_was_not_sent_is_another_fault():
    assert fault_of("invalid_target", "", otherwise="x", resource="") == "resource_missing"


def test_google_s_error_page_is_read():
    location = "https://accounts.google.com/signin/oauth/error?authError=ChVyZWRpcmVjdF91cmlfbWlzbWF0Y2g"
    with pytest.raises(FaultFound) as found:
        judge_probe(answer(302, location=location), "http://localhost/callback", resource=URL)
    assert found.value.finding.fault.id == "redirect_mismatch"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<title>Oops</title><style>p{}</style><p>redirect&#39;s <b>wrong</b></p>", "Oops redirect's wrong"),
        ("<script>var a = '<p>';</script>text<script>", "text"),
        ("plain", "plain"),
    ],
)
def test_an_error_page_is_read_as_a_person_reads_it(page, text):
    assert page_text(page) == text


@pytest.mark.parametrize("piece", ["<script>", "<", "<p ", "</script", "&#39;", "<!--"])
def test_long_pages_are_read_in_linear_time(piece):
    page_text(piece * CHARACTERS)


# Masking


@pytest.mark.case("H10")
@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/cb?code=abc&state=def&iss=https://h", f"https://h/cb?code={STARS}&state={STARS}&iss=https://h"),
        ("https://h/cb?x=1#access_token=abc", f"https://h/cb?x=1#access_token={STARS}"),
        ("https://h/cb#id_token=abc&x=1", f"https://h/cb#id_token={STARS}&x=1"),
        ("https://user:pass@h/", f"https://{STARS}@h/"),
        ("https://h/?code_challenge=abc", "https://h/?code_challenge=abc"),
    ],
)
def test_urls_are_shown_without_secrets(url, shown):
    assert Masker().url(url) == shown


@pytest.mark.case("H10")
def test_headers_are_shown_without_secrets():
    shown = Masker().headers(
        [
            ("Authorization", "Bearer abc"),
            ("Cookie", "a=1; b=2"),
            ("Set-Cookie", "session=1; Path=/; HttpOnly"),
            ("Mcp-Session-Id", "abc"),
            ("Location", "/cb?code=abc"),
            ("Content-Type", "text/html"),
        ]
    )
    assert dict(shown) == {
        "Authorization": f"Bearer {STARS}",
        "Cookie": f"a={STARS}; b={STARS}",
        "Set-Cookie": f"session={STARS}",
        "Mcp-Session-Id": STARS,
        "Location": f"/cb?code={STARS}",
        "Content-Type": "text/html",
    }


@pytest.mark.case("H10")
def test_bodies_are_shown_without_secrets():
    masker = Masker()
    masker.remember("very secret", "abcd-efgh")
    document = {"access_token": "x", "error": {"code": -32001}, "deep": [{"client_secret": "y"}], "code": "abc1"}
    shown = json.loads(masker.body("application/json", json.dumps(document).encode()))
    assert shown == {
        "access_token": STARS,
        "error": {"code": -32001},
        "deep": [{"client_secret": STARS}],
        "code": STARS,
    }
    assert masker.body("application/x-www-form-urlencoded", b"code=1&x=2") == f"code={STARS}&x=2"
    assert masker.body("text/plain", b"you sent abcd-efgh") == f"you sent {STARS}"
    assert masker.body("text/plain", b"very%20secret very+secret") == f"{STARS} {STARS}"
    assert (
        masker.body("text/html", b"<title>Log in</title><input value=sealed>")
        == "(a page of 41 bytes, titled 'Log in')"
    )
    assert masker.body("", b"") == ""


@given(st.binary(max_size=200), st.sampled_from(["application/json", "text/plain", "text/html", ""]))
def test_any_body_can_be_shown(body, kind):
    Masker().body(kind, body)


# Answers at random


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["https://[", "http://h", URL]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "jsonrpc",
                        "result",
                        "error",
                        "code",
                        "data",
                        "supported",
                        "tools",
                        "content",
                        "_meta",
                        "isError",
                    ),
                    *("issuer", "resource", "authorization_servers", "token_endpoint", "redirect_uris", "client_id"),
                    *("access_token", "token_type", "protocolVersion", "supportedVersions", "text", "debug"),
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)
ANSWERS = st.builds(
    lambda status, body, headers: answer(status, body, **headers),
    st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 405, 421, 429, 500, 503]),
    JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40),
    st.fixed_dictionaries(
        {},
        optional={
            "content_type": st.sampled_from(["application/json", "text/html", "text/event-stream", "x"]),
            "www_authenticate": st.text(alphabet='Bearer ",=ab', max_size=20),
            "location": st.sampled_from(["/x", "http://localhost/callback?code=1&state=s", "http://[", "?error=x"]),
            "date": st.sampled_from(["Sat, 21 Nov 2026 11:33:37 GMT", "yesterday", ""]),
        },
    ),
)
PRESENTED = Presented(
    resource=URL, issuer="https://h", claims=Claims(), granted=frozenset(), required=frozenset(), fresh=True, now=0.0
)
JUDGES = {
    "arrived": arrived,
    "challenge": judge_challenge,
    "resource": lambda it: judge_resource.judge_document(judge_resource.judge_place(it, named=False) or {}, URL),
    "server": lambda it: judge_server.judge_document(judge_server.judge_place(it) or {}, URL, PROFILES["cursor"]),
    "registration": lambda it: judge_registration.judge_registration(it, redirect_uri="http://h", asked="none"),
    "left out": lambda it: judge_registration.left_out(it, ["http://h"]),
    "probe": lambda it: judge_probe(it, "http://localhost/callback", resource=URL),
    "token": lambda it: judge_token(it, resource=URL),
    "access": lambda it: judge_access(it, PRESENTED),
    "discover": lambda it: judge_discover(it, ("2026-07-28",)),
    "initialize": lambda it: judge_initialize(it, requested="2025-11-25", spoken=("2025-11-25",)),
    "list": judge_list,
    "call": lambda it: judge_call(it, "echo"),
    "preflight": lambda it: judge_cors.judge_preflight(it, "http://localhost:6274", ("authorization",)),
}


@pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
@given(ANSWERS)
def test_whatever_a_server_answers_is_judged(judge, it):
    with contextlib.suppress(FaultFound):
        judge(it)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: f"a.{raw.hex()}.b"))
def test_any_token_can_be_looked_at(token):
    read_claims(token)


def test_nothing_that_came_is_a_fault_of_its_own():
    with pytest.raises(FaultFound) as found:
        arrived(NoAnswer(trouble="tls", url=URL, text=""))
    assert found.value.finding.fault.id == "tls"


# Tables


def test_the_page_has_every_fault_as_it_is_told():
    rows = re.findall(
        r'^\| <a id="(\w+)"></a>`(\w+)` \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$', PAGE.read_text(), re.MULTILINE
    )
    assert [row[0] for row in rows] == list(FAULTS)
    for anchor, fault, title, _seen, cause, fix in rows:
        assert (anchor, title, cause, fix) == (fault, FAULTS[fault].title, FAULTS[fault].cause, FAULTS[fault].fix)


def test_the_page_has_every_client_with_its_redirect_uris():
    text = PAGE.read_text()
    for profile in PROFILES.values():
        assert f"| `{profile.name}`" in text
        for uri in profile.redirect_uris:
            shown = uri.replace("{port}", "{any port}").removesuffix("portico-doctor")
            assert f"`{shown}`" in text


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_every_client_registers_what_can_be_registered(profile):
    kinds = [kind_of(uri.replace("{port}", "1")) for uri in profile.redirect_uris]
    assert "refused" not in kinds
    assert bool(kinds) is (profile.grant == "authorization_code")


def test_what_is_asked_for_follows_challenge_then_metadata():
    def journey(**order):
        return Journey(order=Order(url=URL, **order), wire=None, masker=Masker(), random=str, login=None)

    at = journey(profile=PROFILES["cursor"])
    at.resource = judge_resource.Resource(resource="https://mcp.example.com", issuer="https://h", scopes=("b",))
    assert (at.scopes, at.target) == (("b",), "https://mcp.example.com")
    at.asked = judge_challenge(answer(401, www_authenticate='Bearer scope="a"'))
    assert at.scopes == ("a",)
    assert journey(profile=PROFILES["cursor"], scope="c d").scopes == ("c", "d")
    assert (journey(profile=PROFILES["copilot-studio"]).scopes, journey(profile=PROFILES["copilot-studio"]).target) == (
        (),
        "",
    )
