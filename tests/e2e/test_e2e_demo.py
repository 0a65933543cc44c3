"""The demo's own promises: what it writes, that it starts again, that it stops, and how it fails."""

import json
import os
import signal
import socket
import stat
import subprocess

import boto3
import psutil
import pytest
from demo_process import portico, start_demo, stop

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo-life")]


def run(*args, **options):
    return subprocess.run(portico("demo", *args), capture_output=True, text=True, timeout=60, check=False, **options)


def test_demo_json_holds_what_a_program_needs_and_is_private(tmp_path):
    demo = start_demo(tmp_path / "data")
    try:
        facts = demo.facts
        assert list(facts) == ["public_url", "gateway_id", "mcp_url", "issuer", "user", "machine", "aws", "targets"]
        assert list(facts["user"]) == ["name", "password"]
        assert list(facts["machine"]) == ["client_id", "client_secret", "token_url", "scope"]
        assert list(facts["aws"]) == ["access_key_id", "secret_access_key", "region", "endpoint_url"]
        assert facts["targets"] == ["calculator", "everything"]
        assert facts["mcp_url"] == f"{facts['public_url']}/g/{facts['gateway_id']}/mcp"
        for file in demo.data_dir.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, f"{file} is not private"
    finally:
        stop(demo)


def test_demo_json_holds_a_key_that_boto3_administers_with(tmp_path):
    demo = start_demo(tmp_path / "data")
    try:
        aws = demo.facts["aws"]
        client = boto3.client(
            "bedrock-agentcore-control",
            region_name=aws["region"],
            endpoint_url=aws["endpoint_url"],
            aws_access_key_id=aws["access_key_id"],
            aws_secret_access_key=aws["secret_access_key"],
        )
        listed = client.list_gateways()["items"]
        client.close()
        assert [item["gatewayId"] for item in listed] == [demo.facts["gateway_id"]]
    finally:
        stop(demo)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_everything_it_started(tmp_path, ending):
    demo = start_demo(tmp_path / "data")
    children = psutil.Process(demo.process.pid).children(recursive=True)
    assert len(children) >= 4, "two servers and their guards"
    demo.process.send_signal(ending)
    assert demo.process.wait(timeout=40) == 0
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


def test_a_killed_demo_leaves_no_server_behind(tmp_path):
    demo = start_demo(tmp_path / "data")
    children = psutil.Process(demo.process.pid).children(recursive=True)
    demo.process.kill()
    demo.process.wait(timeout=40)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


def test_a_second_start_finds_the_same_user_gateway_and_machine(tmp_path):
    first = start_demo(tmp_path / "data")
    assert stop(first) == 0
    second = start_demo(tmp_path / "data")
    try:
        for key in ("gateway_id", "user"):
            assert second.facts[key] == first.facts[key]
        for key in ("access_key_id", "secret_access_key"):
            assert second.facts["aws"][key] == first.facts["aws"][key]
        for key in ("client_id", "client_secret"):
            assert second.facts["machine"][key] == first.facts["machine"][key]
    finally:
        stop(second)


def test_a_server_that_dies_stops_the_demo_with_its_last_words(tmp_path):
    demo = start_demo(tmp_path / "data")
    children = psutil.Process(demo.process.pid).children(recursive=True)
    node = next(child for child in children if child.name().startswith("node"))
    node.kill()
    assert demo.process.wait(timeout=40) == 1
    told = (tmp_path / "data.log").read_text()
    assert "portico: everything ended" in told
    assert "start the demo again" in told
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


def test_json_prints_the_facts_and_nothing_else_whatever_is_set_for_another_portico(tmp_path):
    process = subprocess.Popen(
        portico("demo", "--port", "0", "--data-dir", str(tmp_path / "data"), "--json"),
        env=os.environ | {"PORTICO_LISTEN": "nonsense"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        text = ""
        while not text.endswith("\n}\n"):
            line = process.stdout.readline()
            assert line, "the demo ended"
            text += line
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(timeout=40) == 0
    finally:
        process.kill()
    assert rest == ""
    assert json.loads(text) == json.loads((tmp_path / "data" / "demo.json").read_text())


def test_a_port_in_use_is_one_line_that_says_what_to_do(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("--port", str(port), "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert f"Port {port} cannot be used" in done.stderr
    assert "portico demo --port" in done.stderr


def test_a_directory_that_cannot_be_written_is_one_line_that_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("--port", "0", "--data-dir", str(tmp_path / "file" / "data"))
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "--data-dir" in done.stderr


def test_two_demos_do_not_share_a_directory(tmp_path):
    demo = start_demo(tmp_path / "data")
    try:
        done = run("--port", "0", "--data-dir", str(tmp_path / "data"))
        assert done.returncode == 1
        assert "Another demo uses" in done.stderr
        assert (tmp_path / "data" / "demo.json").exists(), "the first one's facts stay"
    finally:
        stop(demo)
