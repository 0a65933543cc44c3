"""`portico doctor` at a real provider: what keeps clients from it directly, and that a façade in front mends it."""

import json
import os
import re
import subprocess
import sys
import time

import pytest

from support.provider.facade_rig import facade_rig
from support.provider.identity_provider import identity_provider
from support.provider.other_gateway import other_gateway

pytestmark = pytest.mark.e2e

BOUND = 60.0  #: seconds that a command may take on a busy machine
_LINK = re.compile(r"(http://127\.0\.0\.1:\d+/\S*authorize\?\S+)")


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    directory = tmp_path_factory.mktemp("facade")
    # Claude Code's metadata document cannot be fetched without a network.
    with facade_rig("cognito", directory=directory, issuer={"clientDocuments": {"enabled": False}}) as rig:
        yield rig


def command(url, *args):
    return [sys.executable, "-m", "portico", "doctor", url, "--json", *args]


def environment():
    return {key: value for key, value in os.environ.items() if not key.startswith("PORTICO_")}


def doctor(url, *args):
    done = subprocess.run(
        command(url, *args), capture_output=True, timeout=BOUND, check=False, env=environment(), text=True
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout), done.returncode


def test_a_provider_without_registration_and_s256_is_told_apart_from_a_facade(rig):
    report, code = doctor(rig.gateway.mcp_url)
    assert (code, report["fault"]) == (1, "no_s256"), report
    assert "façade" in report["fix"]
    for client in ("claude-code", "cursor", "inspector"):
        report, code = doctor(rig.mcp_url, "--as", client)
        assert (code, report["verdict"]) == (0, "incomplete"), report


def test_a_provider_that_refuses_resource_is_told_in_its_own_words(tmp_path):
    callback = "http://127.0.0.1:53682/callback"
    with (
        identity_provider("entra", redirect_uris=[callback]) as idp,
        other_gateway(idp, log=tmp_path / "gateway.log") as gateway,
    ):
        # Copilot Studio has its endpoints pasted, so that the missing S256 does not stop it first.
        held = ("--as", "copilot-studio", "--client-id", idp.client_id, "--redirect-uri", callback)
        report, code = doctor(gateway.mcp_url, *held, "--resource", gateway.mcp_url, "--scope", "openid")
    assert (code, report["fault"]) == (1, "resource_refused"), report
    assert "AADSTS9010010" in report["seen"]
    assert "Entra: as identifier URI" in report["fix"]


def test_a_person_logs_in_through_a_facade(rig, tmp_path):
    told = tmp_path / "err"
    with told.open("w") as stderr:
        process = subprocess.Popen(
            command(rig.mcp_url, "--login", "--no-browser"),
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment(),
            text=True,
        )
        try:
            deadline = time.monotonic() + BOUND
            while (found := _LINK.search(told.read_text())) is None:
                assert process.poll() is None, told.read_text()
                assert time.monotonic() < deadline, told.read_text()
                time.sleep(0.05)
            rig.person().log_in(found[1])
            out, _ = process.communicate(timeout=BOUND)
        finally:
            process.kill()
    report = json.loads(out)
    assert (process.returncode, report["verdict"]) == (0, "good"), report
    assert {step["verdict"] for step in report["steps"]} <= {"good", "warning"}, report
