"""Run by test_e2e_agentcore_sdk.py in a process of its own, because the SDK reads the environment when imported.

Prints one JSON object: what AWS's `bedrock-agentcore` SDK got from each of its calls.
"""

import json
import os
import sys

from bedrock_agentcore._utils.config import WaitConfig
from bedrock_agentcore.gateway.client import GatewayClient
from bedrock_agentcore.services.identity import IdentityClient
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/my-gateway-service-role"
WAIT = WaitConfig(max_wait=60, poll_interval=1)
REGION = os.environ["AWS_REGION"]


def gateways(endpoint):
    """Take a gateway and its target through their lives with the helpers that wait."""
    client = GatewayClient(region_name=REGION)
    server = {"mcp": {"mcpServer": {"endpoint": endpoint}}}
    made = client.create_gateway_and_wait(
        WAIT, name="sdk-gateway", role_arn=ROLE, protocol_type="MCP", authorizer_type="NONE"
    )
    at = {"gateway_identifier": made["gatewayId"]}
    updated = client.update_gateway_and_wait(
        WAIT,
        **at,
        name="sdk-gateway",
        roleArn=ROLE,
        protocolType="MCP",
        authorizerType="NONE",
        description="by the SDK",
    )
    target = client.create_gateway_target_and_wait(WAIT, **at, name="calc", target_configuration=server)
    of_target = {**at, "target_id": target["targetId"]}
    changed = client.update_gateway_target_and_wait(
        WAIT, **of_target, name="calc", description="changed", target_configuration=server
    )
    found = client.get_gateway_by_name("sdk-gateway")
    found_target = client.get_gateway_target_by_name(made["gatewayId"], "calc")
    missing = client.get_gateway_by_name("nobody")
    failed = refused_by(
        lambda: client.create_gateway_target_and_wait(
            WAIT,
            **at,
            name="nowhere",
            target_configuration={"mcp": {"mcpServer": {"endpoint": "http://127.0.0.1:9/mcp"}}},
        )
    )
    for entry in client.list_gateway_targets(**at)["items"]:
        client.delete_gateway_target_and_wait(WAIT, **at, target_id=entry["targetId"])
    client.delete_gateway_and_wait(WAIT, **at)
    return {
        "created": made["status"],
        "updated": [updated["status"], updated["description"]],
        "target": target["status"],
        "changed": [changed["status"], changed["description"]],
        "found": [found["gatewayId"] == made["gatewayId"], found_target["targetId"] == target["targetId"]],
        "missing": missing,
        "failed": failed,
        "left": client.get_gateway_by_name("sdk-gateway"),
    }


def identities():
    """Use every call of the identity client that the control plane answers."""
    client = IdentityClient(REGION)
    workload = client.create_workload_identity(allowed_resource_oauth_2_return_urls=["https://app.example.com/a"])
    name = workload["name"]
    updated = client.update_workload_identity(name, ["https://app.example.com/b"])
    got = client.get_workload_identity(name)
    client.cp_client.delete_workload_identity(name=name)
    github = {"clientId": "your-github-client-id", "clientSecret": "your-github-client-secret"}
    provider = {
        "name": "sdk-github",
        "credentialProviderVendor": "GithubOauth2",
        "oauth2ProviderConfigInput": {"githubOauth2ProviderConfig": github},
    }
    oauth = client.create_oauth2_credential_provider(provider)
    client.update_oauth2_credential_provider(**provider)
    listed = client.list_oauth2_credential_providers()["credentialProviders"]
    client.delete_oauth2_credential_provider(name="sdk-github")
    key = client.create_api_key_credential_provider({"name": "sdk-key", "apiKey": "your-api-key"})
    keys = client.list_api_key_credential_providers()["credentialProviders"]
    client.delete_api_key_credential_provider(name="sdk-key")
    return {
        "workload": [updated["allowedResourceOauth2ReturnUrls"], got["allowedResourceOauth2ReturnUrls"]],
        "oauth": [oauth["credentialProviderArn"], "sdk-github" in [entry["name"] for entry in listed]],
        "key": [key["credentialProviderArn"], "sdk-key" in [entry["name"] for entry in keys]],
        "gone": refused_by(lambda: client.get_oauth2_credential_provider(name="sdk-github")),
        "not_offered": refused_by(lambda: client.get_workload_access_token(name)),
    }


def refused_by(call):
    """Return what a call is refused with."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    except RuntimeError as error:
        return str(error)
    return None


if __name__ == "__main__":
    json.dump({"gateways": gateways(sys.argv[1]), "identities": identities()}, sys.stdout)
