"""Starting and stopping a real `portico demo`."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from person import Person

from support.ports import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 90.0  #: bound for a cold start on a busy machine


@dataclass
class Demo:
    """A running demo and what it wrote into demo.json."""

    facts: dict[str, Any]
    data_dir: Path
    process: subprocess.Popen[bytes]

    @property
    def mcp_url(self) -> str:
        return self.facts["mcp_url"]

    def person(self) -> Person:
        return Person(name=self.facts["user"]["name"], password=self.facts["user"]["password"])


def portico(*args: str) -> list[str]:
    """Return the command line of `portico`, as installed beside this Python."""
    return [str(Path(sys.executable).with_name("portico")), *args]


def start_demo(data_dir: Path, *options: str) -> Demo:
    port = free_port()
    log = (data_dir.parent / f"{data_dir.name}.log").open("wb")
    process = subprocess.Popen(
        portico("demo", "--port", str(port), "--data-dir", str(data_dir), *options),
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("PORTICO_")},
    )
    written = data_dir / "demo.json"
    deadline = time.monotonic() + START_SECONDS
    while not written.exists() or json.loads(written.read_text())["public_url"] != f"http://127.0.0.1:{port}":
        assert process.poll() is None, Path(log.name).read_text()
        assert time.monotonic() < deadline, Path(log.name).read_text()
        time.sleep(0.05)
    return Demo(facts=json.loads(written.read_text()), data_dir=data_dir, process=process)


def stop(demo: Demo) -> int:
    demo.process.send_signal(signal.SIGINT)
    try:
        return demo.process.wait(timeout=40)
    finally:
        demo.process.kill()
