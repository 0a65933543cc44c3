"""Answers as streams of events: when they begin, how they are kept alive, what a client that does not read costs."""

import asyncio
import json
import socket

import pytest

from gateway.house import META, endless_progress, modern_request, until
from gateway.test_gateway_cancel import STREAMING, assert_nothing_is_left
from portico.gateway.request import Reply
from portico.gateway.streaming import AnswerStream
from portico.service import direct
from portico.web import exchange
from portico.web.asgi import ClientDisconnected
from portico.web.exchange import AsgiExchange
from targets import servers
from targets.servers import legacy_server, misbehaving_server, modern_server

pytestmark = pytest.mark.usefixtures("either_way")


class Sent:
    """Writes down what an application sends."""

    def __init__(self):
        self.messages = []
        self.blocked = False

    async def __call__(self, message):
        if self.blocked:
            await asyncio.Event().wait()
        self.messages.append(message)

    @property
    def body(self):
        return b"".join(message.get("body", b"") for message in self.messages)


async def never():
    await asyncio.Event().wait()


def over(sent):
    """Return an exchange whose answer goes to ``sent``."""
    return AsgiExchange({"type": "http", "method": "POST", "path": "/", "headers": []}, never, sent)


async def test_silence_is_broken_by_comments_so_that_no_proxy_gives_up():
    sent = Sent()
    stream = AnswerStream(over(sent), (), keep_alive=0.01)
    await until(lambda: sent.body.count(b":\n\n") >= 3)
    await stream.finish(Reply(400, b"{}"))
    assert sent.messages[0]["status"] == 200
    assert (b"x-accel-buffering", b"no") in sent.messages[0]["headers"]
    assert sent.body.endswith(b"event: message\ndata: {}\n\n")
    assert not sent.messages[-1].get("more_body")
    assert len([message for message in sent.messages if message["type"] == "http.response.start"]) == 1


async def test_an_answer_that_comes_soon_keeps_its_status_and_is_no_stream():
    sent = Sent()
    stream = AnswerStream(over(sent), ((b"vary", b"Origin"),), keep_alive=60)
    await stream.finish(Reply(404, b"{}"))
    assert sent.messages[0]["status"] == 404
    assert (b"vary", b"Origin") in sent.messages[0]["headers"]
    assert sent.body == b"{}"


async def test_a_reader_that_stops_counts_as_gone(monkeypatch):
    monkeypatch.setattr(exchange, "SEND_SECONDS", 0.05)
    sent = Sent()
    sent.blocked = True
    stream = AnswerStream(over(sent), (), keep_alive=0.01)
    with pytest.raises(ClientDisconnected):
        await stream.event(b"{}")
    with pytest.raises(ClientDisconnected):
        await stream.finish(Reply(200, b"{}"))
    await stream.aclose()


async def test_a_client_that_never_reads_does_not_hold_a_call(house, monkeypatch):
    monkeypatch.setattr(direct, "SEND_SECONDS", 0.2)
    monkeypatch.setattr(exchange, "SEND_SECONDS", 0.2)
    monkeypatch.setattr(servers, "_run_tool", endless_progress)
    async with modern_server(answers="sse") as server:
        await house.add_gateway(protocolConfiguration={"mcp": STREAMING})
        await house.add_target(server.url)
        message, headers = modern_request(
            "tools/call", {"name": "one___progress", "arguments": {}}, meta={"progressToken": "t" * 200}
        )
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", int(house.public_url.rpartition(":")[2])))
        body = json.dumps(message).encode()
        head = {"host": "x", "content-type": "application/json", "accept": "text/event-stream", **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        await loop.sock_sendall(
            client, f"POST /g/shop/mcp HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body
        )
        await until(house.records)
        assert house.records()[0].code == "disconnected"
        client.close()
        await assert_nothing_is_left(house, server)


@pytest.mark.parametrize("server_of", [legacy_server, modern_server])
async def test_the_clients_own_token_stands_in_every_notification(house, server_of):
    async with server_of(answers="sse") as server:
        url = await house.add_gateway(protocolConfiguration={"mcp": STREAMING})
        await house.add_target(server.url)
        say = house.modern if server_of is modern_server else house.legacy
        params = {"name": "one___progress", "arguments": {"steps": 3}}
        for token in ('a\u00fc"', 17, 0, ""):
            if say == house.modern:
                heard = await say(url, "tools/call", params, meta={"progressToken": token})
            else:
                heard = await say(url, "tools/call", {**params, "_meta": {"progressToken": token}})
            told = [event["params"]["progressToken"] for event in heard.events[:-1]]
            assert told == [token] * 3
        sent_on = [call["_meta"]["progressToken"] for call in server.calls]
        assert not {'a\u00fc"'} & set(sent_on)  # the target gets a token of ours


@pytest.mark.parametrize("token", [1.5, None, {}, [], True])
async def test_a_bad_progress_token_is_refused(house, token):
    async with modern_server() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        heard = await house.modern(url, "tools/call", {"name": "one___echo"}, meta={"progressToken": token})
        assert (heard.status, heard.error["code"]) == (400, -32602)


async def test_without_streaming_progress_is_dropped(house):
    async with modern_server(answers="sse") as server:
        url = await house.add_gateway()
        await house.add_target(server.url)
        heard = await house.modern(url, "tools/call", {"name": "one___progress"}, meta={"progressToken": 1})
        assert heard.headers["Content-Type"] == "application/json"
        assert "progressToken" not in server.calls[0].get("_meta", {})
        assert f"{META}protocolVersion" in server.calls[0]["_meta"]


async def test_a_target_that_dies_in_mid_stream_gives_a_result_that_says_so(house):
    async with misbehaving_server("die_in_stream") as server:
        url = await house.add_gateway(protocolConfiguration={"mcp": STREAMING})
        await house.add_target(server.url)
        heard = await house.modern(url, "tools/call", {"name": "one___echo"}, meta={"progressToken": 1})
        assert heard.status == 200
        assert heard.result["isError"]
        assert server.canary not in heard.body.decode()
        assert house.records()[0].outcome == "failed"
