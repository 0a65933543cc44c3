"""A child is drained, explained when it dies, and never outlives Portico."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from portico.process.child import KEPT_LINES, Child, ChildDied


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


async def never() -> bool:
    return False


async def test_a_child_that_dies_says_how_and_shows_its_last_lines():
    child = await Child.start("calculator", python("import sys; print('port 80 is taken'); sys.exit(3)"))
    try:
        with pytest.raises(ChildDied) as caught:
            await child.wait_ready(never, seconds=20)
    finally:
        await child.stop()
    assert "calculator ended with status 3" in caught.value.public
    assert "port 80 is taken" in caught.value.public


async def test_a_command_that_does_not_exist_is_a_death_that_names_it():
    child = await Child.start("everything", ["/nonexistent/node"])
    error = await child.wait_death()
    await child.stop()
    assert "/nonexistent/node" in error.public
    assert "127" in error.public


async def test_a_child_that_never_gets_ready_is_reported_and_can_be_stopped():
    child = await Child.start("slow", python("import time; time.sleep(600)"))
    with pytest.raises(ChildDied) as caught:
        await child.wait_ready(never, seconds=0.2)
    await child.stop()
    await child.stop()
    assert "not ready within 0.2 s" in caught.value.public
    assert not psutil.pid_exists(child.pid)


@pytest.mark.case("H10", "T25")
async def test_the_environment_lets_through_only_what_it_names(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-4711")
    child = await Child.start(
        "env", python("import os; print(sorted(os.environ.items()))"), environment={"PORT": "9001"}
    )
    error = await child.wait_death()
    await child.stop()
    assert "canary" not in error.public
    assert "9001" in error.public


async def test_a_flood_of_output_neither_blocks_the_child_nor_grows_us():
    child = await Child.start("noisy", python("print('x' * 3_000_000); [print(i) for i in range(100_000)]"))
    async with asyncio.timeout(30):
        await child.wait_death()
    await child.stop()
    assert len(child.last_lines) == KEPT_LINES
    assert child.last_lines[-1] == "99999"
    assert all(len(line) <= 2048 for line in child.last_lines)


FAMILY = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
"""


async def family(last: str) -> tuple[Child, int]:
    child = await Child.start("family", python(FAMILY + last))
    await child.wait_ready(lambda: asyncio.sleep(0, result=bool(child.last_lines)), seconds=20)
    return child, int(child.last_lines[0])


async def test_grandchildren_and_those_that_ignore_term_are_stopped_too():
    child, grandchild = await family("time.sleep(600)")
    await child.stop()
    await _gone(grandchild)
    assert not psutil.pid_exists(child.pid)


async def test_what_a_child_leaves_behind_when_it_ends_is_ended():
    child, grandchild = await family("sys.exit(5)")
    assert "status 5" in (await child.wait_death()).public
    await _gone(grandchild)
    await child.stop()


async def test_a_polite_child_gets_its_time_to_end():
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('tidied', flush=True), sys.exit(0)))\n"
        "print('up', flush=True)\ntime.sleep(600)"
    )
    child = await Child.start("polite", python(code))
    await child.wait_ready(lambda: asyncio.sleep(0, result=bool(child.last_lines)), seconds=20)
    async with asyncio.timeout(2.5):
        await child.stop()
    assert child.last_lines == ("up", "tidied")


async def test_a_child_dies_even_when_its_guard_is_killed():
    child = await Child.start("c", python("import os, time; print(os.getpid(), flush=True); time.sleep(600)"))
    await child.wait_ready(lambda: asyncio.sleep(0, result=bool(child.last_lines)), seconds=20)
    os.kill(child.pid, signal.SIGKILL)
    await child.wait_death()
    await _gone(int(child.last_lines[0]))
    await child.stop()


async def test_a_cancelled_stop_ends_the_child_all_the_same():
    child, grandchild = await family("time.sleep(600)")
    stopping = asyncio.create_task(child.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    await _gone(grandchild)
    await child.stop()


@pytest.mark.case("T25")
async def test_arguments_reach_the_child_as_they_are_and_no_shell_sees_them():
    odd = ["$(touch /tmp/x)", "; exit 9", "`id`", "a b", "*", "-c"]
    child = await Child.start("args", [*python("import sys; print(sys.argv[1:])"), *odd])
    await child.wait_death()
    await child.stop()
    assert child.last_lines == (str(odd),)


async def test_no_child_outlives_a_killed_portico(tmp_path):
    script = tmp_path / "portico_like.py"
    script.write_text(
        "import asyncio, sys\n"
        "from portico.process.child import Child\n"
        "async def main():\n"
        "    child = await Child.start('c', [sys.executable, '-c', "
        "'import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(os.getpid(), flush=True); time.sleep(600)'])\n"
        "    await child.wait_ready(lambda: asyncio.sleep(0, result=bool(child.last_lines)), seconds=20)\n"
        "    print(child.last_lines[0], flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), stdout=subprocess.PIPE)
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    assert psutil.pid_exists(pid)
    process.kill()
    await process.wait()
    await _gone(pid)


async def _gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
