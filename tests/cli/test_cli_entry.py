"""The command as a process: exit codes, streams, and what it does without a place to stand."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from portico.cli.main import root

PORTICO = Path(sys.executable).with_name("portico")
BOUND = 60  #: seconds that a process may take on a busy machine


def portico(*args, **options):
    return subprocess.run(
        [PORTICO, *args],
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
        stdin=subprocess.DEVNULL,
        **options,
    )


def test_both_ways_to_start_it_are_the_same_program():
    done = portico("--version")
    module = subprocess.run(
        [sys.executable, "-m", "portico", "--version"], capture_output=True, text=True, timeout=BOUND, check=False
    )
    assert (done.returncode, module.returncode) == (0, 0)
    assert done.stdout == module.stdout
    assert version("portico") in done.stdout


def test_help_lists_every_command_with_a_line():
    done = portico("-h")
    assert done.returncode == 0
    listed = dict(re.findall(r"^  (\w[\w-]*) {2,}(\S.*)$", done.stdout, flags=re.MULTILINE))
    visible = {
        name
        for name, command in ((n, root.get_command(None, n)) for n in root.list_commands(None))
        if not command.hidden
    }
    assert listed.keys() == visible


@pytest.mark.parametrize(
    "args", [(), ("nonsense",), ("users",), ("users", "add"), ("check", "--nonsense"), ("call", "x")]
)
def test_wrong_usage_is_told_on_stderr_with_exit_code_2(args):
    done = portico(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: portico" in done.stderr


def test_a_failure_is_told_on_stderr_with_exit_code_1(tmp_path):
    done = portico("check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("portico: portico.yaml: cannot be read (No such file or directory); name the file")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_leaves_early_sees_no_traceback(place):
    process = subprocess.Popen(
        [PORTICO, "users", "list", "--config", place.config], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    told = process.stderr.read()
    assert process.wait(timeout=BOUND) in (0, 1)
    assert "Traceback" not in told


def test_an_interrupted_question_ends_with_exit_code_130(place):
    place.succeed("keyring", "rotate")
    kid = place.json("keyring", "list")[1]["id"]
    process = subprocess.Popen(
        [PORTICO, "keyring", "drop", kid, "--config", place.config],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    asked = process.stderr.read(len(f"What {kid}"))
    assert asked == f"What {kid}"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=BOUND)
    assert process.returncode == 130
    assert told.endswith("portico: interrupted\n")
    assert len(place.json("keyring", "list")) == 2


def test_json_output_is_one_document_and_nothing_else(place):
    done = portico("users", "add", "bob", "--generate", "--json", "--config", str(place.config))
    assert json.loads(done.stdout)["name"] == "bob"
    assert done.stderr.startswith("Password: ")


def test_the_client_does_not_wait_for_the_server_side():
    """`portico tools` must not import the database layer, nor `portico check` the MCP SDK."""
    code = "import sys; from portico.cli.main import run; run(['{}', '-h']); print(*sys.modules, file=sys.stderr)"

    def imported(command):
        done = subprocess.run(
            [sys.executable, "-c", code.format(command)], capture_output=True, text=True, timeout=BOUND, check=True
        )
        return done.stderr

    assert "sqlalchemy" not in imported("tools").split()
    assert "mcp" not in imported("check").split()


def test_serve_says_that_its_address_is_taken(place):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = os.environ | {"PORTICO_LISTEN": f"127.0.0.1:{taken.getsockname()[1]}"}
        done = portico("serve", "--config", str(place.config), env=environment)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("portico: listen: ")
    assert "Traceback" not in done.stderr
