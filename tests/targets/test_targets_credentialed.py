"""A credential goes with every request to its target, and a refusal of it says what to look at."""

import pytest

from portico.model.credential import Credential
from portico.targets.credentialed import path_with, refusal_of
from portico.targets.discovery import discover
from targets.calls import target_at
from targets.http_server import serve_http
from targets.servers import LegacyServer, ModernServer, tool

HEADER = Credential(headers=((b"authorization", b"Bearer t0k3n"),))
QUERY = Credential(query=(("api key", "a&b=c+d/é"),))


@pytest.mark.parametrize(
    ("path", "credential", "expected"),
    [
        (b"/mcp", HEADER, b"/mcp"),
        (b"/mcp", QUERY, b"/mcp?api+key=a%26b%3Dc%2Bd%2F%C3%A9"),
        (b"/mcp?tenant=1", QUERY, b"/mcp?tenant=1&api+key=a%26b%3Dc%2Bd%2F%C3%A9"),
    ],
)
def test_a_key_in_the_query_follows_what_the_endpoint_has_there(path, credential, expected):
    assert path_with(path, credential) == expected


@pytest.mark.parametrize("kind", [ModernServer, LegacyServer])
async def test_every_message_of_a_discovery_bears_the_credential(relay, kind):
    server = kind(tools=[tool("add")])
    seen = []

    async def handle(exchange):
        seen.append((exchange.method, exchange.headers.get("authorization"), exchange.path))
        exchange.path = exchange.path.partition("?")[0]
        await server.handle(exchange)

    async with serve_http(handle) as http:
        both = Credential(headers=HEADER.headers, query=(("k", "v"),))
        found = await discover(target_at(f"{http.origin}/mcp"), both, relay=relay)
    assert found.eras
    assert len(seen) > 2
    assert {(authorization, path) for _, authorization, path in seen} == {("Bearer t0k3n", "/mcp?k=v")}


@pytest.mark.parametrize(
    ("status", "credential", "refused"), [(401, HEADER, True), (401, None, False), (403, HEADER, False)]
)
async def test_a_target_that_refuses_is_told_apart_from_one_of_another_era(relay, status, credential, refused):
    async def handle(exchange):
        await exchange.reply(status, b"")

    async with serve_http(handle) as http:
        found = await discover(target_at(f"{http.origin}/mcp"), credential, relay=relay)
    assert (found.eras, found.refused) == ((), refused)
    assert found.undecided == {"modern", "legacy"}
    assert f"HTTP {status}" in found.reasons[0]
    assert found.reasons[-1] == refusal_of(credential)
    assert "set its era" not in " ".join(found.reasons)
    assert "t0k3n" not in repr(found) + repr(credential)
