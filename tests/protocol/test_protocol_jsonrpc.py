"""Messages: what is read, and the code of everything that is not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.protocol.errors import RpcRefused, encode_error, encode_refusal, status_of
from portico.protocol.jsonrpc import MAX_ID_BYTES, Message, decode, encode_notification, encode_result


def refused(body):
    with pytest.raises(RpcRefused) as caught:
        decode(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert caught.value.http_status == 400
    return caught.value


def outcome(body):
    """Return the message or the refusal."""
    try:
        return decode(body)
    except RpcRefused as error:
        return error


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"nope", -32700),
        (b'{"jsonrpc":"2.0"} x', -32700),
        (b"\xef\xbb\xbf{}", -32700),
        (b'{"params":{"a":NaN}}', -32700),
        (b'{"params":{"a":Infinity}}', -32700),
        (b'{"params":{"a":"\xff"}}', -32700),
        (b'{"params":{"a":"\\ud800"}}', -32700),
        (b'{"params":{"a":"\\udc00x"}}', -32700),
        (b'{"params":{"a":"\\ud800\\ud800"}}', -32700),
        (b'{"params":{"a":"\x00"}}', -32700),
        (b'{"params":{"a":01}}', -32700),
        (b"\x00\x01", -32700),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", -32600),
        (b"[]", -32600),
        (b"[{}]", -32600),
        (b"  [1]", -32600),
        (b"1", -32600),
        (b'"x"', -32600),
        (b"null", -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"a"}', -32600),
        (b'{"jsonrpc":2.0,"id":1,"method":"a"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"a"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"a"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"a"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"a"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":""}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","result":{}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"error":{}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"METHOD":"a"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":1,"name":2}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"Name":1}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"progressToken":1,"progressToken":2}}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","params":[]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","params":null}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":[]}}', -32602),
    ],
)
def test_what_is_no_message_has_its_code(body, code):
    error = refused(body)
    assert error.rpc_code == code
    assert error.public.endswith(".")


def test_an_id_that_could_be_read_is_answered():
    assert refused({"jsonrpc": "2.0", "id": "a", "method": 7}).request_id == b'"a"'
    assert refused({"jsonrpc": "2.0", "id": [], "method": "a"}).request_id is None


@pytest.mark.parametrize("identifier", [0, -1, 2**70, "", "a", 'quote"', "é", "x" * (MAX_ID_BYTES - 2)])
def test_ids_are_echoed_byte_for_byte(identifier):
    raw = json.dumps(identifier, ensure_ascii=False).encode()
    message = decode(b'{"jsonrpc":"2.0", "id": ' + raw + b' ,"method":"ping"}')
    assert (message.id, message.raw_id) == (identifier, raw)
    assert json.loads(encode_result(message.raw_id, b"{}"))["id"] == identifier


def test_an_id_that_is_too_long_is_refused():
    assert refused({"jsonrpc": "2.0", "id": "x" * MAX_ID_BYTES, "method": "a"}).rpc_code == -32600


def test_params_are_open_one_level_and_meta_two():
    message = decode(b'{"jsonrpc":"2.0","method":"a","params":{"arguments":{"a": [1]},"_meta":{"progressToken":"t"}}}')
    assert message.id is None
    assert bytes(message.params["arguments"]) == b'{"a": [1]}'
    assert bytes(message.meta["progressToken"]) == b'"t"'


@given(st.binary(max_size=100))
def test_any_bytes_are_a_message_or_a_refusal(body):
    assert isinstance(outcome(body), Message | RpcRefused)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "_meta", "Id", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "x"]), _JSON),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:")]),
)
def test_any_object_is_a_message_or_a_refusal_however_it_is_spaced(members, separators):
    body = json.dumps({"jsonrpc": "2.0", **members}, separators=separators).encode()
    found = outcome(body)
    compact = outcome(json.dumps(json.loads(body), separators=(",", ":")).encode())
    if isinstance(found, RpcRefused):
        assert (compact.rpc_code, compact.public) == (found.rpc_code, found.public)
        assert json.loads(encode_refusal(found, None))["error"]["code"] == found.rpc_code
    else:
        assert (found.method, found.id) == (members["method"], members.get("id"))
        assert (compact.method, compact.id) == (found.method, found.id)


def test_errors_are_encoded_with_what_is_known():
    assert json.loads(encode_error(None, -32700, 'a"b')) == {
        "jsonrpc": "2.0",
        "error": {"code": -32700, "message": 'a"b'},
    }
    assert json.loads(encode_error(b"1", 5, "m", b"[1]")) == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": 5, "message": "m", "data": [1]},
    }


def test_notifications_are_encoded():
    assert json.loads(encode_notification("notifications/progress", b'{"a":1}')) == {
        "jsonrpc": "2.0",
        "method": "notifications/progress",
        "params": {"a": 1},
    }


def test_codes_have_their_status_in_the_modern_era_only():
    assert [status_of(code, "modern") for code in (-32700, -32601, -32602, -32020, -32603, 7)] == [
        400,
        404,
        400,
        400,
        200,
        200,
    ]
    assert {status_of(code, "legacy") for code in (-32601, -32602, 7)} == {200}
