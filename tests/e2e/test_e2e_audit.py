"""Every call is in the audit trail, also what was denied, failed or cancelled, and after kill -9 under load."""

import contextlib
import json
import subprocess
import threading
import time

import httpx2
import pytest
from demo_process import portico, start_demo

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]

CANARY = "argument-canary-4711"
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


def machine_token(facts):
    machine = facts["machine"]
    answer = httpx2.post(
        machine["token_url"],
        data={"grant_type": "client_credentials", "scope": machine["scope"]},
        auth=(machine["client_id"], machine["client_secret"]),
        trust_env=False,
        timeout=30,
    )
    return answer.json()["access_token"]


def call(client, url, token, tool, arguments, **options):
    """Call a tool in one modern request."""
    headers = {
        "authorization": f"Bearer {token}",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": tool,
    }
    params = {"name": tool, "arguments": arguments, "_meta": META}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return client.post(url, json=message, headers=headers, **options)


def audit(data_dir, *options):
    command = portico("audit", "list", "--config", str(data_dir / "portico.yaml"), "--json", "--limit", "100000")
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_trail_names_who_called_what_and_how_it_ended_and_never_an_argument(demo):
    token = machine_token(demo.facts)
    asked = {}
    with httpx2.Client(timeout=30, trust_env=False) as http:

        def ask(expected, *args):
            answer = call(http, demo.mcp_url, *args)
            asked[answer.headers["x-request-id"]] = expected

        ask("ok", token, "calculator___greet_user", {"name": CANARY})
        ask("tool_error", token, "calculator___add_numbers", {"a": CANARY, "b": 1})
        ask("protocol_error", token, "calculator___no_such_tool", {"x": CANARY})
        ask("denied", "not-a-token", "calculator___greet_user", {"name": CANARY})
    records = {record["request_id"]: record for record in audit(demo.data_dir, "--since", "10m")}
    assert {request_id: records[request_id]["outcome"] for request_id in asked} == asked
    done = next(records[request_id] for request_id, outcome in asked.items() if outcome == "ok")
    assert done["client"] == demo.facts["machine"]["client_id"]
    assert (done["gateway"], done["target"], done["tool"]) == (demo.facts["gateway_id"], "calculator", "greet_user")
    assert done["duration_ms"] > 0
    assert CANARY not in json.dumps(list(records.values()))


def test_no_answered_call_is_missing_after_kill_9_under_load(tmp_path):
    killed = start_demo(tmp_path / "data")
    answered, failures, stop = [], [], threading.Event()
    token = machine_token(killed.facts)

    def load():
        with httpx2.Client(timeout=10, trust_env=False) as http, contextlib.suppress(httpx2.TransportError):
            while not stop.is_set():
                answer = call(http, killed.mcp_url, token, "calculator___add_numbers", {"a": 1, "b": 2})
                (answered if answer.status_code == 200 else failures).append(answer.headers["x-request-id"])

    threads = [threading.Thread(target=load) for _ in range(8)]
    try:
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60
        while len(answered) < 400 and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        killed.process.kill()
        stop.set()
        for thread in threads:
            thread.join(timeout=20)
        killed.process.wait()
    assert len(answered) >= 400
    assert failures == []
    recorded = {record["request_id"] for record in audit(killed.data_dir)}
    assert set(answered) - recorded == set()
    verified = subprocess.run(
        portico("audit", "verify", "--config", str(killed.data_dir / "portico.yaml"), "--json"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_second_start_keeps_gateway_user_and_chain_and_ctrl_c_ends_every_child(tmp_path):
    import psutil

    first = start_demo(tmp_path / "data")
    children = psutil.Process(first.process.pid).children(recursive=True)
    assert len(children) >= 2
    first.process.send_signal(2)
    assert first.process.wait(timeout=40) in (0, 130)
    assert [child for child in children if child.is_running() and child.status() != "zombie"] == []
    second = start_demo(tmp_path / "data")
    try:
        assert second.facts["gateway_id"] == first.facts["gateway_id"]
        assert second.facts["user"] == first.facts["user"]
        assert (second.data_dir / "demo.json").stat().st_mode & 0o777 == 0o600
    finally:
        second.process.send_signal(2)
        second.process.wait(timeout=40)
