"""CONNECT proxies: the tunnel leads to the checked address, TLS is spoken through it, a bad proxy is a clear error."""

import asyncio
import contextlib

import pytest
from authority import Authority
from raw_server import RawServer

from portico.model.errors import EgressDenied, UpstreamError, UpstreamInvalid, UpstreamTimeout, UpstreamUnreachable
from portico.net.egress import Egress
from portico.net.relay import Peer, Relay, RelayStats, Timeouts

TIMEOUTS = Timeouts(connect=60, first_byte=60, idle=60, total=60)


class Proxy:
    """Tunnels to wherever it is asked, or answers what it is told to."""

    def __init__(self, answer=b"HTTP/1.1 200 Connection established\r\n\r\n"):
        self.answer = answer
        self.asked: list[bytes] = []
        self.open = 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def _serve(self, reader, writer):
        self.open += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head)
            writer.write(self.answer)
            if not self.answer.startswith(b"HTTP/1.1 200"):
                return
            host, _, port = head.split(b" ")[1].decode().rpartition(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


async def _pump(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def everything_is_here(host, port):
    return ["127.0.0.1"]


@pytest.fixture
async def named():
    relay = Relay(egress=Egress(lookup=everything_is_here))
    yield relay
    await relay.aclose()
    assert relay.stats() == RelayStats(open=0, idle=0, in_flight=0, waiting=0)


async def ask(relay, peer):
    response = await relay.send(peer, b"POST", b"/mcp", ((b"authorization", b"canary"),), b"{}", timeouts=TIMEOUTS)
    return await response.read(1000)


async def test_the_tunnel_leads_to_the_address_and_the_request_to_the_name(named, server):
    async with Proxy() as proxy:
        peer = Peer(url=f"http://mcp.example:{server.port}", allow_private=True, proxy=proxy.url)
        for _ in range(3):
            assert await ask(named, peer) == b"hi"
        assert server.accepted == 1
        assert b"host: mcp.example:%d\r\n" % server.port in server.requests[0]
        authority = b"127.0.0.1:%d" % server.port
        assert proxy.asked == [b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (authority, authority)]


@pytest.mark.case("T17")
async def test_https_is_spoken_through_the_tunnel_and_verified_against_the_name(named, tmp_path):
    authority = Authority(tmp_path)
    server = RawServer()
    await server.start(ssl=authority.server_context("mcp.example"))
    async with Proxy() as proxy:
        peer = Peer(
            url=f"https://mcp.example:{server.port}",
            allow_private=True,
            proxy=proxy.url,
            ca_file=str(authority.ca_file),
        )
        assert await ask(named, peer) == b"hi"
        assert not any(b"canary" in head for head in proxy.asked)
        other = Peer(
            url=f"https://other.example:{server.port}",
            allow_private=True,
            proxy=proxy.url,
            ca_file=str(authority.ca_file),
        )
        with pytest.raises(UpstreamUnreachable):
            await ask(named, other)
    await server.stop()


@pytest.mark.case("T16")
@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.1", "::ffff:127.0.0.1"])
async def test_a_proxy_is_no_way_round_the_egress_rule(address):
    async def lookup(host, port):
        return [address]

    relay = Relay(egress=Egress(lookup=lookup))
    async with Proxy() as proxy:
        with pytest.raises(EgressDenied):
            await ask(relay, Peer(url="https://name.example", proxy=proxy.url))
        assert proxy.asked == []
    with pytest.raises(EgressDenied):
        await ask(relay, Peer(url="https://8.8.8.8", proxy="http://169.254.169.254:3128"))
    await relay.aclose()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", UpstreamUnreachable),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 500\r\n\r\nno", UpstreamUnreachable),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", UpstreamUnreachable),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 502 Bad\r\n\r\n", UpstreamUnreachable),
        (b"", UpstreamInvalid),
        (b"HTTP/1.1 2", UpstreamInvalid),
        (b"nonsense\r\n\r\n", UpstreamInvalid),
        (b"HTTP/1.1 299 X\r\nY: " + b"a" * 20_000, UpstreamInvalid),
        # what the proxy says after its answer could pose as the target's
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", UpstreamInvalid),
    ],
)
async def test_a_proxy_that_refuses_or_babbles_is_an_error(named, server, answer, error):
    async with Proxy(answer) as proxy:
        with pytest.raises(error) as caught:
            await ask(named, Peer(url=f"http://mcp.example:{server.port}", allow_private=True, proxy=proxy.url))
        assert "127.0.0.1" not in caught.value.public
    assert server.requests == []


async def test_a_proxy_that_hangs_or_is_not_there_is_an_error(named, unused_tcp_port):
    async def hang(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    peer = Peer(url="https://a.example", allow_private=True, proxy=f"http://127.0.0.1:{port}", connect_timeout=0.2)
    with pytest.raises(UpstreamTimeout):
        await ask(named, peer)
    server.close()
    with pytest.raises(UpstreamUnreachable):
        await ask(named, Peer(url="https://a.example", allow_private=True, proxy=f"http://127.0.0.1:{unused_tcp_port}"))


@pytest.mark.parametrize("proxy", ["https://127.0.0.1:1", "socks5://127.0.0.1:1", "127.0.0.1:3128", "http://u:p@h:1"])
async def test_only_plain_connect_proxies_are_spoken(named, proxy):
    with pytest.raises(UpstreamError):
        await ask(named, Peer(url="https://a.example", allow_private=True, proxy=proxy))
