"""AWS's own SDK for AgentCore, `bedrock-agentcore`, unmodified: its gateway and identity clients."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("agentcore")]

PROGRAM = Path(__file__).with_name("agentcore_sdk.py")


@pytest.fixture(scope="module")
def told(administered):
    """What the SDK got from each of its calls."""
    url = administered.aws["endpoint_url"]
    environ = administered.environ | {"BEDROCK_AGENTCORE_CP_ENDPOINT": url, "BEDROCK_AGENTCORE_DP_ENDPOINT": url}
    command = [sys.executable, str(PROGRAM), administered.endpoint]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_gateway_client_waits_for_gateways_and_targets_and_their_end(told):
    gateways = told["gateways"]
    assert gateways["created"] == "READY"
    assert gateways["updated"] == ["READY", "by the SDK"]
    assert gateways["target"] == "READY"
    assert gateways["changed"] == ["READY", "changed"]
    assert gateways["found"] == [True, True]
    assert (gateways["missing"], gateways["left"]) == (None, None)


def test_the_gateway_client_is_told_why_a_target_failed(told):
    assert told["gateways"]["failed"].startswith("Reached FAILED: ")


def test_the_identity_client_manages_workloads_and_providers(told):
    identities = told["identities"]
    assert identities["workload"] == [["https://app.example.com/b"]] * 2
    assert identities["oauth"][0].endswith("/oauth2credentialprovider/sdk-github")
    assert identities["key"][0].endswith("/apikeycredentialprovider/sdk-key")
    assert (identities["oauth"][1], identities["key"][1]) == (True, True)
    assert identities["gone"] == "ResourceNotFoundException"


def test_the_identity_client_is_told_what_is_not_offered_yet(told):
    assert told["identities"]["not_offered"] == "NotOfferedException"
