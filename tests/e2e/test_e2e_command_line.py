"""`portico login`, `tools`, `call` and the administrator's commands, as processes, against the running demo."""

import json
import os
import re
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import httpx2
import pytest
from demo_process import portico

from portico.cli.demo.announcement import announcement

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("demo")]

LOGIN_SECONDS = 60.0
_AUTHORIZE = re.compile(r"(http://127\.0\.0\.1:\d+/\S*authorize\?\S+)")


class Terminal:
    """Runs commands with a home of its own."""

    def __init__(self, home, demo):
        self.home = home
        self.demo = demo
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PORTICO_")},
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
        }
        self.logins = home / "config" / "portico" / "logins.json"

    def run(self, *args, stdin="", **env):
        return subprocess.run(
            portico(*args), input=stdin, env=self.env | env, capture_output=True, text=True, timeout=60, check=False
        )

    def succeed(self, *args, stdin="", **env):
        done = self.run(*args, stdin=stdin, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def administer(self, *args, stdin=""):
        return self.succeed(*args, stdin=stdin, PORTICO_CONFIG=str(self.demo.data_dir / "portico.yaml"))

    def log_in(self, person, *options, command="login"):
        """Run a command that asks for a login; `person` follows the link that it prints."""
        err = self.home / "err"
        with err.open("w") as stderr:
            process = subprocess.Popen(
                portico(command, self.demo.mcp_url, "--no-browser", *options),
                env=self.env,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
            try:
                deadline = time.monotonic() + LOGIN_SECONDS
                while (found := _AUTHORIZE.search(err.read_text())) is None:
                    assert process.poll() is None, err.read_text()
                    assert time.monotonic() < deadline, err.read_text()
                    time.sleep(0.05)
                person.log_in(found[1])
                out, _ = process.communicate(timeout=LOGIN_SECONDS)
            finally:
                process.kill()
        return process.returncode, out, err.read_text()


@pytest.fixture
def terminal(tmp_path, demo):
    return Terminal(tmp_path, demo)


def test_a_login_is_kept_for_the_commands_that_follow(terminal, demo):
    code, out, err = terminal.log_in(demo.person(), "--protocol", "legacy")
    assert code == 0, err
    assert "Logged in to" in out
    assert stat.S_IMODE(terminal.logins.stat().st_mode) == 0o600
    listed = json.loads(terminal.succeed("tools", demo.mcp_url, "--json"))
    names = {tool["name"] for tool in listed}
    assert {"calculator___add_numbers", "everything___echo"} <= names
    answer = terminal.succeed("call", demo.mcp_url, "calculator___add_numbers", '{"a": 2, "b": 40}')
    assert answer.strip().startswith("42")
    answer = terminal.succeed("call", demo.mcp_url, "everything___echo", '{"message": "hi"}')
    assert "hi" in answer


def test_an_expired_login_is_refreshed_without_the_person(terminal, demo):
    terminal.log_in(demo.person())
    kept = json.loads(terminal.logins.read_text())
    kept[demo.mcp_url]["expires_at"] = 1.0
    kept[demo.mcp_url]["tokens"]["access_token"] = "gone"
    before = kept[demo.mcp_url]["tokens"]["refresh_token"]
    terminal.logins.write_text(json.dumps(kept))
    terminal.succeed("tools", demo.mcp_url)
    after = json.loads(terminal.logins.read_text())[demo.mcp_url]["tokens"]
    assert after["access_token"] != "gone"
    assert after["refresh_token"] != before


def test_logging_in_again_keeps_the_registration(terminal, demo):
    terminal.log_in(demo.person())
    first = json.loads(terminal.logins.read_text())[demo.mcp_url]["client"]["client_id"]
    terminal.log_in(demo.person())
    assert json.loads(terminal.logins.read_text())[demo.mcp_url]["client"]["client_id"] == first


def test_a_login_that_is_declined_says_so(terminal, demo):
    person = demo.person()
    person.refuses = True
    code, out, err = terminal.log_in(person)
    assert code == 1
    assert out == ""
    assert err.strip().splitlines()[-1] == "portico: The login was declined in the browser."


def test_without_a_login_a_script_is_told_how_to_log_in(terminal, demo):
    done = terminal.run("tools", demo.mcp_url)
    assert done.returncode == 1
    assert done.stderr.strip() == f"portico: Not logged in. Run: portico login {demo.mcp_url}"


@pytest.mark.parametrize("protocol", ["auto", "legacy", "modern"])
def test_a_machine_calls_with_its_credentials_from_the_environment(terminal, demo, protocol):
    machine = demo.facts["machine"]
    credentials = {"PORTICO_CLIENT_ID": machine["client_id"], "PORTICO_CLIENT_SECRET": machine["client_secret"]}
    call = ("call", demo.mcp_url, "calculator___multiply_numbers", "-", "--protocol", protocol, "--json")
    result = json.loads(terminal.succeed(*call, stdin='{"a": 6, "b": 7}', **credentials))
    assert "42" in result["content"][0]["text"]
    assert not terminal.logins.exists(), "a machine leaves nothing behind"


def test_a_wrong_machine_secret_is_one_clear_line(terminal, demo):
    done = terminal.run("tools", demo.mcp_url, "--client-id", "demo-agent", "--client-secret", "wrong")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "invalid_client" in done.stderr


def test_a_token_that_was_got_elsewhere_works_and_a_bad_one_is_explained(terminal, demo):
    machine = demo.facts["machine"]
    granted = httpx2.post(
        machine["token_url"],
        data={"grant_type": "client_credentials"},
        auth=(machine["client_id"], machine["client_secret"]),
        trust_env=False,
        timeout=30,
    ).json()
    assert "calculator___add_numbers" in terminal.succeed("tools", demo.mcp_url, "--token", granted["access_token"])
    done = terminal.run("tools", demo.mcp_url, "--token", "nonsense")
    assert done.returncode == 1
    assert done.stderr.startswith(f"portico: {demo.mcp_url} refused the token")


def test_an_unknown_tool_is_an_error_of_the_command(terminal, demo):
    machine = demo.facts["machine"]
    done = terminal.run(
        *("call", demo.mcp_url, "calculator___no_such_tool"),
        PORTICO_CLIENT_ID=machine["client_id"],
        PORTICO_CLIENT_SECRET=machine["client_secret"],
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no_such_tool" in done.stderr


def test_a_user_is_added_logs_in_and_is_locked_out_at_once(terminal, demo):
    added = json.loads(
        terminal.administer("users", "add", "ada", "--password-stdin", "--json", stdin="correct horse\n")
    )
    assert added["name"] == "ada"
    ada = demo.person()
    ada.name, ada.password = "ada", "correct horse"
    assert terminal.log_in(ada)[0] == 0
    terminal.succeed("tools", demo.mcp_url)
    grants = json.loads(terminal.administer("grants", "list", "--json"))
    assert [grant["client"] for grant in grants if grant["user"] == "ada"] == ["Portico command line"]
    assert "ada" in terminal.administer("users", "list")

    terminal.administer("users", "disable", "ada")
    deadline = time.monotonic() + 30
    while (refused := terminal.run("tools", demo.mcp_url)).returncode == 0:
        assert time.monotonic() < deadline, "the live token was still taken"
    assert "Not logged in" in refused.stderr

    terminal.administer("users", "delete", "ada")
    assert "ada" not in {user["name"] for user in json.loads(terminal.administer("users", "list", "--json"))}


def test_a_grant_is_revoked(terminal, demo):
    terminal.log_in(demo.person())
    kept = json.loads(terminal.logins.read_text())[demo.mcp_url]["client"]["client_id"]
    grants = json.loads(terminal.administer("grants", "list", "--json"))
    grant = next(grant for grant in grants if grant["client_id"] == kept)
    terminal.administer("grants", "revoke", grant["id"])
    deadline = time.monotonic() + 30
    while terminal.run("tools", demo.mcp_url).returncode == 0:
        assert time.monotonic() < deadline, "the live token was still taken"


def test_a_machine_client_is_added_given_a_new_secret_and_deleted(terminal, demo):
    added = json.loads(terminal.administer("clients", "add", "robot", "--scope", "mcp/invoke", "--json"))
    old = {"PORTICO_CLIENT_ID": "robot", "PORTICO_CLIENT_SECRET": added["client_secret"]}
    terminal.succeed("tools", demo.mcp_url, **old)
    changed = json.loads(terminal.administer("clients", "secret", "robot", "--json"))
    assert terminal.run("tools", demo.mcp_url, **old).returncode == 1
    new = old | {"PORTICO_CLIENT_SECRET": changed["client_secret"]}
    terminal.succeed("tools", demo.mcp_url, **new)
    terminal.administer("clients", "delete", "robot")
    assert terminal.run("tools", demo.mcp_url, **new).returncode == 1
    assert "robot" not in terminal.administer("clients", "list")


def test_signing_keys_rotate_under_running_logins(terminal, demo):
    terminal.log_in(demo.person())
    before = json.loads(terminal.administer("keyring", "signing", "list", "--json"))
    after = json.loads(terminal.administer("keyring", "signing", "rotate", "--json"))
    assert {key["kid"] for key in before} < {key["kid"] for key in after}
    terminal.succeed("tools", demo.mcp_url)


def test_every_call_is_in_the_audit_with_who_called_and_without_arguments(terminal, demo):
    terminal.log_in(demo.person())
    terminal.succeed("call", demo.mcp_url, "calculator___greet_user", '{"name": "Zaphod-4711"}')
    recorded = json.loads(terminal.administer("audit", "list", "--since", "5m", "--tool", "greet_user", "--json"))
    newest = recorded[0]
    assert newest["user_name"] == "demo"
    assert (newest["target"], newest["tool"], newest["outcome"]) == ("calculator", "greet_user", "ok")
    assert newest["gateway"] == demo.facts["gateway_id"]
    assert newest["duration_ms"] > 0
    assert "4711" not in json.dumps(recorded)
    assert "greet_user" in terminal.administer("audit", "list", "--user", "demo")
    assert json.loads(terminal.administer("audit", "verify", "--json"))["intact"] is True
    assert "intact" in terminal.administer("audit", "verify")


def test_the_lines_that_the_demo_prints_for_curl_run_as_they_stand(demo):
    printed = announcement(demo.facts, facts_file="demo.json")
    script = textwrap.dedent(printed.split("with nothing but curl:\n\n")[1].split("\n\n")[0])
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "42" in json.dumps(json.loads(done.stdout)["result"])


def test_the_lines_that_the_demo_prints_for_the_aws_cli_run_as_they_stand(demo):
    printed = announcement(demo.facts, facts_file="demo.json")
    script = textwrap.dedent(printed.split("with boto3 or the aws CLI:\n\n")[1].split("\n\n")[0])
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        env=os.environ | {"PATH": path, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [item["gatewayId"] for item in json.loads(done.stdout)["items"]] == [demo.facts["gateway_id"]]
