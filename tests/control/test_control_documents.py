import pytest

from control.house import DISCOVERY, FOREIGN, gateway, jwt, target
from portico.control.documents import gateway_faults, target_faults
from portico.control.relaxations import RELAXATIONS, Ground
from portico.control.shapes import check_shape


@pytest.fixture
def judge(ground):
    def judge(document, extension=None):
        return {fault.path: fault.message for fault in gateway_faults(document, extension or {}, ground=ground)}

    return judge


@pytest.fixture
def judge_target(egress):
    def judge(document, extension=None):
        return {fault.path: fault.message for fault in target_faults(document, extension or {}, egress=egress)}

    return judge


def test_a_gateway_without_role_is_in_order(judge):
    assert judge(gateway()) == {}


def test_everything_that_awss_model_allows_and_portico_does_is_accepted(judge):
    document = gateway(
        description="Tools for all",
        roleArn="arn:aws:iam::123456789012:role/Gateway",
        exceptionLevel="DEBUG",
        tags={"team": "platform"},
        protocolConfiguration={
            "mcp": {
                "supportedVersions": ["2025-11-25", "2026-07-28"],
                "instructions": "Be kind.",
                "sessionConfiguration": {"sessionTimeoutInSeconds": 900},
                "streamingConfiguration": {"enableResponseStreaming": True},
                "disableMcpListToolsPagination": True,
            }
        },
        authorizerConfiguration=jwt(
            discoveryUrl=FOREIGN,
            allowedAudience=["portico"],
            allowedClients=["c1"],
            allowedScopes=["api://x/read"],
            advertisedScopeMapping={"api://x/read": "read"},
            customClaims=[
                {
                    "inboundTokenClaimName": "groups",
                    "inboundTokenClaimValueType": "STRING_ARRAY",
                    "authorizingClaimMatchValue": {
                        "claimMatchOperator": "CONTAINS_ANY",
                        "claimMatchValue": {"matchValueStringList": ["a", "b"]},
                    },
                }
            ],
        ),
    )
    assert judge(document, {"pageSize": 50, "allowedOrigins": ["https://app.example"]}) == {}


def test_every_fault_is_reported_at_once_with_its_path(judge):
    document = gateway(
        name="-bad name-",
        exceptionLevel="LOUD",
        surprise=1,
        protocolConfiguration={"mcp": {"sessionConfiguration": {"sessionTimeoutInSeconds": 5}}},
        authorizerConfiguration=jwt(allowedClients=[]),
    )
    assert set(judge(document, {"pageSize": 0, "colour": "red"})) == {
        "name",
        "exceptionLevel",
        "surprise",
        "protocolConfiguration.mcp.sessionConfiguration.sessionTimeoutInSeconds",
        "authorizerConfiguration.customJWTAuthorizer.allowedClients",
        "x-portico.pageSize",
        "x-portico.colour",
    }


def test_an_empty_list_of_clients_is_refused_so_that_shrinking_it_to_nothing_opens_nothing(judge):
    faults = judge(gateway(authorizerConfiguration=jwt(allowedClients=[])))
    assert "leave it out" in faults["authorizerConfiguration.customJWTAuthorizer.allowedClients"]


def test_no_fault_quotes_a_value(ground):
    secret = "hunter2" * 100
    document = gateway(name=secret, authorizerType=secret, tags={"t": secret}, roleArn=secret)
    assert "hunter2" not in " ".join(str(fault) for fault in gateway_faults(document, {}, ground=ground))


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"kmsKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/x"}, "kmsKeyArn"),
        ({"interceptorConfigurations": []}, "interceptorConfigurations"),
        ({"policyEngineConfiguration": {}}, "policyEngineConfiguration"),
        ({"domainOverride": {"default": "tools.example"}}, "domainOverride"),
        ({"clientToken": "x" * 40}, "clientToken"),
        ({"customTransformConfiguration": {"lambda": {}}}, "customTransformConfiguration"),
        ({"protocolConfiguration": {"mcp": {"searchType": "SEMANTIC"}}}, "protocolConfiguration.mcp.searchType"),
        (
            {"authorizerConfiguration": jwt(certificateConfigurations=[{"s3": {"uri": "s3://x"}}])},
            "authorizerConfiguration.customJWTAuthorizer.certificateConfigurations",
        ),
        (
            {"authorizerConfiguration": jwt(privateEndpoint={})},
            "authorizerConfiguration.customJWTAuthorizer.privateEndpoint",
        ),
    ],
)
def test_what_is_not_built_is_refused_by_name_and_only_once(judge, members, path):
    faults = judge(gateway(**members))
    assert set(faults) == {path}
    assert "not built" in faults[path] or "applied" in faults[path]


@pytest.mark.parametrize(
    ("configuration", "path"),
    [
        ({"mcp": {"openApiSchema": {"inlinePayload": "{}"}}}, "mcp.openApiSchema"),
        ({"mcp": {"lambda": {}}}, "mcp.lambda"),
        ({"mcp": {"smithyModel": {}}}, "mcp.smithyModel"),
        ({"mcp": {"apiGateway": {}}}, "mcp.apiGateway"),
        ({"mcp": {"connector": {}}}, "mcp.connector"),
        ({"http": {"agentcoreRuntime": {}}}, "http"),
        ({"inference": {}}, "inference"),
        (
            {"mcp": {"mcpServer": {"endpoint": "https://a.example/mcp", "resourcePriority": 1}}},
            "mcp.mcpServer.resourcePriority",
        ),
        (
            {"mcp": {"mcpServer": {"endpoint": "https://a.example/mcp", "mcpToolSchema": {"s3": {}}}}},
            "mcp.mcpServer.mcpToolSchema.s3",
        ),
    ],
)
def test_targets_of_other_kinds_are_refused_by_name_and_only_once(judge_target, configuration, path):
    faults = judge_target(target(targetConfiguration=configuration))
    assert set(faults) == {f"targetConfiguration.{path}"}


@pytest.mark.parametrize("member", ["credentialProviderConfigurations", "privateEndpoint"])
def test_members_of_targets_without_effect_are_refused(judge_target, member):
    assert member in judge_target(target(**{member: {}}))


@pytest.mark.parametrize("mode", ["DEFAULT", "DYNAMIC"])
def test_both_ways_of_listing_are_accepted(judge_target, mode):
    server = {"endpoint": "https://a.example/mcp", "listingMode": mode}
    assert judge_target(target(targetConfiguration={"mcp": {"mcpServer": server}})) == {}


def test_exactly_one_member_of_a_union_is_wanted(judge_target):
    assert "targetConfiguration" in judge_target(target(targetConfiguration={}))
    assert "targetConfiguration.mcp" in judge_target(target(targetConfiguration={"mcp": {}}))


def test_a_custom_jwt_gateway_needs_its_configuration_and_none_must_have_none(judge):
    document = gateway()
    del document["authorizerConfiguration"]
    assert set(judge(document)) == {"authorizerConfiguration.customJWTAuthorizer"}
    assert set(judge(gateway(authorizerType="NONE"))) == {"authorizerConfiguration"}
    assert judge(document | {"authorizerType": "NONE"}) == {}


def test_a_gateway_without_protocol_type_is_not_built(judge):
    document = gateway()
    del document["protocolType"]
    assert set(judge(document)) == {"protocolType"}


def test_versions_must_be_known_and_at_least_one(judge):
    faults = judge(gateway(protocolConfiguration={"mcp": {"supportedVersions": ["2025-11-25", "2024-11-05"]}}))
    assert set(faults) == {"protocolConfiguration.mcp.supportedVersions[1]"}
    assert judge(gateway(protocolConfiguration={"mcp": {"supportedVersions": []}})) != {}


def test_our_own_issuer_needs_no_further_rule_but_a_foreign_one_does(judge):
    assert judge(gateway(authorizerConfiguration=jwt())) == {}
    faults = judge(gateway(authorizerConfiguration=jwt(discoveryUrl=FOREIGN)))
    assert set(faults) == {"authorizerConfiguration.customJWTAuthorizer"}
    assert judge(gateway(authorizerConfiguration=jwt(discoveryUrl=FOREIGN, allowedAudience=["x"]))) == {}


@pytest.mark.parametrize(
    "url",
    [
        "https://portico.example/i/other/.well-known/openid-configuration",
        "https://portico.example/i/main/extra/.well-known/openid-configuration",
        "https://portico.example/.well-known/oauth-authorization-server/i/other",
        "https://portico.example/.well-known/openid-configuration",
        "https://portico.example/i/root/.well-known/openid-configuration",
    ],
)
def test_a_discovery_url_under_our_origin_must_be_that_of_a_declared_issuer(judge, url):
    faults = judge(gateway(authorizerConfiguration=jwt(discoveryUrl=url, allowedAudience=["x"])))
    assert set(faults) == {"authorizerConfiguration.customJWTAuthorizer.discoveryUrl"}


@pytest.mark.parametrize(
    "url",
    [
        DISCOVERY,
        "https://portico.example/.well-known/oauth-authorization-server/i/main",
        "https://portico.example/.well-known/openid-configuration/i/main",
    ],
)
def test_every_metadata_location_of_our_issuer_is_accepted(judge, url):
    assert judge(gateway(authorizerConfiguration=jwt(discoveryUrl=url))) == {}


def test_the_issuer_named_root_is_at_the_origin_itself():
    ground = Ground(public_url="https://portico.example", issuers=frozenset({"root"}))

    def faults(url):
        return gateway_faults(gateway(authorizerConfiguration=jwt(discoveryUrl=url)), {}, ground=ground)

    usual = "https://portico.example/.well-known/openid-configuration"
    assert faults(usual) == []
    assert faults("https://portico.example/.well-known/oauth-authorization-server") == []
    [fault] = faults("https://portico.example/i/root/.well-known/openid-configuration")
    assert usual in fault.message


@pytest.mark.case("E15")
def test_a_plain_http_issuer_off_loopback_is_refused(judge):
    def faults(url):
        return judge(gateway(authorizerConfiguration=jwt(discoveryUrl=url, allowedAudience=["x"])))

    assert faults("http://idp.example/.well-known/openid-configuration") != {}
    assert faults("http://127.0.0.1:9000/.well-known/openid-configuration") == {}


@pytest.mark.parametrize(
    ("kind", "operator", "value", "bad"),
    [
        ("STRING", "EQUALS", {"matchValueString": "a"}, None),
        ("STRING", "CONTAINS", {"matchValueString": "a"}, "claimMatchOperator"),
        ("STRING_ARRAY", "EQUALS", {"matchValueString": "a"}, "claimMatchOperator"),
        ("STRING_ARRAY", "CONTAINS", {"matchValueString": "a"}, None),
        ("STRING_ARRAY", "CONTAINS", {"matchValueStringList": ["a"]}, "claimMatchValue"),
        ("STRING_ARRAY", "CONTAINS_ANY", {"matchValueString": "a"}, "claimMatchValue"),
        ("STRING_ARRAY", "CONTAINS_ANY", {"matchValueStringList": ["a"]}, None),
    ],
)
def test_type_operator_and_value_of_a_claim_rule_belong_together(judge, kind, operator, value, bad):
    claim = {
        "inboundTokenClaimName": "groups",
        "inboundTokenClaimValueType": kind,
        "authorizingClaimMatchValue": {"claimMatchOperator": operator, "claimMatchValue": value},
    }
    faults = judge(gateway(authorizerConfiguration=jwt(customClaims=[claim])))
    assert [path.rpartition(".")[2] for path in faults] == ([bad] if bad else [])


def test_an_advertised_scope_must_be_an_allowed_one(judge):
    faults = judge(gateway(authorizerConfiguration=jwt(allowedScopes=["a"], advertisedScopeMapping={"b": "c"})))
    assert list(faults) == ["authorizerConfiguration.customJWTAuthorizer.advertisedScopeMapping['b']"]


@pytest.mark.parametrize(
    ("endpoint", "private", "accepted"),
    [
        ("https://calc.example/mcp", False, True),
        ("http://127.0.0.1:9000/mcp", False, False),
        ("http://127.0.0.1:9000/mcp", True, True),
        ("https://10.0.0.8/mcp", False, False),
        ("https://10.0.0.8/mcp", True, True),
        ("http://169.254.169.254/mcp", True, False),
        ("ftp://calc.example/mcp", True, False),
        ("https://user@calc.example/mcp", True, False),
        ("https://", True, False),
    ],
)
@pytest.mark.case("T16")
def test_endpoints_are_judged_by_the_egress_rule_when_they_are_saved(judge_target, endpoint, private, accepted):
    document = target(targetConfiguration={"mcp": {"mcpServer": {"endpoint": endpoint}}})
    faults = judge_target(document, {"allowPrivateAddresses": private})
    assert list(faults) == ([] if accepted else ["targetConfiguration.mcp.mcpServer.endpoint"])


@pytest.mark.parametrize("origin", ["https://App.example", "https://app.example/", "app.example", "null", ""])
def test_allowed_origins_are_written_as_browsers_send_them(judge, origin):
    assert list(judge(gateway(), {"allowedOrigins": ["*", origin]})) == ["x-portico.allowedOrigins[1]"]
    fine = ["https://app.example:8443", "http://[::1]:3000", "vscode-webview://a1b2"]
    assert judge(gateway(), {"allowedOrigins": fine}) == {}


@pytest.mark.parametrize(
    ("extension", "path"),
    [
        ({"era": "ancient"}, "era"),
        ({"callTimeout": 0}, "callTimeout"),
        ({"callTimeout": 100_000}, "callTimeout"),
        ({"maxConcurrency": "many"}, "maxConcurrency"),
        ({"maxResponseBytes": 1}, "maxResponseBytes"),
        ({"proxy": "socks5://x"}, "proxy"),
        ({"proxy": "http://user:pw@proxy:3128"}, "proxy"),
        ({"caFile": "ca.pem"}, "caFile"),
        ({"allowPrivateAddresses": "yes"}, "allowPrivateAddresses"),
    ],
)
def test_extensions_of_targets_are_bounded(judge_target, extension, path):
    assert list(judge_target(target(), extension)) == [f"x-portico.{path}"]


def test_values_of_the_wrong_type_are_faults_not_crashes(judge, judge_target):
    for value in (None, 1, True, "text", [], {}, [[]], {"a": None}):
        for member in gateway():
            judge(gateway(**{member: value}))
        for member in target():
            judge_target(target(**{member: value}))


def test_long_texts_are_refused_before_any_pattern_is_tried(judge_target):
    document = target(targetConfiguration={"mcp": {"mcpServer": {"endpoint": "https://a.example/" + "a" * 100_000}}})
    assert judge_target(document | {"name": "a" * 100_000}) != {}


def test_each_relaxation_of_the_model_names_a_constraint_that_the_model_has():
    strict = {str(fault) for fault in check_shape("CreateGatewayRequest", gateway())}
    assert strict == {"roleArn: is required"}
    for relaxation in RELAXATIONS:
        assert relaxation.rule


def test_booleans_are_no_numbers_and_numbers_no_texts():
    session = {"mcp": {"sessionConfiguration": {"sessionTimeoutInSeconds": True}}}
    faults = check_shape(
        "CreateGatewayRequest", gateway(description=5, roleArn="arn:aws:iam::1:role/x", protocolConfiguration=session)
    )
    assert {fault.path for fault in faults} >= {
        "description",
        "protocolConfiguration.mcp.sessionConfiguration.sessionTimeoutInSeconds",
    }
