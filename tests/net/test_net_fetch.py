"""Fetches of metadata and tokens: same egress rule, no redirects, no cookies, bounded."""

import asyncio

import pytest
from raw_server import OK, RawServer, answers

from portico.model.errors import (
    EgressDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamTimeout,
    UpstreamTooLarge,
    UpstreamUnreachable,
)
from portico.net.egress import Egress
from portico.net.fetch import Fetcher


@pytest.fixture
async def fetcher():
    fetcher = Fetcher(egress=Egress())
    yield fetcher
    await fetcher.aclose()


async def get(fetcher, url, **options):
    options = {"max_bytes": 1000, "timeout": 60, "allow_private": True} | options
    return await fetcher.get(url, **options)


async def test_a_document_is_fetched(fetcher, server):
    server.script = answers(b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\n{}")
    fetched = await get(fetcher, server.url + "/a/b?c=d%20e")
    assert (fetched.status, fetched.body, fetched.headers["x-a"]) == (200, b"{}", "b")
    request = server.requests[0]
    assert request.startswith(b"GET /a/b?c=d%20e HTTP/1.1\r\n")
    assert b"Accept: application/json\r\n" in request
    assert b"Accept-Encoding: identity\r\n" in request
    await server.wait_until(lambda: server.open == 0)


async def test_a_form_is_posted(fetcher, server):
    fetched = await fetcher.post_form(
        server.url,
        {"grant_type": "refresh_token", "a": "b c&d"},
        headers={"Authorization": "Basic x"},
        max_bytes=100,
        timeout=60,
        allow_private=True,
    )
    assert fetched.body == b"hi"
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert body == b"grant_type=refresh_token&a=b+c%26d"
    assert b"Authorization: Basic x" in head
    assert b"Content-Type: application/x-www-form-urlencoded" in head


@pytest.mark.case("T16", "T17")
async def test_a_redirect_is_an_answer_and_cookies_are_forgotten(fetcher, server):
    server.script = answers(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/next\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
        % server.port
    )
    for _ in range(2):
        assert (await get(fetcher, server.url)).status == 302
    assert len(server.requests) == 2
    assert not any(b"ookie" in request or b"/next" in request for request in server.requests)


async def test_bounds_are_kept(fetcher, server):
    with pytest.raises(UpstreamTooLarge):
        await get(fetcher, server.url, max_bytes=1)

    async def hang(line, request):
        await line.until_closed()

    server.script = hang
    with pytest.raises(UpstreamTimeout):
        await get(fetcher, server.url, timeout=0.1)
    await server.wait_until(lambda: server.open == 0)


async def test_a_compressed_document_is_not_unpacked(fetcher, server):
    server.script = answers(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi")
    with pytest.raises(UpstreamInvalid):
        await get(fetcher, server.url)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_an_upstream_error(fetcher, server, answer):
    server.script = answers(answer, close=True)
    with pytest.raises(UpstreamError) as caught:
        await get(fetcher, server.url)
    assert "127.0.0.1" not in caught.value.public


async def test_nobody_there_is_an_upstream_error(fetcher, unused_tcp_port):
    with pytest.raises(UpstreamUnreachable):
        await get(fetcher, f"http://127.0.0.1:{unused_tcp_port}/")
    with pytest.raises(UpstreamUnreachable):
        await get(fetcher, "https://no-such-host.invalid/")


async def test_a_plain_server_behind_https_is_an_upstream_error(fetcher):
    plain = RawServer(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await plain.start()
    with pytest.raises(UpstreamUnreachable):
        await get(fetcher, f"https://127.0.0.1:{plain.port}/")
    await plain.stop()


@pytest.mark.case("T16", "F11")
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{}/", "https://127.0.0.1:{}/", "https://[::1]:{}/", "https://localhost:{}/", "ftp://x/"]
)
async def test_a_private_address_is_refused_without_the_permission(fetcher, server, url):
    with pytest.raises(EgressDenied):
        await get(fetcher, url.format(server.port), allow_private=False)
    assert server.accepted == 0


@pytest.mark.case("T16", "F11")
async def test_a_name_is_checked_at_every_dial_and_what_was_checked_is_dialled(server):
    found = ["127.0.0.1"]

    async def lookup(host, port):
        return list(found)

    fetcher = Fetcher(egress=Egress(lookup=lookup))
    url = f"http://rebinding.example:{server.port}/"
    assert (await get(fetcher, url)).body == b"hi"
    for address in ("169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "8.8.8.8"):
        found[:] = [address]
        with pytest.raises(EgressDenied):
            await get(fetcher, url)
    assert server.accepted == 1
    await fetcher.aclose()


async def test_many_fetches_leave_nothing_behind(fetcher, server):
    before = len(asyncio.all_tasks())
    fetched = await asyncio.gather(*(get(fetcher, server.url) for _ in range(100)))
    assert {one.body for one in fetched} == {OK[-2:]}
    await server.wait_until(lambda: server.open == 0)
    assert len(asyncio.all_tasks()) <= before + 1
