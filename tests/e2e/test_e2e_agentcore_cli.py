"""The `aws` CLI, unmodified, with the commands that AWS's guides print (pages gateway-create-api, gateway-update,
gateway-add-target-api, gateway-target-MCPservers, resource-providers, agent-identity-directory and AWS's samples).
"""

import json
import uuid

import pytest
from agentcore_demo import ROLE, VERSIONS

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("agentcore")]


@pytest.fixture
def aws(administered):
    return administered.cli


@pytest.fixture
def name():
    return f"my-gateway-{uuid.uuid4().hex[:8]}"


def secured(administered, **rules):
    rules = {"discoveryUrl": administered.discovery_url, "allowedScopes": ["mcp/invoke"]} | rules
    return json.dumps({"customJWTAuthorizer": rules})


PROTOCOL = json.dumps(
    {
        "mcp": {
            "supportedVersions": VERSIONS,
            "sessionConfiguration": {"sessionTimeoutInSeconds": 3600},
            "streamingConfiguration": {"enableResponseStreaming": True},
        }
    }
)


def test_the_life_of_a_gateway_and_its_target(aws, administered, name):
    made = aws(
        "create-gateway",
        *("--name", name),
        *("--role-arn", ROLE),
        *("--protocol-type", "MCP"),
        *("--authorizer-type", "CUSTOM_JWT"),
        *("--exception-level", "DEBUG"),
        *("--protocol-configuration", PROTOCOL),
        *("--authorizer-configuration", secured(administered)),
    )
    gateway, url = made["gatewayId"], made["gatewayUrl"]
    at = ("--gateway-identifier", gateway)
    assert aws("get-gateway", *at, "--query", "status", "--output", "text") == "READY"
    query = f"items[?name=='{name}'].gatewayId | [0]"
    assert aws("list-gateways", "--query", query, "--output", "text") == gateway

    target = aws(
        "create-gateway-target",
        *at,
        *("--name", "calculator"),
        *("--description", "A calculator"),
        *("--target-configuration", json.dumps(administered.server)),
    )["targetId"]
    administered.ready(gateway, target)
    assert "calculator___multiply_numbers" in administered.served(
        url, "calculator___multiply_numbers", administered.token(url)
    )
    listed = aws("list-gateway-targets", *at, "--query", "items[].targetId", "--output", "text")
    assert listed.split() == [target]

    aws("synchronize-gateway-targets", *at, "--target-id-list", target)
    assert administered.ready(gateway, target)["status"] == "READY"
    for_target = (*at, "--target-id", target)
    assert aws("get-gateway-target", *for_target)["name"] == "calculator"
    aws(
        "update-gateway-target",
        *for_target,
        *("--name", "calculator"),
        *(
            "--target-configuration",
            json.dumps({"mcp": {"mcpServer": {**server(administered), "listingMode": "DEFAULT"}}}),
        ),
    )
    administered.ready(gateway, target)

    aws(
        "update-gateway",
        *at,
        *("--name", name),
        *("--role-arn", ROLE),
        *("--protocol-type", "MCP"),
        *("--authorizer-type", "CUSTOM_JWT"),
        *("--authorizer-configuration", secured(administered, allowedClients=["nobody"])),
    )
    changed = aws("get-gateway", *at)
    assert changed["authorizerConfiguration"]["customJWTAuthorizer"]["allowedClients"] == ["nobody"]
    assert "exceptionLevel" not in changed

    assert "has 1 targets" in aws("delete-gateway", *at, refused="ValidationException")
    aws("delete-gateway-target", *for_target)
    aws("delete-gateway", *at)
    aws("get-gateway", *at, refused="ResourceNotFoundException")


def server(administered):
    return administered.server["mcp"]["mcpServer"]


def test_a_gateway_from_a_file_of_json_and_one_for_signed_requests(aws, name, tmp_path):
    document = {"name": name, "roleArn": ROLE, "protocolType": "MCP", "authorizerType": "AWS_IAM", "tags": {"a": "b"}}
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps(document))
    made = aws("create-gateway", "--cli-input-json", f"file://{file}")
    assert made["authorizerType"] == "AWS_IAM"
    arn = ("--resource-arn", made["gatewayArn"])
    aws("tag-resource", *arn, "--tags", "team=a,stage=test")
    assert aws("list-tags-for-resource", *arn)["tags"] == {"a": "b", "team": "a", "stage": "test"}
    aws("untag-resource", *arn, "--tag-keys", "a", "stage")
    assert aws("list-tags-for-resource", *arn)["tags"] == {"team": "a"}
    aws("delete-gateway", "--gateway-identifier", made["gatewayId"])


def test_what_is_not_built_is_refused_by_name(aws, administered, name):
    refusal = aws(
        "create-gateway",
        *("--name", name),
        *("--role-arn", ROLE),
        *("--protocol-type", "MCP"),
        *("--authorizer-type", "CUSTOM_JWT"),
        *("--authorizer-configuration", secured(administered)),
        *("--protocol-configuration", '{"mcp": {"searchType": "SEMANTIC"}}'),
        *("--policy-engine-configuration", f"arn={ROLE.replace('iam::', 'bedrock-agentcore:us-east-1:')},mode=ENFORCE"),
        refused="ValidationException",
    )
    assert "protocolConfiguration.mcp.searchType: semantic search is not built yet" in refusal
    assert "policyEngineConfiguration: policy engines are not built yet" in refusal


def test_credential_providers(aws):
    names = [f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("custom", "github", "okta", "key")]
    custom, github, okta, key = names
    made = aws(
        "create-oauth2-credential-provider",
        *("--name", custom),
        *("--credential-provider-vendor", "CustomOauth2"),
        "--oauth2-provider-config-input",
        """{
          "customOauth2ProviderConfig": {
            "oauthDiscovery": {
              "authorizationServerMetadata": {
                "issuer": "https://auth.example.com",
                "authorizationEndpoint": "https://auth.example.com/oauth2/auth",
                "tokenEndpoint": "https://auth.example.com/oauth2/token",
                "responseTypes": ["code"],
                "tokenEndpointAuthMethods": ["client_secret_post"]
              }
            },
            "clientId": "your-client-id",
            "clientSecret": "your-client-secret"
          }
        }""",
    )
    assert made["callbackUrl"]
    aws(
        "create-oauth2-credential-provider",
        *("--name", github),
        *("--credential-provider-vendor", "GithubOauth2"),
        "--oauth2-provider-config-input",
        '{"githubOauth2ProviderConfig": {"clientId": "your-github-client-id", "clientSecret": "your-secret"}}',
    )
    included = {
        "clientId": "your-client-id",
        "clientSecret": "your-secret",
        "issuer": "https://acme.okta.com",
        "authorizationEndpoint": "https://acme.okta.com/oauth2/v1/authorize",
        "tokenEndpoint": "https://acme.okta.com/oauth2/v1/token",
    }
    aws(
        "create-oauth2-credential-provider",
        *("--name", okta),
        *("--credential-provider-vendor", "OktaOauth2"),
        *("--oauth2-provider-config-input", json.dumps({"includedOauth2ProviderConfig": included})),
    )
    for provider in (custom, github, okta):
        url = aws("get-oauth2-credential-provider", "--name", provider, "--query", "callbackUrl", "--output", "text")
        assert url.startswith("http")
    listed = aws("list-oauth2-credential-providers", "--query", "credentialProviders[].name", "--output", "text")
    assert {custom, github, okta} <= set(listed.split())
    aws("create-api-key-credential-provider", "--name", key, "--api-key", "your-api-key")
    aws("update-api-key-credential-provider", "--name", key, "--api-key", "your-new-key")
    arn = aws("get-api-key-credential-provider", "--name", key, "--query", "credentialProviderArn", "--output", "text")
    assert arn.endswith(f"/apikeycredentialprovider/{key}")
    refusal = aws(
        "create-api-key-credential-provider",
        *("--name", "external"),
        *("--api-key-secret-source", "EXTERNAL"),
        "--api-key-secret-config",
        "secretId=arn:aws:secretsmanager:us-east-1:123456789012:secret:my-secret,jsonKey=api_key",
        refused="ValidationException",
    )
    assert "apiKeySecret" in refusal
    for provider in (custom, github, okta):
        aws("delete-oauth2-credential-provider", "--name", provider)
    aws("delete-api-key-credential-provider", "--name", key)


def test_workload_identities_and_the_vault(aws):
    name = f"my-agent-{uuid.uuid4().hex[:8]}"
    aws("create-workload-identity", "--name", name)
    url = "https://app.example.com/callback"
    aws("update-workload-identity", "--name", name, "--allowed-resource-oauth2-return-urls", json.dumps([url]))
    assert aws("get-workload-identity", "--name", name)["allowedResourceOauth2ReturnUrls"] == [url]
    assert name in aws("list-workload-identities", "--query", "workloadIdentities[].name", "--output", "text").split()
    aws("delete-workload-identity", "--name", name)
    vault = aws("get-token-vault", "--token-vault-id", "default")
    assert vault["kmsConfiguration"] == {"keyType": "ServiceManagedKey"}


def test_an_operation_that_is_not_offered_says_why(aws):
    refusal = aws("list-memories", refused="NotOfferedException")
    assert "Portico does not offer ListMemories: AgentCore Memory is not part of Portico" in refusal
