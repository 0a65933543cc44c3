"""How the C library keeps memory: what was large goes back to the system when it is freed."""

import platform
import subprocess
import sys

import pytest

CHILD = """
import sys
from portico.service.memory import settle_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

if sys.argv[1] == "settled":
    assert settle_memory()
bytearray(8 * 1024 * 1024)[::4096] = b"x" * 2048  # freed at once: glibc would map nothing below this size any more
before = resident()
held = []
for _ in range(40):
    held.append((bytearray(b"x") * (600 * 1024), bytearray(b"x") * 2000))
pins = [small for _, small in held]
del held
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory in its own way")
def test_large_buffers_between_small_ones_go_back_when_they_are_freed():
    done = subprocess.run([sys.executable, "-c", CHILD, "settled"], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4 * 1024 * 1024, "of 24 MB that were freed"
