"""What a client declared against what a target needs."""

import json

import pytest

from portico.protocol.capabilities import lacks, missing_data


def needs(**required):
    return json.dumps({"requiredCapabilities": required}).encode()


@pytest.mark.parametrize(
    ("declared", "required", "lacking"),
    [
        (None, {"sampling": {}}, True),
        (b"{}", {"sampling": {}}, True),
        (b'{"sampling":{}}', {"sampling": {}}, False),
        (b'{"sampling":{}}', {"sampling": {}, "elicitation": {}}, True),
        (b'{"elicitation":{}}', {"elicitation": {"url": {}}}, False),
        (b'{"sampling":1}', {"sampling": {}}, False),
        (b"[]", {"sampling": {}}, False),
    ],
)
def test_a_client_lacks_what_it_did_not_declare_at_all(declared, required, lacking):
    assert lacks(declared, needs(**required)) is lacking


@pytest.mark.parametrize(
    "data",
    [
        b"null",
        b"[]",
        b"{}",
        b'{"requiredCapabilities":{}}',
        b'{"requiredCapabilities":["sampling"]}',
        b'{"requiredCapabilities":{"sampling":true}}',
        b'{"requiredCapabilities":{"sampling":{}}',
        b'{"requiredCapabilities":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_data_that_names_no_capability_is_none(data):
    assert missing_data(data) is None
    assert not lacks(b"{}", data)


def test_nothing_else_of_the_data_is_kept():
    data = b'{ "why": "canary", "requiredCapabilities": {"sampling": {"tools": {}}} }'
    assert json.loads(missing_data(data)) == {"requiredCapabilities": {"sampling": {"tools": {}}}}
