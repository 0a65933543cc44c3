"""https: private CAs, host names, what is refused, and that pooled connections are as good as plain ones."""

import asyncio
import os
import ssl

import pytest
from authority import Authority
from raw_server import OK, RawServer, answers, until

from portico.model.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from portico.net.egress import Egress
from portico.net.relay import Peer, Relay, RelayStats, Timeouts

TIMEOUTS = Timeouts(connect=60, first_byte=60, idle=60, total=60)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


async def everything_is_here(host, port):
    return ["127.0.0.1"]


@pytest.fixture
async def named():
    """A relay for which every name is on this machine."""
    relay = Relay(egress=Egress(lookup=everything_is_here))
    yield relay
    await relay.aclose()
    assert relay.stats() == RelayStats(open=0, idle=0, in_flight=0, waiting=0)


@pytest.fixture
async def secure(authority):
    seen = []
    context = authority.server_context("mcp.example", "127.0.0.1")
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    server = RawServer()
    await server.start(ssl=context)
    server.names = seen
    yield server
    await server.stop()


async def ask(relay, peer, body=b"{}"):
    response = await relay.send(peer, b"POST", b"/", (), body, timeouts=TIMEOUTS)
    return await response.read(100_000_000)


async def test_a_private_ca_is_trusted_where_it_is_named(named, secure, authority):
    peer = Peer(url=f"https://mcp.example:{secure.port}/mcp", allow_private=True, ca_file=str(authority.ca_file))
    for _ in range(3):
        assert await ask(named, peer) == b"hi"
    assert secure.accepted == 1
    assert secure.names == ["mcp.example"]
    assert b"host: mcp.example:%d\r\n" % secure.port in secure.requests[0]


async def test_an_address_is_verified_like_a_name(named, secure, authority):
    peer = Peer(url=f"https://127.0.0.1:{secure.port}", allow_private=True, ca_file=str(authority.ca_file))
    assert await ask(named, peer) == b"hi"


async def test_without_the_ca_the_certificate_is_refused_with_advice(named, secure, authority, tmp_path):
    for ca_file in ("", str(Authority(tmp_path, "Other CA").ca_file)):
        peer = Peer(url=f"https://mcp.example:{secure.port}", allow_private=True, ca_file=ca_file)
        with pytest.raises(UpstreamUnreachable) as caught:
            await ask(named, peer)
        assert "certificate" in caught.value.public
    assert secure.requests == []


async def test_a_certificate_for_another_name_is_refused(named, secure, authority):
    peer = Peer(url=f"https://other.example:{secure.port}", allow_private=True, ca_file=str(authority.ca_file))
    with pytest.raises(UpstreamUnreachable):
        await ask(named, peer)
    assert secure.requests == []


async def test_an_expired_certificate_is_refused(named, authority):
    server = RawServer()
    await server.start(ssl=authority.server_context("old.example", expired=True))
    peer = Peer(url=f"https://old.example:{server.port}", allow_private=True, ca_file=str(authority.ca_file))
    with pytest.raises(UpstreamUnreachable):
        await ask(named, peer)
    await server.stop()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_tls_is_refused(named, authority):
    context = authority.server_context("mcp.example")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    server = RawServer()
    await server.start(ssl=context)
    peer = Peer(url=f"https://mcp.example:{server.port}", allow_private=True, ca_file=str(authority.ca_file))
    with pytest.raises(UpstreamUnreachable):
        await ask(named, peer)
    await server.stop()


@pytest.mark.parametrize("content", [None, b"not PEM", b""])
async def test_a_ca_file_that_cannot_be_read_is_named_as_the_fault(named, secure, tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UpstreamUnreachable) as caught:
        await ask(named, Peer(url=f"https://mcp.example:{secure.port}", allow_private=True, ca_file=str(path)))
    assert "CA file" in caught.value.public
    assert str(path) not in caught.value.public


async def test_a_ca_file_that_was_changed_is_read_again(named, secure, authority, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(Authority(tmp_path, "Other CA").ca_file.read_bytes())
    peer = Peer(url=f"https://mcp.example:{secure.port}", allow_private=True, ca_file=str(path))
    with pytest.raises(UpstreamUnreachable):
        await ask(named, peer)
    path.write_bytes(authority.ca_file.read_bytes())
    os.utime(path, (1, 1))
    assert await ask(named, peer) == b"hi"


async def test_a_plain_server_behind_https_and_the_other_way_round(named, secure):
    plain = RawServer(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await plain.start()
    with pytest.raises(UpstreamUnreachable):
        await ask(named, Peer(url=f"https://mcp.example:{plain.port}", allow_private=True))
    with pytest.raises(UpstreamError):
        await ask(named, Peer(url=f"http://mcp.example:{secure.port}", allow_private=True))
    await plain.stop()


async def test_a_handshake_that_hangs_is_bounded(named):
    async def silent(reader, writer):
        await reader.read(100_000)
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(UpstreamTimeout):
        await ask(named, Peer(url=f"https://mcp.example:{port}", allow_private=True, connect_timeout=0.2))
    assert named.stats().open == 0
    server.close()


async def test_large_bodies_pass_both_ways(named, secure, authority):
    async def script(line, request):
        body = request.rpartition(b"\r\n\r\n")[2]
        await line.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)

    secure.script = script
    peer = Peer(url=f"https://mcp.example:{secure.port}", allow_private=True, ca_file=str(authority.ca_file))
    body = os.urandom(3_000_000).replace(b"\r\n\r\n", b"")
    for _ in range(2):
        assert await ask(named, peer, body) == body
    assert secure.accepted == 1


async def test_connections_closed_by_the_server_and_bodies_that_end_with_them(named, secure, authority):
    peer = Peer(url=f"https://mcp.example:{secure.port}", allow_private=True, ca_file=str(authority.ca_file))
    secure.script = answers(b"HTTP/1.1 200 OK\r\n\r\nabc", close=True)
    assert await ask(named, peer) == b"abc"
    secure.script = answers(OK, close=True)
    assert await ask(named, peer) == b"hi"
    await until(lambda: named.stats().open == 0)
    secure.script = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", close=True)
    with pytest.raises(UpstreamUnreachable):
        await ask(named, peer)


async def test_cancelled_calls_leave_no_connection_behind(named, secure, authority):
    async def hang(line, request):
        await line.until_closed()

    secure.script = hang
    peer = Peer(url=f"https://mcp.example:{secure.port}", allow_private=True, ca_file=str(authority.ca_file))
    for wait_for in (0, 20):
        calls = [asyncio.create_task(ask(named, peer)) for _ in range(20)]
        if wait_for:
            await secure.wait_until(lambda: len(secure.requests) >= 20)
        else:
            await until(lambda: named.stats().open == 20)
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await until(lambda: named.stats().open == 0)
        await secure.wait_until(lambda: secure.open == 0)
