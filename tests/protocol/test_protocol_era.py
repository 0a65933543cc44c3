"""Era and revision: body and header must agree, and what is not offered is refused with what is."""

import json

import pytest

from portico.model.gateway import PROTOCOL_VERSIONS
from portico.protocol.era import classify, progress_token, trace_members
from portico.protocol.errors import RpcRefused
from portico.protocol.headers import collect
from portico.protocol.jsonrpc import decode
from portico.protocol.versions import negotiate

META = "io.modelcontextprotocol/"
MODERN = "2026-07-28"


def message(method="tools/list", *, number=1, version=None, **params):
    body = {"jsonrpc": "2.0", "method": method, "params": params}
    if number is not None:
        body["id"] = number
    if version is not None:
        meta = {META + "protocolVersion": version, META + "clientCapabilities": {}}
        params["_meta"] = meta | params.get("_meta", {})
    return decode(json.dumps(body).encode())


def headers(**values):
    return collect([(f"mcp-{name.replace('_', '-')}".encode(), value.encode()) for name, value in values.items()])


def spoken(request, sent, offered=PROTOCOL_VERSIONS):
    found = classify(request, sent, offered)
    return found.era, found.version


def code(request, sent, offered=PROTOCOL_VERSIONS):
    with pytest.raises(RpcRefused) as caught:
        classify(request, sent, offered)
    return caught.value.rpc_code


def test_a_request_is_modern_when_body_and_headers_say_so():
    sent = headers(protocol_version=MODERN, method="tools/list")
    assert spoken(message(version=MODERN), sent) == ("modern", MODERN)


def test_a_request_is_legacy_when_only_the_header_speaks():
    assert spoken(message(), headers(protocol_version="2025-06-18")) == ("legacy", "2025-06-18")
    assert spoken(message(), headers()) == ("legacy", "2025-03-26")
    assert spoken(message("initialize"), headers(protocol_version="whatever")) == ("legacy", "")


@pytest.mark.parametrize(
    ("request_", "sent", "expected"),
    [
        (message(version=MODERN), headers(), -32020),
        (message(version=MODERN), headers(protocol_version="2025-11-25", method="tools/list"), -32020),
        (message(version="2025-11-25"), headers(protocol_version=MODERN, method="tools/list"), -32020),
        (message(version="2025-11-25"), headers(protocol_version="2025-11-25", method="tools/list"), -32022),
        (message(version="2030-01-01"), headers(protocol_version="2030-01-01", method="tools/list"), -32022),
        (message(version=MODERN), headers(protocol_version=MODERN), -32020),
        (message(version=MODERN), headers(protocol_version=MODERN, method="tools/call"), -32020),
        (message(version=MODERN), headers(protocol_version=MODERN, method="Tools/list"), -32020),
        (message(), headers(protocol_version=MODERN, method="tools/list"), -32602),
        (message(), headers(protocol_version="2024-11-05"), -32022),
        (message(), headers(protocol_version=""), -32022),
        (message(version=7), headers(protocol_version="7"), -32602),
        (message(version=MODERN, _meta={META + "clientCapabilities": []}),
         headers(protocol_version=MODERN, method="tools/list"), -32602),
        (message(version=MODERN, _meta={META + "clientInfo": "x"}),
         headers(protocol_version=MODERN, method="tools/list"), -32602),
        (message("tools/call", version=MODERN, name="a"),
         headers(protocol_version=MODERN, method="tools/call"), -32020),
        (message("tools/call", version=MODERN, name="a"),
         headers(protocol_version=MODERN, method="tools/call", name="b"), -32020),
    ],
)  # fmt: skip
def test_whatever_disagrees_is_refused(request_, sent, expected):
    assert code(request_, sent) == expected


def test_a_revision_that_is_not_offered_is_refused_with_those_that_are():
    with pytest.raises(RpcRefused) as caught:
        classify(message(), headers(protocol_version="2025-03-26"), ("2025-11-25", MODERN))
    assert caught.value.data == {"supported": [MODERN, "2025-11-25"], "requested": "2025-03-26"}


def test_a_request_without_a_header_needs_the_oldest_revision_or_a_session():
    offered = ("2025-06-18", "2025-11-25")
    assert code(message(), headers(), offered) == -32020
    assert spoken(message(), headers(session_id="x"), offered) == ("legacy", "2025-11-25")
    assert code(message(), headers(session_id="x"), (MODERN,)) == -32020
    assert spoken(message(number=None), headers(), offered)[0] == "legacy"


def test_notifications_need_no_headers():
    assert spoken(message(number=None, version=MODERN), headers()) == ("modern", MODERN)
    assert spoken(message(number=None), headers(protocol_version=MODERN)) == ("modern", MODERN)


def test_a_repeated_version_header_is_refused():
    raw = [(b"mcp-protocol-version", b"2025-11-25")] * 2
    assert code(message(), collect(raw)) == -32020


def test_initialize_is_answered_with_what_was_asked_or_the_newest():
    assert negotiate("2025-06-18", PROTOCOL_VERSIONS) == "2025-06-18"
    assert negotiate("1999-01-01", PROTOCOL_VERSIONS) == "2025-11-25"
    assert negotiate(MODERN, ("2025-03-26", MODERN)) == "2025-03-26"
    with pytest.raises(RpcRefused):
        negotiate("2025-11-25", (MODERN,))


def test_progress_tokens_are_texts_or_integers():
    assert progress_token(message()) is None
    assert progress_token(message(_meta={"progressToken": 7})) == b"7"
    assert progress_token(message(_meta={"progressToken": ""})) == b'""'
    with pytest.raises(RpcRefused):
        progress_token(message(_meta={"progressToken": 1.5}))


def test_tracing_is_handed_on_and_nothing_else():
    assert trace_members(message()) is None
    found = trace_members(message(_meta={"traceparent": "00-a", "baggage": "b", "other": 1}))
    assert json.loads(found) == {"traceparent": "00-a", "baggage": "b"}
