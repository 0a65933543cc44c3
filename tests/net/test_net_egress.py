"""The egress rule: which URLs may be saved, which addresses may be dialled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.model.errors import EgressDenied, UpstreamUnreachable
from portico.net.egress import Egress
from portico.net.origin import parse_origin

NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%1",
    "::1%1",
    "ff02::1",
    "fec0::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "192.88.99.1",
    "4000::1",
    "2606:4700::5efe:127.0.0.1",
    "fd12::200:5efe:8.8.8.8",
    "100::1",
    "not an address",
    "127.1",
    "",
]
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fd12:3456::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
]
PUBLIC = ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


@pytest.mark.case("T16", "F11")
@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_dialled_not_even_with_the_permission(address):
    with pytest.raises(EgressDenied):
        Egress(allow_private=True).check_address(address, allow_private=True)


@pytest.mark.case("T16", "F11")
@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_dialled_only_with_the_permission(address):
    with pytest.raises(EgressDenied) as caught:
        Egress().check_address(address, allow_private=False)
    assert address not in caught.value.public
    Egress().check_address(address, allow_private=True, plain=True)
    Egress(allow_private=True).check_address(address, allow_private=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_dialled_but_not_in_the_clear(address):
    Egress().check_address(address, allow_private=False)
    with pytest.raises(EgressDenied):
        Egress().check_address(address, allow_private=True, plain=True)


@pytest.mark.case("T16")
@pytest.mark.parametrize(
    "url",
    [
        "",
        "host",
        "//host/",
        "ftp://host/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://user@host/",
        "https://user:password@host/",
        "https://@host/",
        "https://good\\@evil/",
        "https://good\\evil/",
        "https://host name/",
        "https://host\r\nX: y/",
        "https://host\x00/",
        "https://bücher.example/",
        "https://host:0/",
        "https://host:65536/",
        "https://host:x/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://1.2.3.4./",
        "https://[::1/",
        "https://[::1%25eth0]/",
        "https://[127.0.0.1]/",
        "https://[v1.x]/",
        "https://-host/",
        "https://a..b/",
        "https://a,b/",
        "https://" + "a" * 64 + "/",
        "https://host/" + "a" * 2048,
    ],
)
def test_a_url_that_two_parsers_could_read_differently_is_refused(url):
    with pytest.raises(EgressDenied):
        Egress().check_url(url, allow_private=True)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Example.COM/mcp?x=1", ("https", "example.com", 443, "example.com")),
        ("https://example.com:8443", ("https", "example.com", 8443, "example.com:8443")),
        ("https://my_service.internal./mcp", ("https", "my_service.internal.", 443, "my_service.internal.")),
        ("http://127.0.0.1:80/", ("http", "127.0.0.1", 80, "127.0.0.1")),
        ("http://[::1]:8080/", ("http", "::1", 8080, "[::1]:8080")),
        ("https://xn--bcher-kva.example/", ("https", "xn--bcher-kva.example", 443, "xn--bcher-kva.example")),
    ],
)
def test_the_origin_of_a_good_url_is_read(url, origin):
    parsed = parse_origin(url)
    assert (parsed.scheme, parsed.host, parsed.port, parsed.authority) == origin


def test_plain_http_may_be_saved_only_for_a_private_address():
    egress = Egress()
    for url in ("http://service.internal/mcp", "http://127.0.0.1:8000/mcp"):
        egress.check_url(url, allow_private=True)
        with pytest.raises(EgressDenied):
            egress.check_url(url, allow_private=False)
    with pytest.raises(EgressDenied):
        egress.check_url("http://8.8.8.8/mcp", allow_private=True)
    with pytest.raises(EgressDenied):
        egress.check_url("https://10.0.0.1/mcp", allow_private=False)


@given(st.text(max_size=60), st.sampled_from(["", "https://", "http://", "https://[", "https://a:"]))
def test_any_text_is_a_good_url_or_is_denied(text, prefix):
    try:
        Egress().check_url(prefix + text, allow_private=True)
    except EgressDenied:
        return
    parse_origin(prefix + text)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6, network="2000::/3") | st.ip_addresses(v=6))
def test_every_address_is_judged(address):
    try:
        Egress().check_address(str(address), allow_private=False)
    except EgressDenied:
        return
    embedded = address.version == 6 and int(address) >> 64 in (0, 0x64FF9B << 32)
    assert address.is_global or embedded


@pytest.mark.case("T16", "F11")
async def test_one_forbidden_candidate_refuses_the_whole_name():
    async def lookup(host, port):
        return ["8.8.8.8", "169.254.169.254"]

    with pytest.raises(EgressDenied):
        await Egress(lookup=lookup).resolve("mixed.example", 443, allow_private=True)


async def test_a_name_without_an_address_is_unreachable():
    async def nobody(host, port):
        return []

    async def failing(host, port):
        raise OSError("no such name")

    for lookup in (nobody, failing):
        with pytest.raises(UpstreamUnreachable):
            await Egress(lookup=lookup).resolve("gone.example", 443, allow_private=True)


async def test_the_systems_resolver_is_asked_by_default():
    assert "127.0.0.1" in await Egress().resolve("localhost", 80, allow_private=True)
    assert await Egress().resolve("8.8.8.8", 443, allow_private=False) == ["8.8.8.8"]
