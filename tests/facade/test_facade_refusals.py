"""What becomes of a server's refusals, redirects and failures."""

import socket

import pytest

from facade.front import METADATA, front
from net.raw_server import RawServer, answers
from portico.net.relay import Timeouts


async def test_a_refused_token_leads_back_to_our_issuer(house):
    house.upstream.script = answers(
        b"HTTP/1.1 401 Unauthorized\r\n"
        b'WWW-Authenticate: Basic realm="x"\r\n'
        b'WWW-Authenticate: Bearer resource_metadata="https://idp.example/meta", error="invalid_token"\r\n'
        b"Content-Length: 24\r\n\r\nsee https://idp.example/"
    )
    answer = await house.ask()
    assert answer.status == 401
    (challenge,) = answer.headers.getall("WWW-Authenticate")
    assert challenge.startswith(f'Bearer error="invalid_token", resource_metadata="{METADATA}", scope="mcp/invoke"')
    assert b"idp.example" not in answer.whole


async def test_a_missing_scope_is_told_with_our_metadata_and_the_servers_body():
    async with front(names={"gw/call": "mcp/invoke"}) as house:
        house.upstream.script = answers(
            b'HTTP/1.1 403 Forbidden\r\nWWW-Authenticate: Bearer error="insufficient_scope", scope="gw/call"\r\n'
            b"Content-Length: 4\r\n\r\nbody"
        )
        answer = await house.ask()
        assert (answer.status, answer.whole) == (403, b"body")
        assert answer.headers["WWW-Authenticate"].startswith(
            f'Bearer error="insufficient_scope", resource_metadata="{METADATA}", scope="mcp/invoke"'
        )


@pytest.mark.case("T17")
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
async def test_no_redirect_is_followed_or_passed_on(house, status):
    other = RawServer()
    await other.start()
    house.upstream.script = answers(
        b"HTTP/1.1 %d X\r\nLocation: %b/elsewhere\r\nContent-Length: 0\r\n\r\n" % (status, other.url.encode())
    )
    answer = await house.ask()
    await other.stop()
    assert answer.status == 502
    assert "Location" not in answer.headers
    assert "redirect" in (await answer.json())["error"]["message"]
    assert other.requests == []


async def test_a_server_that_is_not_there_is_a_502_in_plain_words():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with front() as house:
            await house.upstream.stop()
            answer = await house.ask()
            assert answer.status == 502
            message = (await answer.json())["error"]["message"]
            assert message.startswith("The MCP server behind this façade failed.")
            assert "127.0.0.1" not in message


async def test_a_server_that_answers_nothing_in_time_is_a_504():
    async def script(line, request):
        await line.until_closed()

    async with front(call_timeouts=Timeouts(first_byte=0.1)) as house:
        house.upstream.script = script
        answer = await house.ask()
        assert answer.status == 504
        assert (await answer.json())["error"]["code"] == 504


async def test_an_answer_that_is_no_http_is_a_502(house):
    house.upstream.script = answers(b"220 mail.example ESMTP\r\n\r\n", close=True)
    assert (await house.ask()).status == 502


async def test_a_private_address_that_is_not_permitted_is_not_called():
    async with front(allow_private=False) as house:
        assert (await house.ask()).status == 502
        assert house.upstream.accepted == 0
