"""Judging upstream answers: what passes, what is refused, and that no refusal quotes what was sent."""

import json
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.model.errors import PorticoError, UpstreamInvalid, UpstreamStatus
from portico.protocol.client_answers import (
    check_response,
    judge_head,
    notification_of,
    read_message,
    read_rejection,
    refusal_of,
    tool_answer,
)

CANARY = "c4n4ry"
LEGACY, MODERN = "2025-11-25", "2026-07-28"


def message(**members):
    return read_message(json.dumps({"jsonrpc": "2.0"} | members).encode())


def answer(value, *, version):
    return tool_answer(message(id=1, result=value), version=version)


def everything_said(error: PorticoError) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + error.detail + error.public


# Status and content type


@pytest.mark.parametrize("media", [b"application/json", b"application/json; charset=utf-8", b"Application/JSON ;x"])
def test_json_is_recognised_with_parameters_and_in_any_case(media):
    assert judge_head(200, media) == "json"


def test_an_event_stream_is_recognised():
    assert judge_head(200, b"text/event-stream;charset=utf-8") == "event-stream"


@pytest.mark.parametrize("media", [None, b"", b"text/html; charset=utf-8", b"text/\x01evil", b"x" * 500])
def test_a_success_in_another_media_type_is_invalid_and_the_sentence_helps(media):
    with pytest.raises(UpstreamInvalid) as caught:
        judge_head(200, media)
    assert "is its endpoint the URL of an MCP endpoint?" in caught.value.public
    assert len(caught.value.public) < 200
    assert "\x01" not in caught.value.public


@pytest.mark.parametrize("status", [201, 202, 204, 301, 307, 401, 403, 407, 429, 500, 502, 503])
def test_other_statuses_are_refused_with_their_number(status):
    with pytest.raises(UpstreamStatus) as caught:
        judge_head(status, b"application/json")
    assert caught.value.http_status == status
    assert str(status) in caught.value.public


def test_a_json_4xx_may_be_a_json_rpc_error_and_an_html_one_may_not():
    assert judge_head(400, b"application/json") == "json"
    with pytest.raises(UpstreamStatus):
        judge_head(404, b"text/html")


# Messages


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b'{"jsonrpc":"1.0","id":1,"result":{}}',
        b'{"jsonrpc":"2.0","id":1.5,"result":{}}',
        b'{"jsonrpc":"2.0","id":true,"result":{}}',
        b'{"jsonrpc":"2.0","id":1,"result":NaN}',
        b'{"jsonrpc":"2.0","id":1,"result":{"a":"\xff"}}',
        b'{"jsonrpc":"2.0","id":1,"result":"\\ud800"}',
        b'{"jsonrpc":"2.0","id":1,"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":"c4n4ry"}}',
        b'{"jsonrpc":"c4n4ry"}',
        b'[{"jsonrpc":"2.0","id":1,"result":{"c4n4ry":1}}]',
    ],
)
def test_what_is_no_json_rpc_message_is_refused_without_being_quoted(data):
    with pytest.raises(UpstreamInvalid) as caught:
        read_message(data)
    assert CANARY not in everything_said(caught.value)


@given(st.binary())
def test_no_bytes_make_reading_fail_in_another_way(data):
    try:
        read_message(data)
    except UpstreamInvalid:
        return


def test_a_response_has_exactly_one_of_result_and_error():
    for members in ({}, {"result": {}, "error": {"code": 1, "message": ""}}):
        with pytest.raises(UpstreamInvalid):
            check_response(message(id=1, **members), 1)


@pytest.mark.parametrize("other", [2, "1", None])
def test_a_result_with_another_id_is_refused(other):
    with pytest.raises(UpstreamInvalid) as caught:
        check_response(message(id=other, result={}), 1)
    assert "id" in caught.value.public


def test_an_error_without_id_answers_our_request():
    assert check_response(message(id=None, error={"code": -32700, "message": ""}), 1).error


def test_a_rejection_is_the_error_in_its_body_whatever_its_id():
    body = json.dumps({"jsonrpc": "2.0", "id": "server-error", "error": {"code": -32600, "message": "m"}})
    assert read_rejection(400, body.encode()).error.code == -32600


@pytest.mark.parametrize("body", [b"", b"{}", b'{"error":"c4n4ry"}', b"\xff", b"[" * 100_000])
def test_a_4xx_without_a_json_rpc_error_counts_as_its_status(body):
    with pytest.raises(UpstreamStatus) as caught:
        read_rejection(404, body)
    assert caught.value.http_status == 404
    assert CANARY not in everything_said(caught.value)


# Tool results


def test_a_result_is_handed_on_byte_by_byte():
    raw = b'{ "content" : [ {"type":"text","text":"\xc3\xa9"} ], "x":1.50 }'
    whole = b'{"jsonrpc":"2.0","id":1,"result":' + raw + b"}"
    assert tool_answer(read_message(whole), version=LEGACY).result == raw


def test_is_error_is_seen():
    assert answer({"content": [], "isError": True}, version=LEGACY).is_error
    assert not answer({"content": []}, version=LEGACY).is_error


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        None,
        {"content": "c4n4ry"},
        {"content": None},
        {"content": ["c4n4ry"]},
        {"content": [{"text": "c4n4ry"}]},
        {"content": [], "isError": "c4n4ry"},
    ],
)
@pytest.mark.parametrize("version", [LEGACY, MODERN])
def test_a_result_of_another_shape_is_refused_with_its_place_and_without_being_quoted(value, version):
    with pytest.raises(UpstreamInvalid) as caught:
        answer(value, version=version)
    assert CANARY not in everything_said(caught.value)
    assert "at $" in caught.value.public


def test_structured_content_is_an_object_in_the_legacy_era_and_any_value_in_the_modern_one():
    value = {"content": [], "structuredContent": [1]}
    assert answer(value, version=MODERN).result
    with pytest.raises(UpstreamInvalid):
        answer(value, version=LEGACY)


def test_a_missing_result_type_is_complete_and_an_unknown_one_is_refused():
    assert answer({"content": []}, version=MODERN).result == b'{"resultType":"complete","content": []}'
    assert answer({"content": [], "resultType": "complete"}, version=MODERN).result
    for kind in ("input_required", "task", "c4n4ry", 5):
        with pytest.raises(UpstreamInvalid) as caught:
            answer({"content": [], "resultType": kind}, version=MODERN)
        assert CANARY not in everything_said(caught.value)


def test_input_required_says_that_it_is_not_relayed_yet():
    with pytest.raises(UpstreamInvalid) as caught:
        answer({"resultType": "input_required", "inputRequests": {}}, version=MODERN)
    assert "does not relay yet" in caught.value.public


def test_an_error_of_the_call_is_handed_on_with_its_data():
    error = tool_answer(message(id=1, error={"code": -32602, "message": "m", "data": [1]}), version=MODERN).error
    assert (error.code, error.message, error.data) == (-32602, "m", b"[1]")


@pytest.mark.parametrize("code", [-32021, -32022, -32042, -32600, -32700])
def test_an_error_about_our_envelope_is_ours_to_explain(code):
    with pytest.raises(UpstreamInvalid) as caught:
        tool_answer(message(id=1, error={"code": code, "message": CANARY, "data": CANARY}), version=MODERN)
    assert CANARY not in everything_said(caught.value)


# Streams


def progress(**params):
    return notification_of(message(method="notifications/progress", params=params), 7)


def test_progress_of_our_token_is_handed_on_without_it():
    told = progress(progressToken=7, progress=1, total=2.5, message="m", _meta={"x": 1})
    assert told.kind == "progress"
    assert json.loads(told.params) == {"progress": 1, "total": 2.5, "message": "m"}


@pytest.mark.parametrize(
    "params",
    [
        {"progressToken": 8, "progress": 1},
        {"progressToken": "7", "progress": 1},
        {"progress": 1},
        {"progressToken": 7},
        {"progressToken": 7, "progress": "x"},
        {"progressToken": 7, "progress": 1, "total": None},
    ],
)
def test_foreign_and_malformed_progress_is_dropped(params):
    assert progress(**params) is None


def test_log_messages_are_handed_on_when_they_are_well_formed():
    params = {"level": "info", "data": {"a": 1}, "logger": "l"}
    assert json.loads(notification_of(message(method="notifications/message", params=params), 7).params) == params
    for bad in ({"level": "loud", "data": 1}, {"level": "info"}):
        assert notification_of(message(method="notifications/message", params=bad), 7) is None


def test_other_notifications_are_not_the_callers():
    assert notification_of(message(method="notifications/tools/list_changed"), 7) is None
    assert notification_of(message(method="notifications/tools/list_changed", params={}), 7) is None


def test_a_question_is_refused_and_a_ping_is_answered():
    asked = json.loads(refusal_of(message(id="q", method="sampling/createMessage", params={})))
    assert (asked["id"], asked["error"]["code"]) == ("q", -32601)
    assert json.loads(refusal_of(message(id=3, method="ping")))["result"] == {}
