"""A hosted application before a façade: what the command prints is written into the file and pasted, and no more."""

import json
import subprocess
import sys
from contextlib import ExitStack

import pytest
import yaml

from support.hosted_client import COPILOT_REDIRECT, PROTOCOL, HostedClient, Refused
from support.processes import stopped
from support.provider.facade_rig import FacadeRig, facade_rig

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("facade-hosted")]


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with facade_rig("cognito", directory=tmp_path_factory.mktemp("hosted")) as running, ExitStack() as stack:
        running.restarted = lambda: restart(running, stack)
        yield running


def restart(rig: FacadeRig, stack: ExitStack) -> None:
    """Start the replicas again, each with its file as it is now."""
    for number, replica in enumerate(rig.replicas):
        replica.process.terminate()
        replica.process.wait(timeout=30)
        with replica.log.open("ab") as told:
            command = [sys.executable, "-m", "portico", "facade", "--config", f"{rig.directory}/facade{number}.yaml"]
            again = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT)
        stack.enter_context(stopped(again))
        replica.process = again
        replica.wait()


def hold(rig: FacadeRig) -> dict:
    """Do what the page about the façade says: make the entry, write it into the file, start again."""
    command = [sys.executable, "-m", "portico", "facade", "--config", f"{rig.directory}/facade0.yaml"]
    arguments = ["client", "copilot", "--for", "copilot-studio", "--without-pkce", "--json"]
    printed = json.loads(subprocess.run([*command, *arguments], check=True, capture_output=True).stdout)
    entry = printed.pop("entry")
    entry["redirectUris"].append(COPILOT_REDIRECT)  # the application tells it once the values are pasted
    for number in range(len(rig.replicas)):
        file = rig.directory / f"facade{number}.yaml"
        document = yaml.safe_load(file.read_text())
        document["issuer"]["clients"] = [entry]
        file.write_text(yaml.safe_dump(document))
    rig.restarted()
    return printed


@pytest.fixture(scope="module")
def table(rig):
    return hold(rig)


async def test_an_application_like_copilot_studio_runs_from_the_printed_table_alone(rig, table):
    hosted = HostedClient(table=table)
    await hosted.connect(rig.person("ada").walk)
    assert (await hosted.initialize())["protocolVersion"] == PROTOCOL
    names = [tool["name"] for tool in (await hosted.call("tools/list"))["tools"]]
    assert "add" in names
    before = hosted.tokens["access_token"]
    await hosted.refresh()
    assert hosted.tokens["access_token"] != before
    result = await hosted.call("tools/call", {"name": "add", "arguments": {"a": 2, "b": 40}})
    assert result["content"][0]["text"] == "42"


async def test_neither_a_wrong_secret_nor_another_redirect_gets_it_anything(rig, table):
    hosted = HostedClient(table={**table, "client_secret": "x" * 43})
    with pytest.raises(Refused) as refused:
        await hosted.connect(rig.person("ada").walk)
    assert (refused.value.status, refused.value.code) == (401, "invalid_client")
    elsewhere = HostedClient(table=table, redirect_uri="https://global.consent.azure-apim.net/redirect/another")
    with pytest.raises(AssertionError):  # an error page, and the browser never leaves the façade
        await elsewhere.connect(rig.person("ada").walk)
