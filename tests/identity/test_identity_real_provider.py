"""Targets behind a real OpenID provider: an MCP server that checks audience and scope of the token, or an API key."""

import asyncio
from functools import partial

import pytest

from control.agentcore import LOCAL, Api
from portico.control import targets
from portico.control.discovering import CredentialedDiscovery
from portico.control.jobs import JobWorker
from portico.control.sync import Synchronizer
from portico.net.egress import Egress
from portico.net.relay import Relay
from portico.storage import targets as target_rows
from portico.storage.engine import Database
from portico.targets.discovery import discover
from support.guarded_server import AUDIENCE, guarded
from support.oidc_provider import machine, real_provider
from targets.servers import closed_port

SECRET = "a-client-secret-of-the-real-provider"
SCOPES = {"scopes": ["calc.read", "calc.write"], "seconds": 600}
CLIENTS = [
    machine("portico", SECRET),
    machine("poster", SECRET, method="client_secret_post"),
    machine("narrow", SECRET, scope="calc.read"),
]
BOUND = 30.0  #: seconds


@pytest.fixture
async def provider():
    async with real_provider(CLIENTS, {AUDIENCE: SCOPES}) as running:
        yield running


@pytest.fixture
async def api(house, database: Database, clock):
    """The API, and a worker that synchronizes what is made with it."""
    relay = Relay(egress=Egress())
    credentials = await house.process()
    reader = CredentialedDiscovery(credentials, partial(discover, relay=relay))
    worker = JobWorker(
        database,
        {targets.SYNC_JOB: Synchronizer(database, reader, clock=clock).run},
        owner="test",
        clock=clock,
    )
    task = asyncio.create_task(worker.run())
    made = Api(database, house.keyring, clock, extension=LOCAL)
    made.worker = worker
    yield made
    task.cancel()
    await asyncio.wait({task})
    await relay.aclose()


async def provide(api, provider=None, *, operation="Create", secret=SECRET, client="portico", **discovery):
    discovery = discovery or {"discoveryUrl": provider.discovery_url}
    config = {"clientId": client, "clientSecret": secret, "oauthDiscovery": discovery}
    answer = await api(
        f"{operation}Oauth2CredentialProvider",
        name="idp",
        credentialProviderVendor="CustomOauth2",
        oauth2ProviderConfigInput={"customOauth2ProviderConfig": config},
    )
    return answer["credentialProviderArn"]


def document(server, provider_arn, *, scopes=("calc.write",), audience=AUDIENCE):
    oauth = {
        "providerArn": provider_arn,
        "grantType": "CLIENT_CREDENTIALS",
        "scopes": list(scopes),
        "customParameters": {"resource": audience},
    }
    return with_credential(server, {"oauthCredentialProvider": oauth}, "OAUTH")


def with_credential(server, provider, kind):
    return {
        "name": "calc",
        "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": server.url}}},
        "credentialProviderConfigurations": [{"credentialProviderType": kind, "credentialProvider": provider}],
    }


async def settled(api, target):
    """Wait until the target's synchronization is over; returns the target."""
    where = {"gatewayIdentifier": target["gatewayArn"].rpartition("/")[2], "targetId": target["targetId"]}
    async with asyncio.timeout(BOUND):
        while True:
            api.worker.wake()
            got = await api("GetGatewayTarget", **where)
            if got["status"] not in {"CREATING", "UPDATING", "SYNCHRONIZING"}:
                return got
            await asyncio.sleep(0.02)


async def created(api, wanted):
    gateway = await api.gateway()
    return await settled(api, await api("CreateGatewayTarget", gatewayIdentifier=gateway["gatewayId"], **wanted))


@pytest.mark.parametrize("client", ["portico", "poster"])
async def test_a_client_credentials_target_is_ready_with_its_tools(api, provider, database, client):
    async with guarded(provider.issuer) as server:
        arn = await provide(api, provider, client=client)
        if client == "poster":  # the metadata offers both ways; this client may use one of them only
            config = {
                "clientId": client,
                "clientSecret": SECRET,
                "oauthDiscovery": {"discoveryUrl": provider.discovery_url},
                "clientAuthenticationMethod": "CLIENT_SECRET_POST",
            }
            await api(
                "UpdateOauth2CredentialProvider",
                name="idp",
                credentialProviderVendor="CustomOauth2",
                oauth2ProviderConfigInput={"customOauth2ProviderConfig": config},
            )
        target = await created(api, document(server, arn))
        assert (target["status"], target["statusReasons"][1:]) == ("READY", [])
        assert server.refused == []
    async with database.read() as conn:
        row = await target_rows.get(conn, target["targetId"])
    assert b'"add"' in row.eras


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({"credentialParameterName": "X-Api-Key"}, "k3y"),
        ({"credentialParameterName": "X-Api-Key", "credentialPrefix": "ApiKey"}, "ApiKey k3y"),
        ({"credentialLocation": "QUERY_PARAMETER", "credentialParameterName": "key"}, "key=k3y"),
    ],
)
async def test_an_api_key_target_is_ready_with_its_tools(api, settings, sent):
    async with guarded(key=sent) as server:
        arn = (await api("CreateApiKeyCredentialProvider", name="key", apiKey="k3y"))["credentialProviderArn"]
        wanted = with_credential(server, {"apiKeyCredentialProvider": {"providerArn": arn} | settings}, "API_KEY")
        target = await created(api, wanted)
        assert target["status"] == "READY"
        assert server.refused == []


async def failure(api, server, arn, **how):
    target = await created(api, document(server, arn, **how))
    assert target["status"] == "FAILED"
    assert server.server.requests == []  # a target whose credential cannot be had is not called
    return target["statusReasons"]


async def test_a_wrong_secret_is_named_and_mended_by_an_update_of_the_provider(api, provider):
    async with guarded(provider.issuer) as server:
        arn = await provide(api, provider, secret="wrong")
        target = await created(api, document(server, arn))
        [reason] = target["statusReasons"]
        assert reason.startswith("Failed to fetch outbound oauth token: invalid_client: ")
        assert "Check clientId and clientSecret of credential provider 'idp'" in reason
        await provide(api, provider, operation="Update")
        async with asyncio.timeout(BOUND):
            while (await settled(api, target))["status"] != "READY":
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("scopes", "words"),
    [
        (["calc.admin"], "It was asked for with the scopes: calc.admin."),  # this provider says nothing of it
        (["calc.read", "calc.admin"], "The provider granted all scopes but: calc.admin."),
    ],
)
async def test_a_scope_that_the_provider_leaves_out_is_named(api, provider, scopes, words):
    async with guarded(provider.issuer) as server:
        arn = await provide(api, provider)
        target = await created(api, document(server, arn, scopes=scopes))
    assert target["status"] == "FAILED"
    assert "HTTP 403" in target["statusReasons"][0]
    assert words in target["statusReasons"][-1]


async def test_a_scope_that_the_provider_refuses_is_named(api, provider):
    async with guarded(provider.issuer) as server:
        arn = await provide(api, provider, client="narrow")
        [reason] = await failure(api, server, arn, scopes=["calc.write"])
    assert reason.startswith("Failed to fetch outbound oauth token: invalid_scope: ")
    assert "Check the target's scopes (calc.write)" in reason


async def test_a_persons_scope_is_warned_of(api, provider):
    async with guarded(provider.issuer) as server:
        arn = await provide(api, provider)
        gateway = await api.gateway()
        wanted = document(server, arn, scopes=["openid", "calc.write"])
        made = await api("CreateGatewayTarget", gatewayIdentifier=gateway["gatewayId"], **wanted)
        assert "openid" in made["statusReasons"][0]
        after = await settled(api, made)
    assert "leave them out of the target's scopes" in after["statusReasons"][-1]


async def test_a_wrong_token_url_is_named(api, provider):
    metadata = {
        "issuer": provider.issuer,
        "authorizationEndpoint": f"{provider.issuer}/auth",
        "tokenEndpoint": f"{provider.issuer}/tokens",
    }
    async with guarded(provider.issuer) as server:
        arn = await provide(api, authorizationServerMetadata=metadata)
        [reason] = await failure(api, server, arn)
    assert reason.startswith("Failed to fetch outbound oauth token: ")
    assert "Check the" in reason


async def test_a_provider_that_is_down_is_named(api, provider):
    gone = f"http://127.0.0.1:{closed_port()}/.well-known/openid-configuration"
    async with guarded(provider.issuer) as server:
        arn = await provide(api, discoveryUrl=gone)
        [reason] = await failure(api, server, arn)
    assert reason.startswith("Failed to fetch outbound oauth token: The server cannot be reached.")
    assert "that their server is up" in reason


@pytest.mark.parametrize(
    ("scope", "audience", "status"), [("calc.read", AUDIENCE, 403), ("calc.write", "https://another.example", 401)]
)
async def test_a_target_that_refuses_the_token_is_named(api, provider, scope, audience, status):
    async with guarded(provider.issuer, audience=audience) as server:
        arn = await provide(api, provider)
        target = await created(api, document(server, arn, scopes=[scope]))
        assert set(server.refused) == {status}
    assert target["status"] == "FAILED"
    assert f"HTTP {status}" in target["statusReasons"][0]
    assert "The target refuses the gateway's credential" in target["statusReasons"][-1]
    assert "audience" in target["statusReasons"][-1]
