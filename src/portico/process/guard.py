"""The guard between Portico and a child: when Portico is gone, however it went, the child's process group goes too.

Runs as its own small process (``python -I guard.py ARGV...``) with the child in a process group of its own. Its
standard input is a pipe whose other end only Portico holds; end of file there means that Portico wants the child to
end, or died, by ``kill -9`` too. Then, and when it is asked to terminate, the group is asked to end, and ended after a
grace. When the child has ended by itself, what it left in its group is ended. Should the guard itself be killed, the
kernel kills the child (Linux). Uses the standard library alone, so that it starts fast and depends on nothing.

What it cannot follow: a grandchild that moved to another process group or session.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Final

GRACE_SECONDS: Final = 3.0  #: between asking the group to end and ending it

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


def main() -> None:
    """Run the command of the arguments until it ends or is to end; exit as it exited, 128 + n for signal n."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Handled, not ignored: an ignored signal would stay ignored in the child.
        signal.signal(number, lambda _number, _frame: asked.set())
    try:
        child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_die_with_guard)  # noqa: S603, PLW1509 - an argument list of ours; there is one thread so far
    except OSError as error:
        sys.stderr.write(f"{sys.argv[1]}: {error.strerror}\n")
        sys.exit(127)
    threading.Thread(target=_watch_input, args=(asked,), daemon=True).start()
    threading.Thread(target=_end_group, args=(asked, child.pid), daemon=True).start()
    # The group's id is taken as long as its leader is not reaped, so that the signal cannot hit someone else's.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    _signal(child.pid, signal.SIGKILL)
    status = child.wait()
    sys.stdout.flush()
    os._exit(status if status >= 0 else 128 - status)  # a thread may be asleep; nothing is left to clean up


def _die_with_guard() -> None:
    with contextlib.suppress(AttributeError, OSError):  # not Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _watch_input(asked: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    asked.set()


def _end_group(asked: threading.Event, group: int) -> None:
    asked.wait()
    _signal(group, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    _signal(group, signal.SIGKILL)


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    main()
