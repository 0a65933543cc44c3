"""The Lambda handler around small applications: events in, results out, in one piece and within the limits."""

import asyncio
import base64
import contextlib
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from portico.model.errors import ConfigError, Fault, InputError, KeysUnavailable
from portico.net.egress import Egress
from portico.net.patience import Timeouts
from portico.net.pool import Peer
from portico.net.relay import Relay
from portico.service.lambda_handler import (
    FRAME_BYTES,
    HTTP_API_SECONDS,
    MARGIN_SECONDS,
    MAX_ANSWER_BYTES,
    LambdaHandler,
)
from portico.service.whole_answers import LISTEN
from support.lambda_events import HEADER_BYTES, KINDS, PAYLOAD_BYTES, Context, body_of, event_of, front

TOKEN = ("Authorization", "Bearer of somebody")
JSON = ("Content-Type", "application/json")


class Recorder:
    """An application that writes down what it was asked, and answers as it was told."""

    def __init__(self, status=200, headers=((b"content-type", b"application/json"),), chunks=(b"{}",)):
        self.status, self.headers, self.chunks = status, list(headers), list(chunks)
        self.scopes, self.bodies, self.opened, self.closed, self.loops = [], [], 0, 0, set()

    @asynccontextmanager
    async def open(self):
        self.opened += 1
        self.loops.add(asyncio.get_running_loop())
        yield self
        self.closed += 1

    async def __call__(self, scope, receive, send):
        self.loops.add(asyncio.get_running_loop())
        self.scopes.append(scope)
        self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        for chunk in self.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def opening(app):
    @asynccontextmanager
    async def open_app():
        yield app

    return open_app


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def handlers():
    made = []

    def make(app, **options):
        handler = LambdaHandler(app.open if isinstance(app, Recorder) else opening(app), **options)
        made.append(handler)
        return handler

    yield make
    for handler in made:
        handler.close()


def rpc(method, request_id=1, **params):
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode()


def test_a_request_reaches_the_application_as_it_was_sent(handlers, kind):
    app = Recorder()
    handler = handlers(app)
    event = event_of(
        kind, "POST", "/token?a=1&b=%20x", [JSON, ("X-Twice", "a"), ("X-Twice", "b")], b'{"a": "\xc3\xa9"}'
    )
    result = handler(event, Context(aws_request_id="8f507cfc-xmpl-4697-b07a-ac58fc914c95"))
    assert (result["statusCode"], body_of(result)) == (200, b"{}")
    scope = app.scopes[0]
    headers = dict(scope["headers"])
    assert (scope["method"], scope["path"], scope["query_string"]) == ("POST", "/token", b"a=1&b=%20x")
    assert scope["client"] == ("203.0.113.7", 0)
    assert headers[b"host"].decode() == event["requestContext"]["domainName"]
    assert headers[b"x-twice"] == b"a,b"
    assert scope["portico.request_id"] == "8f507cfc-xmpl-4697-b07a-ac58fc914c95"
    assert app.bodies == [b'{"a": "\xc3\xa9"}']


def test_who_is_asked_for_stands_in_the_event_where_the_headers_do_not_say_it(handlers, kind):
    app = Recorder()
    event = event_of(kind, "GET", "/healthz")
    del event["headers"]["host"]
    handlers(app)(event, Context())
    assert dict(app.scopes[0]["headers"])[b"host"].decode() == event["requestContext"]["domainName"]


def test_a_form_that_comes_in_base64_is_read(handlers, kind):
    app = Recorder()
    form = ("Content-Type", "application/x-www-form-urlencoded")
    event = event_of(kind, "POST", "/token", [form], b"grant_type=refresh_token&x=%C3%A9")
    assert event["isBase64Encoded"]
    handlers(app)(event, Context())
    assert app.bodies == [b"grant_type=refresh_token&x=%C3%A9"]


def test_binary_bodies_pass_both_ways(handlers, kind):
    blob = bytes(range(256))
    app = Recorder(headers=[(b"content-type", b"image/png")], chunks=[blob])
    result = handlers(app)(event_of(kind, "POST", "/x", [("Content-Type", "image/png")], blob), Context())
    assert app.bodies == [blob]
    assert result["isBase64Encoded"]
    assert body_of(result) == blob


def test_cookies_pass_both_ways_each_in_an_entry_of_its_own(handlers, kind):
    app = Recorder(headers=[(b"set-cookie", b"__Host-a=1; Path=/; Secure"), (b"set-cookie", b"__Host-b=2; Path=/")])
    event = event_of(kind, "GET", "/callback", [("Cookie", "__Host-a=x; __Host-b=y=z")])
    assert event["cookies"] == ["__Host-a=x", "__Host-b=y=z"]
    result = handlers(app)(event, Context())
    assert dict(app.scopes[0]["headers"])[b"cookie"] == b"__Host-a=x; __Host-b=y=z"
    assert result["cookies"] == ["__Host-a=1; Path=/; Secure", "__Host-b=2; Path=/"]
    assert "set-cookie" not in result["headers"]


def test_the_application_is_made_once_per_environment_and_stays_on_its_loop(handlers, kind):
    app = Recorder()
    handler = handlers(app)
    assert app.opened == 0
    for _ in range(3):
        handler(event_of(kind, "GET", "/healthz"), Context())
    assert (app.opened, app.closed, len(app.loops)) == (1, 0, 1)
    handler.close()
    assert app.closed == 1


def test_what_the_application_does_in_the_background_goes_on_with_the_next_event(handlers, kind):
    seen = []

    @asynccontextmanager
    async def open_app():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(count())
            yield answer
            task.cancel()

    async def count():
        while True:
            seen.append(len(seen))
            await asyncio.sleep(0)

    async def answer(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    handler = LambdaHandler(open_app)
    handler(event_of(kind, "GET", "/"), Context())
    before = len(seen)
    handler(event_of(kind, "GET", "/"), Context())
    assert len(seen) > before
    handler.close()


def test_a_configuration_that_cannot_be_used_is_said_with_503_and_tried_again(handlers, kind, capsys):
    faults = [Fault(path="keyring", message="is required; the secret is not a-secret-value")]
    attempts = []

    @asynccontextmanager
    async def open_app():
        attempts.append(1)
        raise ConfigError(faults)
        yield

    handler = LambdaHandler(open_app)
    for _ in range(2):
        result = handler(event_of(kind, "GET", "/mcp"), Context())
        assert result["statusCode"] == 503
        assert result["headers"]["retry-after"]
        document = json.loads(result["body"])
        assert document["error"] == "invalid_configuration"
        assert "keyring" in document["error_description"]
        assert "a-secret-value" not in result["body"]
    assert len(attempts) == 2
    handler.close()


def test_keys_that_are_missing_are_said_with_503(kind):
    @asynccontextmanager
    async def open_app():
        raise KeysUnavailable("There is no key to seal with.")
        yield

    handler = LambdaHandler(open_app)
    result = handler(event_of(kind, "GET", "/mcp"), Context())
    assert (result["statusCode"], json.loads(result["body"])["error"]) == (503, "keys_unavailable")
    handler.close()


@pytest.mark.parametrize(
    "event",
    [
        {"key1": "value1"},
        {"version": "1.0", "httpMethod": "GET", "path": "/", "requestContext": {"identity": {}}},
        {"resource": "/", "requestContext": {}, "httpMethod": "GET"},
        {"version": "2.0", "requestContext": {}},
    ],
    ids=["console's test event", "payload 1.0", "REST API", "no http"],
)
def test_other_events_are_refused_with_what_to_set(handlers, event):
    with pytest.raises(InputError, match=r"PayloadFormatVersion to 2\.0"):
        handlers(Recorder())(event, Context())


def test_the_event_stream_of_a_get_is_refused_with_what_to_do(handlers, kind):
    app = Recorder()
    event = event_of(kind, "GET", "/mcp", [TOKEN, ("Origin", "https://inspector.example")])
    result = handlers(app)(event, Context())
    assert result["statusCode"] == 405
    assert result["headers"]["allow"] == "POST"
    assert result["headers"]["access-control-allow-origin"] == "*"
    assert "no event streams" in json.loads(result["body"])["error_description"]
    assert app.scopes == []


def test_listening_is_refused_as_a_method_that_is_not_there(handlers, kind):
    app = Recorder()
    event = event_of(kind, "POST", "/mcp", [TOKEN, JSON], rpc(LISTEN, "seven", notifications={}))
    result = handlers(app)(event, Context())
    answer = json.loads(result["body"])
    assert result["statusCode"] == 404
    assert (answer["id"], answer["error"]["code"]) == ("seven", -32601)
    assert "no event streams" in answer["error"]["message"]
    assert app.scopes == []


@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("POST", rpc(LISTEN))])
def test_who_sends_no_token_gets_the_challenge_of_the_application(handlers, kind, method, body):
    app = Recorder(status=401, headers=[(b"www-authenticate", b'Bearer resource_metadata="x"')])
    result = handlers(app)(event_of(kind, method, "/mcp", [JSON], body), Context())
    assert (result["statusCode"], result["headers"]["www-authenticate"]) == (401, 'Bearer resource_metadata="x"')


def test_a_call_is_handed_over_byte_for_byte(handlers, kind):
    app = Recorder()
    body = b'{"jsonrpc": "2.0",  "id": 1, "method": "tools/call", "params": {"name": "\\u00e9"}}'
    handlers(app)(event_of(kind, "POST", "/mcp", [TOKEN, JSON], body), Context())
    assert app.bodies == [body]


@pytest.mark.parametrize("body", [b"", b"[]", b"not json", b"{" * 5000])
def test_what_is_no_message_is_for_the_application_to_refuse(handlers, kind, body):
    app = Recorder(status=400)
    assert handlers(app)(event_of(kind, "POST", "/mcp", [TOKEN, JSON], body), Context())["statusCode"] == 400
    assert app.bodies == [body]


def test_an_event_stream_is_collected_whole(handlers, kind):
    events = [b'event: message\ndata: {"progress": 1}\n\n', b": keep-alive\n\n", b'data: {"result": {}}\n\n']
    app = Recorder(headers=[(b"content-type", b"text/event-stream")], chunks=events)
    result = handlers(app)(event_of(kind, "POST", "/mcp", [TOKEN, JSON], rpc("tools/call")), Context())
    assert result["headers"]["content-type"] == "text/event-stream"
    assert body_of(result) == b"".join(events)


class Endless:
    """Begins an event stream and never ends it; writes down what became of it."""

    def __init__(self, chunk=b": still here\n\n", pause=0.01):
        self.chunk, self.pause, self.ended = chunk, pause, ""

    async def __call__(self, scope, receive, send):
        await receive()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            while True:
                await send({"type": "http.response.body", "body": self.chunk, "more_body": True})
                await asyncio.sleep(self.pause)
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        except Exception as error:
            self.ended = type(error).__name__
            raise


def test_a_stream_that_does_not_end_is_given_up_before_the_function_is_ended(handlers, kind):
    app = Endless()
    event = event_of(kind, "POST", "/mcp", [TOKEN, JSON], rpc("tools/call", 5))
    result = handlers(app)(event, Context(seconds=MARGIN_SECONDS + 2))
    answer = json.loads(result["body"])
    assert (result["statusCode"], answer["id"]) == (504, 5)
    assert "not complete within" in answer["error"]["message"]
    assert app.ended == "cancelled"


def test_an_http_api_waits_half_a_minute_and_a_function_url_as_long_as_the_function(handlers, kind):
    clock = SimpleNamespace(now=1_790_000_000.0)
    app = Recorder()
    handler = handlers(app, clock=lambda: clock.now)
    event = event_of(kind, "GET", "/", received=clock.now - 4)
    scope = {"aws.event": event, "aws.context": Context(seconds=900)}
    left = handler._seconds(scope)
    expected = HTTP_API_SECONDS - 4 - MARGIN_SECONDS if kind == "http-api" else 900 - MARGIN_SECONDS
    assert left == pytest.approx(expected, abs=1)


def test_an_answer_over_the_limit_is_an_error_that_says_so(handlers, kind):
    app = Endless(chunk=b"x" * 1_000_000, pause=0)
    event = event_of(kind, "POST", "/mcp", [TOKEN, JSON], rpc("tools/call", 6))
    result = handlers(app)(event, Context())
    answer = json.loads(result["body"])
    assert (result["statusCode"], answer["id"]) == (502, 6)
    assert str(MAX_ANSWER_BYTES) in answer["error"]["message"]
    assert app.ended == "ClientDisconnected"


@pytest.mark.parametrize("character", ["a", '"', "\x00", "é", "\U0001f600"])
def test_the_largest_answer_fits_into_the_payload_whatever_it_consists_of(handlers, kind, character):
    body = (character.encode() * MAX_ANSWER_BYTES)[:MAX_ANSWER_BYTES]
    app = Recorder(headers=[(b"content-type", b"application/json")], chunks=[body])
    result = handlers(app)(event_of(kind, "GET", "/x"), Context())
    assert result["statusCode"] == 200
    assert len(json.dumps(result)) <= PAYLOAD_BYTES
    assert body_of(result) == body


def test_the_largest_answer_and_its_frame_are_the_payload():
    assert len(base64.b64encode(bytes(MAX_ANSWER_BYTES))) + FRAME_BYTES <= PAYLOAD_BYTES


def test_an_answer_that_breaks_off_is_not_passed_on_as_if_it_were_whole(handlers, kind):
    async def app(_scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"half":', "more_body": True})

    result = handlers(app)(event_of(kind, "POST", "/mcp", [TOKEN, JSON], rpc("tools/call")), Context())
    assert result["statusCode"] == 502
    assert "broke off" in json.loads(result["body"])["error"]["message"]


async def test_a_connection_that_ended_while_the_environment_was_frozen_is_not_used_again(kind):
    """The environment stops between events; what was closed meanwhile is seen before a POST is written to it."""
    served, writers = [], []

    async def upstream(reader, writer):
        writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                served.append(1)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    server = await asyncio.start_server(upstream, "127.0.0.1", 0)
    peer = Peer(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", allow_private=True)

    @asynccontextmanager
    async def open_app():
        relay = Relay(egress=Egress())

        async def app(_scope, _receive, send):
            answer = await relay.send(peer, b"POST", b"/", (), b"", timeouts=Timeouts())
            body = await answer.read(1024)
            await send({"type": "http.response.start", "status": answer.status, "headers": []})
            await send({"type": "http.response.body", "body": body})

        yield app
        await relay.aclose()

    with front(kind, LambdaHandler(open_app)) as place:
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
            writer.write(b"POST /x HTTP/1.1\r\nhost: here\r\ncontent-length: 0\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
            for connection in writers:
                connection.close()
                await connection.wait_closed()
    server.close()
    assert (len(served), len(writers)) == (3, 3)


async def test_the_place_in_front_refuses_heads_that_its_quota_does_not_allow():
    """The tests' own stand-in: clients meet this quota of HTTP APIs before the function does."""
    with front("http-api", LambdaHandler(Recorder().open)) as place:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        writer.write(b"GET /mcp HTTP/1.1\r\nhost: here\r\nauthorization: Bearer %b\r\n\r\n" % (b"x" * HEADER_BYTES))
        assert (await reader.readline()).startswith(b"HTTP/1.1 431")
        writer.close()
