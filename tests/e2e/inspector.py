"""The Inspector's command line, unmodified, headless, with a person in place of its browser."""

import json
import os
import re
import subprocess
import time

from e2e.node import node22, script
from support.ports import free_port

LOGIN_SECONDS = 60.0
_AUTHORIZE = re.compile(r"(http://127\.0\.0\.1:\d+/\S*authorize\?\S+)")


class Inspector:
    """One user's Inspector: its stored login lives in a home of its own."""

    def __init__(self, home, url, *options):
        self.home = home
        self.command = [
            node22(),
            script("@modelcontextprotocol", "inspector", "clients", "launcher", "build", "index.js"),
            *("--cli", url, "--transport", "http", "--format", "json", *options),
        ]
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("MCP_")},
            "HOME": str(home),
            "MCP_AUTO_OPEN_ENABLED": "true",
            "MCP_INSPECTOR_SECRET_STORE": "file",
            # else all Inspectors of a machine wait for their browsers at one port
            "MCP_OAUTH_CALLBACK_URL": f"http://127.0.0.1:{free_port()}/oauth/callback",
            "PATH": f"{home}/bin:{os.environ['PATH']}",
        }
        (home / "bin").mkdir()
        browser = home / "bin" / "xdg-open"
        browser.write_text(f'#!/bin/sh\necho "$1" >> {home}/opened\n')
        browser.chmod(0o755)

    def run(self, *options, person=None):
        """Run one command; `person` logs in when the authorize URL appears. Return its JSON output."""
        out, err = self.home / "out", self.home / "err"
        opened = self.home / "opened"
        opened.unlink(missing_ok=True)
        with out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(
                [*self.command, *options], env=self.env, stdout=stdout, stderr=stderr, stdin=subprocess.DEVNULL
            )
            try:
                if person is not None:
                    person.log_in(self._authorize_url(process))
                process.wait(timeout=LOGIN_SECONDS)
            finally:
                process.kill()
        assert process.returncode == 0, err.read_text() + out.read_text()
        text = out.read_text()
        return json.loads(text[text.index("{") :])

    def _authorize_url(self, process):
        deadline = time.monotonic() + LOGIN_SECONDS
        while True:
            texts = [p.read_text() for p in (self.home / "opened", self.home / "err", self.home / "out") if p.exists()]
            found = next((match for text in texts if (match := _AUTHORIZE.search(text))), None)
            if found is not None:
                return found[1]
            assert process.poll() is None, "\n".join(texts)
            assert time.monotonic() < deadline, "\n".join(texts)
            time.sleep(0.05)
