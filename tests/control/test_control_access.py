"""The table of roles: what is not in it is an administrator's."""

import pytest

from portico.control.access import OPERATES, READS, Caller, allow, gateway_of
from portico.model.access_key import ROLES
from portico.model.errors import Forbidden

GATEWAY = "tools-0123456789"
OTHER = "other-0123456789"
ARN = "arn:aws:bedrock-agentcore:us-east-1:000000000000:gateway/{}"
OFFERED = {
    *(f"{verb}{noun}" for verb in ("Create", "Get", "Update", "Delete") for noun in ("Gateway", "GatewayTarget")),
    *("ListGateways", "ListGatewayTargets", "SynchronizeGatewayTargets"),
    *(
        f"{verb}{noun}"
        for verb in ("Create", "Get", "Update", "Delete")
        for noun in ("Oauth2CredentialProvider", "ApiKeyCredentialProvider", "WorkloadIdentity")
    ),
    *("ListOauth2CredentialProviders", "ListApiKeyCredentialProviders", "ListWorkloadIdentities"),
    *("GetTokenVault", "SetTokenVaultCMK", "TagResource", "UntagResource", "ListTagsForResource"),
}


def caller(role="administrator", *gateways):
    return Caller(access_key_id="PORTICO0123456789ABC", name="ada", role=role, gateways=frozenset(gateways))


def may(who, operation, **request):
    try:
        allow(who, operation, request)
    except Forbidden:
        return False
    return True


def test_the_table_speaks_of_operations_that_are_offered():
    assert READS | OPERATES <= OFFERED
    assert len(OFFERED) == 31


@pytest.mark.parametrize("operation", sorted(OFFERED))
def test_each_role_may_what_its_line_of_the_table_says(operation):
    allowed = {role for role in ROLES if may(caller(role), operation)}
    reading = operation.startswith(("Get", "List"))
    running = operation.endswith(("GatewayTarget", "GatewayTargets")) or operation in {"TagResource", "UntagResource"}
    expected = {"administrator"}
    expected |= {"operator"} if reading or running else set()
    expected |= {"reader"} if reading else set()
    assert allowed == expected


@pytest.mark.parametrize("operation", ["GetResourceApiKey", "GetResourceOauth2Token", "GetWorkloadAccessToken"])
def test_an_operation_that_tells_secrets_is_not_taken_for_reading(operation):
    assert [role for role in ROLES if may(caller(role), operation)] == ["administrator"]


@pytest.mark.parametrize("operation", ["CreateGatewayTarget", "UpdateGatewayTarget"])
def test_only_an_administrator_puts_a_credential_behind_an_endpoint(operation):
    request = {"gatewayIdentifier": GATEWAY, "credentialProviderConfigurations": [{}]}
    assert [role for role in ROLES if may(caller(role), operation, **request)] == ["administrator"]
    assert may(caller("operator"), operation, gatewayIdentifier=GATEWAY, credentialProviderConfigurations=[])


@pytest.mark.parametrize("role", ["administrator", "operator", "reader"])
def test_a_confined_key_reaches_its_gateways_and_nothing_else(role):
    confined = caller(role, GATEWAY)
    assert may(confined, "GetGateway", gatewayIdentifier=GATEWAY)
    assert may(confined, "ListGatewayTargets", gatewayIdentifier=GATEWAY)
    assert may(confined, "ListTagsForResource", resourceArn=ARN.format(GATEWAY))
    assert not may(confined, "GetGateway", gatewayIdentifier=OTHER)
    assert not may(confined, "ListTagsForResource", resourceArn=ARN.format(OTHER))
    for operation in ("CreateGateway", "ListGateways", "ListWorkloadIdentities", "GetTokenVault"):
        assert not may(confined, operation)


def test_a_confined_administrator_may_change_its_gateway():
    assert may(caller("administrator", GATEWAY), "UpdateGateway", gatewayIdentifier=GATEWAY)
    assert not may(caller("administrator", OTHER), "DeleteGateway", gatewayIdentifier=GATEWAY)


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:bedrock-agentcore:us-east-1:0:workload-identity-directory/default/workload-identity/gateway/{GATEWAY}",
        f"arn:aws:bedrock-agentcore:us-east-1:0:token-vault/x:gateway/{GATEWAY}",
        f"arn:aws:bedrock-agentcore:us-east-1:0:gateways/{GATEWAY}",
        "arn:aws:bedrock-agentcore:us-east-1:0:gateway",
        GATEWAY,
        "",
        None,
        [ARN.format(GATEWAY)],
    ],
)
def test_only_a_gateway_s_own_arn_names_it(arn):
    assert gateway_of({"resourceArn": arn}) is None


def test_a_target_s_arn_belongs_to_its_gateway():
    assert gateway_of({"resourceArn": ARN.format(f"{GATEWAY}/target/ABCDEFGHIJ")}) == GATEWAY


def test_the_refusal_names_who_what_and_why():
    with pytest.raises(Forbidden) as caught:
        allow(caller("reader"), "DeleteGateway", {"gatewayIdentifier": GATEWAY})
    assert caught.value.public == (
        "User: arn:aws:iam::000000000000:user/ada is not authorized to perform: bedrock-agentcore:DeleteGateway, "
        "because the role reader does not include it."
    )
