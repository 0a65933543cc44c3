"""Redirect URIs as pure rules: what is loopback, what a list may name, what is never used, and what equals what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.oauth.redirect_uri import host_of, kind_of, matches, parse_loopback, usable

LOOPBACK = [
    "http://127.0.0.1:53682/callback",
    "http://127.0.0.1/",
    "http://127.0.0.1",
    "http://localhost:1/cb",
    "http://localhost/cb?x=%20y",
    "http://[::1]:65535/cb",
]

REFUSED = [
    *[
        (uri, "A01")
        for uri in ("http://127.0.0.1@evil.com/", "http://127.0.0.1:80@evil.com", "http://localhost:x@e.com")
    ],
    *[(uri, "A03") for uri in ("http://localhost.evil.com", "http://127.0.0.1.nip.io/", "http://127.0.0.1.evil.com")],
    *[(uri, "A05") for uri in ("http://[::ffff:127.0.0.1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/")],
    *[(uri, "A05") for uri in ("http://[::1%25eth0]/", "http://127.1/", "http://0x7f000001/", "http://0.0.0.0/")],
    *[(uri, "A07") for uri in ("Http://127.0.0.1/", "http://LOCALHOST/", "http://localhost./", "http://127.0.0.1./")],
    *[
        (uri, "A07")
        for uri in (
            "http://\uff1127.0.0.1/",
            "http://127\u30020.0.1/",
            "http://localho\u017ft/",
            "https://exämple.com/",
        )
    ],
    *[(uri, "A07") for uri in ("HTTPS://app.example/", "https://App.example/", "https://app.example./")],
    *[(uri, "A08") for uri in ("http://127.0.0.1/#", "http://127.0.0.1/cb#x", "https://app.example/#", "app:/x#")],
    *[(uri, "A09") for uri in ("http://127.0.0.1/\r\nx", "http://127.0.0.1/%0d%0ax", "http://127.0.0.1/%00")],
    *[
        (uri, "A09")
        for uri in ("http://127.0.0.1/\t", " http://127.0.0.1/", "http://127.0.0.1/ ", "http://127.0.0.1/\n")
    ],
    *[(uri, "A09") for uri in ("http://127.0.0.1/%7F", "http://127.0.0.1/%zz", "http://127.0.0.1/\\evil")],
    *[(f"http://127.0.0.1:{port}/", "A10") for port in ("0", "99999", "-1", "080", "", "65536", "8 0", "\uff180")],
    *[(f"https://app.example:{port}/", "A10") for port in ("0", "99999", "", "080")],
    *[(uri, "A12") for uri in ("javascript:alert(1)", "JAVASCRIPT:alert(1)", "java\nscript:x", "data:text/html,x")],
    *[(uri, "A12") for uri in ("vbscript:x", "file:///etc/passwd", "blob:https://x/", "about:blank", "urn:x:oob")],
    *[(uri, "A13") for uri in ("https://user@app.example/", "https://user:pw@app.example/", "http://app.example/")],
    *[(uri, "A15") for uri in ("http://127.0.0.1/a/../b", "http://127.0.0.1/%2e%2e/b", "https://app.example/.")],
    *[(uri, "T5") for uri in ("http://*/cb", "https://*.example/cb", "*", "http://127.0.0.1:*/cb", "")],
]


@pytest.mark.case("A14")
@pytest.mark.parametrize("uri", LOOPBACK)
def test_loopback_is_three_hosts_over_http(uri: str):
    assert kind_of(uri) == "loopback"
    assert usable(uri, frozenset())


@pytest.mark.case("A01", "A03", "A05", "A07", "A08", "A09", "A10", "A12", "A13", "A15", "T5")
@pytest.mark.parametrize(("uri", "_case"), REFUSED)
def test_what_only_looks_right_is_refused_even_when_listed(uri: str, _case: str):
    assert kind_of(uri) == "refused"
    assert not usable(uri, frozenset({uri}))
    assert parse_loopback(uri) is None


@pytest.mark.parametrize(
    "uri", ["https://app.example/cb", "https://app.example:8443/cb?x=1", "cursor://a.b/cb", "com.x:/cb"]
)
def test_others_are_used_only_when_the_list_names_them(uri: str):
    assert kind_of(uri) == "other"
    assert usable(uri, frozenset({uri}))
    assert not usable(uri, frozenset({uri + "/"}))


@pytest.mark.case("A14", "A15")
def test_only_the_port_of_loopback_may_differ():
    assert matches("http://127.0.0.1/cb", "http://127.0.0.1:5000/cb")
    assert matches("http://[::1]:1/cb?a=b", "http://[::1]:2/cb?a=b")
    for other in ("http://localhost/cb", "http://127.0.0.1/cb/", "http://127.0.0.1/cb?", "http://127.0.0.1/CB"):
        assert not matches("http://127.0.0.1/cb", other)
    assert not matches("https://app.example/cb", "https://app.example:443/cb")


def test_people_are_shown_host_and_port_or_the_scheme():
    assert host_of("http://127.0.0.1:53682/callback") == "127.0.0.1:53682"
    assert host_of("https://app.example?x=/y") == "app.example"
    assert host_of("cursor://anysphere/cb") == "cursor:"


@pytest.mark.case("A09", "T5")
@given(st.text(max_size=60))
def test_whatever_is_usable_is_plain_ascii_without_user_or_fragment(tail: str):
    for uri in (f"http://127.0.0.1{tail}", f"http://localhost{tail}", f"https://{tail}", tail):
        if kind_of(uri) != "refused":
            assert uri.isascii()
            assert uri.isprintable()
            assert not set(' #\\"<>') & set(uri)
            assert "@" not in uri.partition("://")[2].partition("/")[0].partition("?")[0] or uri == tail


@pytest.mark.parametrize("uri", ["http://127.0.0.1/" + "a/" * 50_000, "https://" + "a." * 50_000, "a" * 100_000 + ":"])
def test_long_input_costs_nothing(uri: str):
    assert kind_of(uri) == "refused"
