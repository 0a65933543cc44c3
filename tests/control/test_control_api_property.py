"""Every offered operation over HTTP: what the model allows, and each of its constraints broken by itself.

Whatever the model allows gets an answer that the model has: an output with all of its members, or one of the
operation's own errors. Whatever breaks one constraint is refused at its path, and changes nothing.
"""

import json
import re
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portico.control.api.offered import OFFERED
from portico.control.api.service_model import ServiceModel
from portico.control.relaxations import RELAXED
from portico.control.shapes import check_shape, load_model
from portico.net.egress import Egress
from portico.service.agentcore_api import AgentCoreApi
from portico.service.process_settings import read_process_settings
from support.agentcore_api import Api
from support.model_inputs import broken, valid

MODEL = ServiceModel.load()
EXAMPLES = 12  # inputs of each operation and database
WAYS = 10  # ways to break each of them
MISSING = "missing-0123456789"
ROLE = "arn:aws:iam::000000000000:role/unused"
DISCOVERY = "https://idp.example/.well-known/openid-configuration"
ENDPOINT = "https://calc.example/mcp"
TOOLS = json.dumps({"tools": [{"name": "add", "inputSchema": {"type": "object"}}]})
SERVER = {"mcp": {"mcpServer": {"endpoint": ENDPOINT}}}
STATED = {"mcp": {"mcpServer": {"endpoint": ENDPOINT, "mcpToolSchema": {"inlinePayload": TOOLS}}}}
GATEWAY = {"roleArn": ROLE, "protocolType": "MCP", "authorizerType": "NONE"}
OAUTH = {
    "credentialProviderVendor": "CustomOauth2",
    "oauth2ProviderConfigInput": {
        "customOauth2ProviderConfig": {
            "oauthDiscovery": {"discoveryUrl": DISCOVERY},
            "clientId": "portico",
            "clientSecret": "canary-secret",
        }
    },
}
#: Answers name no credential provider where a target has none; AWS's shape wants at least one.
EMPTY_ANSWER = re.compile(r"(.*\.)?credentialProviderConfigurations\Z")


def house_inputs(world):
    """One input of each operation that is in order."""
    gateway, target = {"gatewayIdentifier": world["gateway"]}, {"targetId": world["target"]}
    arn = {"resourceArn": world["arn"]}
    return {
        "CreateGateway": {"name": "another", **GATEWAY},
        "GetGateway": gateway,
        "UpdateGateway": {**gateway, "name": "tools", "description": "changed", **GATEWAY},
        "DeleteGateway": {"gatewayIdentifier": world["empty"]},
        "ListGateways": {"maxResults": 1},
        "CreateGatewayTarget": {**gateway, "name": "another", "targetConfiguration": SERVER},
        "GetGatewayTarget": {**gateway, **target},
        "UpdateGatewayTarget": {**gateway, **target, "name": "calc", "targetConfiguration": STATED},
        "DeleteGatewayTarget": {**gateway, **target},
        "ListGatewayTargets": {**gateway, "maxResults": 1},
        "SynchronizeGatewayTargets": {**gateway, "targetIdList": [world["read"]]},
        "CreateOauth2CredentialProvider": {"name": "another", **OAUTH},
        "GetOauth2CredentialProvider": {"name": "idp"},
        "UpdateOauth2CredentialProvider": {"name": "idp", **OAUTH},
        "DeleteOauth2CredentialProvider": {"name": "idp"},
        "ListOauth2CredentialProviders": {"maxResults": 1},
        "CreateApiKeyCredentialProvider": {"name": "another", "apiKey": "canary-secret"},
        "GetApiKeyCredentialProvider": {"name": "key"},
        "UpdateApiKeyCredentialProvider": {"name": "key", "apiKey": "canary-secret"},
        "DeleteApiKeyCredentialProvider": {"name": "key"},
        "ListApiKeyCredentialProviders": {"maxResults": 1},
        "CreateWorkloadIdentity": {"name": "another"},
        "GetWorkloadIdentity": {"name": "agent"},
        "UpdateWorkloadIdentity": {"name": "agent", "allowedResourceOauth2ReturnUrls": ["https://app.example/done"]},
        "DeleteWorkloadIdentity": {"name": "agent"},
        "ListWorkloadIdentities": {"maxResults": 1},
        "GetTokenVault": {},
        "SetTokenVaultCMK": {"kmsConfiguration": {"keyType": "ServiceManagedKey"}},
        "TagResource": {**arn, "tags": {"team": "b"}},
        "UntagResource": {**arn, "tagKeys": ["team"]},
        "ListTagsForResource": arn,
    }


def existing(world):
    """Strategies by which drawn inputs meet what there is."""
    names = st.sampled_from(["tools", "empty", "idp", "key", "agent", "another", "Nobody"])
    return {
        "GatewayIdentifier": st.sampled_from([world["gateway"], world["empty"], MISSING]),
        "TargetId": st.sampled_from([world["target"], world["read"], "0123456789"]),
        "TaggableResourcesArn": st.sampled_from([world["arn"], world["arn"].replace(world["gateway"], MISSING)]),
        "GatewayName": names,
        "TargetName": st.sampled_from(["calc", "read", "another", "new"]),
        "CredentialProviderName": names,
        "WorkloadIdentityNameType": names,
        "TokenVaultIdType": st.sampled_from(["default", "other"]),
        "DiscoveryUrl": st.sampled_from([DISCOVERY, "http://foreign.example/.well-known/openid-configuration"]),
        "DiscoveryUrlType": st.sampled_from([DISCOVERY]),
        "McpServerTargetConfigurationEndpointString": st.sampled_from([ENDPOINT, "https://127.0.0.1/mcp"]),
        "InlinePayload": st.sampled_from([TOOLS, "{", "[]"]),
    }


# --- over HTTP -------------------------------------------------------------------------------------------------------


def wire(operation, document):
    """Return (path and query, body) by which a document travels, None where it cannot: labels must be texts."""
    members, path, query, body = operation.input_members, operation.template, [], {}
    for name, value in document.items():
        spec = members.get(name, {})
        match spec.get("location"):
            case "uri":
                if not isinstance(value, str) or not value:
                    return None
                path = path.replace(f"{{{spec['locationName']}}}", quote(value, safe=""))
            case "querystring":
                entries = value if isinstance(value, list) else [value]
                if any(isinstance(entry, dict | list) for entry in entries):
                    return None
                query += [(spec["locationName"], entry) for entry in entries]
            case _:
                body[name] = value
    if "{" in path:
        return None
    return path + (f"?{urlencode(query, quote_via=quote)}" if query else ""), body


async def perform(api, operation, document):
    """Send a document; None when there is no way to."""
    found = wire(operation, document)
    if found is None:
        return None
    path, body = found
    return await api.call(operation.method, path, body or None)


def members_of(name):
    operation = load_model()["operations"][name]
    return {error["shape"] for error in operation["errors"]}


def judge_output(operation, answer):
    """Hold an answer against the model: its status, every member, none missing."""
    assert answer.status == operation.status
    if answer.status == 204:
        assert answer.body == b""
        return
    faults = check_shape(operation.output_shape, answer.json, relaxed=RELAXED, shapes=operation.shapes)
    assert [str(fault) for fault in faults if not EMPTY_ANSWER.match(fault.path)] == []
    assert b"canary-secret" not in answer.body


def judge_refusal(operation, answer):
    """Hold a refusal of a modelled input against the model: one of the operation's errors, and it names a member."""
    assert answer.error in members_of(operation.name), answer
    assert answer.status < 500
    if answer.error == "ValidationException" and answer.json["reason"] == "FieldValidationFailed":
        tops = {re.split(r"[.\[]", path, maxsplit=1)[0] for path in answer.faults}
        assert all(top in operation.input_members or top.startswith("target ") for top in tops), answer.faults


def is_relaxed(way):
    constraint, _, name = way.constraint.partition(" of ")
    return f"{name}:{constraint}" in RELAXED or f"{way.constraint.removeprefix('required ')}:required" in RELAXED


def within(path, of):
    return path == of or path.startswith((f"{of}.", f"{of}["))


# --- the world -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def api(database, keyring):
    environ = {"PORTICO_PUBLIC_URL": "https://portico.example"}
    faults = []
    process = read_process_settings({}, environ=environ, base=Path("/nowhere"), faults=faults)
    assert faults == []
    made = AgentCoreApi(
        process=process,
        database=database,
        keyring=keyring,
        egress=Egress(),
        fetcher=None,
        signatures=None,
        issuers=frozenset,
        changed=lambda: None,
    )
    return await Api(database=database, keyring=keyring, context=made._context, offered=OFFERED).start()


@pytest.fixture
async def world(api):
    """A little of everything; returns the ids."""

    async def make(operation, **document):
        answer = await perform(api, MODEL.operations[operation], document)
        assert answer.status < 300, answer
        return answer.json

    gateway = await make("CreateGateway", name="tools", **GATEWAY)
    found = {"gateway": gateway["gatewayId"], "arn": gateway["gatewayArn"]}
    found["empty"] = (await make("CreateGateway", name="empty", **GATEWAY))["gatewayId"]
    at = {"gatewayIdentifier": found["gateway"]}
    found["target"] = (await make("CreateGatewayTarget", **at, name="calc", targetConfiguration=STATED))["targetId"]
    found["read"] = (await make("CreateGatewayTarget", **at, name="read", targetConfiguration=SERVER))["targetId"]
    await make("CreateOauth2CredentialProvider", name="idp", **OAUTH)
    await make("CreateApiKeyCredentialProvider", name="key", apiKey="canary-secret")
    await make("CreateWorkloadIdentity", name="agent")
    return found


def test_every_offered_operation_is_tried():
    world = dict.fromkeys(("gateway", "empty", "target", "read", "arn"), "x")
    assert sorted(house_inputs(world)) == sorted(OFFERED)


@pytest.mark.parametrize("name", sorted(OFFERED))
async def test_an_input_that_is_in_order_has_an_output_with_every_member_of_the_model(api, world, name):
    operation = MODEL.operations[name]
    document = house_inputs(world)[name]
    assert check_shape(operation.input_shape, document, shapes=operation.shapes) == []
    answer = await perform(api, operation, document)
    assert answer.error is None, answer
    judge_output(operation, answer)


@pytest.mark.parametrize("name", sorted(OFFERED))
async def test_every_way_to_break_an_input_that_is_in_order_is_refused_at_its_path(api, world, name):
    operation = MODEL.operations[name]
    await judge_ways(api, operation, broken(operation.shapes, operation.input_shape, house_inputs(world)[name]))


@pytest.mark.parametrize("name", sorted(OFFERED))
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
async def test_whatever_the_model_allows_gets_an_answer_of_it_and_whatever_it_does_not_a_refusal(
    api, world, name, data
):
    operation = MODEL.operations[name]
    document = data.draw(valid(operation.shapes, operation.input_shape, overrides=existing(world)))
    answer = await perform(api, operation, document)
    if answer.error is None:
        judge_output(operation, answer)
    else:
        judge_refusal(operation, answer)
    ways = broken(operation.shapes, operation.input_shape, document)
    chosen = data.draw(st.lists(st.sampled_from(ways), max_size=WAYS)) if ways else []
    await judge_ways(api, operation, chosen)


async def judge_ways(api, operation, ways):
    for way in ways:
        if way.path == "" or is_relaxed(way) or not isinstance(way.document, dict):
            continue
        before = api.changed
        answer = await perform(api, operation, way.document)
        if answer is None:
            continue
        assert (answer.status, answer.error) == (400, "ValidationException"), (way, answer)
        assert any(within(way.path, path) for path in answer.faults), (way, answer.faults)
        assert api.changed == before
