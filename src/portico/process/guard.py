"""The guard between Portico and a child: when Portico is gone, however it went, the child's process group goes too.

Runs as its own small process (``python -I guard.py ARGV...``), leader of the child's session. Its standard input is
a pipe whose other end only Portico holds; end of file there means that Portico died, by ``kill -9`` too. Uses the
standard library alone, so that it starts fast and depends on nothing.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Final

GRACE_SECONDS: Final = 3.0  #: between asking the group to end and ending it


def main() -> None:
    """Run the command of the arguments until it ends or standard input does; exit as it exited."""
    # Whoever ends the group means the child; the guard stays to report how it ended.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, restore_signals=True, preexec_fn=_defaults)  # noqa: S603, PLW1509 - an argument list of ours; one thread so far
    except OSError as error:
        sys.stderr.write(f"{sys.argv[1]}: {error.strerror}\n")
        sys.exit(127)
    threading.Thread(target=_end_with_portico, daemon=True).start()
    status = child.wait()
    sys.exit(status if status >= 0 else 128 - status)


def _defaults() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end_with_portico() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
