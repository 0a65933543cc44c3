"""Reading handshakes and lists: the members that matter, and refusals that quote nothing."""

import json
import traceback

import pytest

from portico.model.errors import UpstreamError
from portico.protocol.client_answers import read_message
from portico.protocol.client_handshakes import (
    DiscoverResult,
    InitializeResult,
    ToolsPage,
    read_result,
    supported_versions,
)

CANARY = "c4n4ry"


def message(**members):
    return read_message(json.dumps({"jsonrpc": "2.0"} | members).encode())


def test_handshakes_are_read_by_the_members_that_matter():
    initialized = read_result(
        message(id=1, result={"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "x": 1}), InitializeResult
    )
    assert (initialized.protocolVersion, initialized.has_tools) == ("2025-06-18", True)
    discovered = read_result(message(id=1, result={"supportedVersions": ["a"], "capabilities": {}}), DiscoverResult)
    assert (discovered.supportedVersions, discovered.has_tools) == (["a"], False)
    assert read_result(message(id=1, result={"tools": [{}], "nextCursor": ""}), ToolsPage).nextCursor == ""


@pytest.mark.parametrize(
    "members", [{"result": {"tools": CANARY}}, {"result": [CANARY]}, {"error": {"code": -1, "message": CANARY}}]
)
def test_a_bad_handshake_is_refused_without_being_quoted(members):
    with pytest.raises(UpstreamError) as caught:
        read_result(message(id=1, **members), ToolsPage)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_the_supported_versions_of_a_refusal_are_read_where_there_are_any():
    error = {"code": -32022, "message": "", "data": {"supported": ["2030-01-01"], "requested": "x"}}
    assert supported_versions(message(id=1, error=error)) == ("2030-01-01",)
    assert supported_versions(message(id=1, error=error | {"data": {"supported": 1}})) == ()
    assert supported_versions(message(id=1, result={})) == ()
