"""What targets are called with: credentials, and what of a caller's request they may have, in both eras."""

import asyncio

import pytest

from gateway.front import front
from gateway.house import until
from identity.house import House as Providers
from identity.house import token_server

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
SAY = pytest.mark.parametrize("say", ["modern", "legacy"])
CALL = ("tools/call", {"name": "one___echo", "arguments": {"a": 1}})
ARN = "arn:aws:bedrock-agentcore:us-east-1:000000000000:token-vault/default/"
OAUTH = {
    "credentialProviderType": "OAUTH",
    "credentialProvider": {
        "oauthCredentialProvider": {"providerArn": f"{ARN}oauth2credentialprovider/idp", "scopes": ["tools"]}
    },
}
DEBUG = {"exceptionLevel": "DEBUG"}
SESSIONS = {"protocolConfiguration": {"mcp": {"sessionConfiguration": {}}}}


def api_key(**members):
    key = {"providerArn": f"{ARN}apikeycredentialprovider/key"} | members
    return {"credentialProviderType": "API_KEY", "credentialProvider": {"apiKeyCredentialProvider": key}}


@pytest.fixture
def providers(house):
    return Providers(house.database, house.keyring, house.fetcher, house.clock)


@pytest.fixture
async def idp(house, providers):
    """A token endpoint whose provider is there."""
    async with token_server() as server:
        await providers.provide(server)
        await house.credentials.reload()
        yield server


async def give_key(house, providers, key="k3y"):
    await providers.provide_key(key)
    await house.credentials.reload()


def said(heard):
    assert heard.status == 200
    assert heard.result["isError"]
    return heard.result["content"][0]["text"]


# Credentials


@pytest.mark.parametrize(
    ("settings", "headers", "query"),
    [
        ({}, {"authorization": "Bearer k3y"}, ""),
        ({"credentialParameterName": "X-Api-Key"}, {"x-api-key": "k3y"}, ""),
        (
            {"credentialParameterName": "Authorization", "credentialPrefix": "ApiKey"},
            {"authorization": "ApiKey k3y"},
            "",
        ),
        ({"credentialLocation": "QUERY_PARAMETER", "credentialParameterName": "the key"}, {}, "?the+key=k3y"),
    ],
)
@ERAS
@SAY
async def test_every_request_to_a_target_bears_its_api_key(house, providers, era, say, settings, headers, query):
    await give_key(house, providers)
    async with front(era) as server:
        url = await house.add_gateway()
        await house.add_target(server.url, credential=api_key(**settings))
        for _ in range(2):
            assert (await getattr(house, say)(url, *CALL)).result["structuredContent"] == {"a": 1}
        await house.remove_target()
        await until(lambda: era == "modern" or server.seen[-1].method == "DELETE")
        assert {entry.path for entry in server.seen} == {f"/mcp{query}"}
        for name, value in headers.items():
            assert server.sent(name) == {value}


@ERAS
async def test_a_key_that_was_changed_is_used_without_another_snapshot(house, providers, era):
    await give_key(house, providers)
    async with front(era) as server:
        url = await house.add_gateway()
        await house.add_target(server.url, credential=api_key())
        await house.modern(url, *CALL)
        await give_key(house, providers, "another")
        server.forget()
        await house.modern(url, *CALL)
        assert server.sent("authorization") == {"Bearer another"}
        # A session belongs to the credential that opened it.
        assert server.methods[0] == ("initialize" if era == "legacy" else "tools/call")


async def test_a_query_of_the_endpoint_stays(house, providers):
    await give_key(house, providers)
    async with front() as server:
        url = await house.add_gateway()
        key = api_key(credentialLocation="QUERY_PARAMETER")
        await house.add_target(f"{server.url}?tenant=1", credential=key)
        await house.modern(url, *CALL)
        assert {entry.path for entry in server.seen} == {"/mcp?tenant=1&api_key=k3y"}


@ERAS
async def test_one_token_serves_all_calls(house, idp, era):
    async with front(era, accepts={"Bearer token-1"}) as server:
        url = await house.add_gateway()
        await house.add_target(server.url, credential=OAUTH)
        heard = await asyncio.gather(*(house.modern(url, *CALL, number=n) for n in range(20)))
        assert all(answer.result["structuredContent"] == {"a": 1} for answer in heard)
        assert len(idp.asked) == 1
        assert idp.asked[0]["scope"] == "tools"
        assert server.sent("authorization") == {"Bearer token-1"}


@ERAS
@SAY
async def test_a_token_that_the_target_refuses_is_fetched_anew_once_and_the_call_is_made(house, idp, era, say):
    async with front(era) as server:
        url = await house.add_gateway()
        await house.add_target(server.url, credential=OAUTH)
        await getattr(house, say)(url, *CALL)
        server.accepts = {"Bearer token-2"}  # the provider revoked the first
        house.clock.ahead = 60.0
        server.server.calls.clear()
        assert (await getattr(house, say)(url, *CALL)).result["structuredContent"] == {"a": 1}
        assert len(server.server.calls) == 1
        assert len(idp.asked) == 2
        assert {record.outcome for record in house.records()} == {"ok"}


@pytest.mark.parametrize("status", [401, 403])
@ERAS
async def test_a_token_that_the_target_refuses_always_is_an_error_that_says_what_to_look_at(house, idp, era, status):
    async with front(era) as server:
        url = await house.add_gateway(**DEBUG)
        await house.add_target(server.url, credential=OAUTH)
        server.accepts, server.status = set(), status
        house.clock.ahead = 60.0
        server.forget()
        told = said(await house.modern(url, *CALL))
        assert f"The target refuses the gateway's credential (HTTP {status})." in told
        assert "Check that it is meant for this target" in told
        assert "token-" not in told
        assert len(idp.asked) == (2 if status == 401 else 1)
        assert server.server.calls == []
        [record] = house.records()
        assert (record.outcome, record.code) == ("failed", "credential_refused")
        assert record.reason in told
        assert f"HTTP {status}" in record.reason


async def test_a_young_token_is_not_fetched_anew_for_every_refusal(house, idp):
    async with front() as server:
        url = await house.add_gateway()
        await house.add_target(server.url, credential=OAUTH)
        server.accepts = set()
        for _ in range(5):
            said(await house.modern(url, *CALL))
        assert len(idp.asked) == 1


async def test_a_target_that_asks_for_credentials_and_has_none_says_so(house):
    async with front() as server:
        url = await house.add_gateway(**DEBUG)
        await house.add_target(server.url)
        server.accepts = set()
        told = said(await house.modern(url, *CALL))
        assert "asks for credentials (HTTP 401)" in told
        assert "credentialProviderConfigurations" in told
        assert house.records()[0].code == "credential_refused"


@pytest.mark.case("T10")
async def test_without_a_credential_the_target_is_not_called(house, idp):
    async with front() as server:
        for gateway_id, level in (("shop", DEBUG), ("quiet", {})):
            await house.add_gateway(gateway_id, **level)
            await house.add_target(server.url, gateway_id=gateway_id, credential=OAUTH)
        server.forget()
        idp.answers = [(401, {"error": "invalid_client", "error_description": "no such client"})] * 2
        house.clock.ahead = 4000.0  # the token is over
        told = said(await house.modern(f"{house.public_url}/g/shop/mcp", *CALL))
        assert "Failed to fetch outbound oauth token: invalid_client" in told
        assert "Check clientId and clientSecret of credential provider 'idp'" in told
        quiet = said(await house.modern(f"{house.public_url}/g/quiet/mcp", *CALL))
        assert quiet == "Calling one___echo failed. The gateway has no credential for this target."
        assert server.seen == []
        for record in house.records():
            assert (record.outcome, record.code) == ("failed", "credential_unavailable")
            assert "invalid_client" in record.reason


async def test_a_provider_that_does_not_answer_costs_no_more_than_a_call_may_take(house, idp):
    async with front() as server:
        url = await house.add_gateway(**DEBUG)
        await house.add_target(server.url, credential=OAUTH, callTimeout=0.5)
        house.clock.ahead = 4000.0
        idp.gate.clear()
        told = said(await house.modern(url, *CALL))
        assert "Failed to fetch outbound oauth token: it took longer than 0.5 s." in told
        idp.gate.set()
        await until(lambda: len(idp.asked) == 2)
        async with asyncio.timeout(30):
            while (result := (await house.modern(url, *CALL)).result)["isError"]:  # a call's time is short here
                pass
        assert result["structuredContent"] == {"a": 1}
        assert len(idp.asked) == 2  # that fetch went on


async def test_a_call_that_waits_for_a_token_can_be_cancelled(house, idp):
    async with front() as server:
        url = await house.add_gateway()
        await house.add_target(server.url, credential=OAUTH)
        house.clock.ahead = 4000.0
        idp.gate.clear()
        waiting = asyncio.create_task(house.modern(url, *CALL))
        await until(lambda: len(idp.asked) == 2)
        waiting.cancel()
        await until(house.records)
        assert house.records()[0].outcome == "cancelled"
        idp.gate.set()


@pytest.mark.case("T18")
async def test_the_callers_own_token_never_reaches_a_target(house):
    async with front() as server:
        url = await house.add_gateway(jwt_rules={"allowedClients": ["cli"]})
        metadata = {"allowedRequestHeaders": ["x-a"], "allowedQueryParameters": ["q"]}
        await house.add_target(server.url, metadata=metadata)
        token = house.token(url)
        await house.modern(f"{url}?q=1", *CALL, token=token, headers={"x-a": "1"})
        assert server.server.calls
        assert server.sent("authorization") == {None}


@SAY
async def test_a_call_that_needs_nothing_of_this_asks_no_provider(house, say, monkeypatch):
    async with front() as server:
        url = await house.add_gateway()
        await house.add_target(server.url)

        async def fail(*args, **kwargs):
            raise AssertionError("asked for a credential")

        monkeypatch.setattr(house.credentials, "credential_for", fail)
        assert (await getattr(house, say)(url, *CALL)).result["structuredContent"] == {"a": 1}


# What is passed on


METADATA = {
    "allowedRequestHeaders": ["X-Tenant", "x-trace"],
    "allowedQueryParameters": ["v", "tag"],
    "allowedResponseHeaders": ["X-Left"],
}


@ERAS
@SAY
async def test_allowed_headers_and_parameters_go_on_and_others_do_not(house, era, say):
    async with front(era) as server:
        url = await house.add_gateway()
        await house.add_target(server.url, metadata=METADATA)
        server.forget()
        headers = {"X-Tenant": "acme", "X-Other": "no", "cookie": "a=b"}
        heard = await getattr(house, say)(f"{url}?v=1%262&w=3&tag=a&tag=b+c", *CALL, headers=headers)
        assert heard.result["structuredContent"] == {"a": 1}
        assert server.sent("x-tenant") == {"acme"}
        assert {entry.path for entry in server.seen} == {"/mcp?v=1%262&tag=a&tag=b+c"}
        for name in ("x-other", "x-trace", "cookie"):
            assert server.sent(name) == {None}


async def test_what_is_passed_on_stands_beside_the_credential(house, providers):
    await give_key(house, providers)
    async with front() as server:
        url = await house.add_gateway()
        key = api_key(credentialLocation="QUERY_PARAMETER", credentialParameterName="key")
        await house.add_target(server.url, metadata=METADATA, credential=key)
        server.forget()
        await house.modern(f"{url}?key=theirs&v=1", *CALL, headers={"x-tenant": "acme"})
        [seen] = server.seen
        assert (seen.path, seen.headers["x-tenant"]) == ("/mcp?v=1&key=k3y", "acme")


@pytest.mark.parametrize(
    ("headers", "query", "words"),
    [
        ({"x-tenant": "a" * 4097}, "", "The header x-tenant is longer than 4096 bytes"),
        ({"x-tenant": "caf\u00e9"}, "", "The header x-tenant holds other than printable ASCII"),
        ({}, "?v=" + "a" * 4097, "The query parameter v is longer"),
        ({}, "?v=%0d%0aX-Evil:1", "The query parameter v holds other than printable ASCII"),
        ({}, "?v=%ff", "The query parameter v holds other"),
        ({}, "?" + "x=1&" * 101, "more than 100 query parameters"),
    ],
)
@SAY
async def test_what_breaks_a_limit_is_refused_and_the_target_is_not_called(house, say, headers, query, words):
    async with front() as server:
        url = await house.add_gateway()
        await house.add_target(server.url, metadata=METADATA)
        server.forget()
        heard = await getattr(house, say)(f"{url}{query}", *CALL, headers=headers)
        assert heard.error["code"] == -32602
        assert words in heard.error["message"]
        assert server.seen == []
        assert house.records()[0].code == "-32602"


async def test_a_header_of_the_largest_size_goes_on(house):
    async with front() as server:
        url = await house.add_gateway()
        await house.add_target(server.url, metadata=METADATA)
        server.forget()
        await house.modern(url, *CALL, headers={"x-tenant": "a" * 4096})
        assert server.sent("x-tenant") == {"a" * 4096}


async def test_what_is_not_passed_on_has_no_limit_of_ours(house):
    async with front() as server:
        url = await house.add_gateway()
        await house.add_target(server.url, metadata=METADATA)
        heard = await house.modern(f"{url}?w=%ff", *CALL, headers={"x-other": "caf\u00e9" * 2000})
        assert heard.result["structuredContent"] == {"a": 1}


@ERAS
@SAY
async def test_allowed_headers_of_the_answer_come_back(house, era, say):
    async with front(era, answers={"X-Left": "7", "X-Secret": "s"}) as server:
        url = await house.add_gateway()
        await house.add_target(server.url, metadata=METADATA)
        for name in ("echo", "fail", "broken"):  # a result, a failed one, an error
            heard = await getattr(house, say)(url, "tools/call", {"name": f"one___{name}"})
            assert heard.headers["x-left"] == "7"
            assert "x-secret" not in heard.headers
        assert heard.headers["content-type"] == "application/json"


@pytest.mark.parametrize("value", ["a" * 4097, "caf\u00e9"])
async def test_a_header_of_the_answer_that_breaks_a_limit_is_left_out(house, value):
    async with front(answers={"X-Left": value}) as server:
        server.answers = {"X-Left": value.encode().decode("latin-1")}
        url = await house.add_gateway()
        await house.add_target(server.url, metadata=METADATA)
        heard = await house.modern(url, *CALL)
        assert heard.result["structuredContent"] == {"a": 1}
        assert "x-left" not in heard.headers


async def test_a_stream_that_has_begun_says_no_more_headers(house):
    async with front(server={"answers": "sse"}, answers={"X-Left": "7"}) as server:
        url = await house.add_gateway(
            protocolConfiguration={"mcp": {"streamingConfiguration": {"enableResponseStreaming": True}}}
        )
        await house.add_target(server.url, metadata=METADATA)
        params = {"name": "one___progress", "arguments": {"steps": 2}}
        heard = await house.modern(url, "tools/call", params, meta={"progressToken": "t"})
        assert len(heard.events) == 3
        assert "x-left" not in heard.headers
        heard = await house.modern(url, *CALL)  # one that never began
        assert heard.headers["x-left"] == "7"


async def test_a_page_of_another_origin_may_read_what_comes_back(house):
    async with front(answers={"X-Left": "7"}) as server:
        url = await house.add_gateway(extension={"allowedOrigins": ["https://app.example"]})
        await house.add_target(server.url, metadata=METADATA)
        heard = await house.modern(url, *CALL, headers={"origin": "https://app.example"})
        exposed = ", ".join(heard.headers.getall("access-control-expose-headers"))
        assert "x-left" in exposed
        assert "Mcp-Session-Id" in exposed


async def test_a_page_of_another_origin_may_send_what_is_passed_on(house):
    async with front() as server:
        url = await house.add_gateway(extension={"allowedOrigins": ["https://app.example"]})
        await house.add_target(server.url, metadata=METADATA)
        asked = {
            "origin": "https://app.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "x-tenant, x-other",
        }
        async with house.http.options(url, headers=asked) as answer:
            allowed = answer.headers["access-control-allow-headers"].lower()
        assert "x-tenant" in allowed
        assert "x-other" not in allowed


# Whose session


async def test_callers_that_pass_on_different_values_share_no_session_with_the_target(house):
    async with front("legacy") as server:
        url = await house.add_gateway()
        await house.add_target(server.url, metadata=METADATA)
        server.server.opened = 0
        for tenant in ("a", "b", "a", "b"):
            await house.modern(url, *CALL, headers={"x-tenant": tenant})
        assert server.server.opened == 2
        sessions = {}
        for entry in server.seen[-4:]:
            sessions.setdefault(entry.headers["x-tenant"], set()).add(entry.headers.get("mcp-session-id"))
        assert sessions["a"].isdisjoint(sessions["b"])


async def test_sessions_that_differ_in_what_is_passed_on_do_not_pile_up(house):
    async with front("legacy") as server:
        url = await house.add_gateway()
        await house.add_target(server.url, metadata=METADATA)
        for number in range(130):
            await house.modern(url, *CALL, headers={"x-trace": str(number)})
        assert house.upstream.count() == 100
        await until(lambda: len(server.server.sessions) == 100)


async def test_a_client_with_a_session_has_one_at_the_target_whatever_it_passes_on(house):
    async with front("legacy") as server:
        url = await house.add_gateway(**SESSIONS)
        await house.add_target(server.url, metadata=METADATA)
        server.server.opened = 0
        session = await house.open_session(url)
        for number in range(3):
            headers = {"mcp-session-id": session, "x-trace": str(number)}
            assert (await house.legacy(url, *CALL, headers=headers)).result["structuredContent"] == {"a": 1}
        assert server.server.opened == 1
