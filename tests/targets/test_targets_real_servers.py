"""The two servers that everybody has: the Python SDK's (both eras) and npm's server-everything (legacy)."""

import asyncio
import json
import os
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from portico.targets.discovery import discover
from targets.calls import target_at, tool_call
from targets.http_server import until
from targets.servers import closed_port

REPOSITORY = Path(__file__).parents[2]
PACKAGE = Path("@modelcontextprotocol/server-everything/dist/index.js")

PYTHON_SERVER = """
import asyncio, sys
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("calculator", log_level="ERROR")

@server.tool()
def add_numbers(a: int, b: int) -> int:
    return a + b

@server.tool()
async def count(steps: int, ctx: Context) -> str:
    for step in range(steps):
        await ctx.report_progress(step + 1, steps)
    return "counted"

@server.tool()
async def wait_for_ever() -> str:
    print("waiting", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("cancelled", flush=True)

server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
"""


def node_modules() -> Path:
    candidates = [REPOSITORY / "node_modules"]
    if "PORTICO_NODE_MODULES" in os.environ:
        candidates.append(Path(os.environ["PORTICO_NODE_MODULES"]))
    for candidate in candidates:
        if (candidate / PACKAGE).exists():
            return candidate
    looked = ", ".join(map(str, candidates))
    pytest.fail(f"{PACKAGE.parent.parent} is not installed: run `make setup` (looked in {looked})")


class Process:
    def __init__(self, process, url):
        self.process = process
        self.url = url
        self.lines: list[str] = []

    async def collect(self):
        async for line in self.process.stdout:
            self.lines.append(line.decode().strip())


@asynccontextmanager
async def running(*argv: str, port: int, **env: str):
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=os.environ | env
    )
    child = Process(process, f"http://127.0.0.1:{port}/mcp")
    reading = asyncio.ensure_future(child.collect())

    def ready():
        if process.returncode is not None:
            pytest.fail("the server died: " + "\n".join(child.lines))
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        await until(ready, seconds=60)
        yield child
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


@pytest.fixture
async def calculator(tmp_path):
    script = tmp_path / "calculator.py"
    script.write_text(PYTHON_SERVER)
    port = closed_port()
    async with running(sys.executable, str(script), str(port), port=port) as child:
        yield child


@pytest.fixture
async def everything():
    modules = node_modules()
    own = modules / ".bin" / "node"
    node = str(own) if own.exists() else "node"
    port = closed_port()
    async with running(node, str(modules / PACKAGE), "streamableHttp", port=port, PORT=str(port)) as child:
        yield child


async def test_the_python_sdks_server_is_found_called_and_cancelled_in_both_eras(calculator, make, relay, told):
    found = await discover(target_at(calculator.url), relay=relay)
    assert [(entry.era, entry.version) for entry in found.eras] == [("modern", "2026-07-28"), ("legacy", "2025-11-25")]
    assert found.reasons == ()
    target = make(calculator.url, eras=found.eras)
    for era in ("modern", "legacy"):
        answer = await target.invoke(tool_call("add_numbers", era=era, arguments=b'{"a":2,"b":3}'))
        assert json.loads(answer.result)["structuredContent"] == {"result": 5}
        told.said.clear()
        call = tool_call("count", era=era, arguments=b'{"steps":3}', wants_progress=True)
        assert (await target.invoke(call, told)).result
        assert [json.loads(n.params)["progress"] for n in told.said] == [1, 2, 3]
        assert (await target.invoke(tool_call("add_numbers", era=era, arguments=b'{"a":"x"}'))).is_error
        calculator.lines.clear()
        task = asyncio.ensure_future(target.invoke(tool_call("wait_for_ever", era=era)))
        await until(lambda: "waiting" in calculator.lines)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: "cancelled" in calculator.lines)


@pytest.mark.parametrize("version", ["2025-03-26", "2025-06-18", "2025-11-25"])
async def test_the_python_sdks_server_answers_each_legacy_version(calculator, make, version):
    call = tool_call("add_numbers", era="legacy", version=version, arguments=b'{"a":2,"b":3}')
    assert json.loads((await make(calculator.url).invoke(call)).result)["content"][0]["text"] == "5"


async def test_server_everything_is_found_in_the_legacy_era_and_called(everything, make, relay, sessions, told):
    found = await discover(target_at(everything.url), relay=relay)
    assert [entry.era for entry in found.eras] == ["legacy"]
    assert found.undecided == frozenset()
    assert "echo" in [tool.name for tool in found.eras[0].tools]
    target = make(everything.url, eras=found.eras)
    answer = await target.invoke(tool_call("echo", era="legacy", arguments=b'{"message":"hi"}'))
    assert "hi" in json.loads(answer.result)["content"][0]["text"]
    arguments = b'{"duration":0.2,"steps":2}'
    call = tool_call("trigger-long-running-operation", era="legacy", arguments=arguments, wants_progress=True)
    assert (await target.invoke(call, told)).result
    assert [n.kind for n in told.said].count("progress") == 2
    assert sessions.count() == 1
    await target.aclose()
    await until(lambda: any("session termination" in line for line in everything.lines))


async def test_server_everything_finds_a_session_again_that_it_never_knew(everything, make, sessions):
    target = make(everything.url)
    call = tool_call("echo", era="legacy", arguments=b'{"message":"hi"}')
    assert (await target.invoke(call)).result
    # What a restart of the server looks like to us: it answers 400, not 404, to the old session.
    entry = next(iter(sessions._entries.values()))
    headers = tuple((n, b"gone" if n == b"mcp-session-id" else v) for n, v in entry.session.headers)
    object.__setattr__(entry.session, "headers", headers)
    assert (await target.invoke(call)).result
