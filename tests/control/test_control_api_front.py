"""The front: the order of its steps, what it refuses before anybody is believed, how inputs are read."""

import asyncio
import json
import time

import pytest

from portico.control.api.front import MAX_BODY_BYTES
from portico.control.api.parsing import MAX_DEPTH
from portico.web.asgi import ClientDisconnected
from support.agentcore_api import Api, add_key
from support.signing import Signer

READER = "PORTICOREADER0000000"
GATEWAY = {
    "name": "tools",
    "roleArn": "arn:aws:iam::000000000000:role/unused",
    "protocolType": "MCP",
    "authorizerType": "NONE",
}
ARN = "arn:aws:bedrock-agentcore:us-east-1:000000000000:gateway/tools-0123456789"
ENCODED_ARN = "arn%3Aaws%3Abedrock-agentcore%3Aus-east-1%3A000000000000%3Agateway%2Ftools-0123456789"


class Context:
    """What operations of these tests are handed."""

    def __init__(self, caller, request_id, now):
        self.caller = caller
        self.request_id = request_id
        self.now = now


@pytest.fixture
def seen():
    return []


@pytest.fixture
async def api(sqlite_database, keyring, seen):
    async def remember(context, request):
        seen.append(request)
        return {}

    names = (
        "CreateGateway GetGateway UpdateGateway ListGateways TagResource UntagResource ListTagsForResource"
        " CreateGatewayTarget DeleteWorkloadIdentity ListWorkloadIdentities"
    )
    offered = dict.fromkeys(names.split(), remember)
    return await Api(database=sqlite_database, keyring=keyring, context=Context, offered=offered).start()


# --- order -----------------------------------------------------------------------------------------------------------


async def test_a_request_of_nobody_is_refused_before_its_body_is_read(api):
    sent = (
        Signer().sign("POST", "http://portico.example/gateways/", now=time.time()).with_header(b"authorization", None)
    )

    async def receive():
        raise AssertionError("the body was asked for")

    answers = []

    async def send(message):
        answers.append(message)

    await api.front(sent.scope, receive, send)
    assert answers[0]["status"] == 403
    assert (b"x-amzn-errortype", b"MissingAuthenticationTokenException") in answers[0]["headers"]


async def test_a_signature_that_does_not_fit_is_refused_before_the_body_is_parsed(api):
    answer = await api.call("POST", "/gateways/", body=b"{{{", signer=Signer(secret="x" * 40))
    assert (answer.status, answer.error) == (403, "InvalidSignatureException")


async def test_a_stranger_is_not_told_what_is_offered(api):
    answer = await api.call("POST", "/memories/create", {}, signer=Signer(secret="x" * 40))
    assert (answer.status, answer.error) == (403, "InvalidSignatureException")


async def test_what_is_not_offered_says_why_whatever_was_sent(api):
    answer = await api.call("POST", "/memories/create", body=b"{{{")
    assert (answer.status, answer.error) == (501, "NotOfferedException")
    assert answer.json == {"message": "Portico does not offer CreateMemory: AgentCore Memory is not part of Portico"}


async def test_a_path_that_is_nobodys_is_served_elsewhere_without_a_signature(api):
    sent = Signer().sign("GET", "http://portico.example/favicon.ico", now=time.time())
    assert (await api.send(sent.with_header(b"authorization", None))).body == b"elsewhere"


async def test_a_reader_may_read_and_not_write(api, sqlite_database, keyring):
    await add_key(sqlite_database, keyring, key_id=READER, secret="r" * 40, role="reader")
    await api.keys.reload()
    reader = Signer(key_id=READER, secret="r" * 40)
    assert (await api.call("GET", "/gateways/", signer=reader)).status == 200
    answer = await api.call("POST", "/gateways/", GATEWAY, signer=reader)
    assert (answer.status, answer.error) == (403, "AccessDeniedException")
    assert "bedrock-agentcore:CreateGateway" in answer.json["message"]


async def test_only_what_changes_something_says_that_something_changed(api):
    await api.call("GET", "/gateways/")
    assert api.changed == 0
    await api.call("POST", "/gateways/", GATEWAY)
    assert api.changed == 1


async def test_every_answer_has_a_request_id_and_is_kept_by_no_cache(api):
    for answer in (await api.call("GET", "/gateways/"), await api.call("GET", "/gateways/", body=b"[]")):
        assert answer.headers["x-amzn-requestid"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"


# --- bounds ----------------------------------------------------------------------------------------------------------


async def test_a_body_over_the_limit_is_refused_whether_it_says_so_or_not(api):
    announced = await api.call("POST", "/gateways/", body=b"{}", content_length=str(MAX_BODY_BYTES + 1))
    unannounced = await api.call("POST", "/gateways/", body=b" " * (MAX_BODY_BYTES + 1))
    for answer in (announced, unannounced):
        assert (answer.status, answer.error) == (413, "RequestEntityTooLargeException")


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "٣", " 5"])
async def test_a_length_that_is_no_number_is_refused(api, length):
    sent = Signer().sign("POST", "http://portico.example/gateways/", now=time.time(), body=b"{}")
    answer = await api.send(sent.with_header(b"content-length", length.encode()))
    assert answer.status == 413


async def test_a_client_that_leaves_is_not_answered(api, seen):
    sent = Signer().sign("POST", "http://portico.example/gateways/", now=time.time(), body=b"{}")

    async def receive():
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnected):
        await api.front(sent.scope, receive, None)
    assert seen == []


async def test_many_requests_at_once_wait_for_one_loading_of_the_model(sqlite_database, keyring):
    async def nothing(_context, _request):
        return {"items": []}

    api = await Api(
        database=sqlite_database, keyring=keyring, context=Context, offered={"ListGateways": nothing}
    ).start()
    answers = await asyncio.gather(*(api.call("GET", "/gateways/") for _ in range(20)))
    assert [answer.status for answer in answers] == [200] * 20


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{} {}",
        b'{"name": "a", "name": "b"}',
        b'{"tags": {"a": "1", "a": "2"}}',
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b"\xff\xfe",
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": ' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b'{"a": ' + b"[" * 100_000,
        b"{'name': 'a'}",
        b'\xef\xbb\xbf{"name": "a"}',
    ],
)
async def test_a_body_that_is_not_one_plain_json_object_cannot_be_parsed(api, seen, body):
    answer = await api.call("POST", "/gateways/", body=body)
    assert (answer.status, answer.error, answer.json["reason"]) == (400, "ValidationException", "CannotParse")
    assert seen == []


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "application/jsonp", ""])
async def test_a_body_of_another_kind_is_refused_with_the_one_to_send(api, kind):
    answer = await api.call("POST", "/gateways/", GATEWAY, content_type=kind)
    assert (answer.status, answer.error) == (415, "UnsupportedMediaTypeException")
    assert "application/json" in answer.json["message"]


async def test_parameters_of_the_media_type_make_no_difference(api):
    assert (await api.call("POST", "/gateways/", GATEWAY, content_type="Application/JSON; charset=utf-8")).status == 202


async def test_an_empty_body_is_an_empty_document(api):
    assert (await api.call("POST", "/identities/ListWorkloadIdentities")).status == 200


async def test_a_member_that_is_null_is_not_there(api, seen):
    document = GATEWAY | {"description": None, "protocolConfiguration": {"mcp": {"instructions": None}}}
    assert (await api.call("POST", "/gateways/", document)).status == 202
    assert seen == [GATEWAY | {"protocolConfiguration": {"mcp": {}}}]


async def test_null_is_no_way_to_hide_an_unknown_or_a_required_member(api):
    answer = await api.call("POST", "/gateways/", GATEWAY | {"name": None, "nonsense": None})
    assert answer.faults["name"] == "is required"
    assert answer.faults["nonsense"].startswith("is not known here")


async def test_null_in_a_list_or_a_map_is_refused_where_it_stands(api):
    document = GATEWAY | {"tags": {"a": None}, "protocolConfiguration": {"mcp": {"supportedVersions": [None]}}}
    answer = await api.call("POST", "/gateways/", document)
    assert set(answer.faults) == {"tags['a']", "protocolConfiguration.mcp.supportedVersions[0]"}


async def test_everything_that_is_wrong_is_told_at_once_and_no_value_is_repeated(api):
    document = {
        "name": "not a name!",
        "authorizerType": "SECRET-VALUE",
        "nonsense": "SECRET-VALUE",
        "wafConfiguration": {"failureMode": "SECRET-VALUE"},
        "tags": {"k": "SECRET\x01VALUE"},
    }
    answer = await api.call("POST", "/gateways/", document)
    assert (answer.status, answer.error) == (400, "ValidationException")
    assert answer.json["reason"] == "FieldValidationFailed"
    assert set(answer.faults) == {"name", "authorizerType", "nonsense", "wafConfiguration", "tags['k']"}
    assert answer.json["message"].startswith("5 validation errors detected: ")
    assert b"SECRET" not in answer.body


async def test_nul_is_refused_where_it_stands(api):
    document = GATEWAY | {"description": "a\0b", "authorizerConfiguration": {"customJWTAuthorizer": {"x\0": 1}}}
    answer = await api.call("POST", "/gateways/", document)
    assert answer.faults["description"] == "must not hold the character NUL"
    assert any("NUL" in message for path, message in answer.faults.items() if path.startswith("authorizerConf"))


async def test_an_escaped_backslash_before_u0000_is_no_nul(api, seen):
    assert (await api.call("POST", "/gateways/", GATEWAY | {"description": r"\u0000"})).status == 202
    assert seen[0]["description"] == r"\u0000"


# --- paths and queries -----------------------------------------------------------------------------------------------


async def test_an_encoded_arn_in_the_path_is_one_label(api, seen):
    assert (await api.call("GET", f"/tags/{ENCODED_ARN}")).status == 200
    assert seen == [{"resourceArn": ARN}]


@pytest.mark.parametrize("label", ["%FF", "%C3", "%ED%A0%80"])
async def test_a_label_that_is_not_utf_8_cannot_be_parsed(api, label):
    answer = await api.call("GET", f"/gateways/{label}/")
    assert (answer.status, answer.json["reason"]) == (400, "CannotParse")


@pytest.mark.parametrize("label", ["%00", "UPPER-0123456789", "%2e%2e", "tools-0123456789%2Fx", "x" * 5000])
async def test_a_label_that_is_no_identifier_is_named(api, label, seen):
    answer = await api.call("GET", f"/gateways/{label}/")
    assert (answer.status, answer.error) == (400, "ValidationException")
    assert set(answer.faults) == {"gatewayIdentifier"}
    assert seen == []


async def test_the_body_cannot_name_another_resource_than_the_path(api, seen):
    document = {"gatewayIdentifier": "other-0123456789", "name": "t", "targetConfiguration": {}}
    answer = await api.call("POST", "/gateways/tools-0123456789/targets/", document)
    assert answer.faults["gatewayIdentifier"] == "must not stand in the body; it is given by the path"
    assert seen == []


async def test_the_query_cannot_override_the_body(api, seen):
    answer = await api.call("POST", "/gateways/?name=other&authorizerType=NONE", GATEWAY)
    assert set(answer.faults) == {"name", "authorizerType"}
    assert seen == []


async def test_a_whole_number_of_the_query_is_read_and_judged(api, seen):
    assert (await api.call("GET", "/gateways/?maxResults=10&nextToken=abc")).status == 200
    assert seen == [{"maxResults": 10, "nextToken": "abc"}]
    for text in ("0", "1001", "ten", "1.0", "", "%2B1", "1" * 400, "%D9%A3"):
        answer = await api.call("GET", f"/gateways/?maxResults={text}")
        assert (answer.status, set(answer.faults)) == (400, {"maxResults"}), text


async def test_a_list_of_the_query_is_its_repetition(api, seen):
    assert (await api.call("DELETE", f"/tags/{ENCODED_ARN}?tagKeys=a&tagKeys=b%20c")).status == 204
    assert seen == [{"resourceArn": ARN, "tagKeys": ["a", "b c"]}]


async def test_anything_else_may_stand_in_the_query_once(api):
    answer = await api.call("GET", "/gateways/?maxResults=1&maxResults=2")
    assert answer.faults == {"maxResults": "stands more than once in the query"}


@pytest.mark.parametrize("query", ["tagKeys=%FF", "&".join("tagKeys=a" for _ in range(257))])
async def test_a_query_that_cannot_be_read_is_refused(api, query):
    answer = await api.call("DELETE", f"/tags/{ENCODED_ARN}?{query}")
    assert (answer.status, answer.json["reason"]) == (400, "CannotParse")


# --- answers ---------------------------------------------------------------------------------------------------------


async def test_an_answer_without_content_has_no_length(api):
    answer = await api.call("POST", "/identities/DeleteWorkloadIdentity", {"name": "agent"})
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers


async def test_an_output_is_rendered_as_the_model_says_and_inner_members_stay_inside(sqlite_database, keyring):
    async def get_gateway(_context, _request):
        return {
            "gatewayId": "tools-0123456789",
            "createdAt": 1_800_000_000,
            "updatedAt": 1_800_000_000.5,
            "description": None,
            "sealed": "v1.k1.AAAA",
            "statusReasons": ("a",),
            "authorizerConfiguration": {"customJWTAuthorizer": {"discoveryUrl": "https://x", "secret": "s"}},
        }

    async def list_workload_identities(_context, _request):
        return {"workloadIdentities": [{"name": "a", "workloadIdentityArn": "arn", "row": 1}]}

    offered = {"GetGateway": get_gateway, "ListWorkloadIdentities": list_workload_identities}
    api = await Api(database=sqlite_database, keyring=keyring, context=Context, offered=offered).start()
    assert (await api.call("GET", "/gateways/tools-0123456789/")).json == {
        "gatewayId": "tools-0123456789",
        "createdAt": "2027-01-15T08:00:00Z",
        "updatedAt": "2027-01-15T08:00:00.500000Z",
        "statusReasons": ["a"],
        "authorizerConfiguration": {"customJWTAuthorizer": {"discoveryUrl": "https://x"}},
    }
    listed = await api.call("POST", "/identities/ListWorkloadIdentities")
    assert listed.json == {"workloadIdentities": [{"name": "a", "workloadIdentityArn": "arn"}]}


async def test_times_are_seconds_where_the_model_names_no_form(sqlite_database, keyring):
    async def get_token_vault(_context, _request):
        return {"tokenVaultId": "default", "lastModifiedDate": 1_800_000_000}

    api = await Api(
        database=sqlite_database, keyring=keyring, context=Context, offered={"GetTokenVault": get_token_vault}
    ).start()
    answer = await api.call("POST", "/identities/get-token-vault", {})
    assert json.loads(answer.body)["lastModifiedDate"] == 1_800_000_000
