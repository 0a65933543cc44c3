"""What the soak test watches: memory, sockets, tasks and sessions of each process, and whether they settle."""

import contextlib
import json
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean

import psutil

MB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSample:
    """One process at one time. Counts of the event loop are -1 for a process that tells none."""

    name: str
    pid: int
    rss_mb: float
    fds: int
    sockets: int
    threads: int
    cpu_seconds: float
    tasks: int = -1
    upstream_sessions: int = -1
    upstream_connections: int = -1
    upstream_idle: int = -1
    upstream_in_flight: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """All processes at one time."""

    minute: float
    calls: int  #: so far
    logins: int  #: so far
    processes: list[ProcessSample] = field(default_factory=list)

    def line(self) -> str:
        return json.dumps(asdict(self))


@dataclass(slots=True, kw_only=True)
class Watcher:
    """Looks at Portico's processes; knows them by the order in which they were started."""

    process: psutil.Process  #: of `portico serve`
    vitals: Sequence[str]  #: URLs, one per process that serves
    names: dict[int, str] = field(default_factory=dict)

    def look(self) -> list[ProcessSample]:
        """Return one sample per process; a process that ends meanwhile is left out."""
        counts = {one["pid"]: one for one in map(_vitals, self.vitals) if one}
        family = [self.process, *sorted(self.process.children(recursive=True), key=lambda one: one.create_time())]
        found: list[ProcessSample] = []
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
                found.append(self._sample(process, counts.get(process.pid, {})))
        return found

    def _sample(self, process: psutil.Process, counts: dict[str, int]) -> ProcessSample:
        name = self.names.setdefault(process.pid, self._name(process))
        own = {key: value for key, value in counts.items() if key != "pid"}
        return ProcessSample(
            name=name,
            pid=process.pid,
            rss_mb=round(process.memory_info().rss / MB, 2),
            fds=process.num_fds(),
            sockets=_sockets(process.pid),
            threads=process.num_threads(),
            cpu_seconds=sum(process.cpu_times()[:2]),
            **own,
        )

    def _name(self, process: psutil.Process) -> str:
        if process.pid == self.process.pid:
            return "supervisor" if len(self.vitals) > 1 else "portico"
        return f"worker {sum(name.startswith('worker') for name in self.names.values()) + 1}"


def flatness(values: Sequence[float]) -> tuple[float, float]:
    """Return the means of the second and of the last quarter: the first quarter is warm-up."""
    quarter = max(1, len(values) // 4)
    return mean(values[quarter : 2 * quarter] or values), mean(values[-quarter:])


def _vitals(url: str) -> dict[str, int]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)
    except OSError:
        return {}


def _sockets(pid: int) -> int:
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(link.readlink()).startswith("socket:")
    return count
