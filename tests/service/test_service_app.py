import json
from ipaddress import ip_network

import pytest

from portico.model.errors import StorageUnavailable
from portico.service.app import App
from portico.web.asgi import ClientDisconnected, request_id, send_response


class Seen:
    """An ASGI app that writes down what reached it."""

    def __init__(self):
        self.scopes = []
        self.error = None
        self.after_start = False

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope)
        if self.error is not None:
            if self.after_start:
                await send({"type": "http.response.start", "status": 200, "headers": []})
            raise self.error
        await send_response(send, 200, [(b"referrer-policy", b"same-origin")], b"ok")


@pytest.fixture
def data_plane():
    return Seen()


@pytest.fixture
def pages():
    return Seen()


@pytest.fixture
def ask(data_plane, pages):
    async def ask(path="/g/x/mcp", *, host=b"mcp.example", headers=(), client="198.51.100.7", **settings):
        app = App(
            data_plane=data_plane,
            pages=pages,
            allowed_hosts=frozenset({"mcp.example", "localhost", "[::1]"}),
            **settings,
        )
        sent = []

        async def send(message):
            sent.append(message)

        lines = [*([(b"host", host)] if host is not None else []), *headers]
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "headers": lines,
            "client": (client, 5),
            "query_string": b"",
        }
        await app(scope, None, send)
        if not sent:
            return None
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], dict(sent[0]["headers"]), body

    return ask


async def test_what_lies_under_g_goes_to_the_data_plane_and_the_rest_to_the_pages(ask, data_plane, pages):
    await ask("/g/x/mcp")
    await ask("/i/main/token")
    await ask("/gx")
    assert [scope["path"] for scope in data_plane.scopes] == ["/g/x/mcp"]
    assert [scope["path"] for scope in pages.scopes] == ["/i/main/token", "/gx"]


@pytest.mark.case("T15")
@pytest.mark.parametrize("path", ["/g/x/mcp", "/healthz", "/i/main/login", "/.well-known/oauth-protected-resource"])
@pytest.mark.parametrize("host", [b"evil.example", b"mcp.example.evil.example", b"127.0.0.1", b"mcp.example.", b""])
async def test_a_rebound_host_name_is_refused_on_every_route(ask, path, host, data_plane, pages):
    status, _, body = await ask(path, host=host)
    assert status == 421
    assert json.loads(body)["error"] == "misdirected_request"
    assert data_plane.scopes == pages.scopes == []


@pytest.mark.case("T15")
async def test_a_host_must_be_named_once(ask):
    assert (await ask(host=None))[0] == 400
    assert (await ask(headers=[(b"host", b"mcp.example")]))[0] == 400


@pytest.mark.parametrize("host", [b"mcp.example", b"MCP.Example:8443", b"localhost:8080", b"[::1]:8080"])
async def test_ports_and_case_of_a_host_do_not_matter(ask, host):
    assert (await ask(host=host))[0] == 200


async def test_every_answer_has_security_headers_and_an_id_and_keeps_its_own(ask, data_plane):
    status, headers, _ = await ask()
    assert status == 200
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"referrer-policy"] == b"same-origin"
    assert headers[b"x-request-id"].decode() == request_id(data_plane.scopes[0])


@pytest.mark.case("T27")
async def test_what_escapes_is_a_500_without_internals(ask, data_plane, caplog):
    data_plane.error = RuntimeError("secret-internal-thing at /srv/x")
    status, headers, body = await ask()
    assert status == 500
    assert b"secret" not in body
    assert json.loads(body)["request_id"] == headers[b"x-request-id"].decode()


async def test_an_outage_is_503_with_advice(ask, pages):
    pages.error = StorageUnavailable("The database is away.", detail="locked")
    status, headers, body = await ask("/i/main/token")
    assert (status, headers[b"retry-after"]) == (503, b"5")
    assert json.loads(body)["error"] == "storage_unavailable"
    assert b"locked" not in body


async def test_an_answer_that_has_begun_is_not_answered_again(ask, data_plane):
    data_plane.error = RuntimeError("late")
    data_plane.after_start = True
    status, _, body = await ask()
    assert (status, body) == (200, b"")


async def test_nobody_is_answered_when_the_client_is_gone(ask, data_plane):
    data_plane.error = ClientDisconnected()
    assert await ask() is None


async def test_too_many_headers_are_refused(ask):
    assert (await ask(headers=[(b"x-a", b"b")] * 200))[0] == 431


FORGED = [(b"x-forwarded-for", b"203.0.113.9, 10.0.0.2"), (b"x-request-id", b"chosen-by-someone")]


async def test_addresses_and_ids_are_taken_from_trusted_proxies_only(ask, data_plane):
    proxies = (ip_network("10.0.0.0/8"),)
    await ask(headers=FORGED)
    await ask(headers=FORGED, trusted_proxies=proxies)
    await ask(headers=FORGED, trusted_proxies=proxies, client="10.0.0.1")
    stranger, outsider, proxied = data_plane.scopes
    assert stranger["client"][0] == outsider["client"][0] == "198.51.100.7"
    assert request_id(outsider) != "chosen-by-someone"
    assert proxied["client"][0] == "203.0.113.9"
    assert request_id(proxied) == "chosen-by-someone"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (b"6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),  # what the client itself wrote is to the left
        (b"garbage, 10.0.0.2", "10.0.0.2"),
        (b"<script>", "10.0.0.1"),
        (b"", "10.0.0.1"),
        (b"2001:db8::1", "2001:db8::1"),
    ],
)
async def test_of_forwarded_addresses_the_last_that_no_proxy_of_ours_has_counts(ask, data_plane, forwarded, client):
    await ask(headers=[(b"x-forwarded-for", forwarded)], trusted_proxies=(ip_network("10.0.0.0/8"),), client="10.0.0.1")
    assert data_plane.scopes[0]["client"][0] == client


@pytest.mark.parametrize("passed", [b"short", b"x" * 200, b"with space and more", b"new\nline-and-more"])
async def test_ids_that_could_spoil_a_log_are_not_taken_from_anybody(ask, data_plane, passed):
    await ask(headers=[(b"x-request-id", passed)], trusted_proxies=(ip_network("10.0.0.0/8"),), client="10.0.0.1")
    assert request_id(data_plane.scopes[0]).encode() != passed


@pytest.mark.case("T9")
async def test_headers_of_replicas_are_stripped_from_everybody_else(ask, data_plane, pages):
    lines = [(b"portico-hop", b"x"), (b"portico-anything", b"y"), (b"x-kept", b"z")]
    for path in ("/g/x/mcp", "/healthz"):
        await ask(path, headers=lines)
        await ask(path, headers=lines, internal=True)
    for seen in (data_plane, pages):
        outside, inside = ([name for name, _ in scope["headers"]] for scope in seen.scopes)
        assert outside == [b"host", b"x-kept"]
        assert b"portico-hop" in inside
