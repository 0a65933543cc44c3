"""boto3, unmodified, runs the life of every offered operation against a real process."""

import json
import uuid

import pytest
from agentcore_demo import ROLE, list_tools, mcp

from portico.control.api.offered import OFFERED

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("agentcore")]

TOOLS = json.dumps({"tools": [{"name": "multiply_numbers", "inputSchema": {"type": "object"}}]})
SECRET = "canary-secret-6d1f"
DISCOVERY = "https://idp.example.com/.well-known/openid-configuration"


def unique(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def oauth(secret=SECRET):
    """The configuration of a provider that speaks for itself."""
    config = {"oauthDiscovery": {"discoveryUrl": DISCOVERY}, "clientId": "portico", "clientSecret": secret}
    return {
        "credentialProviderVendor": "CustomOauth2",
        "oauth2ProviderConfigInput": {"customOauth2ProviderConfig": config},
    }


class Life:
    """What one test makes, and takes away again."""

    def __init__(self, administered):
        self.administered = administered
        self.control = administered.control
        self.errors = administered.control.exceptions
        self._undo = []

    def gateway(self, **members):
        made = self.control.create_gateway(
            **{"name": unique("tools"), "roleArn": ROLE, "protocolType": "MCP", "authorizerType": "NONE"} | members
        )
        self._undo.append((self.control.delete_gateway, {"gatewayIdentifier": made["gatewayId"]}))
        return made

    def target(self, gateway, **members):
        at = {"gatewayIdentifier": gateway["gatewayId"]}
        wanted = {"name": "calc", "targetConfiguration": self.administered.server} | members
        made = self.control.create_gateway_target(**at, **wanted)
        self._undo.append((self.control.delete_gateway_target, at | {"targetId": made["targetId"]}))
        return made

    def named(self, kind, **members):
        """Make a provider or an identity of a new name."""
        name = members.pop("name", unique(kind.replace("_", "-")))
        made = getattr(self.control, f"create_{kind}")(name=name, **members)
        self._undo.append((getattr(self.control, f"delete_{kind}"), {"name": name}))
        return made

    def end(self):
        for call, arguments in reversed(self._undo):
            try:
                call(**arguments)
            except self.errors.ResourceNotFoundException:
                continue


@pytest.fixture
def life(administered):
    made = Life(administered)
    yield made
    made.end()


# --- gateways --------------------------------------------------------------------------------------------------------


def test_create_gateway(life, administered):
    token = str(uuid.uuid4())
    wanted = {
        "name": unique("Secured"),
        "description": "All of our tools",
        "protocolConfiguration": {
            "mcp": {
                "supportedVersions": ["2026-07-28", "2025-11-25"],
                "streamingConfiguration": {"enableResponseStreaming": True},
                "instructions": "Multiply.",
            }
        },
        "authorizerType": "CUSTOM_JWT",
        "authorizerConfiguration": {
            "customJWTAuthorizer": {"discoveryUrl": administered.discovery_url, "allowedScopes": ["mcp/invoke"]}
        },
        "exceptionLevel": "DEBUG",
        "tags": {"team": "a"},
        "clientToken": token,
    }
    made = life.gateway(**wanted)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert made["gatewayArn"].endswith(f":gateway/{made['gatewayId']}")
    assert made["gatewayUrl"] == f"{administered.demo.facts['public_url']}/g/{made['gatewayId']}/mcp"
    assert made["workloadIdentityDetails"]["workloadIdentityArn"].endswith(f"/{made['gatewayId']}")
    again = life.gateway(**wanted)  # the same token: ignored, without an error
    assert again["gatewayId"] == made["gatewayId"]
    with pytest.raises(life.errors.ValidationException) as mismatched:
        life.control.create_gateway(roleArn=ROLE, protocolType="MCP", **wanted | {"name": unique("other")})
    assert mismatched.value.response["reason"] == "IdempotentParameterMismatchException"
    with pytest.raises(life.errors.ConflictException):
        life.control.create_gateway(roleArn=ROLE, protocolType="MCP", **wanted | {"clientToken": str(uuid.uuid4())})


def test_get_gateway(life):
    made = life.gateway(description="as made")
    got = life.control.get_gateway(gatewayIdentifier=made["gatewayId"])
    assert got["status"] == "READY"
    assert {name: got[name] for name in got if name != "ResponseMetadata"} == {
        name: made[name] for name in made if name != "ResponseMetadata"
    }
    with pytest.raises(life.errors.ResourceNotFoundException):
        life.control.get_gateway(gatewayIdentifier="nobody-0123456789")


def test_update_gateway_replaces_everything(life):
    made = life.gateway(description="before", exceptionLevel="DEBUG")
    name, at = made["name"], {"gatewayIdentifier": made["gatewayId"]}
    plain = {"name": name, "roleArn": ROLE, "protocolType": "MCP", "authorizerType": "NONE"}
    changed = life.control.update_gateway(**at, **plain, description="after")
    assert (changed["description"], changed["gatewayUrl"]) == ("after", made["gatewayUrl"])
    assert "exceptionLevel" not in changed  # left out is reset
    with pytest.raises(life.errors.ValidationException) as refused:
        life.control.update_gateway(**at, **plain, kmsKeyArn="arn:aws:kms:us-east-1:123456789012:key/" + "0" * 36)
    assert [fault["name"] for fault in refused.value.response["fieldList"]] == ["kmsKeyArn"]
    with pytest.raises(life.errors.ResourceNotFoundException):
        life.control.update_gateway(gatewayIdentifier="nobody-0123456789", **plain)


def test_delete_gateway(life):
    made = life.gateway()
    life.target(made)
    with pytest.raises(life.errors.ValidationException) as in_use:
        life.control.delete_gateway(gatewayIdentifier=made["gatewayId"])
    assert in_use.value.response["reason"] == "ResourceConflict"
    empty = life.gateway()
    gone = life.control.delete_gateway(gatewayIdentifier=empty["gatewayId"])
    assert (gone["gatewayId"], gone["status"]) == (empty["gatewayId"], "DELETING")
    with pytest.raises(life.errors.ResourceNotFoundException):
        life.control.delete_gateway(gatewayIdentifier=empty["gatewayId"])


def test_list_gateways(life):
    made = {life.gateway()["gatewayId"] for _ in range(3)}
    pages = life.control.get_paginator("list_gateways").paginate(PaginationConfig={"PageSize": 1})
    seen = [item["gatewayId"] for page in pages for item in page["items"]]
    assert made <= set(seen)
    assert len(seen) == len(set(seen))
    with pytest.raises(life.errors.ValidationException):
        life.control.list_gateways(nextToken="made-up")


# --- targets ---------------------------------------------------------------------------------------------------------


def test_create_gateway_target(life, administered):
    gateway = life.gateway()
    made = life.target(gateway, description="Two tools")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert made["gatewayArn"] == gateway["gatewayArn"]
    assert administered.ready(gateway["gatewayId"], made["targetId"])["status"] == "READY"
    assert "calc___multiply_numbers" in administered.served(gateway["gatewayUrl"], "calc___multiply_numbers")
    called = mcp(gateway["gatewayUrl"], "tools/call", name="calc___multiply_numbers", arguments={"a": 6, "b": 7})
    assert "42" in called.text
    with pytest.raises(life.errors.ConflictException):
        life.target(gateway)


def test_create_gateway_target_with_its_tools_stated(life, administered):
    gateway = life.gateway()
    stated = {"mcp": {"mcpServer": {"endpoint": administered.endpoint, "mcpToolSchema": {"inlinePayload": TOOLS}}}}
    made = life.target(gateway, targetConfiguration=stated)
    assert made["status"] == "READY"
    assert administered.served(gateway["gatewayUrl"], "calc___multiply_numbers") == ["calc___multiply_numbers"]
    with pytest.raises((life.errors.ValidationException, life.errors.ConflictException)):
        life.control.synchronize_gateway_targets(
            gatewayIdentifier=gateway["gatewayId"], targetIdList=[made["targetId"]]
        )


def test_get_gateway_target(life):
    gateway = life.gateway()
    made = life.target(gateway, description="Two tools")
    got = life.control.get_gateway_target(gatewayIdentifier=gateway["gatewayId"], targetId=made["targetId"])
    assert (got["name"], got["description"]) == ("calc", "Two tools")
    assert got["targetConfiguration"] == made["targetConfiguration"]
    with pytest.raises(life.errors.ResourceNotFoundException):
        life.control.get_gateway_target(gatewayIdentifier=gateway["gatewayId"], targetId="0123456789")


def test_update_gateway_target(life, administered):
    gateway = life.gateway()
    at = {"gatewayIdentifier": gateway["gatewayId"], "targetId": life.target(gateway)["targetId"]}
    administered.served(gateway["gatewayUrl"], "calc___multiply_numbers")
    life.control.update_gateway_target(**at, name="renamed", targetConfiguration=administered.server)
    assert administered.ready(gateway_id=at["gatewayIdentifier"], target_id=at["targetId"])["name"] == "renamed"
    names = administered.served(gateway["gatewayUrl"], "renamed___multiply_numbers")
    assert not any(name.startswith("calc___") for name in names)


def test_delete_gateway_target(life, administered):
    gateway = life.gateway()
    at = {"gatewayIdentifier": gateway["gatewayId"], "targetId": life.target(gateway)["targetId"]}
    administered.served(gateway["gatewayUrl"], "calc___multiply_numbers")
    gone = life.control.delete_gateway_target(**at)
    assert (gone["targetId"], gone["status"]) == (at["targetId"], "DELETING")
    with pytest.raises(life.errors.ResourceNotFoundException):
        life.control.get_gateway_target(**at)


def test_list_gateway_targets(life, administered):
    gateway = life.gateway()
    made = {life.target(gateway, name=f"calc{number}")["targetId"] for number in range(3)}
    pages = life.control.get_paginator("list_gateway_targets").paginate(
        gatewayIdentifier=gateway["gatewayId"], PaginationConfig={"PageSize": 2}
    )
    assert {item["targetId"] for page in pages for item in page["items"]} == made


def test_synchronize_gateway_targets(life, administered):
    gateway = life.gateway()
    target = life.target(gateway)["targetId"]
    administered.ready(gateway["gatewayId"], target)
    answer = life.control.synchronize_gateway_targets(gatewayIdentifier=gateway["gatewayId"], targetIdList=[target])
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert [entry["status"] for entry in answer["targets"]] == ["SYNCHRONIZING"]
    found = administered.ready(gateway["gatewayId"], target)
    assert found["status"] == "READY"
    assert found["lastSynchronizedAt"].tzinfo is not None


# --- providers -------------------------------------------------------------------------------------------------------


def test_create_oauth2_credential_provider(life):
    made = life.named("oauth2_credential_provider", **oauth())
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["callbackUrl"].startswith("http")
    assert SECRET not in str(made)
    with pytest.raises(life.errors.ConflictException):
        life.named("oauth2_credential_provider", name=made["name"], **oauth())


def test_get_oauth2_credential_provider(life):
    made = life.named("oauth2_credential_provider", **oauth())
    got = life.control.get_oauth2_credential_provider(name=made["name"])
    assert got["credentialProviderVendor"] == "CustomOauth2"
    assert got["oauth2ProviderConfigOutput"]["customOauth2ProviderConfig"]["clientId"] == "portico"
    assert SECRET not in str(got)
    with pytest.raises(life.errors.ResourceNotFoundException):
        life.control.get_oauth2_credential_provider(name="nobody")


def test_update_oauth2_credential_provider(life):
    made = life.named("oauth2_credential_provider", **oauth())
    changed = life.control.update_oauth2_credential_provider(name=made["name"], **oauth("another-" + SECRET))
    assert changed["callbackUrl"] == made["callbackUrl"]
    assert changed["lastUpdatedTime"] >= changed["createdTime"]
    assert SECRET not in str(changed)


def test_delete_oauth2_credential_provider(life):
    made = life.named("oauth2_credential_provider", **oauth())
    assert (
        life.control.delete_oauth2_credential_provider(name=made["name"])["ResponseMetadata"]["HTTPStatusCode"] == 204
    )
    with pytest.raises(life.errors.ResourceNotFoundException):
        life.control.get_oauth2_credential_provider(name=made["name"])


def test_list_oauth2_credential_providers(life):
    made = {life.named("oauth2_credential_provider", **oauth())["name"] for _ in range(3)}
    pages = life.control.get_paginator("list_oauth2_credential_providers").paginate(PaginationConfig={"PageSize": 2})
    assert made <= {entry["name"] for page in pages for entry in page["credentialProviders"]}


def test_create_api_key_credential_provider(life):
    made = life.named("api_key_credential_provider", apiKey=SECRET, tags={"team": "a"})
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["credentialProviderArn"].endswith(f"/apikeycredentialprovider/{made['name']}")
    assert SECRET not in str(made)


def test_get_api_key_credential_provider(life):
    made = life.named("api_key_credential_provider", apiKey=SECRET)
    got = life.control.get_api_key_credential_provider(name=made["name"])
    assert got["credentialProviderArn"] == made["credentialProviderArn"]
    assert SECRET not in str(got)


def test_update_api_key_credential_provider(life):
    made = life.named("api_key_credential_provider", apiKey=SECRET)
    changed = life.control.update_api_key_credential_provider(name=made["name"], apiKey="another-" + SECRET)
    assert changed["credentialProviderArn"] == made["credentialProviderArn"]
    assert SECRET not in str(changed)


def test_delete_api_key_credential_provider(life):
    made = life.named("api_key_credential_provider", apiKey=SECRET)
    gateway = life.gateway()
    credential = {"apiKeyCredentialProvider": {"providerArn": made["credentialProviderArn"]}}
    used = [{"credentialProviderType": "API_KEY", "credentialProvider": credential}]
    target = life.target(gateway, credentialProviderConfigurations=used)
    with pytest.raises(life.errors.ValidationException) as in_use:
        life.control.delete_api_key_credential_provider(name=made["name"])
    assert in_use.value.response["reason"] == "ResourceConflict"
    life.control.delete_gateway_target(gatewayIdentifier=gateway["gatewayId"], targetId=target["targetId"])
    life.control.delete_api_key_credential_provider(name=made["name"])
    with pytest.raises(life.errors.ResourceNotFoundException):
        life.control.delete_api_key_credential_provider(name=made["name"])


def test_list_api_key_credential_providers(life):
    made = {life.named("api_key_credential_provider", apiKey=SECRET)["name"] for _ in range(3)}
    pages = life.control.get_paginator("list_api_key_credential_providers").paginate(PaginationConfig={"PageSize": 2})
    assert made <= {entry["name"] for page in pages for entry in page["credentialProviders"]}


# --- identities ------------------------------------------------------------------------------------------------------


def test_create_workload_identity(life):
    made = life.named("workload_identity", allowedResourceOauth2ReturnUrls=["https://app.example.com/done"])
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["workloadIdentityArn"].endswith(f"/workload-identity/{made['name']}")


def test_get_workload_identity(life):
    gateway = life.gateway()
    got = life.control.get_workload_identity(name=gateway["gatewayId"])  # made with the gateway
    assert got["workloadIdentityArn"] == gateway["workloadIdentityDetails"]["workloadIdentityArn"]
    with pytest.raises(life.errors.ResourceNotFoundException):
        life.control.get_workload_identity(name="nobody")


def test_update_workload_identity(life):
    made = life.named("workload_identity")
    urls = ["https://app.example.com/done"]
    changed = life.control.update_workload_identity(name=made["name"], allowedResourceOauth2ReturnUrls=urls)
    assert changed["allowedResourceOauth2ReturnUrls"] == urls


def test_delete_workload_identity(life):
    made = life.named("workload_identity")
    life.control.delete_workload_identity(name=made["name"])
    with pytest.raises(life.errors.ResourceNotFoundException):
        life.control.get_workload_identity(name=made["name"])


def test_list_workload_identities(life):
    made = {life.named("workload_identity")["name"] for _ in range(3)}
    pages = life.control.get_paginator("list_workload_identities").paginate(PaginationConfig={"PageSize": 2})
    assert made <= {entry["name"] for page in pages for entry in page["workloadIdentities"]}


# --- the vault and tags ----------------------------------------------------------------------------------------------


def test_get_token_vault(life):
    vault = life.control.get_token_vault()
    assert (vault["tokenVaultId"], vault["kmsConfiguration"]["keyType"]) == ("default", "ServiceManagedKey")


def test_set_token_vault_cmk(life):
    key = "arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
    with pytest.raises(life.errors.ValidationException) as refused:
        life.control.set_token_vault_cmk(kmsConfiguration={"keyType": "CustomerManagedKey", "kmsKeyArn": key})
    assert "not built" in refused.value.response["Error"]["Message"]
    kept = life.control.set_token_vault_cmk(kmsConfiguration={"keyType": "ServiceManagedKey"})
    assert kept["kmsConfiguration"]["keyType"] == "ServiceManagedKey"


def tags_of(life, arn):
    return life.control.list_tags_for_resource(resourceArn=arn)["tags"]


def test_tag_resource(life):
    arns = [
        life.gateway()["gatewayArn"],
        life.named("workload_identity")["workloadIdentityArn"],
        life.named("api_key_credential_provider", apiKey=SECRET)["credentialProviderArn"],
        life.named("oauth2_credential_provider", **oauth())["credentialProviderArn"],
    ]
    for arn in arns:
        life.control.tag_resource(resourceArn=arn, tags={"team": "a", "stage": "test"})
        assert tags_of(life, arn) == {"team": "a", "stage": "test"}
    with pytest.raises(life.errors.ResourceNotFoundException):
        life.control.tag_resource(resourceArn=arns[0].rpartition("/")[0] + "/nobody-0123456789", tags={"a": "b"})


def test_untag_resource(life):
    arn = life.gateway(tags={"team": "a", "cost center": "7", "stage": "test"})["gatewayArn"]
    life.control.untag_resource(resourceArn=arn, tagKeys=["team", "cost center"])
    assert tags_of(life, arn) == {"stage": "test"}


def test_list_tags_for_resource(life):
    arn = life.gateway(tags={"team": "a"})["gatewayArn"]
    assert tags_of(life, arn) == {"team": "a"}
    assert tags_of(life, life.gateway()["gatewayArn"]) == {}


# --- all of it -------------------------------------------------------------------------------------------------------


def test_every_offered_operation_has_its_test():
    tests = " ".join(name.replace("_", "") for name in globals() if name.startswith("test_"))
    assert [name for name in OFFERED if f"test{name.lower()}" not in tests] == []


def test_a_gateway_whose_authorizer_is_ours_is_called_with_a_token_for_it(life, administered):
    rules = {"customJWTAuthorizer": {"discoveryUrl": administered.discovery_url, "allowedScopes": ["mcp/invoke"]}}
    gateway = life.gateway(authorizerType="CUSTOM_JWT", authorizerConfiguration=rules)
    life.target(gateway)
    url = gateway["gatewayUrl"]
    assert mcp(url, "tools/list").status_code == 401
    names = administered.served(url, "calc___multiply_numbers", administered.token(url))
    assert names
    assert list_tools(url, administered.token(administered.demo.mcp_url))[0] == []  # for another gateway


def test_what_a_file_manages_is_not_changed_through_the_api(life, administered):
    at = {"gatewayIdentifier": administered.demo.facts["gateway_id"]}
    got = life.control.get_gateway(**at)
    assert any("portico.yaml" in reason or "anaged by" in reason for reason in got["statusReasons"])
    with pytest.raises((life.errors.ConflictException, life.errors.ValidationException)):
        life.control.update_gateway(
            **at, name=got["name"], roleArn=ROLE, protocolType="MCP", authorizerType="NONE", description="mine"
        )
    assert life.control.get_gateway(**at)["description"] == got["description"]
