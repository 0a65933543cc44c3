"""The CloudFormation template: valid by AWS's schemas, and it sets what the façade reads and nothing else."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from deploy_template import KEYRING, KNOWN, TEMPLATE, Filled, read_template

from portico.crypto.keyring import Keyring
from portico.model.errors import ConfigError
from portico.service import lambda_handler
from portico.service.facade_settings import (
    CONFIG_VARIABLE,
    FACADE_KEYS,
    ISSUER_KEYS,
    ISSUER_VARIABLE,
    KEYRING_KEYS,
    PROVIDER_KEYS,
    load_facade_settings,
)

CFN_LINT = str(Path(sys.executable).with_name("cfn-lint"))
REGIONS = ("us-east-1", "eu-central-1")
NEEDED = {
    "CodeBucket": "artifacts",
    "CodeKey": "portico-1.zip",
    "LoginDomainPrefix": "example-tools",
    "KeyringSecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:portico-keyring-AbCdEf",
    "KeyringVersionId": "a1b2c3d4-5678-90ab-cdef-EXAMPLE11111",
}
DOMAIN = {"PublicDomain": "mcp.example.com"}
CERTIFICATE = {"CertificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234"}
FUNCTION_URL = {"Endpoint": "function-url", "PublicDomain": "qx7mexample.lambda-url.eu-central-1.on.aws"}
EVERYTHING = {
    "AllowedHosts": "qx7mexample.lambda-url.eu-central-1.on.aws",
    "AllowedOrigins": "https://app.example.com,https://other.example.com",
    "TrustedProxies": "198.51.100.0/24,2001:db8::/64",
    "AllowedRedirectUris": "https://claude.ai/api/mcp/auth_callback,https://vscode.dev/redirect",
}
WAYS = {
    "the HTTP API's own name": {},
    "an own name": DOMAIN | CERTIFICATE,
    "an own name behind something": DOMAIN,
    "a function URL": FUNCTION_URL,
    "everything": DOMAIN | CERTIFICATE | EVERYTHING,
    "everything with a function URL": FUNCTION_URL | EVERYTHING,
    "passthrough": {"TokenMode": "passthrough"},
}
NAMES = {
    *FACADE_KEYS.values(),
    *ISSUER_KEYS.values(),
    *PROVIDER_KEYS.values(),
    CONFIG_VARIABLE,
    ISSUER_VARIABLE,
    KEYRING_KEYS,
}
#: Settings that have no place in the template, and why.
NOT_IN_THE_TEMPLATE = {
    CONFIG_VARIABLE: "a function has no file of yours",
    FACADE_KEYS["listen"]: "Lambda calls the handler, nobody listens",
    FACADE_KEYS["keyring"]: "the keyring is a text",
    FACADE_KEYS["drain_seconds"]: "Lambda ends environments between events",
    FACADE_KEYS["store"]: "nothing to keep is the point",
    FACADE_KEYS["upstream.allowPrivate"]: "an AgentCore gateway is public",
    FACADE_KEYS["upstream.allowedRequestHeaders"]: "an AgentCore gateway reads those of MCP",
    FACADE_KEYS["upstream.allowedResponseHeaders"]: "likewise",
    PROVIDER_KEYS["type"]: "stands in the issuer's document",
}


@pytest.fixture(params=WAYS, ids=[name.replace(" ", "-") for name in WAYS])
def filled(request):
    return Filled(NEEDED | WAYS[request.param])


def test_cfn_lint_finds_nothing():
    command = [CFN_LINT, "--include-checks", "W", "--regions", *REGIONS, "--", str(TEMPLATE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_cfn_lint_would_find_a_property_that_the_gateway_does_not_have(tmp_path):
    wrong = tmp_path / "template.yaml"
    wrong.write_text(TEMPLATE.read_text().replace("CustomJWTAuthorizer:", "CustomJwtAuthorizer:"))
    command = [CFN_LINT, "--regions", REGIONS[0], "--", str(wrong)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "'CustomJwtAuthorizer' was unexpected" in done.stdout


@pytest.mark.parametrize("part", ["AuthorizerConfiguration", "ProtocolConfiguration"])
def test_what_the_gateway_is_told_is_valid_to_its_depth(filled, part):
    """cfn-lint does not look into the innermost objects of a resource, so its copy of AWS's schema is asked here."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGIONS[0], "AWS::BedrockAgentCore::Gateway").schema
    rule = {"allOf": [schema["properties"][part]], "definitions": schema["definitions"]}
    validator = jsonschema.Draft7Validator(rule)
    told = filled.properties("Gateway")[part]
    assert [error.message for error in validator.iter_errors(told)] == []
    (inner,) = told
    assert not validator.is_valid({inner: told[inner] | {"AllowedClientIds": ["x"]}})


def test_every_variable_of_the_template_is_a_setting():
    variables = read_template()["Resources"]["Facade"]["Properties"]["Environment"]["Variables"]
    assert set(variables) <= NAMES


def test_every_setting_is_in_the_template_or_is_left_out_for_a_reason():
    variables = read_template()["Resources"]["Facade"]["Properties"]["Environment"]["Variables"]
    assert NAMES - set(variables) == set(NOT_IN_THE_TEMPLATE)


def test_what_the_template_gives_is_all_that_the_facade_needs(filled):
    environment = filled.environment()
    settings = load_facade_settings(None, environ=environment)
    assert filled.broken_rules() == []
    assert settings.tokens == filled.parameters["TokenMode"]
    assert settings.log_format == "json"
    assert settings.upstream.url == KNOWN["Gateway.GatewayUrl"]
    (connector,) = settings.issuer.connectors
    assert (connector.type, connector.client_id) == ("cognito", KNOWN["AppClient"])
    assert Keyring.parse(settings.keyring_keys.reveal())
    assert settings.issuer.scopes == ("portico/invoke",)
    assert connector.scope_map == {"portico/invoke": ("portico/invoke",)}


@pytest.mark.parametrize("name", ["PORTICO_FACADE_UPSTREAM_URL", "PORTICO_FACADE_PROVIDER_CLIENT_ID"])
def test_a_required_setting_that_is_not_given_is_a_fault(name):
    environment = Filled(NEEDED).environment()
    del environment[name]
    with pytest.raises(ConfigError):
        load_facade_settings(None, environ=environment)


def test_what_is_optional_arrives_as_it_was_typed():
    settings = load_facade_settings(None, environ=Filled(NEEDED | WAYS["everything"]).environment())
    assert settings.allowed_hosts >= {"mcp.example.com", "qx7mexample.lambda-url.eu-central-1.on.aws"}
    assert settings.allowed_origins == {"https://app.example.com", "https://other.example.com"}
    assert [str(network) for network in settings.trusted_proxies] == ["198.51.100.0/24", "2001:db8::/64"]
    assert set(settings.issuer.allowed_redirect_uris) == set(EVERYTHING["AllowedRedirectUris"].split(","))


def test_the_facade_has_one_public_url_everywhere(filled):
    public_url = load_facade_settings(None, environ=filled.environment()).public_url
    client = filled.properties("AppClient")
    assert client["CallbackURLs"] == [f"{public_url}/callback"]
    assert client["LogoutURLs"] == [f"{public_url}/logout"]
    assert filled.outputs()["McpUrl"] == f"{public_url}/mcp"


def test_the_gateway_accepts_tokens_of_this_pool_for_this_client_alone(filled):
    environment = filled.environment()
    gateway = filled.properties("Gateway")
    authorizer = gateway["AuthorizerConfiguration"]["CustomJWTAuthorizer"]
    assert gateway["AuthorizerType"] == "CUSTOM_JWT"
    assert authorizer["AllowedClients"] == [environment["PORTICO_FACADE_PROVIDER_CLIENT_ID"]]
    assert authorizer["DiscoveryUrl"] == environment["PORTICO_FACADE_PROVIDER_DISCOVERY_URL"]
    assert KNOWN["UserPool"] in authorizer["DiscoveryUrl"]
    assert authorizer["AllowedScopes"] == [environment["PORTICO_FACADE_SCOPES"]]
    assert set(authorizer["AllowedScopes"]) <= set(filled.properties("AppClient")["AllowedOAuthScopes"])


def test_the_client_has_a_secret_and_nothing_but_the_code_flow():
    client = Filled(NEEDED).properties("AppClient")
    assert client["GenerateSecret"] is True
    assert client["AllowedOAuthFlows"] == ["code"]
    assert "ExplicitAuthFlows" not in client


def test_the_scope_that_is_asked_for_is_one_of_the_resource_server():
    filled = Filled(NEEDED | {"ScopeName": "tools.call"})
    server = filled.properties("ResourceServer")
    names = [f"{server['Identifier']}/{scope['ScopeName']}" for scope in server["Scopes"]]
    assert names == [filled.environment()["PORTICO_FACADE_SCOPES"]] == ["portico/tools.call"]


def test_one_thing_stands_in_front_of_the_function(filled):
    made = set(filled.resources())
    by_url = {"FacadeUrl", "AnybodyMayInvokeTheUrl", "AnybodyMayInvokeThroughTheUrl"}
    by_api = {"HttpApiStage", "HttpApiIntegration", "HttpApiRoute", "HttpApiMayInvoke"}
    expected, other = (by_url, by_api) if filled.parameters["Endpoint"] == "function-url" else (by_api, by_url)
    assert expected <= made
    assert not other & made


def test_what_is_made_refers_only_to_what_is_made(filled):
    resources = filled.resources()
    text = repr([filled.value(resource.get("Properties", {})) for resource in resources.values()]) + repr(
        filled.outputs()
    )
    referred = {name.partition(".")[0] for name in re.findall(r"<([A-Za-z.]+)>", text)}
    assert referred <= set(resources)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"Endpoint": "function-url"}, "set PublicDomain"),
        (FUNCTION_URL | CERTIFICATE, "leave CertificateArn empty"),
        (CERTIFICATE, "set it too"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused_before_anything_is_made(given, says):
    assert any(says in text for text in Filled(NEEDED | given).broken_rules())


def test_the_handler_that_the_function_names_is_there():
    module, _, name = Filled(NEEDED).properties("Facade")["Handler"].rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


def test_the_function_and_the_http_api_wait_as_long_as_the_handler_expects(filled):
    seconds = filled.properties("Facade")["Timeout"]
    assert seconds == lambda_handler.HTTP_API_SECONDS
    if "HttpApiIntegration" in filled.resources():
        integration = filled.properties("HttpApiIntegration")
        assert integration["TimeoutInMillis"] == lambda_handler.HTTP_API_SECONDS * 1000
        assert integration["PayloadFormatVersion"] == "2.0"
        assert filled.properties("HttpApiStage")["StageName"] == "$default"
    else:
        assert filled.properties("FacadeUrl")["InvokeMode"] == "BUFFERED"


def test_no_secret_stands_in_the_template_or_its_outputs():
    filled = Filled(NEEDED)
    outputs = repr(filled.outputs())
    assert filled.environment()["PORTICO_KEYRING_KEYS"] == KEYRING
    assert KEYRING not in outputs
    assert KNOWN["AppClient.ClientSecret"] not in outputs
    assert not [name for name in read_template()["Parameters"] if re.search("Secret$|Password", name)]


def test_the_environment_is_within_what_lambda_gives():
    """Names and values together may have 4 KB (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""
    environment = Filled(NEEDED | WAYS["everything"]).environment()
    assert sum(len(name) + len(value) for name, value in environment.items()) < 3000


def test_public_urls_are_https_and_have_no_path(filled):
    parts = urlsplit(filled.environment()["PORTICO_FACADE_PUBLIC_URL"])
    assert (parts.scheme, parts.path, parts.port) == ("https", "", None)


def test_the_command_that_is_shown_gives_every_parameter_that_has_no_default():
    page = (TEMPLATE.parent / "README.md").read_text()
    given = set(
        re.findall(r"\b([A-Z][A-Za-z]+)=[\"a-z]", page.partition("--parameter-overrides")[2].partition("```")[0])
    )
    parameters = read_template()["Parameters"]
    assert given == {name for name, parameter in parameters.items() if "Default" not in parameter}
    assert set(re.findall(r"^\| `([A-Z][A-Za-z]+)", page, re.MULTILINE)) <= set(parameters)


def test_every_output_that_is_named_is_one():
    page = (TEMPLATE.parent / "README.md").read_text()
    named = set(re.findall(r"output\s+`([A-Z][A-Za-z]+)`", page)) | {"GatewayRoleName"}
    assert {"McpUrl", "UserPoolId", "GatewayId", "FunctionUrl"} <= named <= set(read_template()["Outputs"])
