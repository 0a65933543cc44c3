"""Targets behind a real OpenID provider, in a whole process: calls bear tokens and keys.

What a person does wrong is told with its cause and its fix wherever that person looks: at the target, in a call's
error, in the audit trail.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass

import boto3
import pytest
from botocore.config import Config
from portico_process import Portico, call, until

from support.guarded_server import AUDIENCE, guarded
from support.oidc_provider import machine, real_provider
from support.signing import KEY_ID, SECRET

pytestmark = pytest.mark.e2e

CLIENT_SECRET = "a-client-secret-of-the-real-provider"
CLIENTS = [machine("portico", CLIENT_SECRET, scope="calc.read calc.write")]
TOKEN_SECONDS = 6
RESOURCES = {AUDIENCE: {"scopes": ["calc.read", "calc.write", "calc.admin"], "seconds": TOKEN_SECONDS}}
ECHO = call("calc___echo", a=1)
REFUSED = "The target refuses the gateway's credential"
FAILED = "Failed to fetch outbound oauth token: "


@dataclass
class Place:
    """A running server, a provider that can be stopped, and a target behind it."""

    portico: Portico
    control: object
    provider: object
    server: object
    stop_provider: object
    gateway_id: str = ""
    target_id: str = ""
    arn: str = ""

    async def aws(self, operation, **request):
        return await asyncio.to_thread(getattr(self.control, operation), **request)

    @property
    def url(self):
        return f"{self.portico.public_url}/g/{self.gateway_id}/mcp"

    async def call(self, say="modern"):
        answer = await getattr(self.portico, say)(self.url, None, "tools/call", ECHO)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def works(self, say="modern"):
        answer = await getattr(self.portico, say)(self.url, None, "tools/call", ECHO)
        result = answer.json().get("result", {})  # none while the news of the target is on its way
        return result.get("structuredContent") == {"a": 1}

    async def target(self):
        return await self.aws("get_gateway_target", gatewayIdentifier=self.gateway_id, targetId=self.target_id)

    async def status(self, *wanted):
        """Wait until the target has one of these statuses; returns its reasons."""
        got = {}

        async def there():
            nonlocal got
            got = await self.target()
            return got["status"] in wanted

        try:
            await until(there)
        except TimeoutError:
            raise AssertionError(got) from None
        return " ".join(got.get("statusReasons", []))

    async def attach(self, credential, **metadata):
        made = await self.aws(
            "create_gateway_target", gatewayIdentifier=self.gateway_id, **self.document(credential), **metadata
        )
        self.target_id = made["targetId"]
        await self.status("READY")

    def document(self, credential):
        return {
            "name": "calc",
            "targetConfiguration": {"mcp": {"mcpServer": {"endpoint": self.server.url}}},
            "credentialProviderConfigurations": [credential],
        }

    async def update(self, **changes):
        await self.aws(
            "update_gateway_target",
            gatewayIdentifier=self.gateway_id,
            targetId=self.target_id,
            **self.document(self.oauth(**changes)),
        )

    def oauth(self, scopes=("calc.write",), resource=AUDIENCE):
        oauth = {
            "providerArn": self.arn,
            "grantType": "CLIENT_CREDENTIALS",
            "scopes": list(scopes),
            "customParameters": {"resource": resource},
        }
        return {"credentialProviderType": "OAUTH", "credentialProvider": {"oauthCredentialProvider": oauth}}

    async def provide(self, operation, *, secret=CLIENT_SECRET, **discovery):
        config = {
            "clientId": "portico",
            "clientSecret": secret,
            "oauthDiscovery": discovery or {"discoveryUrl": self.provider.discovery_url},
        }
        made = await self.aws(
            f"{operation}_oauth2_credential_provider",
            name="idp",
            credentialProviderVendor="CustomOauth2",
            oauth2ProviderConfigInput={"customOauth2ProviderConfig": config},
        )
        self.arn = made["credentialProviderArn"]

    async def failure(self, say="modern"):
        """Wait until a call fails; returns what its error says and what the audit trail says of it."""
        result = {}

        async def failed():
            nonlocal result
            result = await self.call(say)
            return result["isError"]

        await until(failed)
        told = result["content"][0]["text"]
        assert result["_meta"]["debug"]["text"] == told
        return told, await asyncio.to_thread(self._last_record)

    def _last_record(self):
        command = [sys.executable, "-m", "portico", "audit", "list", "--json", "--limit", "1"]
        command += ["--config", str(self.portico.directory / "portico.yaml")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        [record] = json.loads(done.stdout)
        return record


@pytest.fixture
async def place(tmp_path):
    """A server whose API is open to boto3, with one gateway that says what is wrong, and a provider."""
    portico = Portico(tmp_path, {})
    portico.document = {
        "api_private_addresses": True,
        "accessKeys": [{"accessKeyId": KEY_ID, "name": "ops", "role": "administrator", "secret": SECRET}],
    }
    async with contextlib.AsyncExitStack() as provider_stack, contextlib.AsyncExitStack() as stack:
        provider = await provider_stack.enter_async_context(real_provider(CLIENTS, RESOURCES))
        server = await stack.enter_async_context(guarded(provider.issuer))
        await stack.enter_async_context(portico.running())
        control = boto3.client(
            "bedrock-agentcore-control",
            endpoint_url=portico.url,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=Config(retries={"max_attempts": 0}, proxies={}),
        )
        stack.callback(control.close)
        made = Place(portico, control, provider, server, provider_stack.aclose)
        gateway = await made.aws(
            "create_gateway",
            name="tools",
            protocolType="MCP",
            authorizerType="NONE",
            exceptionLevel="DEBUG",
            roleArn="arn:aws:iam::123456789012:role/none",
        )
        made.gateway_id = gateway["gatewayId"]
        yield made


@pytest.fixture
async def behind(place):
    """The place with a target that works."""
    await place.provide("create")
    await place.attach(place.oauth())
    await until(place.works)
    return place


def agrees(told, record, code, *words):
    """Hold a call's error and its record against what was wrong and what would mend it."""
    assert (record["outcome"], record["code"], record["target"], record["tool"]) == ("failed", code, "calc", "echo")
    for word in words:
        assert word in told
        assert word in record["reason"]
    assert CLIENT_SECRET not in told + json.dumps(record)


@pytest.mark.parametrize("say", ["modern", "legacy"])
async def test_a_call_bears_a_token_of_the_provider_and_outlives_it(behind, say):
    seen = len(behind.server.server.requests)
    async with asyncio.timeout(30):
        while True:  # calls go on while tokens end and others follow
            assert await behind.works(say)
            if len({head["authorization"] for head in behind.server.server.heads[seen:]}) > 1:
                break
    assert behind.server.refused == []


async def test_a_wrong_secret(behind):
    await behind.provide("update", secret="wrong")
    told, record = await behind.failure()
    words = (FAILED + "invalid_client", "Check clientId and clientSecret of credential provider 'idp'")
    agrees(told, record, "credential_unavailable", *words)
    reasons = await behind.status("SYNCHRONIZE_UNSUCCESSFUL")
    assert all(word in reasons for word in words)
    await behind.provide("update")
    await until(behind.works)
    await behind.status("READY")


async def test_a_wrong_scope(behind):
    await behind.update(scopes=["calc.admin"])  # which the provider does not allow to this client
    told, record = await behind.failure()
    words = (FAILED + "invalid_scope", "Check the target's scopes (calc.admin)")
    agrees(told, record, "credential_unavailable", *words)
    reasons = await behind.status("UPDATE_UNSUCCESSFUL")
    assert all(word in reasons for word in words)
    await behind.update()
    await until(behind.works)
    await behind.status("READY")


async def test_a_wrong_token_url(behind):
    issuer = behind.provider.issuer
    metadata = {"issuer": issuer, "authorizationEndpoint": f"{issuer}/auth", "tokenEndpoint": f"{issuer}/tokens"}
    await behind.provide("update", authorizationServerMetadata=metadata)
    told, record = await behind.failure()
    words = (FAILED, "Check the token endpoint or discoveryUrl of credential provider 'idp'")
    agrees(told, record, "credential_unavailable", *words)
    reasons = await behind.status("SYNCHRONIZE_UNSUCCESSFUL")
    assert all(word in reasons for word in words)
    await behind.provide("update")
    await until(behind.works)


async def test_a_provider_that_is_down(behind):
    await behind.stop_provider()
    assert await behind.works()  # what it gave serves until it is over
    told, record = await behind.failure()
    words = (FAILED + "The server cannot be reached.", "credential provider 'idp'", "that their server is up")
    agrees(told, record, "credential_unavailable", *words)
    await behind.aws(
        "synchronize_gateway_targets", gatewayIdentifier=behind.gateway_id, targetIdList=[behind.target_id]
    )
    reasons = await behind.status("SYNCHRONIZE_UNSUCCESSFUL")
    assert all(word in reasons for word in words)


@pytest.mark.parametrize(
    ("wrong", "status"), [({"scopes": ["calc.read"]}, 403), ({"audience": "https://another.example"}, 401)]
)
async def test_a_target_that_refuses_the_token(behind, wrong, status):
    if "audience" in wrong:
        behind.server.audience = wrong["audience"]
        await behind.aws(
            "synchronize_gateway_targets", gatewayIdentifier=behind.gateway_id, targetIdList=[behind.target_id]
        )
        failed = "SYNCHRONIZE_UNSUCCESSFUL"
    else:
        await behind.update(**wrong)
        failed = "UPDATE_UNSUCCESSFUL"
    told, record = await behind.failure()
    words = (REFUSED, f"HTTP {status}", "Check that it is meant for this target", "its audience")
    agrees(told, record, "credential_refused", *words)
    reasons = await behind.status(failed)
    assert all(word in reasons for word in (REFUSED, f"HTTP {status}", *words[2:]))


@pytest.mark.parametrize("say", ["modern", "legacy"])
@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({"credentialParameterName": "X-Api-Key"}, "k3y"),
        ({"credentialParameterName": "X-Api-Key", "credentialPrefix": "ApiKey"}, "ApiKey k3y"),
        ({"credentialLocation": "QUERY_PARAMETER", "credentialParameterName": "key"}, "key=k3y"),
    ],
)
async def test_a_call_bears_the_api_key_where_the_target_wants_it(place, settings, sent, say):
    place.server.key = sent
    made = await place.aws("create_api_key_credential_provider", name="key", apiKey="k3y")
    key = {"providerArn": made["credentialProviderArn"]} | settings
    await place.attach(
        {"credentialProviderType": "API_KEY", "credentialProvider": {"apiKeyCredentialProvider": key}},
        metadataConfiguration={"allowedRequestHeaders": ["X-Tenant"], "allowedQueryParameters": ["v"]},
    )
    await until(lambda: place.works(say))
    assert place.server.refused == []
    place.server.key = "another"
    told, record = await place.failure(say)
    agrees(told, record, "credential_refused", REFUSED, "of an API key its value and where it stands")
    await place.aws("update_api_key_credential_provider", name="key", apiKey="n3w")
    place.server.key = sent.replace("k3y", "n3w")
    await until(lambda: place.works(say))
