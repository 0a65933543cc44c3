"""Pure rules of the AgentCore API: ARNs, propagation of headers, what fits a gateway."""

import pytest

from control.agentcore import server
from control.house import target
from portico.control import arns
from portico.control.documents import target_faults
from portico.control.propagation import RESTRICTED, metadata_faults, session_faults
from portico.net.egress import Egress

HERE = {"region": "us-east-1", "account": "000000000000"}
HEAD = "arn:aws:bedrock-agentcore:us-east-1:000000000000:"


@pytest.mark.parametrize(
    ("made", "resource", "kind"),
    [
        (arns.gateway_arn("tools-0123456789", **HERE), "gateway/tools-0123456789", "gateway"),
        (arns.target_arn("t-0123456789", "ABCDEFGHIJ", **HERE), "gateway/t-0123456789/target/ABCDEFGHIJ", "target"),
        (
            arns.workload_identity_arn("a.b_c-d", **HERE),
            "workload-identity-directory/default/workload-identity/a.b_c-d",
            "workload-identity",
        ),
        (
            arns.oauth2_provider_arn("g_1", **HERE),
            "token-vault/default/oauth2credentialprovider/g_1",
            "oauth2-provider",
        ),
        (
            arns.api_key_provider_arn("k", **HERE),
            "token-vault/default/apikeycredentialprovider/k",
            "api-key-provider",
        ),
        (arns.token_vault_arn(**HERE), "token-vault/default", "token-vault"),
    ],
)
def test_an_arn_that_was_made_is_read_again(made, resource, kind):
    assert made == HEAD + resource
    read = arns.parse_arn(made)
    assert (read.kind, read.region, read.account, str(read)) == (kind, "us-east-1", "000000000000", made)


def test_the_vaults_other_service_name_and_other_partitions_are_read_and_written_in_one_form():
    other = "arn:aws:acps:us-east-1:000000000000:token-vault/default/oauth2credentialprovider/x"
    assert str(arns.parse_arn(other)) == HEAD + "token-vault/default/oauth2credentialprovider/x"
    assert arns.parse_arn(HEAD.replace("arn:aws:", "arn:aws-cn:") + "gateway/a-0123456789").name == "a-0123456789"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "arn:aws:acps:us-east-1:000000000000:gateway/tools-0123456789",
        "arn:aws:s3:us-east-1:000000000000:gateway/tools-0123456789",
        "arn:aws:bedrock-agentcore:us-east-1:0000:gateway/tools-0123456789",
        "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/x",
        HEAD + "gateway/",
        HEAD + "gateway/a/target/",
        HEAD + "gateway/a/../b",
        HEAD + "gateway/a b",
        HEAD + "gateway/a\n",
        HEAD + "token-vault/other/oauth2credentialprovider/x",
        HEAD + "gateway/" + "a" * 1000,
        " " + HEAD + "gateway/a",
    ],
)
def test_what_is_no_arn_of_ours_is_not_read(text):
    assert arns.parse_arn(text) is None


def metadata(**members):
    return target(metadataConfiguration=members)


def test_headers_that_are_the_gateways_own_or_the_transports_are_never_passed_on():
    ours = ("Authorization", "MCP-Protocol-Version", "Mcp-Param-x", "Forwarded", "X-Request-Id")
    for name in (*RESTRICTED, *ours, "Access-Control-Allow-Private-Network"):
        for member in ("allowedRequestHeaders", "allowedResponseHeaders"):
            [fault] = metadata_faults(metadata(**{member: ["x-tenant", name]}))
            assert fault.path == f"metadataConfiguration.{member}[1]"


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("x-correlation-id", False),
        ("X_Tenant-1", False),
        ("Mcp-Session-Id", False),
        ("X-Amzn-Trace-Id", True),
        ("X-Amzn-Bedrock-AgentCore-Runtime-Custom-a", False),
        ("x:y", True),
        ("x y", True),
        ("x\r\ny", True),
        ("", True),
        ("é", True),
    ],
)
def test_names_of_headers_follow_the_guide(name, refused):
    assert bool(metadata_faults(metadata(allowedRequestHeaders=[name]))) is refused


def test_a_header_is_named_once():
    assert metadata_faults(metadata(allowedRequestHeaders=["x-a", "X-A"])) != []
    assert metadata_faults(metadata(allowedRequestHeaders=["x-a"], allowedResponseHeaders=["x-a"])) == []


KEY = "credentialProviderConfigurations[0].credentialProvider.apiKeyCredentialProvider"


def key_in(place, name=None, **members):
    key = {"providerArn": HEAD + "token-vault/default/apikeycredentialprovider/k", "credentialLocation": place}
    if name is not None:
        key["credentialParameterName"] = name
    provider = {"credentialProviderType": "API_KEY", "credentialProvider": {"apiKeyCredentialProvider": key}}
    return target(credentialProviderConfigurations=[provider], **members)


@pytest.mark.parametrize(
    ("document", "paths"),
    [
        (
            key_in("HEADER", "X-Api-Key", metadataConfiguration={"allowedRequestHeaders": ["x-a", "x-api-key"]}),
            ["metadataConfiguration.allowedRequestHeaders[1]"],
        ),
        (
            key_in("QUERY_PARAMETER", "key", metadataConfiguration={"allowedQueryParameters": ["key", "Key"]}),
            ["metadataConfiguration.allowedQueryParameters[0]"],
        ),
        (
            key_in("QUERY_PARAMETER", metadataConfiguration={"allowedQueryParameters": ["api_key"]}),
            ["metadataConfiguration.allowedQueryParameters[0]"],
        ),
        (
            key_in("QUERY_PARAMETER", "v", targetConfiguration=server(endpoint="https://a.example/mcp?v=1")),
            [f"{KEY}.credentialParameterName"],
        ),
        (
            target(
                targetConfiguration=server(endpoint="https://a.example/mcp?v=1&w"),
                metadataConfiguration={"allowedQueryParameters": ["w", "a", "a"]},
            ),
            ["metadataConfiguration.allowedQueryParameters[0]", "metadataConfiguration.allowedQueryParameters[2]"],
        ),
        (key_in("HEADER", "X-Api-Key", metadataConfiguration={"allowedResponseHeaders": ["x-api-key"]}), []),
    ],
)
def test_callers_cannot_write_where_the_gateways_key_or_the_endpoint_stands(document, paths):
    assert [fault.path for fault in metadata_faults(document)] == paths


def test_the_session_header_is_refused_under_a_gateway_that_keeps_sessions():
    document = metadata(allowedRequestHeaders=["mcp-session-id"], allowedResponseHeaders=["Mcp-Session-Id"])
    assert session_faults(document, {}) == []
    sessions = {"protocolConfiguration": {"mcp": {"sessionConfiguration": {}}}}
    assert [fault.path for fault in session_faults(document, sessions)] == [
        "metadataConfiguration.allowedRequestHeaders[0]",
        "metadataConfiguration.allowedResponseHeaders[0]",
    ]


def test_faults_of_a_target_in_a_file_stand_under_its_path():
    document = target(targetConfiguration=server(mcpToolSchema={"inlinePayload": "{"}))
    [fault] = target_faults(document, {}, egress=Egress(), path="gateways[0].targets[1]")
    assert fault.path.startswith("gateways[0].targets[1].targetConfiguration.mcp.mcpServer.mcpToolSchema")
